//! A storage-rest between a scripted location and a scripted Backstage.

use http::Method;
use testkit::backstage::{ReceivedRequest, ScriptedBackstage};
use testkit::eventually;

use crate::support::{DEADLINE, ScriptedLocation, Storage, key};

pub(crate) const BRIDGE: &str = "http://bridge.example.com:9090";

/// Where Backstage reads an entry.
pub(crate) fn target(name: &str) -> String {
    target_of(BRIDGE, name, "catalog-info.yaml")
}

pub(crate) fn target_of(bridge: &str, name: &str, file: &str) -> String {
    let key = key(name);
    let (model, version) = key.segments();
    format!("{bridge}/{model}/{version}/{file}")
}

pub(crate) struct Scene {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) location: ScriptedLocation,
    pub(crate) backstage: ScriptedBackstage,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(ScriptedBackstage::start().await).await
    }

    pub(crate) async fn with(backstage: ScriptedBackstage) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), location: ScriptedLocation::start().await, backstage }
    }

    pub(crate) async fn storage(&self, args: &[&str]) -> Storage {
        self.storage_at(BRIDGE, &[&["--rhdh-token", "right"], args].concat()).await
    }

    /// One whose location Backstage sees under that URL.
    pub(crate) async fn storage_at(&self, bridge: &str, args: &[&str]) -> Storage {
        let backstage = self.backstage.url();
        let push = [
            "--location-url",
            self.location.url.as_str(),
            "--push-to-rhdh",
            "--bkstg-url",
            backstage.as_str(),
            "--bridge-url",
            bridge,
        ];
        Storage::start(self.directory.path(), &[&push, args].concat()).await
    }

    pub(crate) async fn backstage_has(&self, names: &[&str]) {
        self.backstage_has_targets(names.iter().map(|name| target(name)).collect()).await;
    }

    pub(crate) async fn backstage_has_targets(&self, mut expected: Vec<String>) {
        expected.sort();
        eventually(DEADLINE, &format!("Backstage has {expected:?}"), async || {
            let targets = self.backstage.targets();
            if targets == expected { Ok(()) } else { Err(targets) }
        })
        .await;
    }

    pub(crate) fn creations(&self) -> usize {
        self.backstage.count(&Method::POST, "/locations")
    }

    /// Waits for so many more passes to begin, and gives all requests that came meanwhile.
    pub(crate) async fn requests_of_passes(&self, passes: usize) -> Vec<ReceivedRequest> {
        let before = self.backstage.requests().len();
        eventually(DEADLINE, "passes begin", async || {
            let requests = self.backstage.requests().split_off(before);
            let lists = requests.iter().filter(|seen| seen.method == Method::GET && seen.path == "/locations").count();
            if lists >= passes { Ok(requests) } else { Err(lists) }
        })
        .await
    }
}

/// Waits until the store remembers the location of an entry; its id and target.
pub(crate) async fn remembered(storage: &Storage, name: &str) -> (String, String) {
    eventually(DEADLINE, "the id is remembered", async || {
        let stored = storage.client.fetch(&key(name)).await.ok().flatten()?;
        stored.location_id_valid.then_some((stored.location_id, stored.location_target))
    })
    .await
}
