//! Images and artifacts.

use std::path::PathBuf;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use rstest::rstest;
use serde_json::json;
use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use storage_initializer::source::oci::{OciOptions, OciSource, Platform};
use storage_initializer::uri::OciUri;
use tempfile::TempDir;

use super::images::{INDEX, Images, LAYER, REPOSITORY, digest};
use super::server::Server;
use super::tars::{layer, tar};
use super::*;
use crate::suite;

fn source_with(server: &Server, reference: &str, options: &OciOptions) -> SharedSource {
    let uri =
        OciUri { host: server.address.to_string(), repository: REPOSITORY.to_owned(), reference: reference.to_owned() };
    Arc::new(OciSource::open(&uri, &Environment::default(), &network(), options).unwrap())
}

fn source(server: &Server, reference: &str) -> SharedSource {
    source_with(server, reference, &OciOptions::default())
}

/// What is at the destination in the end.
async fn brought(source: SharedSource) -> Result<BTreeMap<String, String>, Failure> {
    let destination = TempDir::new().unwrap();
    bring(source, destination.path()).await?;
    Ok(files(destination.path()))
}

#[tokio::test]
async fn a_registry_is_a_source() {
    let mut images = Images::default();
    let files = suite::model();
    let layers: Vec<_> = files.iter().map(|(path, content)| images.titled(path, content)).collect();
    images.artifact("v1", &layers);
    images.artifact("empty", &[]);
    let server = images.clone().serve_with_tokens(None, 3).await;
    suite::holds(&*source(&server, "v1"), &files).await;
    suite::is_missing(&*source(&server, "v2")).await;
    suite::is_missing(&*source(&server, "empty")).await;
    let server = images.serve_with_password(PASSWORD).await;
    suite::is_denied(&*source(&server, "v1")).await;
}

#[tokio::test]
async fn the_files_of_an_artifact_are_put_in_place() {
    let mut images = Images::default();
    let layers = [images.titled("model.safetensors", b"weights"), images.titled("sub/config.json", b"{}")];
    let manifest = images.artifact("v1", &layers);
    let server = images.serve().await;
    for reference in ["v1", manifest["digest"].as_str().unwrap()] {
        let brought = brought(source(&server, reference)).await.unwrap();
        assert_eq!(brought, tree(&[("model.safetensors", "weights"), ("sub/config.json", "{}")]));
    }
}

#[tokio::test]
async fn a_directory_that_was_packed_is_unpacked() {
    let mut images = Images::default();
    let mut directory = images.titled("tokenizer", &layer(&[("tokenizer/", ""), ("tokenizer/vocab.txt", "a b")]));
    directory["annotations"]["io.deis.oras.content.unpack"] = json!("true");
    let file = images.titled("model.bin", b"weights");
    images.artifact("v1", &[directory, file]);
    let server = images.serve().await;
    let source = source(&server, "v1");
    let destination = TempDir::new().unwrap();
    let unpacked = bring(source, destination.path()).await.unwrap();
    assert_eq!(unpacked, Some(Unpacked { files: 2, bytes: 10 }));
    assert_eq!(files(destination.path()), tree(&[("model.bin", "weights"), ("tokenizer/vocab.txt", "a b")]));
}

#[tokio::test]
async fn a_model_pack_is_unpacked() {
    let mut images = Images::default();
    let mut weights = images.blob("application/vnd.cncf.model.weight.v1.tar", &tar(&[("model.bin", "weights")]));
    weights["annotations"] = json!({ "org.cncf.model.filepath": "model.bin" });
    images.artifact("v1", &[weights]);
    let server = images.serve().await;
    assert_eq!(brought(source(&server, "v1")).await.unwrap(), tree(&[("model.bin", "weights")]));
}

fn model_car(images: &mut Images, reference: &str, content: &str) -> serde_json::Value {
    let layers = [
        images.blob(LAYER, &layer(&[("bin/", ""), ("bin/sh", "shell")])),
        images.blob(LAYER, &layer(&[("models/", ""), ("models/1/model.bin", "old"), ("models/README", "draft")])),
        images.blob(LAYER, &layer(&[("models/1/model.bin", content), ("models/.wh.README", "")])),
    ];
    images.image(reference, &layers)
}

