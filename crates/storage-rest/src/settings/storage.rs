//! Where entries are kept.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Which back end keeps the entries, and what it needs.
#[derive(Debug, Clone, Args)]
pub struct StorageSettings {
    /// Where entries are kept: `ConfigMap` or `Sqlite` [default: ConfigMap where cluster credentials are found, else
    /// Sqlite]
    #[arg(long, env = "STORAGE_TYPE", value_name = "TYPE", help_heading = "Storage")]
    pub storage_type: Option<StorageType>,

    /// The file of the storage type Sqlite, created when it is missing
    #[arg(
        long,
        env = "SQLITE_PATH",
        value_name = "FILE",
        default_value = "bridge-storage.sqlite",
        help_heading = "Storage"
    )]
    pub sqlite_path: PathBuf,
}

/// The kinds of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageType {
    /// A ConfigMap in the bridge's namespace.
    ConfigMap,
    /// An SQLite file.
    Sqlite,
}

/// A text names no storage that there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageTypeError {
    /// It will be there one day.
    #[error("the storage type {0} is not available yet: use ConfigMap or Sqlite")]
    NotYet(&'static str),
    /// It is nothing.
    #[error("there is no such storage type: use ConfigMap or Sqlite")]
    Unknown,
}

impl FromStr for StorageType {
    type Err = StorageTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "configmap" => Ok(Self::ConfigMap),
            "sqlite" => Ok(Self::Sqlite),
            "github" => Err(StorageTypeError::NotYet("GitHub")),
            "sql" => Err(StorageTypeError::NotYet("Sql")),
            _ => Err(StorageTypeError::Unknown),
        }
    }
}
