//! Whether the storage that the settings name could be written, found out without a trace: the Kubernetes API judges a
//! write as a dry run, a database does one in a transaction that is rolled back, GitHub tells what a token may do.

use cluster::ClusterSettings;

use super::StoreError;
use super::backend::Named;
use super::config_map::ConfigMapStore;
use super::github::{GithubStore, Pushing};
use super::sql::rehearsal::{self as sql, Tables};
use crate::settings::StorageSettings;

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
    let (named, _) = Named::by(settings, access).await?;
    let store = named.describe();
    let outcome = match named {
        Named::ConfigMap(cluster, _) => {
            ConfigMapStore::rehearse(cluster.client, &cluster.namespace).await.map(|()| Writable::Tried)
        }
        Named::Sqlite(path) => sql::sqlite(&path).await.map(Into::into),
        Named::Postgres(database) => sql::postgres(&database).await.map(Into::into),
        Named::GitHub(options) => GithubStore::rehearse(*options).await.map(|pushing| match pushing {
            Pushing::Allowed => Writable::Tried,
            Pushing::Refused => Writable::ReadOnly,
            Pushing::Unknown => Writable::Unknown,
        }),
    };
    Ok(Rehearsal { store, outcome })
}
