//! Any of the services, or all of them, end without warning at any point: afterwards location serves the truth, and
//! readers never saw less.

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use system_tests::Kept::{self, InConfigMap, InSqlite};
use system_tests::{Bridge, Reader, SOON, Service, Sources};
use testkit::eventually;

/// Enough that a first synchronization has a middle.
const MANY: usize = 60;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_idle(
    #[values(Service::Normalizer, Service::Storage, Service::Location)] service: Service,
    #[values((CatalogInfoYaml, InConfigMap), (ModelCatalogJson, InSqlite))] form: (Format, Kept),
) {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 4);
    sources.serve(&versions[0], "served");
    sources.serve_unregistered("alone");
    let mut bridge = Bridge::new(form.0, form.1, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let before = bridge.documents().await.unwrap();
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(form.0));

    bridge.restart(service);
    bridge.ready(service).await;
    bridge.compares().await;
    bridge.serves_truth_of(&sources).await;
    assert_eq!(bridge.documents().await.unwrap(), before);

    // Once more, with a change that happens while it is gone.
    bridge.kill(service);
    sources.describe(&versions[1], "Changed in between.");
    sources.registry().edit().archive_version(&versions[2].version).unwrap();
    reader.expect(sources.true_uris(form.0));
    sources.register("late", "v1");
    sources.kube().delete("InferenceService", "ai-models", "served");
    bridge.start(service);
    bridge.serves_truth_of(&sources).await;
    reader.expect(sources.true_uris(form.0));
    reader.reads(3).await;
    reader.finish();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_the_first_synchronization(
    #[values(Service::Normalizer, Service::Storage, Service::Location)] service: Service,
    #[values((CatalogInfoYaml, InSqlite), (ModelCatalogJson, InConfigMap))] form: (Format, Kept),
    #[values(1, 25)] after: usize,
) {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", MANY);
    let mut bridge = Bridge::new(form.0, form.1, &sources).started();
    // Not even the first list may lack what the registry held all the time.
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(form.0));
    eventually(SOON, "the first entries are stored", async || {
        let stored = bridge.stored().await?.keys.len();
        if stored >= after { Ok(()) } else { Err(format!("{stored}")) }
    })
    .await;
    bridge.restart(service);
    bridge.serves_truth_of(&sources).await;
    reader.reads(2).await;
    reader.finish();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_changes(
    #[values((CatalogInfoYaml, InConfigMap), (ModelCatalogJson, InSqlite))] form: (Format, Kept),
) {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 6);
    let mut bridge = Bridge::new(form.0, form.1, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let registry = sources.registry().edit();
    let reader = Reader::start(&bridge);
    registry.archive_version(&versions[5].version).unwrap();
    reader.expect(sources.true_uris(form.0));
    registry.unarchive_version(&versions[5].version).unwrap();

    for (round, service) in Service::ALL.into_iter().chain(Service::ALL).enumerate() {
        sources.describe(&versions[0], &format!("Round {round}."));
        if round % 2 == 0 {
            registry.archive_version(&versions[5].version).unwrap();
            sources.serve(&versions[1], "served");
        } else {
            registry.unarchive_version(&versions[5].version).unwrap();
            sources.replace(versions[1].service("served").stopped());
        }
        // At once, so that the change is under way or not, as it happens.
        bridge.restart(service);
        sources.describe(&versions[2], &format!("After round {round}."));
    }
    bridge.serves_truth_of(&sources).await;
    reader.reads(3).await;
    reader.finish();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_killed_at_once(
    #[values(CatalogInfoYaml, ModelCatalogJson)] format: Format,
    #[values(InConfigMap, InSqlite)] kept: Kept,
) {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 12);
    sources.serve_unregistered("alone");
    let mut bridge = Bridge::new(format, kept, &sources).started();
    // Not idle: in the middle of it.
    bridge.ready(Service::Storage).await;
    bridge.kill_all();
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;

    let reader = Reader::start(&bridge);
    sources.registry().edit().archive_model(&versions[3].model).unwrap();
    reader.expect(sources.true_uris(format));
    sources.describe(&versions[4], "Changed at that moment.");
    bridge.kill_all();
    sources.serve(&versions[5], "served");
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    reader.reads(3).await;
    reader.finish();
}

/// A location that starts before there is a storage must not say that there is nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn location_says_nothing_before_it_has_read_storage() {
    let sources = Sources::without_cluster().await;
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    bridge.start(Service::Location);
    eventually(SOON, "location listens", async || bridge.get(Service::Location, "/healthz").await).await;
    for path in ["/list", "/readyz", "/a/b/model-catalog.json"] {
        let (status, body) = bridge.get(Service::Location, path).await.unwrap();
        assert_eq!(status, 503, "{path}: {body}");
    }
    // A storage that holds nothing has not been told that there is nothing.
    bridge.start(Service::Storage);
    bridge.ready(Service::Storage).await;
    assert!(bridge.uris().await.is_err());
    bridge.start(Service::Normalizer);
    bridge.ready(Service::Location).await;
    assert!(bridge.uris().await.unwrap().is_empty());
}
