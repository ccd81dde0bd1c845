//! The back end that the settings name: chosen once, opened as often as it takes.

use std::path::PathBuf;
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

/// The place that the settings name. Nothing of it was opened, or made.
pub(super) enum Named {
    ConfigMap(Cluster, Layout),
    Sqlite(PathBuf),
    Postgres(PostgresDatabase),
    GitHub(Box<GithubOptions>),
}

impl Named {
    /// The place that the settings name or, where they name none, that there are credentials for; and why it is that.
    pub(super) async fn by(
        settings: &StorageSettings,
        access: &ClusterSettings,
    ) -> anyhow::Result<(Self, &'static str)> {
        let named = match settings.storage_type {
            None => {
                return Ok(match cluster::connect(access).await? {
                    Some(cluster) => (
                        Self::ConfigMap(cluster, settings.config_map_layout()),
                        "as STORAGE_TYPE is unset and there are cluster credentials",
                    ),
                    None => (
                        Self::Sqlite(settings.sqlite_path.clone()),
                        "as STORAGE_TYPE is unset and there are no cluster credentials",
                    ),
                });
            }
            Some(StorageType::ConfigMap) => {
                let Some(cluster) = cluster::connect(access).await? else {
                    bail!(
                        "STORAGE_TYPE is ConfigMap, but there are no cluster credentials: set KUBECONFIG, or use \
                         STORAGE_TYPE=Sqlite"
                    )
                };
                Self::ConfigMap(cluster, settings.config_map_layout())
            }
            Some(StorageType::Sqlite) => Self::Sqlite(settings.sqlite_path.clone()),
            Some(StorageType::Sql) => Self::database(settings)?,
            Some(StorageType::GitHub) => Self::GitHub(Box::new(settings.github.options()?)),
        };
        Ok((named, "as STORAGE_TYPE says"))
    }

    fn database(settings: &StorageSettings) -> anyhow::Result<Self> {
        let setting = StorageSettings::DATABASE_URL;
        let Some(url) = settings.database_url()? else {
            bail!(
                "STORAGE_TYPE is Sql, but the URL of the database is missing: set {} or {}",
                setting.value,
                setting.file
            )
        };
        Ok(match DatabaseUrl::parse(&url).context(setting.value)? {
            DatabaseUrl::Sqlite(path) => Self::Sqlite(path),
            DatabaseUrl::Postgres(database) => Self::Postgres(database),
        })
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::ConfigMap(cluster, _) => config_maps_of(cluster),
            Self::Sqlite(path) => format!("the SQLite file {}", path.display()),
            Self::Postgres(database) => database.to_string(),
            Self::GitHub(options) => options.describe(),
        }
    }
}

fn config_maps_of(cluster: &Cluster) -> String {
    format!("ConfigMaps in namespace {} of {}", cluster.namespace, cluster.description)
}

impl Backend {
    /// The back end that the settings name or, where they name none, that there are credentials for. Wrong settings are
    /// an error; a peer that can't be reached yet is not.
    pub async fn choose(settings: &StorageSettings, access: &ClusterSettings) -> anyhow::Result<Self> {
        let (named, why) = Named::by(settings, access).await?;
        Self::at(named, why).await
    }

    /// The back end to read what is kept there: unlike [`Self::choose`], which makes a file that is missing.
    pub async fn choose_existing(settings: &StorageSettings, access: &ClusterSettings) -> anyhow::Result<Self> {
        let (named, why) = Named::by(settings, access).await?;
        if let Named::Sqlite(file) = &named
            && !file.exists()
        {
            bail!("there is no SQLite file {} (--sqlite-path / SQLITE_PATH, or DATABASE_URL)", file.display());
        }
        Self::at(named, why).await
    }

    async fn at(named: Named, why: &str) -> anyhow::Result<Self> {
        let backend = match named {
            Named::ConfigMap(cluster, layout) => Self::ConfigMap(cluster, layout),
            Named::Sqlite(path) => Self::Sqlite(Arc::new(SqlStore::sqlite(&path).await?)),
            Named::Postgres(database) => {
                if let Some(warning) = database.warning() {
                    tracing::warn!("the connection to {database} is not safe: {warning}");
                }
                Self::Postgres(database)
            }
            Named::GitHub(options) => Self::GitHub(options),
        };
        tracing::info!("entries are kept in {}, {why}", backend.describe());
        Ok(backend)
    }

    /// Which it is, for messages, with the cluster that it is in.
    pub fn describe(&self) -> String {
        match self {
            Self::ConfigMap(cluster, _) => config_maps_of(cluster),
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
