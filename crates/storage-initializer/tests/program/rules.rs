//! Which model, version and artifact a URI means.

use rstest::rstest;
use serde_json::json;
use storage_initializer::Kind;
use storage_initializer::environment::Environment;

use crate::registry::{Served, ask};

const ARCHIVED: &str = "ARCHIVED";

#[tokio::test]
async fn a_version_that_is_named_is_taken_and_without_a_name_the_newest() {
    let served = Served::start().await;
    let model = served.iris().await;
    served.registered(&model, "v3", "s3://models/iris/3").await;
    served.registered(&model, "v2", "s3://models/iris/2").await;
    assert_eq!(served.place("model-registry://iris/v1").await, "s3://models/iris/1");
    assert_eq!(served.place("model-registry://iris").await, "s3://models/iris/2");
    let resolved = served.resolve("model-registry://iris").await.unwrap();
    assert_eq!(resolved.version.name.as_deref(), Some("v2"));
    assert_eq!(resolved.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn an_archived_version_is_taken_only_when_it_is_named_and_then_with_a_warning() {
    let served = Served::start().await;
    let model = served.iris().await;
    let newest = served.registered(&model, "v2", "s3://models/iris/2").await;
    served.patch(&format!("model_versions/{newest}"), &json!({ "state": ARCHIVED })).await;
    assert_eq!(served.place("model-registry://iris").await, "s3://models/iris/1");
    let named = served.resolve("model-registry://iris/v2").await.unwrap();
    assert_eq!(named.uri.to_string(), "s3://models/iris/2");
    assert!(named.warnings[0].contains("\"v2\"") && named.warnings[0].contains(ARCHIVED), "{:?}", named.warnings);
}

#[tokio::test]
async fn a_model_whose_versions_are_all_archived_has_none() {
    let served = Served::start().await;
    let model = served.model("iris").await;
    let version = served.registered(&model, "v1", "s3://models/iris/1").await;
    served.patch(&format!("model_versions/{version}"), &json!({ "state": ARCHIVED })).await;
    let failure = served.resolve("model-registry://iris").await.unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.what.contains("\"iris\"") && failure.what.contains("1 ARCHIVED"), "{failure}");
}

#[tokio::test]
async fn of_an_archived_model_only_a_version_that_is_named_is_taken() {
    let served = Served::start().await;
    let model = served.iris().await;
    served.patch(&format!("registered_models/{model}"), &json!({ "state": ARCHIVED })).await;
    let failure = served.resolve("model-registry://iris").await.unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.what.contains(ARCHIVED) && failure.advice.contains("name a version"), "{failure}");
    let named = served.resolve("model-registry://iris/v1").await.unwrap();
    assert!(named.warnings[0].contains(ARCHIVED), "{:?}", named.warnings);
}

#[tokio::test]
async fn the_newest_live_model_artifact_with_a_uri_is_taken() {
    let served = Served::start().await;
    let model = served.model("iris").await;
    let version = served.version(&model, "v1").await;
    let artifact = async |name: &str, state: &str, uri: Option<&str>| {
        served.artifact(&version, json!({ "name": name, "state": state, "uri": uri })).await
    };
    artifact("unknown", "UNKNOWN", Some("s3://models/unknown")).await;
    assert_eq!(served.place("model-registry://iris/v1").await, "s3://models/unknown", "where nothing is LIVE");
    artifact("old", "LIVE", Some("s3://models/old")).await;
    artifact("new", "LIVE", Some("s3://models/new")).await;
    artifact("empty", "LIVE", None).await;
    for state in ["UNKNOWN", "PENDING", "MARKED_FOR_DELETION", "DELETED", "ABANDONED", "REFERENCE"] {
        artifact(&format!("newer {state}"), state, Some("s3://models/wrong")).await;
    }
    let card = json!({ "artifactType": "doc-artifact", "name": "card", "state": "LIVE", "uri": "https://cards/iris" });
    served.artifact(&version, card).await;
    let metric = json!({ "artifactType": "metric", "name": "accuracy", "value": 0.9 });
    served.artifact(&version, metric).await;
    let resolved = served.resolve("model-registry://iris/v1").await.unwrap();
    assert_eq!(resolved.uri.to_string(), "s3://models/new");
    assert_eq!(resolved.artifact.name.as_deref(), Some("new"));
}

