//! Azure's blob storage: its lists, its checksums, its credentials.
//!
//! The server here is an own one, of which it was seen that Azurite answers the same.

use std::fmt::Write as _;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use storage_initializer::source::Source as _;
use storage_initializer::source::object::{ObjectSource, open};
use storage_initializer::uri::{ObjectScheme, ObjectUri};

use crate::http::network;
use crate::server::{Asked, Server, file, reply};
use crate::suite::{self, model};

fn uri(key: &str) -> ObjectUri {
    ObjectUri { scheme: ObjectScheme::Azure, account: Some("acme".to_owned()), ..crate::s3::uri("models", key) }
}

async fn source(server: &Server, key: &str, more: &[(&str, &str)]) -> ObjectSource {
    let environment: Environment =
        [("AZURE_SERVICE_URL", server.url.as_str())].into_iter().chain(more.iter().copied()).collect();
    open(&uri(key), &environment, &network()).await.unwrap()
}

fn etag(content: &[u8]) -> String {
    format!("0x{:X}", content.len())
}

/// A container with the model below `iris`, and beside it what stands for directories.
fn container(asked: &Asked) -> Response {
    if asked.path == "/models" {
        return list(asked);
    }
    let key = percent_encoding::percent_decode_str(&asked.path).decode_utf8().unwrap().into_owned();
    let modified = ("last-modified", "Sat, 21 Nov 2026 12:00:00 GMT");
    if key == "/models/iris/variables" {
        return reply(200, &[modified, ("etag", "\"0x0\""), ("x-ms-meta-hdi_isfolder", "true")], "");
    }
    let Some(content) = key.strip_prefix("/models/iris/").and_then(|path| model().remove(path)) else {
        return reply(404, &[("x-ms-error-code", "BlobNotFound")], "");
    };
    let mut response = file(asked, &content, &format!("\"{}\"", etag(&content)));
    let headers = response.headers_mut();
    headers.insert("x-ms-blob-content-md5", STANDARD.encode(Md5::digest(&content)).parse().unwrap());
    headers.insert("last-modified", modified.1.parse().unwrap());
    response
}

/// Pages of two blobs, with ETags as Azure writes them in lists.
fn list(asked: &Asked) -> Response {
    let query: Vec<(String, String)> = url::form_urlencoded::parse(asked.query.as_bytes()).into_owned().collect();
    let get = |name: &str| query.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str());
    let directory = [("variables".to_owned(), Vec::new())];
    let blobs = model().into_iter().chain(directory).map(|(path, content)| (format!("iris/{path}"), content));
    let mut blobs: Vec<_> = blobs.filter(|(name, _)| name.starts_with(get("prefix"))).collect();
    blobs.sort();
    let start = get("marker").parse().unwrap_or(0);
    let mut xml = String::new();
    for (name, content) in blobs.iter().skip(start).take(2) {
        let (etag, size) = (etag(content), content.len());
        let _ = write!(
            xml,
            "<Blob><Name>{name}</Name><Properties><Last-Modified>Sat, 21 Nov 2026 12:00:00 GMT</Last-Modified>\
             <Etag>{etag}</Etag><Content-Length>{size}</Content-Length><Content-Type>x/y</Content-Type></Properties></Blob>"
        );
    }
    let marker = if start + 2 < blobs.len() { (start + 2).to_string() } else { String::new() };
    let xml = format!("<EnumerationResults><Blobs>{xml}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>");
    reply(200, &[], xml)
}

#[tokio::test]
async fn it_is_a_source() {
    let server = Server::start(container).await;
    let iris = source(&server, "iris", &[]).await;
    suite::holds(&iris, &model()).await;
    assert_eq!(iris.name(), "az://models/iris");
    let objects = suite::objects(&iris).await.unwrap();
    assert!(iris.read(&objects[0], Some(0..1)).await.unwrap().checksum.is_some());
    suite::is_missing(&source(&server, "rose", &[]).await).await;
}

#[tokio::test]
async fn requests_are_signed_as_told() {
    let server = Server::start(container).await;
    for (variable, value) in [
        ("AZURE_STORAGE_ACCESS_KEY", "cGxhbnRlZA=="),
        ("AZURE_ACCESS_TOKEN", "planted"),
        ("AZURE_STORAGE_SAS_TOKEN", "?sv=2024&sig=a%2Bb"),
    ] {
        let before = server.asked().len();
        suite::holds(&source(&server, "iris", &[(variable, value)]).await, &model()).await;
        for asked in &server.asked()[before..] {
            let authorization = asked.header("authorization").unwrap_or_default();
            match variable {
                "AZURE_STORAGE_ACCESS_KEY" => assert!(authorization.starts_with("SharedKey acme:"), "{asked:?}"),
                "AZURE_ACCESS_TOKEN" => assert_eq!(authorization, "Bearer planted"),
                _ => assert!(asked.query.contains("sig=a%2Bb"), "{asked:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_signature_is_in_no_message() {
    let refusal = "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>No.</Message></Error>";
    let server = Server::start(move |_| reply(403, &[("x-ms-error-code", "AuthenticationFailed")], refusal)).await;
    let denied = suite::is_denied(&source(&server, "iris", &[("AZURE_STORAGE_SAS_TOKEN", "sig=planted")]).await).await;
    assert!(denied.what.contains("AuthenticationFailed") && !denied.to_string().contains("planted"), "{denied}");
}

#[tokio::test]
async fn a_key_that_is_none_is_said() {
    let environment: Environment = [("AZURE_STORAGE_ACCESS_KEY", "planted!")].into_iter().collect();
    let failure = open(&uri("iris"), &environment, &network()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(!failure.to_string().contains("planted"), "{failure}");
}

/// Azurite's account and key are well known.
#[tokio::test]
#[ignore = "needs Azurite, and in it a container `models`: set AZURITE_URL to where it listens"]
async fn azurite_is_a_source() {
    use object_store::{ObjectStoreExt as _, path::Path};

    service::http_client::install_crypto_provider();
    let url = std::env::var("AZURITE_URL").unwrap();
    let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let endpoint = format!("{url}/devstoreaccount1");
    let store = object_store::azure::MicrosoftAzureBuilder::new()
        .with_account("devstoreaccount1")
        .with_container_name("models")
        .with_access_key(key)
        .with_endpoint(endpoint.clone())
        .with_allow_http(true)
        .build()
        .unwrap();
    for (path, content) in model() {
        store.put(&Path::parse(format!("iris/{path}")).unwrap(), content.into()).await.unwrap();
    }
    let environment =
        [("AZURE_SERVICE_URL", endpoint.as_str()), ("AZURE_STORAGE_ACCESS_KEY", key)].into_iter().collect();
    let uri = ObjectUri { account: Some("devstoreaccount1".to_owned()), ..uri("iris") };
    let iris = open(&uri, &environment, &network()).await.unwrap();
    suite::holds(&iris, &model()).await;
    suite::notices_a_change(&iris, async || {
        for path in model().keys() {
            let other = "something else of some length".into();
            store.put(&Path::parse(format!("iris/{path}")).unwrap(), other).await.unwrap();
        }
    })
    .await;
}
