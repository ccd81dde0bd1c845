//! Registries in trouble.

use std::time::Duration;

use rstest::rstest;
use sample_registry::{Dialect, SampleRegistry};
use serde_json::json;
use storage_initializer::environment::Environment;
use storage_initializer::resolve::Resolved;
use storage_initializer::{Failure, Kind};
use testkit::registry::{Fault, Matcher, ScriptedRegistry};

use crate::registry::ask;

/// A registry with a model of one version.
async fn registry() -> ScriptedRegistry {
    let registry = ScriptedRegistry::start().await;
    fill(registry.edit());
    registry
}

pub(crate) fn fill(registry: &SampleRegistry) {
    let model = registry.create_model("iris", json!({}));
    let version = registry.create_version(&model, "v1", json!({}));
    registry.create_artifact(&version, "weights", json!({ "uri": "s3://models/iris", "state": "LIVE" }));
}

async fn resolve_with(registry: &ScriptedRegistry, flags: &[&str]) -> Result<Resolved, Failure> {
    let host = registry.address().to_string();
    let flags: Vec<&str> = ["--registry-base-url", &host].into_iter().chain(flags.iter().copied()).collect();
    ask("model-registry://iris", &flags, &Environment::default()).await
}

async fn resolve(registry: &ScriptedRegistry) -> Result<Resolved, Failure> {
    resolve_with(registry, &[]).await
}

#[rstest]
#[case(Fault::Status(503))]
#[case(Fault::Status(500))]
#[case(Fault::Status(429))]
#[case(Fault::throttled("0"))]
#[case(Fault::Reset)]
#[case(Fault::CutBody)]
#[tokio::test]
async fn trouble_that_goes_away_is_waited_for(#[case] fault: Fault) {
    let registry = registry().await;
    for path in ["/registered_model", "/versions", "/artifacts"] {
        registry.fail_next(1, path, fault.clone());
    }
    assert_eq!(resolve(&registry).await.unwrap().uri.to_string(), "s3://models/iris");
}

#[tokio::test]
async fn a_registry_that_is_slow_once_is_asked_again() {
    let registry = registry().await;
    registry.fail_next(1, Matcher::Any, Fault::Hang);
    assert!(resolve_with(&registry, &["--registry-timeout=100ms"]).await.is_ok());
}

#[tokio::test]
async fn a_registry_that_comes_late_is_waited_for() {
    let registry = registry().await;
    registry.stop().await;
    let (resolved, ()) = tokio::join!(resolve(&registry), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        registry.restart().await;
    });
    assert!(resolved.is_ok(), "{resolved:?}");
}

#[rstest]
#[case(Fault::Status(503), "503")]
#[case(Fault::Hang, "no complete answer within 50 ms")]
#[tokio::test]
async fn trouble_that_stays_is_unavailable(#[case] fault: Fault, #[case] part: &str) {
    let registry = registry().await;
    registry.fail(Matcher::Any, fault);
    let failure = resolve_with(&registry, &["--registry-timeout=50ms", "--registry-retry-for=1s"]).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unavailable, "{failure}");
    assert!(failure.what.contains(part) && failure.what.contains("\"iris\""), "{failure}");
    assert!(registry.total() > 1);
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable() {
    let registry = registry().await;
    registry.stop().await;
    let failure = resolve_with(&registry, &["--registry-retry-for=0s"]).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unavailable);
    assert!(failure.what.contains(&registry.address().to_string()), "{failure}");
    assert!(failure.advice.contains("MODEL_REGISTRY_BASE_URL"), "{failure}");
}

#[tokio::test]
async fn a_wait_that_is_longer_than_there_is_time_is_not_begun() {
    let registry = registry().await;
    registry.fail(Matcher::Any, Fault::throttled("3600"));
    let failure = resolve(&registry).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (Kind::Unavailable, Some(Duration::from_hours(1))));
    assert_eq!(registry.total(), 1);
}

#[tokio::test]
async fn a_registry_with_only_one_of_the_two_apis_will_do() {
    for (missing, present) in [("v1alpha3", "/v1"), ("v1/", "/v1alpha3")] {
        let registry = registry().await;
        let body = "404 page not found".to_owned();
        let no_such_page = Fault::StatusWith { code: 404, headers: Vec::new(), body };
        registry.fail(Matcher::PathPart(missing.to_owned()), no_such_page);
        let resolved = resolve(&registry).await.unwrap();
        assert!(resolved.registry.ends_with(present), "{}", resolved.registry);
        registry.clear_faults();
        // Ours answers unknown paths with an error of the API.
        registry.fail(Matcher::PathPart(missing.to_owned()), Fault::Status(404));
        assert!(resolve(&registry).await.unwrap().registry.ends_with(present));
    }
}