#[tokio::test]
async fn a_version_without_a_usable_artifact_says_what_it_has() {
    let served = Served::start().await;
    let model = served.model("iris").await;
    let version = served.version(&model, "v1").await;
    let nothing = served.resolve("model-registry://iris/v1").await.unwrap_err();
    assert_eq!(nothing.kind, Kind::NotFound);
    served.artifact(&version, json!({ "name": "a", "state": "DELETED", "uri": "s3://models/a" })).await;
    served.artifact(&version, json!({ "name": "b", "state": "LIVE" })).await;
    let failure = served.resolve("model-registry://iris/v1").await.unwrap_err();
    assert!(failure.what.contains("1 DELETED, 1 without a uri"), "{failure}");
    assert!(failure.what.contains("\"iris\"") && failure.what.contains("\"v1\""), "{failure}");
}

#[rstest]
#[case("RedHatAI/granite 3.1", "model-registry://RedHatAI%2Fgranite%203.1")]
#[case("llama-3.1", "model-registry://llama-3.1")]
#[case("100% modèle?", "model-registry://100%25%20mod%C3%A8le%3F")]
#[case("a:b@c", "model-registry://a%3Ab%40c")]
#[tokio::test]
async fn names_may_have_anything_in_them(#[case] name: &str, #[case] uri: &str) {
    let served = Served::start().await;
    let model = served.model(name).await;
    served.registered(&model, "v 1/a.b", "s3://models/found").await;
    assert_eq!(served.place(uri).await, "s3://models/found");
    assert_eq!(served.place(&format!("{uri}/v%201%2Fa.b")).await, "s3://models/found");
}

#[tokio::test]
async fn the_registry_is_that_of_the_uri_or_that_of_the_settings() {
    let served = Served::start().await;
    served.iris().await;
    let host = served.host();
    for uri in [
        format!("model-registry://{host}/iris/v1"),
        format!("model-registry://{host}/iris"),
        "model-registry://iris/v1".to_owned(),
        "model-registry://iris".to_owned(),
    ] {
        assert_eq!(served.place(&uri).await, "s3://models/iris/1", "{uri}");
    }
    // Whatever the settings say.
    let elsewhere = ["--registry-base-url", "127.0.0.1:9", "--registry-retry-for=0s"];
    for uri in [format!("model-registry://{host}/iris/v1"), format!("model-registry://{host}/iris")] {
        let resolved = ask(&uri, &elsewhere, &Environment::default()).await.unwrap();
        assert_eq!(resolved.uri.to_string(), "s3://models/iris/1", "{uri}");
    }
}

#[tokio::test]
async fn of_two_readings_the_host_wins_and_then_the_model() {
    let (one, other) = (Served::start().await, Served::start().await);
    one.iris().await;
    // Its name is the host of the other one.
    let host = other.host();
    let model = one.model(&host).await;
    one.registered(&model, "iris", "s3://models/of-the-model").await;
    let uri = format!("model-registry://{host}/iris");
    assert_eq!(one.place(&uri).await, "s3://models/of-the-model", "the host has no such model");
    let model = other.model("iris").await;
    other.registered(&model, "v9", "s3://models/of-the-host").await;
    assert_eq!(one.place(&uri).await, "s3://models/of-the-host");
}

#[tokio::test]
async fn where_neither_reading_leads_anywhere_both_are_reported() {
    let served = Served::start().await;
    served.iris().await;
    let host = served.host();
    let flags = ["--registry-base-url", host.as_str(), "--registry-retry-for=0s"];
    let uri = "model-registry://no-such-host.invalid/v1";
    let failure = ask(uri, &flags, &Environment::default()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unavailable, "with a domain it may be a host that comes back: {failure}");
    let failure = served.resolve("model-registry://nothing/v1").await.unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound, "{failure}");
    for part in ["read as a host, \"nothing\"", "read as a model", "has no model \"nothing\""] {
        assert!(failure.what.contains(part), "{part}: {failure}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_by_name() {
    let served = Served::start().await;
    let model = served.iris().await;
    served.registered(&model, "v2", "s3://models/iris/2").await;
    let host = served.host();
    let failure = served.resolve(&format!("model-registry://{host}/rose/v1")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.what.contains("no model \"rose\"") && failure.what.contains(&host), "{failure}");
    let failure = served.resolve(&format!("model-registry://{host}/iris/v9")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound);
    assert!(failure.what.contains("no version \"v9\"") && failure.what.contains("\"iris\""), "{failure}");
    assert!(failure.advice.contains("\"v2\", \"v1\""), "{failure}");
}

#[tokio::test]
async fn the_newest_is_found_beyond_the_first_page() {
    let served = Served::start().await;
    let model = served.iris().await;
    for number in 0..120 {
        let version = served.version(&model, &format!("archived-{number}")).await;
        served.patch(&format!("model_versions/{version}"), &json!({ "state": ARCHIVED })).await;
    }
    assert_eq!(served.place("model-registry://iris").await, "s3://models/iris/1");
}
