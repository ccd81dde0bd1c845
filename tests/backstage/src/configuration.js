// The app-config of each shape, as an operator would write it.
'use strict';

const path = require('path');

// The id of RHDH's provider. It is also what the path of a model card's URL must hold for RHDH's TechDocs reader to take
// it, besides `modelcard`, so the one word serves for both.
const CONNECTOR = 'modelcard';

// `Template` and `System` are left out: nothing of ours has these kinds.
const KINDS = ['Component', 'API', 'Resource', 'Location', 'Group', 'User'];

// Of the one process, so that it need not wait for its turn among several.
const schedule = ({ pollSeconds }) => ({
  frequency: { seconds: pollSeconds },
  timeout: { seconds: 30 },
  scope: 'local',
});

const providers = {
  plain: () => ({}),
  rhdh: settings => ({
    modelCatalog: { [CONNECTOR]: { schedule: schedule(settings), tests: { name: 'the bridge under test' } } },
  }),
  rhdh09: settings => ({
    modelCatalog: { tests: { baseUrl: settings.bridgeUrl, schedule: schedule(settings) } },
  }),
};

/** The configuration of a back end. */
function configuration(settings) {
  const { shape, port, token, directory, bridgeUrl } = settings;
  return {
    backend: {
      baseUrl: `http://127.0.0.1:${port}`,
      listen: { host: '127.0.0.1', port },
      database: {
        client: 'better-sqlite3',
        connection: { directory: path.join(directory, 'databases') },
      },
      workingDirectory: directory,
      auth: {
        externalAccess: [{ type: 'static', options: { token, subject: 'bridge-tests' } }],
      },
      reading: { allow: [{ host: new URL(bridgeUrl).host }] },
    },
    discovery: { endpoints: [{ target: bridgeUrl, plugins: [CONNECTOR] }] },
    catalog: {
      rules: [{ allow: shape === 'rhdh' ? [...KINDS, 'AiModelServerAPI'] : KINDS }],
      providers: providers[shape](settings),
    },
    techdocs: {
      builder: 'local',
      generator: { runIn: 'local' },
      publisher: { type: 'local', local: { publishDirectory: path.join(directory, 'techdocs') } },
    },
  };
}

module.exports = { configuration };
