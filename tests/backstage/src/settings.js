// What a test says in the environment.
'use strict';

const SHAPES = ['plain', 'rhdh', 'rhdh09'];

/** Reads the settings; stops at the first that is missing or wrong. */
function readSettings(env) {
  const required = name => {
    if (!env[name]) {
      throw new Error(`${name} is not set`);
    }
    return env[name];
  };
  const shape = env.BACKSTAGE_SHAPE || 'plain';
  if (!SHAPES.includes(shape)) {
    throw new Error(`BACKSTAGE_SHAPE is one of ${SHAPES.join(', ')}, not ${shape}`);
  }
  return {
    shape,
    port: Number(required('BACKSTAGE_PORT')),
    // What callers of the catalog show.
    token: required('BACKSTAGE_TOKEN'),
    // Where databases, and what TechDocs builds, are kept: with the same directory a restart goes on.
    directory: required('BACKSTAGE_DIRECTORY'),
    // The location service: whom providers ask, and whose documents may be read.
    bridgeUrl: required('BRIDGE_URL'),
    pollSeconds: Number(env.BACKSTAGE_POLL_SECONDS || '1'),
    // Where mkdocs is; without it there is no TechDocs.
    mkdocsDirectory: env.BACKSTAGE_MKDOCS_DIRECTORY,
  };
}

module.exports = { readSettings };
