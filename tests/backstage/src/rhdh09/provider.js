// The provider: on every poll the list, all of what it lists, and one full mutation.
'use strict';

const { ANNOTATION_LOCATION, ANNOTATION_ORIGIN_LOCATION } = require('@backstage/catalog-model');

const { readDocument } = require('./document');
const { entitiesOf } = require('./entities');

class ModelCatalogProvider {
  constructor(id, baseUrl, tasks, logger) {
    this.id = id;
    this.baseUrl = baseUrl;
    this.tasks = tasks;
    this.logger = logger.child({ target: this.getProviderName() });
  }

  getProviderName() {
    return `ModelCatalogResourceEntityProvider:${this.id}`;
  }

  async connect(connection) {
    await this.tasks.run({
      id: `${this.getProviderName()}:run`,
      fn: async () => {
        try {
          await this.poll(connection);
        } catch (error) {
          this.logger.error(`Error while syncing resources from Model Catalog ${this.id}: ${error.message}`);
        }
      },
    });
  }

  /** One bad document, and nothing changes for any; an empty list, and nothing stays. */
  async poll(connection) {
    const list = await this.get('/list');
    const uris = list.uris ?? [];
    const documents = await Promise.all(uris.map(async uri => readDocument(await this.get(uri), uri)));
    const entities = documents.flatMap(entitiesOf).map(entity => this.placed(entity));
    await connection.applyMutation({
      type: 'full',
      entities: entities.map(entity => ({ entity, locationKey: this.getProviderName() })),
    });
    this.logger.info(`Synced Model Catalog ${this.id}: ${entities.length} entities of ${uris.length} models`);
  }

  async get(uri) {
    const answer = await fetch(`${this.baseUrl}${uri}`);
    if (!answer.ok) {
      throw new Error(`${uri}: ${answer.status} ${answer.statusText}`);
    }
    return answer.json();
  }

  placed(entity) {
    const name = this.getProviderName();
    const own = { [ANNOTATION_LOCATION]: name, [ANNOTATION_ORIGIN_LOCATION]: name };
    const annotations = { ...entity.metadata.annotations, ...own };
    return { ...entity, metadata: { ...entity.metadata, annotations } };
  }
}

module.exports = { ModelCatalogProvider };
