//! A source or a service is away, or answers nonsense: what is known stays, and the log names what is the matter.

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use sample_registry::Dialect;
use system_tests::Kept::{self, InConfigMap, InSqlite};
use system_tests::{Bridge, Reader, SOON, Service, Sources};
use testkit::eventually;
use testkit::kube::Fault as KubeFault;
use testkit::registry::{Fault, Matcher};

#[rstest]
#[case(CatalogInfoYaml, InConfigMap)]
#[case(ModelCatalogJson, InSqlite)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_without_the_registry_removes_and_renames_nothing(#[case] format: Format, #[case] kept: Kept) {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 13);
    sources.serve(&versions[0], "served");
    sources.serve_unregistered("alone");
    let mut bridge = Bridge::new(format, kept, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let before = bridge.documents().await.unwrap();
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));

    sources.registry().stop().await;
    bridge.kill_all();
    bridge.start_all();
    bridge.fails_to_read().await;
    bridge.compares().await;
    bridge.ready(Service::Location).await;
    assert_eq!(bridge.documents().await.unwrap(), before);
    assert!(bridge.log(Service::Normalizer).contains("registry/main"));

    // What does not depend on the registry goes on; removals wait until all is known again.
    sources.serve_unregistered("newcomer");
    bridge.serves_truth_of(&sources).await;
    sources.kube().delete("InferenceService", "ai-models", "newcomer");
    bridge.compares().await;

    sources.registry().restart().await;
    bridge.serves_truth_of(&sources).await;
    assert_eq!(bridge.documents().await.unwrap(), before);
    sources.describe(&versions[7], "Read again.");
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_without_the_cluster_removes_and_renames_nothing(
    #[values(CatalogInfoYaml, ModelCatalogJson)] format: Format,
    #[values(Fate::Down, Fate::Refuses, Fate::Fails, Fate::Garbled)] fate: Fate,
) {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 3);
    sources.serve(&versions[0], "served");
    sources.serve_unregistered("alone");
    let mut bridge = Bridge::new(format, InSqlite, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let before = bridge.documents().await.unwrap();
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));

    bridge.kill_all();
    let fault = match fate {
        Fate::Down => None,
        Fate::Refuses => Some(KubeFault::Status(401)),
        Fate::Fails => Some(KubeFault::Status(500)),
        Fate::Garbled => Some(KubeFault::Garbage),
    };
    match fault {
        None => sources.kube().stop().await,
        // Until the faults are cleared.
        Some(fault) => std::mem::forget(sources.kube().fail_while(|_| true, fault)),
    }
    bridge.start_all();
    bridge.logs(Service::Normalizer, "inferenceservices").await;
    bridge.reads_registries().await;
    bridge.compares().await;
    bridge.ready(Service::Location).await;
    assert_eq!(bridge.documents().await.unwrap(), before);
    sources.describe(&versions[1], "The registry goes on.");
    let expected = sources.truth(format);
    bridge.serves(&expected).await;

    match fate {
        Fate::Down => sources.kube().restart().await,
        _ => sources.kube().clear_faults(),
    }
    sources.kube().delete("InferenceService", "ai-models", "served");
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}

/// What is the matter with the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Down,
    Refuses,
    Fails,
    Garbled,
}

#[rstest]
#[case::unauthorized(Fault::Status(401), "401")]
#[case::forbidden(Fault::Status(403), "403")]
#[case::not_found(Fault::Status(404), "404")]
#[case::internal_error(Fault::Status(500), "500")]
#[case::html(Fault::Html, "registry/main")]
#[case::half_a_page(Fault::HalfPage, "registry/main")]
#[case::cut_body(Fault::CutBody, "registry/main")]
#[case::wrong_types(Fault::WrongTypes, "registry/main")]
#[case::nothing(Fault::Empty200, "registry/main")]
#[case::null(Fault::json("null"), "registry/main")]
#[case::empty_object(Fault::json("{}"), "registry/main")]
#[case::reset(Fault::Reset, "registry/main")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_answers_nonsense_loses_nothing(#[case] fault: Fault, #[case] said: &str) {
    let format = ModelCatalogJson;
    let sources = Sources::without_cluster().await;
    let versions = sources.register_many("model", 5);
    sources.registry().edit().set_dialect(Dialect::PageCap(2));
    let mut bridge = Bridge::new(format, InSqlite, &sources)
        .with(Service::Normalizer, "POLLING_INTERVAL", "60ms")
        .with(Service::Normalizer, "RESYNC_INTERVAL", "60ms")
        .started();
    bridge.serves_truth_of(&sources).await;
    let before = bridge.documents().await.unwrap();
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));
    let registry = sources.registry();

    let second_page = Matcher::by(|request| request.query.contains("nextPageToken="));
    let lists = [Matcher::Any, "/model_versions".into(), "/registered_models".into(), "/artifacts".into(), second_page];
    for matcher in lists {
        registry.fail(matcher, fault.clone());
        bridge.fails_to_read().await;
        bridge.compares().await;
        assert_eq!(bridge.documents().await.unwrap(), before);
        registry.clear_faults();
        bridge.reads_registries().await;
    }
    // The same for reads of nothing but the news.
    bridge.set(Service::Normalizer, "RESYNC_INTERVAL", "1h");
    bridge.restart(Service::Normalizer);
    bridge.reads_registries().await;
    registry.fail(Matcher::Any, fault.clone());
    bridge.fails_to_read().await;
    assert_eq!(bridge.documents().await.unwrap(), before);
    registry.clear_faults();
    sources.describe(&versions[1], "News.");
    bridge.serves_truth_of(&sources).await;
    let before = bridge.documents().await.unwrap();

    // And the same from the start.
    registry.fail(Matcher::Any, fault);
    bridge.restart(Service::Normalizer);
    bridge.fails_to_read().await;
    assert_eq!(bridge.documents().await.unwrap(), before);
    let log = bridge.log(Service::Normalizer);
    assert!(log.contains("registry/main") && log.contains(said), "{log}");
    registry.clear_faults();
    sources.describe(&versions[2], "Read again.");
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}

