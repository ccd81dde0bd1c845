//! What keeping storage in step costs and how it waits: exactly counted upserts and requests of the whole normalizer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop at once"
)]

mod served;
mod storage;
mod tls;

use std::time::Duration;

use sample_registry::SampleRegistry;
use serde_json::{Value, json};
use service::settings::try_parse_from;
use service::{Running, Shutdown};
use testkit::kube::KubeApi;
use testkit::kube::samples::{InferenceService, registry_service};
use testkit::registry::{Fault, Matcher, ScriptedRegistry};
use testkit::wait::eventually;

use storage::CountingStorage;

const DEADLINE: Duration = Duration::from_secs(30);

struct Normalizer {
    running: Running,
    shutdown: Shutdown,
}

impl Normalizer {
    async fn start(storage: &CountingStorage, flags: &[String]) -> Self {
        let own = [
            "normalizer".to_owned(),
            "--admin-address=127.0.0.1:0".to_owned(),
            format!("--storage-url={}", storage.url),
        ];
        // Defaults that flags may give again would be an error, so each test gives all that it needs.
        let settings = try_parse_from(own.iter().chain(flags), |_| Some("".into())).unwrap();
        let shutdown = Shutdown::new();
        let running = normalizer::start(settings, shutdown.clone()).await.unwrap();
        Self { running, shutdown }
    }

    async fn status(&self) -> Value {
        let url = format!("http://{}/status", self.running.address);
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.running.task.await.unwrap().unwrap();
    }
}

fn model(sample: &SampleRegistry, name: &str, versions: usize) -> (String, Vec<String>) {
    let model = sample.create_model(name, json!({}));
    let versions = (0..versions).map(|n| {
        let version = sample.create_version(&model, &format!("v{n}"), json!({}));
        sample.create_artifact(&version, "artifact", json!({"uri": "oci://registry.example.com/m:1"}));
        version
    });
    let versions = versions.collect();
    (model, versions)
}

fn of_registry(registry: &ScriptedRegistry, intervals: &[&str]) -> Vec<String> {
    let mut flags = vec![format!("--mr-url=lab={}", registry.url()), "--no-cluster".to_owned()];
    flags.extend(intervals.iter().map(ToString::to_string));
    flags
}

async fn holds(storage: &CountingStorage, keys: &[&str]) {
    eventually(DEADLINE, &format!("storage holds {keys:?}"), async || {
        let held = storage.keys();
        if held == keys { Ok(()) } else { Err(held) }
    })
    .await;
}

/// Waits until the registry was read twice more since now, and storage was compared with it.
async fn another_round(normalizer: &Normalizer) {
    let last_read = async || normalizer.status().await["sources"]["registry/lab"]["lastRead"].to_string();
    for _ in 0..2 {
        let before = last_read().await;
        eventually(DEADLINE, "the registry is read again", async || last_read().await != before).await;
    }
}

#[tokio::test]
async fn only_what_changed_is_sent_and_an_unchanged_world_sends_nothing() {
    let registry = ScriptedRegistry::start().await;
    let sample = registry.edit().clone();
    let (_, _) = model(&sample, "a", 3);
    let (b, versions) = model(&sample, "b", 2);
    let storage = CountingStorage::start().await;
    let flags = of_registry(&registry, &["--polling-interval=50ms", "--resync-interval=200ms", "--probe-interval=0s"]);
    let normalizer = Normalizer::start(&storage, &flags).await;
    holds(&storage, &["a_v0", "a_v1", "a_v2", "b_v0", "b_v1"]).await;
    assert_eq!(storage.take_upserts().len(), 5);

    another_round(&normalizer).await;
    assert_eq!(storage.take_upserts(), [""; 0]);
    assert_eq!(storage.seen().key_sets, 1, "a key set that says nothing new is not sent");

    sample.update_version(&versions[1], json!({"description": "edited"})).unwrap();
    eventually(DEADLINE, "the edit is sent", async || !storage.seen().upserts.is_empty()).await;
    another_round(&normalizer).await;
    assert_eq!(storage.take_upserts(), ["b_v1"]);

    sample.update_model(&b, json!({"description": "edited"})).unwrap();
    eventually(DEADLINE, "the edit is sent", async || storage.seen().upserts.len() >= 2).await;
    another_round(&normalizer).await;
    assert_eq!(storage.take_upserts(), ["b_v0", "b_v1"]);

    sample.archive_version(&versions[0]).unwrap();
    holds(&storage, &["a_v0", "a_v1", "a_v2", "b_v1"]).await;
    assert_eq!(storage.take_upserts(), [""; 0]);
    normalizer.stop().await;
}

