//! What can come in between when a registry moves in from another one.

use std::sync::Mutex;

use model_registry::import::{Changes, ImportError, Invalid, Rules, Target, import};
use model_registry::model::Kind;
use rstest::rstest;
use sample_registry::{Dialect, Kind as Sample, SampleRegistry};
use serde_json::json;
use testkit::registry::{Fault, Matcher, ScriptedRegistry};

use crate::registry::Registry;
use crate::suite::import::{import_into, source};

const SKIP: Rules = Rules { target: Target::Empty, invalid: Invalid::Skip, changes: Changes::Refuse };
const ADD: Rules = Rules { target: Target::Any, invalid: Invalid::Refuse, changes: Changes::Refuse };
const LIVE: Rules = Rules { target: Target::Empty, invalid: Invalid::Refuse, changes: Changes::Take };

/// A registry like Kubeflow's with some models, of so many versions with an artifact each.
async fn kubeflow(models: usize, versions: usize) -> ScriptedRegistry {
    let registry = ScriptedRegistry::start().await;
    for model in 0..models {
        let id = registry.edit().create_model(&format!("m{model}"), json!({}));
        for version in 0..versions {
            let version = registry.edit().create_version(&id, &format!("v{version}"), json!({}));
            registry.edit().create_artifact(&version, "a", json!({}));
        }
    }
    registry
}

async fn is_empty(registry: &Registry) -> bool {
    registry.items("registered_models").await.is_empty() && registry.items("artifacts").await.is_empty()
}

#[rstest]
#[case::pages_of_two(Dialect::PageCap(2))]
#[case::one_page(Dialect::Unpaged)]
#[case::no_order(Dialect::IgnoresOrder)]
#[tokio::test]
async fn lists_are_read_to_their_end_however_they_are_parted(#[case] dialect: Dialect) {
    let (from, here) = (kubeflow(5, 3).await, Registry::in_sqlite().await);
    from.edit().set_dialect(dialect);
    let (imported, _) = import_into(&here, from.url(), Rules::default()).await.unwrap();
    let of = |kind| imported.resources[&kind];
    assert_eq!((of(Kind::RegisteredModel), of(Kind::ModelVersion), of(Kind::ModelArtifact)), (5, 15, 15));
    assert_eq!(imported.links, 15);
    assert_eq!(here.names("registered_models").await, ["m0", "m1", "m2", "m3", "m4"]);
}

#[tokio::test]
async fn a_registry_with_version_1_alone_is_read_by_it() {
    let (from, here) = (kubeflow(1, 2).await, Registry::in_sqlite().await);
    let no_page = Fault::StatusWith { code: 404, headers: vec![], body: "404 page not found".to_owned() };
    from.fail(Matcher::PathPart("/v1alpha3/".to_owned()), no_page);
    import_into(&here, from.url(), Rules::default()).await.unwrap();
    assert_eq!(here.names("model_versions").await, ["v0", "v1"]);
    assert_eq!(from.count(Matcher::PathPart("/v1/experiment".to_owned())), 0, "version 1 has none");
}

#[tokio::test]
async fn a_registry_of_ours_is_read_by_version_1_where_its_address_says_so() {
    let (from, here) = (Registry::in_sqlite().await, Registry::in_sqlite().await);
    let version = from.version(&from.model("m").await, "v").await;
    let metric = json!({"artifactType": "metric", "name": "loss", "value": 1.5, "step": 7});
    from.post(&format!("model_versions/{version}/artifacts"), &metric).await;
    let v1 = from.url().join("api/model_registry/v1").unwrap();
    import_into(&here, v1, Rules::default()).await.unwrap();
    assert_eq!(here.items("artifacts").await, from.items("artifacts").await);
}

#[tokio::test]
async fn a_registry_that_asks_for_a_token_gets_it() {
    let (from, here) = (kubeflow(1, 1).await, Registry::in_sqlite().await);
    from.require_token(Some("s3cret"));
    let http = service::http_client::client(&service::http_client::TlsSettings::default(), "the registry").unwrap();
    let refused = model_registry::import::Source::open(from.url(), http, bearer::Token::default()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("401") && refused.contains("token"), "{refused}");
    let source = source(from.url(), Some("s3cret")).await;
    let imported = import(&source, &here.database(), Rules::default(), None).await.unwrap();
    assert_eq!(imported.total(), 3);
}

#[tokio::test]
async fn a_page_that_fails_is_asked_for_again() {
    let (from, here) = (kubeflow(6, 1).await, Registry::in_sqlite().await);
    from.edit().set_dialect(Dialect::PageCap(2));
    from.fail_after(2, 2, "/model_versions", Fault::Status(500));
    from.fail_next(1, "/artifacts", Fault::CutBody);
    let (imported, _) = import_into(&here, from.url(), Rules::default()).await.unwrap();
    assert_eq!(imported.total(), 18);
}

#[tokio::test]
async fn nothing_is_written_when_the_registry_fails_for_good_and_it_can_be_tried_again() {
    let (from, here) = (kubeflow(6, 1).await, Registry::in_sqlite().await);
    from.edit().set_dialect(Dialect::PageCap(2));
    from.fail_after(2, usize::MAX, "/model_versions", Fault::Status(500));
    let error = import_into(&here, from.url(), Rules::default()).await.unwrap_err();
    assert!(matches!(&error, ImportError::Source(error) if error.status() == Some(500)), "{error}");
    assert!(is_empty(&here).await);
    from.clear_faults();
    import_into(&here, from.url(), Rules::default()).await.unwrap();
    assert_eq!(here.items("model_versions").await.len(), 6);
}

