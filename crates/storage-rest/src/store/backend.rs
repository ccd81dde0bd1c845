//! The back end that the settings name: chosen once, opened as often as it takes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cluster::{Cluster, ClusterSettings};

use super::config_map::{ConfigMapStore, Layout, Retries};
use super::github::{GithubOptions, GithubStore};
use super::sql::{DatabaseUrl, PostgresDatabase, SqlStore};
use super::{Store, StoreError};
use crate::settings::{StorageSettings, StorageType};

/// A back end with settings that may work.
pub enum Backend {
    /// ConfigMaps in the bridge's namespace.
    ConfigMap(Cluster, Layout),
    /// An SQLite file, which is open: what is wrong with it does not mend itself.
    Sqlite(Arc<SqlStore>),
    /// A database of a PostgreSQL server.
    Postgres(PostgresDatabase),
    /// A GitHub repository.
    GitHub(Box<GithubOptions>),
}

impl Backend {
    /// The back end that the settings name or, where they name none, that there are credentials for. Wrong settings are
    /// an error; a peer that can't be reached yet is not.
    pub async fn choose(settings: &StorageSettings, access: &ClusterSettings) -> anyhow::Result<Self> {
        let (storage_type, why, cluster) = match settings.storage_type {
            Some(StorageType::ConfigMap) => {
                let Some(cluster) = cluster::connect(access).await? else {
                    bail!(
                        "STORAGE_TYPE is ConfigMap, but there are no cluster credentials: set KUBECONFIG, or use \
                         STORAGE_TYPE=Sqlite"
                    )
                };
                (StorageType::ConfigMap, "as STORAGE_TYPE says", Some(cluster))
            }
            Some(other) => (other, "as STORAGE_TYPE says", None),
            None => match cluster::connect(access).await? {
                Some(cluster) => {
                    let why = "as STORAGE_TYPE is unset and there are cluster credentials";
                    (StorageType::ConfigMap, why, Some(cluster))
                }
                None => (StorageType::Sqlite, "as STORAGE_TYPE is unset and there are no cluster credentials", None),
            },
        };
        let backend = match (storage_type, cluster) {
            (StorageType::ConfigMap, Some(cluster)) => Self::ConfigMap(cluster, settings.config_map_layout()),
            (StorageType::Sql, _) => Self::database(settings).await?,
            (StorageType::GitHub, _) => Self::GitHub(Box::new(settings.github.options()?)),
            _ => Self::sqlite(&settings.sqlite_path).await?,
        };
        tracing::info!("entries are kept in {}, {why}", backend.describe());
        Ok(backend)
    }

    /// The back end to read what is kept there: unlike [`Self::choose`], which makes a file that is missing.
    pub async fn choose_existing(settings: &StorageSettings, access: &ClusterSettings) -> anyhow::Result<Self> {
        let file = match settings.storage_type {
            Some(StorageType::Sqlite) => Some(settings.sqlite_path.clone()),
            Some(StorageType::Sql) => match settings.database_url()?.map(|url| DatabaseUrl::parse(&url)) {
                Some(Ok(DatabaseUrl::Sqlite(path))) => Some(path),
                _ => None,
            },
            Some(_) => None,
            None => cluster::connect(access).await?.is_none().then(|| settings.sqlite_path.clone()),
        };
        if let Some(file) = file.filter(|file| !file.exists()) {
            bail!("there is no SQLite file {} (--sqlite-path / SQLITE_PATH, or DATABASE_URL)", file.display());
        }
        Self::choose(settings, access).await
    }

    async fn database(settings: &StorageSettings) -> anyhow::Result<Self> {
        let setting = StorageSettings::DATABASE_URL;
        let Some(url) = settings.database_url()? else {
            bail!(
                "STORAGE_TYPE is Sql, but the URL of the database is missing: set {} or {}",
                setting.value,
                setting.file
            )
        };
        match DatabaseUrl::parse(&url).context(setting.value)? {
            DatabaseUrl::Sqlite(path) => Self::sqlite(&path).await,
            DatabaseUrl::Postgres(database) => {
                if let Some(warning) = database.warning() {
                    tracing::warn!("the connection to {database} is not safe: {warning}");
                }
                Ok(Self::Postgres(database))
            }
        }
    }

    async fn sqlite(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::Sqlite(Arc::new(SqlStore::sqlite(path).await?)))
    }

    /// Which it is, for messages, with the cluster that it is in.
    pub fn describe(&self) -> String {
        match self {
            Self::ConfigMap(cluster, _) => {
                format!("ConfigMaps in namespace {} of {}", cluster.namespace, cluster.description)
            }
            Self::Sqlite(store) => store.describe(),
            Self::Postgres(database) => database.to_string(),
            Self::GitHub(options) => options.describe(),
        }
    }

    /// The cluster that it is in, if it is in one.
    pub fn cluster(&self) -> Option<Cluster> {
        match self {
            Self::ConfigMap(cluster, _) => Some(cluster.clone()),
            Self::Sqlite(_) | Self::Postgres(_) | Self::GitHub(_) => None,
        }
    }

    /// Opens it; fails where it can't be reached.
    pub async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        match self {
            Self::Sqlite(store) => Ok(Arc::clone(store) as Arc<dyn Store>),
            Self::Postgres(database) => Ok(Arc::new(SqlStore::postgres(database).await?)),
            Self::GitHub(options) => Ok(Arc::new(GithubStore::open(GithubOptions::clone(options)).await?)),
            Self::ConfigMap(cluster, layout) => {
                let client = cluster.client.clone();
                let store = ConfigMapStore::open(client, &cluster.namespace, Retries::default(), *layout).await?;
                Ok(Arc::new(store))
            }
        }
    }
}
