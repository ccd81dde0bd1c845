// A catalog module that behaves towards the bridge as the providers of RHDH 1.8 to 1.10 do (their releases 0.7 to 0.9),
// which cannot be had here. Written from what was measured of them, not from their source.
'use strict';

const {
  coreServices,
  createBackendModule,
  readSchedulerServiceTaskScheduleDefinitionFromConfig,
} = require('@backstage/backend-plugin-api');
const { catalogProcessingExtensionPoint } = require('@backstage/plugin-catalog-node');

const { ModelCatalogProvider } = require('./provider');

const PROVIDERS = 'catalog.providers.modelCatalog';

const catalogModuleRhdh09 = createBackendModule({
  pluginId: 'catalog',
  moduleId: 'model-catalog-rhdh09',
  register(env) {
    env.registerInit({
      deps: {
        catalog: catalogProcessingExtensionPoint,
        config: coreServices.rootConfig,
        logger: coreServices.logger,
        scheduler: coreServices.scheduler,
      },
      async init({ catalog, config, logger, scheduler }) {
        for (const id of config.getConfig(PROVIDERS).keys()) {
          const own = config.getConfig(`${PROVIDERS}.${id}`);
          const schedule = readSchedulerServiceTaskScheduleDefinitionFromConfig(own.getConfig('schedule'));
          const tasks = scheduler.createScheduledTaskRunner(schedule);
          catalog.addEntityProvider(new ModelCatalogProvider(id, own.getString('baseUrl'), tasks, logger));
        }
      },
    });
  },
});

module.exports = { catalogModuleRhdh09 };
