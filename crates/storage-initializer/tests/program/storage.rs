//! Where an artifact is: its uri, or an entry of `storage-config` and a path.

use serde_json::json;
use storage_initializer::environment::Environment;
use storage_initializer::{Failure, Kind};

use crate::registry::{Served, ask};

const ENTRY: &str = r#"{"type": "s3", "bucket": "models", "access_key_id": "planted"}"#;

/// Where the artifact is, and with which entry it is fetched.
async fn place(
    fields: serde_json::Value,
    flags: &[&str],
    environment: &[(&str, &str)],
) -> Result<(String, Option<serde_json::Value>), Failure> {
    let served = Served::start().await;
    let model = served.model("iris").await;
    let version = served.version(&model, "v1").await;
    served.artifact(&version, fields).await;
    let host = served.host();
    let flags: Vec<&str> = ["--registry-base-url", &host].into_iter().chain(flags.iter().copied()).collect();
    let environment: Environment = environment.iter().copied().collect();
    let resolved = ask("model-registry://iris/v1", &flags, &environment).await?;
    assert!(!format!("{resolved:?} {resolved} {}", resolved.json()).contains("planted"));
    let entry = resolved.environment(environment);
    let entry = entry.get("STORAGE_CONFIG").map(|text| serde_json::from_str(text).unwrap());
    Ok((resolved.uri.to_string(), entry))
}

#[tokio::test]
async fn a_path_without_a_uri_is_in_the_bucket_of_the_entry() {
    let artifact = json!({ "storageKey": "minio", "storagePath": "/iris/1" });
    let (uri, entry) = place(artifact.clone(), &[], &[("STORAGE_CONFIG", ENTRY)]).await.unwrap();
    assert_eq!(uri, "s3://models/iris/1");
    assert_eq!(entry.unwrap()["access_key_id"], "planted");
    let several = format!(r#"{{"other": {{"type": "s3", "bucket": "wrong"}}, "minio": {ENTRY}}}"#);
    let (uri, entry) = place(artifact, &[], &[("STORAGE_CONFIG", &several)]).await.unwrap();
    assert_eq!(uri, "s3://models/iris/1");
    assert_eq!(entry.unwrap()["bucket"], "models");
}

#[tokio::test]
async fn what_the_inference_service_overrides_counts() {
    let artifact = json!({ "storagePath": "iris" });
    let environment = [("STORAGE_CONFIG", ENTRY), ("STORAGE_OVERRIDE_CONFIG", r#"{"bucket": "other"}"#)];
    assert_eq!(place(artifact, &[], &environment).await.unwrap().0, "s3://other/iris");
}

#[tokio::test]
async fn the_entry_is_looked_for_in_the_mounted_secret_first() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("gcs"), r#"{"type": "gs", "bucket": "mounted"}"#).unwrap();
    let flags = ["--storage-config-directory", directory.path().to_str().unwrap()];
    let environment = [("STORAGE_CONFIG", ENTRY)];
    let by_key = async |key: &str| {
        let artifact = json!({ "storageKey": key, "storagePath": "iris" });
        place(artifact, &flags, &environment).await.unwrap().0
    };
    assert_eq!(by_key("gcs").await, "gs://mounted/iris");
    assert_eq!(by_key("minio").await, "s3://models/iris");
    // A name is no path.
    assert_eq!(
        by_key(&format!("../{}/gcs", directory.path().file_name().unwrap().display())).await,
        "s3://models/iris"
    );
}

#[tokio::test]
async fn with_a_uri_the_entry_gives_the_credentials_only() {
    let uri = "s3://bucket/iris?endpoint=http://store:9000&defaultRegion=eu";
    let artifact = json!({ "uri": uri, "storageKey": "minio", "storagePath": "elsewhere" });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("minio"), ENTRY).unwrap();
    let flags = ["--storage-config-directory", directory.path().to_str().unwrap()];
    let (place, entry) = place(artifact, &flags, &[]).await.unwrap();
    assert_eq!(place, "s3://bucket/iris?endpoint=http://store:9000/&defaultRegion=eu");
    assert_eq!(entry.unwrap()["access_key_id"], "planted");
}

#[tokio::test]
async fn an_entry_that_is_missing_or_wrong_is_the_fault_of_the_settings() {
    let artifact = json!({ "storageKey": "minio", "storagePath": "iris" });
    for (config, part) in [
        ("", "no entry \"minio\""),
        ("planted", "no JSON object"),
        (r#"{"type": "s3"}"#, "names no bucket"),
        (r#"{"bucket": "planted"}"#, "has no type"),
        (r#"{"type": "hdfs", "bucket": "b"}"#, "\"hdfs\""),
    ] {
        let failure = place(artifact.clone(), &[], &[("STORAGE_CONFIG", config)]).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{config}: {failure}");
        assert!(failure.what.contains(part) && !failure.what.contains("planted"), "{config}: {failure}");
    }
}

#[tokio::test]
async fn a_uri_that_cannot_be_used_is_the_fault_of_the_registry() {
    for uri in ["model-registry://other/v1", "ftp://host/model", "iris", "s3://"] {
        let failure = place(json!({ "name": "weights", "uri": uri }), &[], &[]).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Integrity, "{uri}: {failure}");
        assert!(failure.what.contains("\"weights\"") && failure.what.contains("\"iris\""), "{uri}: {failure}");
    }
}
