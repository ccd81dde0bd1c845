//! Google Cloud Storage: its XML API is that of S3, with its own checksums and credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use storage_initializer::source::Source as _;
use storage_initializer::source::credentials::gcs::{Gcs, Identity};
use storage_initializer::source::object::{ObjectSource, open};
use storage_initializer::uri::{ObjectScheme, ObjectUri};
use testkit::s3::S3Server;

use crate::http::network;
use crate::server::{Server, reply};
use crate::suite::{self, model};

fn uri(key: &str) -> ObjectUri {
    ObjectUri { scheme: ObjectScheme::Gcs, ..crate::s3::uri("models", key) }
}

async fn emulated(endpoint: &str, key: &str) -> ObjectSource {
    let environment = [("STORAGE_EMULATOR_HOST", endpoint)].into_iter().collect();
    open(&uri(key), &environment, &network()).await.unwrap()
}

async fn filled() -> S3Server {
    let server = S3Server::start().await;
    for (path, content) in model() {
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &content);
        let crc = STANDARD.encode(u32::try_from(crc).unwrap().to_be_bytes());
        let headers = [("x-goog-hash", &*format!("crc32c={crc}")), ("x-goog-generation", "17")];
        let etag = format!("\"{}\"", content.len());
        server.put_with_headers("models", &format!("iris/{path}"), content, &etag, &headers);
    }
    server
}

#[tokio::test]
async fn it_is_a_source() {
    let server = filled().await;
    let iris = emulated(server.url().as_str(), "iris").await;
    suite::holds(&iris, &model()).await;
    assert!(iris.name().starts_with("gs://models/iris"));
    let objects = suite::objects(&iris).await.unwrap();
    let read = iris.read(&objects[0], Some(0..1)).await.unwrap();
    assert_eq!(read.checksum.unwrap().algorithm(), "CRC-32C");
    suite::notices_a_change(&iris, async || {
        for path in model().keys() {
            server.put("models", &format!("iris/{path}"), "something else of some length");
        }
    })
    .await;
}

#[tokio::test]
async fn an_emulator_may_be_named_without_a_scheme() {
    let server = filled().await;
    let url = server.url();
    let host = format!("127.0.0.1:{}", url.port().unwrap());
    suite::holds(&emulated(&host, "iris").await, &model()).await;
    suite::is_missing(&emulated(&host, "rose").await).await;
}

#[tokio::test]
async fn what_is_decompressed_on_the_way_is_not_taken() {
    let server = Server::start(|_| {
        let headers = [("x-goog-stored-content-encoding", "gzip"), ("etag", "\"1\"")];
        let body = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"model"))]);
        reply(200, &headers, axum::body::Body::from_stream(body))
    })
    .await;
    let iris = emulated(server.url.as_str(), "iris").await;
    let objects = suite::objects(&iris).await;
    let failure = objects.unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity, "{failure}");
    assert!(failure.advice.contains("Content-Encoding"), "{failure}");
}

async fn identity(variables: &[(&str, &str)]) -> Result<Identity, storage_initializer::Failure> {
    let environment: Environment = variables.iter().copied().collect();
    Ok(Gcs::read(&environment, &network()).await?.identity)
}

#[tokio::test]
async fn the_platform_is_asked_who_we_are_when_there_is_nothing_else() {
    let platform = Server::start(|_| reply(200, &[("metadata-flavor", "Google")], "me@example")).await;
    let host = format!("127.0.0.1:{}", platform.url.port().unwrap());
    let known = identity(&[("GCE_METADATA_HOST", &host)]).await.unwrap();
    assert!(matches!(known, Identity::Platform), "{known:?}");
    assert_eq!(platform.asked()[0].header("metadata-flavor"), Some("Google"));
    let told = identity(&[("GCE_METADATA_HOST", &host), ("NO_GCE_CHECK", "true")]).await.unwrap();
    assert!(matches!(told, Identity::Anonymous), "{told:?}");
    let portal = Server::start(|_| reply(200, &[], "log in")).await;
    let host = format!("127.0.0.1:{}", portal.url.port().unwrap());
    let unknown = identity(&[("GCE_METADATA_HOST", &host)]).await.unwrap();
    assert!(matches!(unknown, Identity::Anonymous), "{unknown:?}");
}

#[tokio::test]
async fn a_key_that_is_not_there_or_none_is_said() {
    let failure = identity(&[("GOOGLE_APPLICATION_CREDENTIALS", "/var/secrets/missing.json")]).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.what.contains("/var/secrets/missing.json"), "{failure}");
    let failure = identity(&[("GOOGLE_SERVICE_ACCOUNT_KEY", "\"planted\"")]).await.unwrap_err();
    assert!(!failure.to_string().contains("planted"), "{failure}");
    let environment: Environment =
        [("GOOGLE_SERVICE_ACCOUNT_KEY", r#"{"private_key": "planted"}"#)].into_iter().collect();
    let failure = open(&uri("iris"), &environment, &network()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(!failure.to_string().contains("planted"), "{failure}");
}

#[tokio::test]
async fn a_key_in_a_file_is_taken() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"type": "external_account"}"#).unwrap();
    let environment: Environment =
        [("GOOGLE_APPLICATION_CREDENTIALS", file.path().to_str().unwrap())].into_iter().collect();
    let failure = open(&uri("iris"), &environment, &network()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.what.contains("external_account"), "{failure}");
}

#[tokio::test]
async fn tokens_are_not_sent_to_whatever_host_a_uri_names() {
    let uri = ObjectUri { endpoint: Some("http://127.0.0.1:9".parse().unwrap()), ..uri("iris") };
    assert_eq!(open(&uri, &Environment::default(), &network()).await.unwrap_err().kind, Kind::Usage);
}
