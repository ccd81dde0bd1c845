//! Registries behind TLS: verified against the system's certificates and those given, unless that is switched off.

use sample_registry::SampleRegistry;
use testkit::tls::{self, TlsServer};
use testkit::wait::eventually;

use super::storage::CountingStorage;
use super::{DEADLINE, Normalizer, holds, model};

/// A registry behind TLS, and its certificate as PEM.
async fn registry() -> (String, String) {
    let sample = SampleRegistry::new();
    model(&sample, "a", 1);
    let TlsServer { url, certificate } = tls::serve("127.0.0.1", sample.router()).await;
    (url.as_str().trim_end_matches('/').to_owned(), certificate)
}

#[tokio::test]
async fn a_registry_with_an_unknown_certificate_is_refused_and_the_status_says_so() {
    let (url, _) = registry().await;
    let storage = CountingStorage::start().await;
    let flags = [format!("--mr-url=lab={url}"), "--no-cluster".to_owned()];
    let normalizer = Normalizer::start(&storage, &flags).await;
    let failure = eventually(DEADLINE, "the registry was tried", async || {
        normalizer.status().await["sources"]["registry/lab"]["failure"].as_str().map(str::to_owned)
    })
    .await;
    assert!(failure.contains("TLS") && failure.contains(&url), "{failure}");
    assert!(storage.keys().is_empty());
    normalizer.stop().await;
}

#[tokio::test]
async fn a_given_ca_is_trusted() {
    let (url, pem) = registry().await;
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let storage = CountingStorage::start().await;
    let flags = [format!("--mr-url=lab={url}"), "--no-cluster".to_owned(), format!("--registry-ca={}", ca.display())];
    let normalizer = Normalizer::start(&storage, &flags).await;
    holds(&storage, &["a_v0"]).await;
    normalizer.stop().await;
}

#[tokio::test]
async fn verification_can_be_switched_off() {
    let (url, _) = registry().await;
    let storage = CountingStorage::start().await;
    let flags = [
        format!("--mr-url=lab={url}"),
        "--no-cluster".to_owned(),
        "--registry-insecure-skip-tls-verify=true".to_owned(),
    ];
    let normalizer = Normalizer::start(&storage, &flags).await;
    holds(&storage, &["a_v0"]).await;
    normalizer.stop().await;
}