#[tokio::test]
async fn what_an_image_has_below_models_is_the_model() {
    let mut images = Images::default();
    model_car(&mut images, "v1", "weights");
    let server = images.serve().await;
    let destination = TempDir::new().unwrap();
    std::fs::write(destination.path().join("kept"), "before").unwrap();
    let unpacked = bring(source(&server, "v1"), destination.path()).await.unwrap();
    assert_eq!(unpacked, Some(Unpacked { files: 1, bytes: 7 }));
    assert_eq!(files(destination.path()), tree(&[("1/model.bin", "weights"), ("kept", "before")]), "and no layers");
}

#[tokio::test]
async fn an_image_that_was_not_unpacked_to_its_end_is_brought_by_the_next_run() {
    let mut images = Images::default();
    model_car(&mut images, "v1", "weights");
    let server = images.serve().await;
    let destination = TempDir::new().unwrap();
    let source = source(&server, "v1");
    fetch(Arc::clone(&source), destination.path(), LIMITS, &Progress::default()).await.unwrap();
    // Enough for the first layer, which is gone then.
    let failure = source.finish(destination.path(), Bounds { bytes: 1 << 20, entries: 3 }).await.unwrap_err();
    assert!(failure.kind == Kind::Integrity && failure.what.contains("more than 3 entries"), "{failure}");
    assert!(!destination.path().join("1").exists(), "all or nothing");

    bring(source, destination.path()).await.unwrap();
    assert_eq!(files(destination.path()), tree(&[("1/model.bin", "weights")]));
    let blobs = server.asked().iter().filter(|asked| asked.path.contains("/blobs/")).count();
    assert_eq!(blobs, 4, "only the layer that was gone is downloaded again");
}

#[tokio::test]
async fn an_image_without_models_says_so() {
    let mut images = Images::default();
    let layers = [images.blob(LAYER, &layer(&[("bin/sh", "shell")]))];
    images.image("v1", &layers);
    let server = images.serve().await;
    let failure = brought(source(&server, "v1")).await.unwrap_err();
    assert!(failure.kind == Kind::NotFound && failure.what.contains("no files below /models"), "{failure}");
}

/// An index of images for platforms, of which each has its platform's name as its model.
async fn index(platforms: &[&str]) -> Server {
    let mut images = Images::default();
    let manifests: Vec<serde_json::Value> = platforms
        .iter()
        .map(|platform| {
            let (os, architecture) = platform.split_once('/').unwrap();
            let mut manifest = model_car(&mut images, platform, platform);
            manifest["platform"] = json!({ "os": os, "architecture": architecture });
            manifest
        })
        .collect();
    images.manifest("v1", INDEX, &json!({ "schemaVersion": 2, "manifests": manifests }));
    images.serve().await
}

