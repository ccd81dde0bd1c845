//! TLS settings of the environment are heeded.

use std::net::TcpListener;
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use storage_initializer::source::object::open;
use tempfile::NamedTempFile;

use crate::http::network;
use crate::s3::uri;
use crate::server::{reply, router};
use crate::suite;

const LIST: &str = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>iris/model</Key>\
    <LastModified>2026-11-21T12:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>9</Size></Contents></ListBucketResult>";

/// The endpoint of an S3 server with TLS, and its certificate.
async fn server() -> (String, String) {
    service::http_client::install_crypto_provider();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let config = RustlsConfig::from_pem(certificate.clone().into(), key.into()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let router = router(Arc::default(), |asked| match asked.path.as_str() {
        "/models" => reply(200, &[], LIST),
        _ => reply(404, &[], ""),
    });
    tokio::spawn(async move {
        let server = axum_server::from_tcp_rustls(listener, config).unwrap();
        let _ = server.serve(router.into_make_service()).await;
    });
    (endpoint, certificate)
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
