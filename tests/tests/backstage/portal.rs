//! A bridge and the Backstage that shows what it serves.

use system_tests::{Backstage, Bridge, Kept, Service, Shape, Sources, shown_by};

use model_catalog::render::Format;

pub(crate) struct Portal {
    pub(crate) sources: Sources,
    pub(crate) bridge: Bridge,
    pub(crate) backstage: Backstage,
}

impl Portal {
    /// Nothing is started yet. A plain Backstage is told of each entry, in YAML; RHDH's providers ask, and read JSON.
    pub(crate) fn new(shape: Shape, sources: Sources) -> Self {
        let format = match shape {
            Shape::Plain => Format::CatalogInfoYaml,
            Shape::Rhdh | Shape::Rhdh09 => Format::ModelCatalogJson,
        };
        let mut bridge = Bridge::new(format, Kept::InSqlite, &sources);
        let location = bridge.url(Service::Location);
        let backstage = Backstage::new(shape, &location);
        bridge.set(Service::Normalizer, "BRIDGE_PUBLIC_URL", &location);
        if shape == Shape::Plain {
            bridge.set(Service::Storage, "PUSH_TO_RHDH", "true");
            bridge.set(Service::Storage, "BKSTG_URL", &backstage.url());
            bridge.set(Service::Storage, "RHDH_TOKEN", backstage.token());
            bridge.set(Service::Storage, "BRIDGE_URL", &location);
            bridge.set(Service::Storage, "DELIVERY_RESYNC_INTERVAL", "500ms");
        }
        Self { sources, bridge, backstage }
    }

    /// Starts both.
    pub(crate) async fn started(mut self) -> Self {
        self.bridge.start_all();
        self.backstage.start().await;
        self
    }

    /// Waits until Backstage shows exactly what the sources hold.
    pub(crate) async fn shows_the_truth(&self) {
        let truth = self.sources.truth(self.bridge.format);
        self.backstage.comes_to_show(&shown_by(self.backstage.shape(), &truth)).await;
    }

    /// Waits until Backstage's provider has looked at the bridge a few times more, with whatever it was answered.
    pub(crate) async fn polls(&self) {
        let text = match self.backstage.shape() {
            Shape::Plain => unreachable!("a plain Backstage asks nobody"),
            // It says so before it asks: the last time but one has been answered.
            Shape::Rhdh => "Discovering AiModelServerAPI entities",
            Shape::Rhdh09 => "Model Catalog tests",
        };
        self.backstage.logs_again(text, 3).await;
    }

    /// Removes all that storage kept, while it is down.
    pub(crate) fn forget_storage(&self) {
        let file = self.bridge.sqlite().display().to_string();
        for file in [file.clone(), format!("{file}-wal"), format!("{file}-shm")] {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{file}: {error}"),
                _ => {}
            }
        }
    }

    /// That Backstage found nothing wrong with anything so far.
    pub(crate) fn was_taken_without_complaint(&self) {
        let complaints = self.backstage.complaints();
        assert!(complaints.is_empty(), "Backstage complains:\n{}", complaints.join("\n"));
    }
}
