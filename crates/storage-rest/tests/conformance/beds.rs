//! What the suite runs on: a storage that can be opened again and again, as after restarts or by several processes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use service::Secret;
use storage_rest::store::Store;
use storage_rest::store::config_map::{ConfigMapStore, Layout, Retries};
use storage_rest::store::github::{Credentials, GithubOptions, GithubStore, Repository, Retries as GithubRetries};
use storage_rest::store::sql::{DatabaseUrl, PostgresDatabase, SqlStore};
use testkit::github::{NAME, OWNER, ScriptedGithub, TOKEN};
use testkit::kube::{Fault, FaultGuard, KubeApi, RecordedRequest};
use testkit::postgres::{Database, PostgresServer};

/// The namespace of the bridge.
pub(crate) const NAMESPACE: &str = "rhdh";

/// A storage under test.
#[async_trait]
pub(crate) trait Bed: Sync {
    /// Opens the storage once more.
    async fn open(&self) -> Arc<dyn Store>;

    /// How many writes it has seen, where that can be counted from outside.
    fn writes(&self) -> Option<usize>;

    /// Has every write fail until the guard is gone, where its peer can be told to.
    fn fail_writes(&self) -> Option<FaultGuard> {
        None
    }
}

/// An SQLite file.
pub(crate) struct SqliteBed {
    directory: tempfile::TempDir,
}

impl SqliteBed {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("storage.sqlite")
    }
}

#[async_trait]
impl Bed for SqliteBed {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqlStore::sqlite(&self.path()).await.unwrap())
    }

    fn writes(&self) -> Option<usize> {
        // Each commit that writes appends to the log.
        let log = std::fs::metadata(self.directory.path().join("storage.sqlite-wal"));
        log.ok().and_then(|log| usize::try_from(log.len()).ok())
    }
}

/// A database of the tests' PostgreSQL server.
pub(crate) struct PostgresBed {
    pub(crate) database: Database<'static>,
}

impl PostgresBed {
    /// `None` where there is no server, which testkit has said then.
    pub(crate) fn new() -> Option<Self> {
        Some(Self { database: PostgresServer::shared()?.database() })
    }

    pub(crate) async fn store(&self) -> SqlStore {
        SqlStore::postgres(&postgres(&self.database.url())).await.unwrap()
    }
}

/// The database that a URL names.
pub(crate) fn postgres(url: &str) -> PostgresDatabase {
    match DatabaseUrl::parse(&Secret::fixed(url.into())).unwrap() {
        DatabaseUrl::Postgres(database) => database,
        DatabaseUrl::Sqlite(path) => panic!("{} is a file", path.display()),
    }
}

#[async_trait]
impl Bed for PostgresBed {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn writes(&self) -> Option<usize> {
        // Whoever writes or locks a row leaves a mark on it.
        let marks = "SELECT coalesce(sum(('x' || substr(md5(concat(ctid, xmin, xmax)), 1, 7))::bit(28)::int), 0) \
                     FROM entries";
        self.database.sql(marks).parse().ok()
    }
}

/// A ConfigMap in testkit's Kubernetes API.
pub(crate) struct ConfigMapBed {
    pub(crate) api: KubeApi,
}

impl ConfigMapBed {
    pub(crate) async fn new() -> Self {
        service::http_client::install_crypto_provider();
        Self { api: KubeApi::builder().namespace(NAMESPACE).start().await }
    }

    pub(crate) async fn store(&self) -> ConfigMapStore {
        self.store_with(Layout::default()).await
    }

    pub(crate) async fn store_with(&self, layout: Layout) -> ConfigMapStore {
        ConfigMapStore::open(self.api.client(), NAMESPACE, QUICK, layout).await.unwrap()
    }
}

/// The attempts of real life, without their waits.
pub(crate) const QUICK: Retries = Retries {
    attempts: 4,
    conflict_attempts: 20,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(20),
    longest_asked: Duration::from_millis(20),
    request_timeout: Duration::from_secs(10),
};

#[async_trait]
impl Bed for ConfigMapBed {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn writes(&self) -> Option<usize> {
        Some(self.api.count(|request| request.is_write() && request.is_on("configmaps")))
    }

    fn fail_writes(&self) -> Option<FaultGuard> {
        Some(self.api.fail_while(RecordedRequest::is_write, Fault::Status(500)))
    }
}

/// A repository of testkit's GitHub.
pub(crate) struct GithubBed {
    pub(crate) github: ScriptedGithub,
}

impl GithubBed {
    pub(crate) async fn new() -> Self {
        Self { github: ScriptedGithub::start().await }
    }

    pub(crate) fn options(&self) -> GithubOptions {
        GithubOptions {
            api: self.github.url(),
            tls: service::http_client::TlsSettings::default(),
            repository: Repository { owner: OWNER.to_owned(), name: NAME.to_owned() },
            branch: None,
            prefix: "catalog/models".parse().unwrap(),
            credentials: Credentials::Token(service::Secret::fixed(TOKEN.to_owned().into())),
            author: None,
            commit_interval: Duration::ZERO,
            retries: QUICK_WITH_GITHUB,
        }
    }

    pub(crate) async fn store(&self) -> GithubStore {
        GithubStore::open(self.options()).await.unwrap()
    }
}

/// The attempts of real life, without their waits.
pub(crate) const QUICK_WITH_GITHUB: GithubRetries = GithubRetries {
    attempts: 4,
    conflict_attempts: 20,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(20),
    write_within: Duration::from_secs(11),
};

#[async_trait]
impl Bed for GithubBed {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn writes(&self) -> Option<usize> {
        Some(self.github.count(RecordedRequest::is_write))
    }

    fn fail_writes(&self) -> Option<FaultGuard> {
        Some(self.github.fail_while(RecordedRequest::is_write, Fault::Status(500)))
    }
}
