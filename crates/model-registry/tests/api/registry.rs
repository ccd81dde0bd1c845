//! A registry of a test's own, behind HTTP.

use clap::Parser as _;
use model_registry::database::Database;
use model_registry::run;
use model_registry::settings::{Cli, Command, DatabaseSettings};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use service::http_client::install_crypto_provider;
use service::{Readiness, Shutdown};
use tempfile::TempDir;
use testkit::mariadb::MariaDbServer;
use testkit::postgres::PostgresServer;

/// What paths begin with that do not begin with a slash.
pub(crate) const V1ALPHA3: &str = "/api/model_registry/v1alpha3";
/// The other version.
pub(crate) const V1: &str = "/api/model_registry/v1";

/// A registry that is empty at first, and ends with its test.
pub(crate) struct Registry {
    url: Url,
    http: reqwest::Client,
    pub(crate) readiness: Readiness,
    database: DatabaseSettings,
    shutdown: Shutdown,
    _directory: TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as JSON, or else as text.
    pub(crate) body: Value,
    what: String,
}

impl Registry {
    pub(crate) async fn in_sqlite() -> Self {
        Self::start(&["--embedmd-database-type", "sqlite"]).await
    }

    /// `None` where there is no server, which testkit has said then.
    pub(crate) async fn in_postgres() -> Option<Self> {
        let dsn = PostgresServer::shared()?.database().url();
        Some(Self::start(&["--embedmd-database-type", "postgres", "--embedmd-database-dsn", &dsn]).await)
    }

    /// `None` where there is no server, which testkit has said then.
    pub(crate) async fn in_mariadb() -> Option<Self> {
        let url = Url::parse(&MariaDbServer::shared()?.database()).unwrap();
        let (user, password, port) = (url.username(), url.password().unwrap(), url.port().unwrap());
        let dsn = format!("{user}:{password}@tcp(127.0.0.1:{port}){}?charset=utf8mb4", url.path());
        Some(Self::start(&["--embedmd-database-type", "mysql", "--embedmd-database-dsn", &dsn]).await)
    }

    /// With the flags that the existing registry's operator gives.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        install_crypto_provider();
        let directory = tempfile::tempdir().unwrap();
        let here = ["--hostname", "127.0.0.1", "--port", "0", "--data-dir", directory.path().to_str().unwrap()];
        let command = Cli::parse_from(["model-registry", "proxy"].iter().chain(&here).chain(flags)).command;
        let Command::Proxy(settings) = command else { panic!("{command:?}") };
        let database = settings.database.clone();
        let shutdown = Shutdown::new();
        let run::Registry { running, readiness } = run::start(*settings, shutdown.clone()).await.unwrap();
        readiness.until_ready().await;
        let url = Url::parse(&format!("http://{}", running.address)).unwrap();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { url, http, readiness, database, shutdown, _directory: directory }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// The database that it is kept in.
    pub(crate) fn database(&self) -> Database {
        Database::at(&self.database.place().unwrap())
    }

    /// Sends a request to a path of any version, or, without a slash before it, of the one with experiments.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{V1ALPHA3}/{path}") };
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{}", self.url.as_str().trim_end_matches('/'), path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.bytes().await.unwrap();
        let body =
            serde_json::from_slice(&text).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&text).into_owned()));
        Answer { status, headers, body, what }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], body.to_string().into_bytes()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[], body.to_string().into_bytes()).await
    }

    /// What is there.
    pub(crate) async fn read(&self, path: &str) -> Value {
        self.get(path).await.ok(200)
    }

    /// What is listed.
    pub(crate) async fn items(&self, path: &str) -> Vec<Value> {
        self.read(path).await["items"].as_array().unwrap().clone()
    }

    /// The names of what is listed.
    pub(crate) async fn names(&self, path: &str) -> Vec<String> {
        self.items(path).await.iter().map(|item| text(item, "name")).collect()
    }

    /// What was made.
    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        self.post(path, &body).await.ok(201)
    }

    /// What became of it.
    pub(crate) async fn update(&self, path: &str, body: Value) -> Value {
        self.patch(path, &body).await.ok(200)
    }

    /// The id of a new registered model.
    pub(crate) async fn model(&self, name: &str) -> String {
        id(&self.create("registered_models", json!({"name": name})).await)
    }

    /// The id of a new version.
    pub(crate) async fn version(&self, model: &str, name: &str) -> String {
        id(&self.create("model_versions", json!({"name": name, "registeredModelId": model})).await)
    }

    /// The id of a new serving environment.
    pub(crate) async fn environment(&self, name: &str) -> String {
        id(&self.create("serving_environments", json!({"name": name})).await)
    }

    /// The id of a new inference service.
    pub(crate) async fn service(&self, environment: &str, model: &str) -> String {
        let body = json!({"servingEnvironmentId": environment, "registeredModelId": model});
        id(&self.create("inference_services", body).await)
    }

    /// The id of a new experiment.
    pub(crate) async fn experiment(&self, name: &str) -> String {
        id(&self.create("experiments", json!({"name": name})).await)
    }

    /// The id of a new run.
    pub(crate) async fn run(&self, experiment: &str) -> String {
        id(&self.create("experiment_runs", json!({"experimentId": experiment})).await)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Answer {
    /// Its body, if it has that status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.body);
        self.body
    }

    /// Its message, if it is an error of that status and code.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}: {}", self.what, self.body);
        let fields: Vec<&String> = self.body.as_object().unwrap_or_else(|| panic!("{self:?}")).keys().collect();
        assert_eq!(fields, ["code", "message"], "{}", self.what);
        assert_eq!(self.body["code"], code, "{}", self.what);
        text(&self.body, "message")
    }

    /// Checks that the request was refused as wrong.
    #[track_caller]
    pub(crate) fn is_bad(&self) {
        let message = self.error(400, "Bad Request");
        assert!(message.ends_with(": bad request"), "{message}");
    }

    /// Checks that there is no such thing.
    #[track_caller]
    pub(crate) fn is_not_found(&self) {
        let message = self.error(404, "Not Found");
        assert!(message.ends_with(": not found"), "{message}");
    }

    /// Checks that there is another one.
    #[track_caller]
    pub(crate) fn is_conflict(&self) {
        let message = self.error(409, "Conflict");
        assert!(message.ends_with(": conflict"), "{message}");
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.what)).to_str().unwrap().to_owned()
    }
}

/// A field that holds a text.
#[track_caller]
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}")).to_owned()
}

/// The id of a resource.
#[track_caller]
pub(crate) fn id(value: &Value) -> String {
    text(value, "id")
}

/// A custom property that holds a text.
pub(crate) fn property(value: &str) -> Value {
    json!({"metadataType": "MetadataStringValue", "string_value": value})
}