#[rstest]
#[case::the_one_that_is_set(&["linux/other", "linux/s390x"], Some("linux/s390x"), Ok("linux/s390x"))]
#[case::not_there(&["linux/other"], Some("linux/s390x"), Err("not there for linux/s390x, but for linux/other"))]
#[case::any(&["unknown/unknown", "linux/other"], None, Ok("linux/other"))]
#[tokio::test]
async fn of_an_index_the_platforms_image_is_taken(
    #[case] platforms: &[&str],
    #[case] set: Option<&str>,
    #[case] expected: Result<&str, &str>,
) {
    let server = index(platforms).await;
    let platform = set.map(|set| set.parse::<Platform>().unwrap());
    let source = source_with(&server, "v1", &OciOptions { platform, ..OciOptions::default() });
    match (brought(source).await, expected) {
        (Ok(brought), Ok(expected)) => assert_eq!(brought["1/model.bin"], expected),
        (Err(failure), Err(expected)) => assert!(failure.to_string().contains(expected), "{failure}"),
        (other, _) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn our_own_platform_comes_first() {
    let own = Platform::own().to_string();
    let server = index(&["linux/other", &own]).await;
    assert_eq!(brought(source(&server, "v1")).await.unwrap()["1/model.bin"], own);
}

#[tokio::test]
async fn a_token_is_got_and_renewed() {
    for uses in [2, 100] {
        let mut images = Images::default();
        model_car(&mut images, "v1", "weights");
        let server = images.serve_with_tokens(None, uses).await;
        assert_eq!(brought(source(&server, "v1")).await.unwrap(), tree(&[("1/model.bin", "weights")]));
        let tokens = server.asked().iter().filter(|asked| asked.path.starts_with("/token")).count();
        // A manifest, and three layers.
        assert_eq!(tokens, 4_usize.div_ceil(uses), "one for all that are refused at once");
    }
}

fn docker_configuration(directory: &TempDir, server: &Server) -> PathBuf {
    let file = directory.path().join("config.json");
    // planted:secret
    let json = json!({ "auths": { server.address.to_string(): { "auth": "cGxhbnRlZDpzZWNyZXQ=" } } });
    std::fs::write(&file, json.to_string()).unwrap();
    file
}

const PASSWORD: &str = "Basic cGxhbnRlZDpzZWNyZXQ=";

#[tokio::test]
async fn credentials_come_from_a_docker_configuration() {
    let directory = TempDir::new().unwrap();
    let images = || {
        let mut images = Images::default();
        model_car(&mut images, "v1", "weights");
        images
    };
    for server in [images().serve_with_password(PASSWORD).await, images().serve_with_tokens(Some(PASSWORD), 100).await]
    {
        let options =
            OciOptions { auth_file: Some(docker_configuration(&directory, &server)), ..OciOptions::default() };
        let brought = brought(source_with(&server, "v1", &options)).await.unwrap();
        assert_eq!(brought, tree(&[("1/model.bin", "weights")]));

        let failure = listed(&*source(&server, "v1")).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Permission);
        assert!(failure.advice.contains("Docker configuration"), "{failure}");
    }
}

#[tokio::test]
async fn an_identity_token_is_traded_for_a_token() {
    let mut images = Images::default();
    model_car(&mut images, "v1", "weights");
    let server = Server::start(move |asked| {
        if asked.path == "/token" {
            let form = String::from_utf8(asked.body.to_vec()).unwrap();
            assert!(asked.method == "POST" && asked.authorization().is_none(), "{asked:?}");
            assert!(form.contains("grant_type=refresh_token&refresh_token=planted&"), "{form}");
            return r#"{"access_token": "t1"}"#.into_response();
        }
        if asked.authorization() == Some("Bearer t1") {
            return images.answer(asked);
        }
        let host = asked.headers[header::HOST].to_str().unwrap();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="registry""#);
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    })
    .await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("config.json");
    let json = json!({ "auths": { server.address.to_string(): { "identitytoken": "planted" } } });
    std::fs::write(&file, json.to_string()).unwrap();
    let options = OciOptions { auth_file: Some(file), ..OciOptions::default() };
    assert_eq!(brought(source_with(&server, "v1", &options)).await.unwrap(), tree(&[("1/model.bin", "weights")]));
}

#[tokio::test]
async fn wrong_credentials_are_not_repeated() {
    let directory = TempDir::new().unwrap();
    let server = Images::default().serve_with_password("Basic other").await;
    let options = OciOptions { auth_file: Some(docker_configuration(&directory, &server)), ..OciOptions::default() };
    let failure = listed(&*source_with(&server, "v1", &options)).await.unwrap_err();
    assert!(failure.kind == Kind::Permission && failure.advice.contains("may pull team/model"), "{failure}");
    assert!(!failure.to_string().contains("secret") && !failure.to_string().contains("cGxh"), "{failure}");
    assert_eq!(server.asked().len(), 2, "once without, once with");
}

#[tokio::test]
async fn credentials_do_not_go_where_blobs_are() {
    let directory = TempDir::new().unwrap();
    let mut images = Images::default();
    model_car(&mut images, "v1", "weights");
    let (server, storage) = images.serve_with_storage().await;
    let options = OciOptions { auth_file: Some(docker_configuration(&directory, &server)), ..OciOptions::default() };
    brought(source_with(&server, "v1", &options)).await.unwrap();
    assert_eq!(storage.asked().len(), 3);
    assert!(storage.asked().iter().all(|asked| asked.authorization().is_none()));
}

#[tokio::test]
async fn what_comes_is_held_against_its_digest() {
    let mut images = Images::default();
    let manifest = model_car(&mut images, "v1", "weights");
    let reference = manifest["digest"].as_str().unwrap();
    let blob = digest(&layer(&[("models/1/model.bin", "weights"), ("models/.wh.README", "")]));
    for corrupted in [reference, &blob] {
        let mut images = images.clone();
        images.corrupt(corrupted);
        let failure = brought(source(&images.serve().await, reference)).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Integrity, "{failure}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let mut images = Images::default();
    model_car(&mut images, "v1", "weights");
    images.remove(&digest(&layer(&[("bin/", ""), ("bin/sh", "shell")])));
    let server = images.serve().await;
    for (reference, reason) in [("v1", "BLOB_UNKNOWN"), ("v2", "MANIFEST_UNKNOWN")] {
        let failure = brought(source(&server, reference)).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound, "{failure}");
        assert!(failure.what.contains(reason), "{failure}");
    }
}

#[tokio::test]
async fn a_registry_that_is_busy_is_asked_again() {
    let mut images = Images::default();
    model_car(&mut images, "v1", "weights");
    let server = images.serve_with_tokens(None, 100).await;
    for part in ["/manifests/", "/token", "/blobs/", "/blobs/"] {
        server.fail(part, StatusCode::TOO_MANY_REQUESTS);
        server.fail(part, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(brought(source(&server, "v1")).await.unwrap(), tree(&[("1/model.bin", "weights")]));
}

#[rstest]
#[case::upwards(json!({ "org.opencontainers.image.title": "../evil" }), "leads upwards")]
#[case::ours(json!({ "org.opencontainers.image.title": ".storage-initializer-layers/0" }), "unfinished files")]
#[case::none(json!({}), "has no title and is no tar")]
#[tokio::test]
async fn layers_without_a_good_name_are_refused(#[case] annotations: serde_json::Value, #[case] reason: &str) {
    let mut images = Images::default();
    let mut layer = images.blob("application/octet-stream", b"x");
    layer["annotations"] = annotations;
    images.artifact("v1", &[layer]);
    let failure = listed(&*source(&images.serve().await, "v1")).await.unwrap_err();
    assert!(failure.kind == Kind::Integrity && failure.what.contains(reason), "{failure}");
}

#[tokio::test]
async fn a_layer_that_leads_out_is_refused_and_nothing_is_left() {
    let mut images = Images::default();
    let mut tar = tar(&[("models/xx/xx/evil", "x")]);
    let sum = |header: &mut [u8]| {
        header[148..156].fill(b' ');
        let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    };
    tar[..17].copy_from_slice(b"models/../../evil");
    sum(&mut tar);
    let layers = [images.blob("application/vnd.oci.image.layer.v1.tar", &tar)];
    images.image("v1", &layers);
    let failure = brought(source(&images.serve().await, "v1")).await.unwrap_err();
    assert!(failure.kind == Kind::Integrity && failure.what.contains("leads upwards"), "{failure}");
}

#[tokio::test]
async fn indexes_that_lead_in_circles_end() {
    let mut images = Images::default();
    // Without a digest to hold it against, an index may name the next by its tag.
    images.manifest("v1", INDEX, &json!({ "manifests": [{ "digest": "v1", "size": 1 }] }));
    let failure = listed(&*source(&images.serve().await, "v1")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity, "{failure}");
}
