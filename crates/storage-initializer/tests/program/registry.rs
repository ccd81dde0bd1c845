//! A registry of ours in this process, and how it is asked.

use std::time::Duration;

use clap::Parser as _;
use model_registry::run::{self, Registry};
use model_registry::settings::{DatabaseSettings, ProxySettings};
use serde_json::{Value, json};
use service::Shutdown;
use service::http_client::install_crypto_provider;
use service::telemetry::LogSettings;
use storage_initializer::Failure;
use storage_initializer::environment::Environment;
use storage_initializer::resolve::{Resolved, resolve};
use storage_initializer::settings::Settings;
use storage_initializer::uri::SourceUri;
use tempfile::TempDir;

const API: &str = "/api/model_registry/v1";

/// A registry, and who writes to it.
pub(crate) struct Served {
    registry: Registry,
    http: reqwest::Client,
    shutdown: Shutdown,
    _directory: TempDir,
}

impl Served {
    pub(crate) async fn start() -> Self {
        install_crypto_provider();
        let directory = tempfile::tempdir().unwrap();
        let settings = ProxySettings::here(DatabaseSettings::sqlite_in(directory.path()), LogSettings::default());
        let shutdown = Shutdown::new();
        let registry = run::start(settings, shutdown.clone()).await.unwrap();
        registry.readiness.until_ready().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { registry, http, shutdown, _directory: directory }
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> String {
        self.registry.url().unwrap().authority().to_owned()
    }

    async fn write(&self, request: reqwest::RequestBuilder, body: &Value) -> String {
        let response = request.json(body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{status} {text}");
        let created: Value = serde_json::from_str(&text).unwrap();
        created["id"].as_str().unwrap().to_owned()
    }

    async fn create(&self, path: &str, body: &Value) -> String {
        let url = format!("http://{}{API}/{path}", self.host());
        self.write(self.http.post(url), body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) {
        let url = format!("http://{}{API}/{path}", self.host());
        self.write(self.http.patch(url), body).await;
    }

    pub(crate) async fn model(&self, name: &str) -> String {
        self.create("registered_models", &json!({ "name": name })).await
    }

    pub(crate) async fn version(&self, model: &str, name: &str) -> String {
        self.create("model_versions", &json!({ "name": name, "registeredModelId": model })).await
    }

    pub(crate) async fn artifact(&self, version: &str, mut fields: Value) -> String {
        if fields.get("artifactType").is_none() {
            fields["artifactType"] = "model-artifact".into();
        }
        self.create(&format!("model_versions/{version}/artifacts"), &fields).await
    }

    /// A version with one artifact, as the Python client registers it.
    pub(crate) async fn registered(&self, model: &str, version: &str, uri: &str) -> String {
        let version = self.version(model, version).await;
        self.artifact(&version, json!({ "name": "weights", "uri": uri })).await;
        version
    }

    /// A model with one version.
    pub(crate) async fn iris(&self) -> String {
        let model = self.model("iris").await;
        self.registered(&model, "v1", "s3://models/iris/1").await;
        model
    }

    pub(crate) async fn resolve(&self, uri: &str) -> Result<Resolved, Failure> {
        ask(uri, &["--registry-base-url", &self.host()], &Environment::default()).await
    }

    /// Where a URI leads.
    pub(crate) async fn place(&self, uri: &str) -> String {
        self.resolve(uri).await.unwrap_or_else(|failure| panic!("{uri}: {failure}")).uri.to_string()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// Resolves `uri` with these flags.
pub(crate) async fn ask(uri: &str, flags: &[&str], environment: &Environment) -> Result<Resolved, Failure> {
    let arguments = ["storage-initializer", "unused", "/unused"].iter().chain(flags);
    let settings = Settings::try_parse_from(arguments).unwrap();
    let Ok(SourceUri::Registry(uri)) = uri.parse() else { panic!("{uri} is of no registry") };
    // Whatever hangs, the test does not.
    let resolved = tokio::time::timeout(Duration::from_mins(2), resolve(&uri, &settings.registry, environment));
    resolved.await.expect("an answer within two minutes")
}