#[tokio::test]
async fn a_restart_sends_nothing_that_storage_holds_already() {
    let registry = ScriptedRegistry::start().await;
    model(registry.edit(), "a", 3);
    let storage = CountingStorage::start().await;
    let flags = of_registry(&registry, &["--polling-interval=50ms"]);
    for upserts in [3, 0] {
        let normalizer = Normalizer::start(&storage, &flags).await;
        holds(&storage, &["a_v0", "a_v1", "a_v2"]).await;
        eventually(DEADLINE, "the registry is read", async || {
            normalizer.status().await["sources"]["registry/lab"]["completeReads"].as_u64() >= Some(1)
        })
        .await;
        another_round(&normalizer).await;
        assert_eq!(storage.take_upserts().len(), upserts);
        normalizer.stop().await;
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_patience_is_left_alone_and_one_that_hangs_delays_no_other() {
    let (busy, stuck, healthy) =
        (ScriptedRegistry::start().await, ScriptedRegistry::start().await, ScriptedRegistry::start().await);
    for (registry, name) in [(&busy, "busy"), (&stuck, "stuck"), (&healthy, "healthy")] {
        model(registry.edit(), name, 1);
    }
    busy.fail(Matcher::Any, Fault::throttled("3600"));
    stuck.fail(Matcher::Any, Fault::Hang);
    let storage = CountingStorage::start().await;
    let urls: Vec<String> = [("a", &busy), ("b", &stuck), ("lab", &healthy)]
        .iter()
        .map(|(name, r)| format!("{name}={}", r.url()))
        .collect();
    let flags =
        [format!("--mr-url={}", urls.join(",")), "--no-cluster".to_owned(), "--polling-interval=30ms".to_owned()];
    let normalizer = Normalizer::start(&storage, &flags).await;
    holds(&storage, &["healthy_v0"]).await;
    for _ in 0..3 {
        another_round(&normalizer).await;
    }
    assert_eq!(busy.total(), 1, "a registry that answers 429 is not asked before it said");
    assert_eq!(storage.seen().key_sets, 0, "two sources were never read: nothing is said of what there is");
    let status = normalizer.status().await;
    assert_eq!(status["sources"]["registry/a"]["stale"], true, "{status}");
    assert!(!storage.seen().settled, "one that hangs was not tried to its end");
    assert!(status["sources"]["registry/a"]["failure"].as_str().unwrap().contains("429"), "{status}");
    normalizer.stop().await;
}

#[tokio::test]
async fn a_large_removal_is_held_and_shown_until_a_second_complete_read_agrees() {
    let registry = ScriptedRegistry::start().await;
    let sample = registry.edit().clone();
    let models: Vec<String> = (0..12).map(|n| model(&sample, &format!("m{n:02}"), 1).0).collect();
    let storage = CountingStorage::start().await;
    let flags = of_registry(&registry, &["--polling-interval=700ms", "--probe-interval=20ms"]);
    let normalizer = Normalizer::start(&storage, &flags).await;
    eventually(DEADLINE, "all is stored", async || storage.keys().len() == 12 && storage.seen().key_sets == 1).await;
    // The key set of the start told storage; from now on only removals do.
    for model in &models[..11] {
        sample.archive_model(model).unwrap();
    }
    let held = eventually(DEADLINE, "the removal is held", async || {
        let status = normalizer.status().await;
        let entries = status["heldRemovals"][0]["entries"].as_u64().filter(|entries| *entries == 11);
        entries.map(|_| status["sources"]["registry/lab"]["completeReads"].as_u64().unwrap())
    })
    .await;
    assert!(storage.keys().len() >= 11, "held");
    holds(&storage, &["m11_v0"]).await;
    let status = normalizer.status().await;
    assert!(status["sources"]["registry/lab"]["completeReads"].as_u64().unwrap() > held, "{status}");
    eventually(DEADLINE, "nothing is held any more", async || {
        normalizer.status().await["heldRemovals"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    normalizer.stop().await;
}

#[tokio::test]
async fn a_discovered_registry_that_disappears_is_given_up_after_its_grace() {
    let registry = ScriptedRegistry::start().await;
    model(registry.edit(), "a", 1);
    let cluster = KubeApi::builder().namespace("registries").start().await;
    let address = registry.url().authority().to_owned();
    cluster.apply(registry_service("registries", "lab", "model-registry", "http-api", Some(&address)));
    let directory = tempfile::tempdir().unwrap();
    let storage = CountingStorage::start().await;
    let flags = |grace: &str| {
        vec![
            format!("--kubeconfig={}", cluster.write_kubeconfig(directory.path()).display()),
            "--polling-interval=60ms".to_owned(),
            format!("--source-grace={grace}"),
        ]
    };
    let normalizer = Normalizer::start(&storage, &flags("1h")).await;
    holds(&storage, &["a_v0"]).await;
    cluster.delete("Service", "registries", "lab");
    let searched =
        |request: &testkit::kube::RecordedRequest| request.is_on("services") && request.query.contains("labelSelector");
    let before = cluster.count(searched);
    eventually(DEADLINE, "the search was repeated", async || cluster.count(searched) > before + 6).await;
    assert_eq!(storage.keys(), ["a_v0"], "within its grace");
    normalizer.stop().await;

    // A restart is no proof: the grace begins anew.
    let normalizer = Normalizer::start(&storage, &flags("1h")).await;
    let before = cluster.count(searched);
    eventually(DEADLINE, "the search was repeated", async || cluster.count(searched) > before + 6).await;
    assert_eq!(storage.keys(), ["a_v0"], "within its grace");
    normalizer.stop().await;
    let normalizer = Normalizer::start(&storage, &flags("50ms")).await;
    holds(&storage, &[]).await;
    normalizer.stop().await;
}

#[tokio::test]
async fn several_clusters_are_watched_and_one_that_cannot_be_used_fails_alone() {
    let registry = ScriptedRegistry::start().await;
    model(registry.edit(), "a", 1);
    let (east, west) = (
        KubeApi::builder().with_kserve().namespace("ai").start().await,
        KubeApi::builder().with_kserve().namespace("ai").start().await,
    );
    // The same namespace and name in both: two entries.
    east.apply(InferenceService::new("ai", "shared").build());
    west.apply(InferenceService::new("ai", "shared").build());
    west.apply(InferenceService::new("ai", "west-only").build());
    let cluster = |name: &str, url: &str| json!({"name": name, "cluster": {"server": url}});
    let context = |name: &str| json!({"name": name, "context": {"cluster": name, "user": name}});
    let user = |name: &str, user: Value| json!({"name": name, "user": user});
    let admin = json!({"token": testkit::kube::ADMIN_TOKEN});
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "east",
        "clusters": [cluster("east", east.url().as_str()), cluster("west", west.url().as_str()), cluster("broken", east.url().as_str())],
        "contexts": [context("east"), context("west"), context("broken")],
        "users": [user("east", admin.clone()), user("west", admin), user("broken", json!({"tokenFile": "/does/not/exist"}))],
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let storage = CountingStorage::start().await;
    let flags = [
        format!("--mr-url=lab={}", registry.url()),
        format!("--kubeconfig={}", file.display()),
        "--kube-contexts=east,west,broken".to_owned(),
        "--polling-interval=60ms".to_owned(),
    ];
    let normalizer = Normalizer::start(&storage, &flags).await;
    eventually(DEADLINE, "entries of both clusters are stored", async || {
        let keys = storage.keys();
        let shared = keys.iter().filter(|key| key.starts_with("ai_shared-")).count();
        let rest = ["a_v0", "ai_west-only"].iter().all(|key| keys.iter().any(|held| held == key));
        if shared == 2 && rest { Ok(()) } else { Err(keys) }
    })
    .await;
    let status = normalizer.status().await;
    assert_eq!(status["sources"]["cluster/broken"]["stale"], true, "{status}");
    assert_eq!(status["sources"]["cluster/west"]["stale"], false, "{status}");
    normalizer.stop().await;
}

#[tokio::test]
async fn a_source_that_cannot_be_read_from_the_start_keeps_others_waiting_for_a_while_only() {
    let (broken, healthy) = (ScriptedRegistry::start().await, ScriptedRegistry::start().await);
    broken.fail(Matcher::Any, Fault::Status(500));
    model(healthy.edit(), "a", 1);
    let storage = CountingStorage::start().await;
    let flags = [
        format!("--mr-url=broken={},lab={}", broken.url(), healthy.url()),
        "--no-cluster".to_owned(),
        "--polling-interval=1h".to_owned(),
    ];
    let normalizer = Normalizer::start(&storage, &flags).await;
    holds(&storage, &["a_v0"]).await;
    eventually(DEADLINE, "storage need not wait any more", async || storage.seen().settled).await;
    assert_eq!(storage.seen().key_sets, 0);
    normalizer.stop().await;
}
