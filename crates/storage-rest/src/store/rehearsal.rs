//! Whether the storage that the settings name could be written, found out without a trace: the Kubernetes API judges a
//! write as a dry run, a database does one in a transaction that is rolled back, GitHub tells what a token may do.

use anyhow::{Context as _, bail};
use cluster::{Cluster, ClusterSettings};

use super::StoreError;
use super::config_map::ConfigMapStore;
use super::github::{GithubStore, Pushing};
use super::sql::DatabaseUrl;
use super::sql::rehearsal::{self as sql, Tables};
use crate::settings::{StorageSettings, StorageType};

/// What came of it.
#[derive(Debug)]
pub struct Rehearsal {
    /// Which storage it is.
    pub store: String,
    /// What can be said of a storage that would take entries, or why it would not.
    pub outcome: Result<Writable, StoreError>,
}

/// A storage that would take entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writable {
    /// A write was tried.
    Tried,
    /// The same, and the first start will have to make its tables.
    Empty,
    /// Nobody says before the first commit.
    Unknown,
    /// It can only be read.
    ReadOnly,
}

impl From<Tables> for Writable {
    fn from(tables: Tables) -> Self {
        match tables {
            Tables::Made => Self::Tried,
            Tables::ToBeMade => Self::Empty,
        }
    }
}

/// Tries the storage of these settings. Wrong settings are an error.
pub async fn rehearse(settings: &StorageSettings, access: &ClusterSettings) -> anyhow::Result<Rehearsal> {
    let cluster = match settings.storage_type {
        None | Some(StorageType::ConfigMap) => cluster::connect(access).await?,
        Some(_) => None,
    };
    match (settings.storage_type, cluster) {
        (None | Some(StorageType::ConfigMap), Some(cluster)) => Ok(config_map(&cluster).await),
        (Some(StorageType::ConfigMap), None) => {
            bail!("STORAGE_TYPE is ConfigMap, but there are no cluster credentials: set KUBECONFIG")
        }
        (Some(StorageType::GitHub), _) => {
            let options = settings.github.options()?;
            let store = options.describe();
            let outcome = GithubStore::rehearse(options).await.map(|pushing| match pushing {
                Pushing::Allowed => Writable::Tried,
                Pushing::Refused => Writable::ReadOnly,
                Pushing::Unknown => Writable::Unknown,
            });
            Ok(Rehearsal { store, outcome })
        }
        (Some(StorageType::Sql), _) => database(settings).await,
        (None | Some(StorageType::Sqlite), _) => Ok(file(&settings.sqlite_path).await),
    }
}

async fn config_map(cluster: &Cluster) -> Rehearsal {
    let store = format!("ConfigMaps in namespace {} of {}", cluster.namespace, cluster.description);
    let outcome = ConfigMapStore::rehearse(cluster.client.clone(), &cluster.namespace).await;
    Rehearsal { store, outcome: outcome.map(|()| Writable::Tried) }
}

async fn file(path: &std::path::Path) -> Rehearsal {
    Rehearsal { store: format!("the SQLite file {}", path.display()), outcome: sql::sqlite(path).await.map(Into::into) }
}

async fn database(settings: &StorageSettings) -> anyhow::Result<Rehearsal> {
    let setting = StorageSettings::DATABASE_URL;
    let Some(url) = settings.database_url()? else {
        bail!("STORAGE_TYPE is Sql, but the URL of the database is missing: set {}", setting.value)
    };
    match DatabaseUrl::parse(&url).context(setting.value)? {
        DatabaseUrl::Sqlite(path) => Ok(file(&path).await),
        DatabaseUrl::Postgres(database) => {
            let outcome = sql::postgres(&database).await.map(Into::into);
            Ok(Rehearsal { store: database.to_string(), outcome })
        }
    }
}
