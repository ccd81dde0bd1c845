//! Registries with HTTPS and a certificate of one's own.

use std::net::TcpListener;

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use sample_registry::SampleRegistry;
use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use tempfile::NamedTempFile;

use crate::faults::fill;
use crate::registry::ask;

/// `localhost:port` of a registry with HTTPS that asks for a token, and its certificate.
async fn secured() -> (String, NamedTempFile) {
    service::http_client::install_crypto_provider();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let config = RustlsConfig::from_pem(certificate.clone().into(), key.into()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let registry = SampleRegistry::new();
    fill(&registry);
    registry.set_token(Some("planted"));
    tokio::spawn(async move {
        let server = axum_server::from_tcp_rustls(listener, config).unwrap();
        let _ = server.serve(registry.router().into_make_service()).await;
    });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    (host, file)
}

async fn kind(host: &str, flags: &[&str]) -> Option<Kind> {
    let always = ["--registry-base-url", host, "--registry-token=planted", "--registry-retry-for=0s"];
    let flags: Vec<&str> = always.into_iter().chain(flags.iter().copied()).collect();
    ask("model-registry://iris/v1", &flags, &Environment::default()).await.err().map(|failure| failure.kind)
}

#[tokio::test]
async fn a_registry_behind_https_is_reached_with_its_ca_and_a_token() {
    let (host, certificate) = secured().await;
    let ca = certificate.path().to_str().unwrap();
    assert_eq!(kind(&host, &["--registry-scheme=https", "--registry-ca", ca]).await, None);
    assert_eq!(kind(&format!("https://{host}"), &["--registry-ca", ca]).await, None);
    assert_eq!(kind(&host, &["--registry-scheme=https", "--registry-insecure-skip-tls-verify"]).await, None);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_taken() {
    let (host, _certificate) = secured().await;
    assert_eq!(kind(&host, &["--registry-scheme=https"]).await, Some(Kind::Permission));
    assert_eq!(kind(&host, &["--registry-ca=/does/not/exist.pem"]).await, Some(Kind::Usage));
}
