//! TLS settings of the environment are heeded.

use std::sync::Arc;

use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use storage_initializer::source::object::open;
use tempfile::NamedTempFile;
use testkit::tls::{self, TlsServer};

use crate::http::network;
use crate::s3::uri;
use crate::server::{reply, router};
use crate::suite;

const LIST: &str = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>iris/model</Key>\
    <LastModified>2026-11-21T12:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>9</Size></Contents></ListBucketResult>";

/// The endpoint of an S3 server with TLS, and its certificate.
async fn server() -> (String, String) {
    let router = router(Arc::default(), |asked| match asked.path.as_str() {
        "/models" => reply(200, &[], LIST),
        _ => reply(404, &[], ""),
    });
    let TlsServer { url, certificate } = tls::serve("localhost", router).await;
    (url.as_str().trim_end_matches('/').to_owned(), certificate)
}

async fn listed(endpoint: &str, more: &[(&str, &str)]) -> Result<usize, storage_initializer::Failure> {
    let environment: Environment = [("AWS_ENDPOINT_URL", endpoint), ("awsAnonymousCredential", "true")]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let source = open(&uri("models", "iris"), &environment, &network()).await?;
    Ok(suite::objects(&source).await?.len())
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_taken() {
    let (endpoint, _) = server().await;
    let failure = listed(&endpoint, &[]).await.unwrap_err();
    assert_eq!((failure.kind, failure.is_transient), (Kind::Permission, false), "{failure}");
    assert!(failure.what.contains("certificate"), "{failure}");
}

#[tokio::test]
async fn verification_is_left_out_when_told() {
    let (endpoint, _) = server().await;
    assert_eq!(listed(&endpoint, &[("S3_VERIFY_SSL", "0")]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_bundle_of_authorities_is_trusted() {
    let (endpoint, certificate) = server().await;
    let bundle = NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), certificate).unwrap();
    let path = bundle.path().to_str().unwrap();
    assert_eq!(listed(&endpoint, &[("AWS_CA_BUNDLE", path)]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_bundle_that_is_not_there_is_told() {
    let failure = listed("https://localhost:1", &[("AWS_CA_BUNDLE", "/does/not/exist.pem")]).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.what.contains("/does/not/exist.pem"), "{failure}");
}
