//! Registries with HTTPS and a certificate of one's own.

use sample_registry::SampleRegistry;
use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use tempfile::NamedTempFile;
use testkit::tls::{self, TlsServer};

use crate::faults::fill;
use crate::registry::ask;

/// `localhost:port` of a registry with HTTPS that asks for a token, and its certificate.
async fn secured() -> (String, NamedTempFile) {
    let registry = SampleRegistry::new();
    fill(&registry);
    registry.set_token(Some("planted"));
    let TlsServer { url, certificate } = tls::serve("localhost", registry.router()).await;
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    (url.authority().to_owned(), file)
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
