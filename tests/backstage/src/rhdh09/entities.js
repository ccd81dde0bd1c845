// Makes entities of a document. Values go in as they come: what the catalog's rules reject, it rejects.
'use strict';

const VERSION = 'backstage.io/v1alpha1';
const TECHDOCS_REF = 'backstage.io/techdocs-ref';

const owner = name => `user:${name}`;
// Only a field that is missing gives no link: an empty one gives a link that the catalog refuses.
const links = pairs => pairs.filter(([, url]) => url !== undefined).map(([title, url]) => ({ title, url }));

function annotationsOf(annotations = {}) {
  const { TechDocs, ...others } = annotations;
  return TechDocs === undefined ? others : { ...others, [TECHDOCS_REF]: `url:${TechDocs}` };
}

function model(one, server) {
  return {
    apiVersion: VERSION,
    kind: 'Resource',
    metadata: {
      name: one.name,
      description: one.description,
      tags: one.tags ?? [],
      annotations: annotationsOf(one.annotations),
      links: links([
        ['Artifact', one.artifactLocationURL],
        ['How to use', one.howToUseURL],
        ['License', one.license],
      ]),
    },
    spec: {
      type: 'ai-model',
      owner: owner(one.owner),
      lifecycle: one.lifecycle,
      ...(server && { dependencyOf: [`component:${server.name}`] }),
    },
  };
}

function component(server, models) {
  return {
    apiVersion: VERSION,
    kind: 'Component',
    metadata: {
      name: server.name,
      description: server.description,
      tags: [...(server.tags ?? []), server.authentication ? 'auth-required' : 'auth-not-required'],
      annotations: annotationsOf(server.annotations),
      links: links([
        ['Homepage', server.homepageURL],
        ['API', server.API?.url],
      ]),
    },
    spec: {
      type: 'model-server',
      owner: owner(server.owner),
      lifecycle: server.lifecycle,
      dependsOn: models.map(one => `resource:${one.name}`),
      ...(server.API && { providesApis: [server.name] }),
    },
  };
}

function api(server) {
  const { url, type, spec, tags, annotations } = server.API;
  return {
    apiVersion: VERSION,
    kind: 'API',
    metadata: {
      name: server.name,
      description: server.description,
      tags: tags ?? [],
      annotations: annotationsOf(annotations),
      links: links([['API', url]]),
    },
    spec: { type, owner: owner(server.owner), lifecycle: server.lifecycle, definition: spec },
  };
}

/** The entities of a document: a Resource for each model, a Component for the server, an API where it has one. */
function entitiesOf({ models, modelServer }) {
  const resources = models.map(one => model(one, modelServer));
  if (!modelServer) {
    return resources;
  }
  return [...resources, component(modelServer, models), ...(modelServer.API ? [api(modelServer)] : [])];
}

module.exports = { entitiesOf };