/// `{}` is no list: a record list without items says nothing of what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inference_service_records_that_cannot_be_read_take_no_server_away() {
    let sources = Sources::with_cluster().await;
    let granite = sources.register("granite", "v1");
    let registry = sources.registry().edit();
    let environment = registry.create_serving_environment("ai-models", serde_json::json!({}));
    let fields = serde_json::json!({"registeredModelId": granite.model, "modelVersionId": granite.version});
    registry.create_inference_service(&environment, "served/1", fields);
    sources.serve_unregistered("served");
    let bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources)
        .with(Service::Normalizer, "POLLING_INTERVAL", "60ms")
        .with(Service::Normalizer, "RESYNC_INTERVAL", "60ms")
        .started();
    bridge.serves_truth_of(&sources).await;
    let before = bridge.documents().await.unwrap();
    for path in ["/inference_services", "/serving_environments"] {
        for fault in [Fault::Status(500), Fault::Empty200, Fault::HalfPage] {
            sources.registry().fail(path, fault);
            bridge.fails_to_read().await;
            bridge.compares().await;
            assert_eq!(bridge.documents().await.unwrap(), before, "{path}");
            sources.registry().clear_faults();
            bridge.reads_registries().await;
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_while_storage_is_down_is_made_up_for(
    #[values((CatalogInfoYaml, InSqlite), (ModelCatalogJson, InConfigMap))] form: (Format, Kept),
) {
    let (format, kept) = form;
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 4);
    let mut bridge = Bridge::new(format, kept, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));

    bridge.kill(Service::Storage);
    sources.registry().edit().archive_version(&versions[0].version).unwrap();
    reader.expect(sources.true_uris(format));
    sources.describe(&versions[1], "While storage was away.");
    sources.register("newcomer", "v1");
    sources.serve(&versions[2], "served");
    bridge.fails_to_store().await;
    // Location goes on with what it has.
    assert_eq!(bridge.uris().await.unwrap().len(), 4);
    bridge.start(Service::Storage);
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_while_location_is_down_is_made_up_for(
    #[values((CatalogInfoYaml, InConfigMap), (ModelCatalogJson, InSqlite))] form: (Format, Kept),
) {
    let (format, kept) = form;
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 4);
    let mut bridge = Bridge::new(format, kept, &sources).started();
    bridge.serves_truth_of(&sources).await;

    bridge.kill(Service::Location);
    sources.registry().edit().archive_version(&versions[0].version).unwrap();
    sources.describe(&versions[1], "While location was away.");
    sources.register("newcomer", "v1");
    eventually(SOON, "storage has taken it all", async || {
        bridge.stored().await.is_ok_and(|list| {
            list.keys.contains(&"newcomer_v1".to_owned()) && !list.keys.contains(&"model-0_v1".to_owned())
        })
    })
    .await;
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));
    bridge.start(Service::Location);
    bridge.serves_truth_of(&sources).await;
    reader.reads(2).await;
    reader.finish();
}

/// A ConfigMap that cannot be written for a while fails upserts, which are sent again.
#[rstest]
#[case::fails(KubeFault::Status(500))]
#[case::conflicts(KubeFault::Status(409))]
#[case::breaks_off(KubeFault::LostAnswer)]
#[case::throttles(KubeFault::Status(429))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_that_cannot_be_written_for_a_while_loses_nothing(#[case] fault: KubeFault) {
    let format = CatalogInfoYaml;
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 4);
    let bridge = Bridge::new(format, InConfigMap, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format).into_iter().filter(|uri| !uri.contains("model-3")));
    {
        let is_write =
            |request: &testkit::kube::RecordedRequest| request.method != "GET" && request.path.contains("/configmaps");
        let _until_then = sources.kube().fail_while(is_write, fault);
        sources.kube().clear_requests();
        sources.describe(&versions[0], "Written at last.");
        sources.registry().edit().archive_version(&versions[3].version).unwrap();
        eventually(SOON, "storage has tried", async || sources.kube().count(is_write) > 1).await;
    }
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}