#[tokio::test]
async fn where_there_is_no_registry_that_is_said() {
    let registry = registry().await;
    let body = "404 page not found".to_owned();
    registry.fail(Matcher::Any, Fault::StatusWith { code: 404, headers: Vec::new(), body });
    let failure = resolve(&registry).await.unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.what.contains("there is no model registry"), "{failure}");
}

#[rstest]
#[case(Fault::Html)]
#[case(Fault::Garbage)]
#[case(Fault::WrongTypes)]
#[tokio::test]
async fn an_answer_that_is_none_is_not_believed(#[case] fault: Fault) {
    let registry = registry().await;
    registry.fail(Matcher::Any, fault);
    assert_eq!(resolve(&registry).await.unwrap_err().kind, Kind::Integrity);
}

#[tokio::test]
async fn a_token_is_sent_when_it_is_given_and_asked_for_when_it_is_not() {
    let registry = registry().await;
    registry.require_token(Some("planted"));
    let without = resolve(&registry).await.unwrap_err();
    assert_eq!(without.kind, Kind::Permission);
    assert!(without.advice.contains("MODEL_REGISTRY_TOKEN_FILE"), "{without}");
    assert!(resolve_with(&registry, &["--registry-token=planted"]).await.is_ok());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "planted\n").unwrap();
    let file = file.path().to_str().unwrap();
    assert!(resolve_with(&registry, &["--registry-token-file", file]).await.is_ok());
    let wrong = resolve_with(&registry, &["--registry-token=other"]).await.unwrap_err();
    assert_eq!(wrong.kind, Kind::Permission);
    let both = resolve_with(&registry, &["--registry-token=planted", "--registry-token-file", file]).await;
    assert_eq!(both.unwrap_err().kind, Kind::Usage);
    registry.fail(Matcher::Any, Fault::Status(403));
    assert_eq!(resolve_with(&registry, &["--registry-token=planted"]).await.unwrap_err().kind, Kind::Permission);
}

#[tokio::test]
async fn a_token_goes_to_no_host_that_a_uri_makes_up() {
    let (own, other) = (registry().await, registry().await);
    let base = own.address().to_string();
    let uri = format!("model-registry://{}/iris/v1", other.address());
    let flags = ["--registry-base-url", &base, "--registry-token=planted", "--registry-retry-for=0s"];
    assert!(ask(&uri, &flags, &Environment::default()).await.is_ok());
    assert!(other.requests().iter().all(|request| !request.headers.contains_key("authorization")));
    other.require_token(Some("planted"));
    let failure = ask(&uri, &flags, &Environment::default()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Permission);
    assert!(failure.advice.contains("--registry-token-hosts"), "{failure}");
    let host = other.address().to_string();
    let named: Vec<&str> = flags.into_iter().chain(["--registry-token-hosts", &host]).collect();
    assert!(ask(&uri, &named, &Environment::default()).await.is_ok());
}

#[tokio::test]
async fn the_newest_is_found_whatever_order_a_registry_lists_in() {
    let registry = registry().await;
    let model = registry.edit().create_model("rose", json!({}));
    for number in 1..=250 {
        let version = registry.edit().create_version(&model, &format!("v{number}"), json!({}));
        let uri = format!("s3://models/rose/{number}");
        registry.edit().create_artifact(&version, "weights", json!({ "uri": uri, "state": "LIVE" }));
    }
    let host = registry.address().to_string();
    for dialect in [Dialect::Standard, Dialect::IgnoresOrder, Dialect::PageCap(7), Dialect::Unpaged] {
        registry.edit().set_dialect(dialect);
        let flags = ["--registry-base-url", host.as_str()];
        let resolved = ask("model-registry://rose", &flags, &Environment::default()).await.unwrap();
        assert_eq!(resolved.uri.to_string(), "s3://models/rose/250", "{dialect:?}");
    }
}

#[tokio::test]
async fn a_list_in_order_is_read_no_further_than_it_must_be() {
    let registry = registry().await;
    let model = registry.edit().create_model("rose", json!({}));
    for number in 1..=250 {
        let version = registry.edit().create_version(&model, &format!("v{number}"), json!({}));
        registry.edit().create_artifact(&version, "weights", json!({ "uri": "s3://models/rose" }));
    }
    registry.clear();
    let host = registry.address().to_string();
    ask("model-registry://rose", &["--registry-base-url", &host], &Environment::default()).await.unwrap();
    assert_eq!(registry.total(), 3, "a model, a page of versions, a page of artifacts");
}
