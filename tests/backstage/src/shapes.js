// Of which features each shape is made.
'use strict';

// As an operator's index.js names them: by package, which exports its feature as the default.
const published = name => require(name).default;

/** RHDH 2's provider as published, with the kind that it makes and the TechDocs reader that comes with it. */
function rhdh() {
  const { provideStaticCatalogModel } = require('@backstage/plugin-catalog-node/alpha');
  const {
    aiModelServerApiEntityModel,
  } = require('@red-hat-developer-hub/backstage-plugin-catalog-model-ai-model-server');
  return [
    provideStaticCatalogModel({ layers: [aiModelServerApiEntityModel] }),
    published('@red-hat-developer-hub/backstage-plugin-catalog-backend-module-model-catalog'),
    published('@red-hat-developer-hub/backstage-plugin-catalog-techdoc-url-reader-backend'),
  ];
}

const shapes = {
  plain: () => [],
  rhdh,
  rhdh09: () => [require('./rhdh09/module').catalogModuleRhdh09],
};

/** The features of a back end: the catalog, the shape's own, and TechDocs where mkdocs is. */
function featuresOf({ shape, mkdocsDirectory }) {
  const techdocs = mkdocsDirectory ? [published('@backstage/plugin-techdocs-backend')] : [];
  return [
    published('@backstage/plugin-catalog-backend'),
    published('@backstage/plugin-catalog-backend-module-logs'),
    ...shapes[shape](),
    ...techdocs,
  ];
}

module.exports = { featuresOf };
