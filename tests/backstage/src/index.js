// Starts a headless Backstage back end as the environment says (see settings.js), until it is told to stop.
'use strict';

const path = require('path');

const { createBackend } = require('@backstage/backend-defaults');
const { coreServices, createServiceFactory } = require('@backstage/backend-plugin-api');
const { ConfigReader } = require('@backstage/config');

const { configuration } = require('./configuration');
const { readSettings } = require('./settings');
const { featuresOf } = require('./shapes');

const settings = readSettings(process.env);
if (settings.mkdocsDirectory) {
  process.env.PATH = `${settings.mkdocsDirectory}${path.delimiter}${process.env.PATH}`;
}
const backend = createBackend();

// A test that is killed ends nothing, so nobody would end this.
const parent = process.ppid;
setInterval(() => process.ppid === parent || process.exit(1), 1000).unref();

// No files and no further variables: what a test does not say does not count.
backend.add(
  createServiceFactory({
    service: coreServices.rootConfig,
    deps: {},
    factory: () => new ConfigReader(configuration(settings), 'tests'),
  }),
);
for (const feature of featuresOf(settings)) {
  backend.add(feature);
}
backend.start().catch(error => {
  console.error(error);
  process.exit(1);
});