#[tokio::test]
async fn what_refers_to_nothing_is_named_and_can_be_left_out_with_what_belongs_to_it() {
    let (from, here) = (kubeflow(1, 1).await, Registry::in_sqlite().await);
    let orphan = from.edit().create_version("999", "orphan", json!({}));
    let environment = from.edit().create_serving_environment("team", json!({}));
    let served = json!({"registeredModelId": "1", "modelVersionId": orphan});
    from.edit().create_inference_service(&environment, "of the orphan", served);
    let error = import_into(&here, from.url(), Rules::default()).await.unwrap_err();
    assert!(matches!(error, ImportError::Invalid(2)), "{error}");
    assert!(is_empty(&here).await);
    let (imported, _) = import_into(&here, from.url(), SKIP).await.unwrap();
    assert_eq!((imported.total(), imported.left_out), (4, 2));
    assert_eq!(here.names("model_versions").await, ["v0"]);
    assert!(here.items("inference_services").await.is_empty());
}

#[tokio::test]
async fn what_can_not_be_kept_does_not_hinder_the_rest() {
    let (from, here) = (kubeflow(1, 1).await, Registry::in_sqlite().await);
    let edit = from.edit();
    for wrong in [
        json!("a text"),
        json!({"id": "70"}),
        json!({"id": "1234567890", "name": "long id"}),
        json!({"id": "71", "name": "x".repeat(256)}),
        json!({"id": "72", "name": "m0"}),
        json!({"id": "73", "name": "state", "state": "LOST"}),
        json!({"id": "74", "name": "big", "customProperties": {
            "n": {"metadataType": "MetadataIntValue", "int_value": "4294967296"},
        }}),
    ] {
        edit.create_verbatim(Sample::RegisteredModel, None, wrong);
    }
    edit.create_model("after", json!({"invented": 1}));
    let error = import_into(&here, from.url(), Rules::default()).await.unwrap_err();
    assert!(matches!(error, ImportError::Invalid(7)), "{error}");
    assert!(is_empty(&here).await);
    let (imported, _) = import_into(&here, from.url(), SKIP).await.unwrap();
    assert_eq!((imported.total(), imported.left_out), (4, 7));
    assert_eq!(here.names("registered_models").await, ["m0", "after"]);
    let unknown: Vec<_> = imported.unknown.into_iter().collect();
    assert_eq!(unknown, [((Kind::RegisteredModel, "invented".to_owned()), 1)]);
}

#[tokio::test]
async fn beside_what_is_there_only_if_told_and_with_new_ids() {
    let (from, here) = (kubeflow(1, 1).await, Registry::in_sqlite().await);
    let (there, before) = (here.model("before").await, here.items("registered_models").await);
    assert_eq!(there, "1");
    let error = import_into(&here, from.url(), Rules::default()).await.unwrap_err();
    assert!(matches!(error, ImportError::NotEmpty), "{error}");
    assert_eq!(here.items("registered_models").await, before);
    let (imported, ids) = import_into(&here, from.url(), ADD).await.unwrap();
    assert_eq!((imported.total(), imported.renumbered), (3, 3));
    let new: Vec<_> = ids.iter().map(|(_, from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(new, [("1", "2"), ("2", "3"), ("1", "4")]);
    assert_eq!(here.items("model_versions/3/artifacts").await.len(), 1);
    let again = import_into(&here, from.url(), ADD).await.unwrap_err();
    assert!(matches!(again, ImportError::Invalid(_)), "the names are taken: {again}");
    assert_eq!(here.names("registered_models").await, ["before", "m0"]);
}

/// While the inference services are asked for, one is registered, with a model of its own.
fn someone_registers(from: &ScriptedRegistry) {
    let (registry, done): (SampleRegistry, _) = (from.edit().clone(), Mutex::new(false));
    from.fail_by(move |request| {
        let asks_for_all = request.path.ends_with("/inference_services") && request.query.contains("orderBy=ID");
        let mut done = done.lock().unwrap();
        if asks_for_all && !std::mem::replace(&mut *done, true) {
            let model = registry.create_model("late", json!({}));
            let version = registry.create_version(&model, "1", json!({}));
            let served = json!({"registeredModelId": model, "modelVersionId": version});
            registry.create_inference_service("3", "late", served);
        }
        None
    });
}

#[tokio::test]
async fn a_registry_that_changes_meanwhile_is_noticed_and_what_is_referred_to_is_read() {
    let (from, here) = (kubeflow(1, 1).await, Registry::in_sqlite().await);
    assert_eq!(from.edit().create_serving_environment("team", json!({})), "3");
    someone_registers(&from);
    let error = import_into(&here, from.url(), Rules::default()).await.unwrap_err();
    let lists = "inference_services, model_versions, registered_models";
    assert!(matches!(&error, ImportError::Changed(changed) if changed == lists), "{error}");
    assert!(is_empty(&here).await);

    let from = kubeflow(1, 1).await;
    from.edit().create_serving_environment("team", json!({}));
    someone_registers(&from);
    import_into(&here, from.url(), LIVE).await.unwrap();
    assert_eq!(here.names("inference_services").await, ["late"]);
    assert_eq!(here.names("registered_models").await, ["m0", "late"]);
}
