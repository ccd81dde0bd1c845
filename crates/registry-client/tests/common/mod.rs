//! Clients of a scripted registry, with limits short enough for tests.

use std::time::Duration;

use registry_client::{CatalogClient, RegistryClient};
use serde_json::json;
use testkit::registry::ScriptedRegistry;

/// Long enough for any answer that comes, short enough for one that does not.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn http() -> reqwest::Client {
    // A second installation says that there is a provider, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

#[allow(dead_code, reason = "not every test binary needs it")]
pub(crate) fn client(registry: &ScriptedRegistry) -> RegistryClient {
    RegistryClient::new(registry.url(), http(), None).with_timeout(TIMEOUT)
}

#[allow(dead_code, reason = "not every test binary needs it")]
pub(crate) fn catalog(registry: &ScriptedRegistry) -> CatalogClient {
    CatalogClient::new(registry.url(), http(), None).with_timeout(TIMEOUT)
}

/// A registry with so many models `model-0`, `model-1`, ...
#[allow(dead_code, reason = "not every test binary needs it")]
pub(crate) async fn registry_of(models: usize) -> ScriptedRegistry {
    let registry = ScriptedRegistry::start().await;
    for number in 0..models {
        registry.edit().create_model(&format!("model-{number}"), json!({}));
    }
    registry
}
