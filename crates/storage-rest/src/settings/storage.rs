//! Where entries are kept.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use secrecy::SecretString;
use service::secret::{Secret, SecretError, SecretSetting};
use service::settings::secret;

use super::github::GithubSettings;
use crate::store::config_map::{GoCompatible, Layout};

/// Which back end keeps the entries, and what it needs.
#[derive(Debug, Clone, Args)]
pub struct StorageSettings {
    /// Where entries are kept: `ConfigMap`, `Sql`, `Sqlite` or `GitHub` [default: ConfigMap where cluster credentials are
    /// found, else Sqlite]
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

    /// The database of the storage type Sql: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, where `?sslmode=` may follow
    /// (unset: `verify-full`, but for this machine), or `sqlite:FILE`
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        value_parser = secret,
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub database_url: Option<SecretString>,

    /// A file with the URL, in place of DATABASE_URL; it is looked at every 10 s, and new connections use what it says
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", help_heading = "Storage")]
    pub database_url_file: Option<PathBuf>,

    /// Whether a Go bridge is to find everything in the ConfigMap `bac-import-model`: `auto` (while it fits in there),
    /// `true` (what does not fit is refused) or `false` (entries are compressed, and spread over several ConfigMaps)
    #[arg(
        long = "configmap-go-compatible", env = "CONFIGMAP_GO_COMPATIBLE", value_name = "auto|true|false",
        default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help_heading = "Storage"
    )]
    pub go_compatible: GoCompatible,

    /// GitHub
    #[command(flatten)]
    pub github: GithubSettings,
}

impl StorageSettings {
    /// The settings of the database's URL.
    pub const DATABASE_URL: SecretSetting =
        SecretSetting { value: "--database-url / DATABASE_URL", file: "--database-url-file / DATABASE_URL_FILE" };

    /// The database's URL, from whichever setting has it.
    pub fn database_url(&self) -> Result<Option<Secret>, SecretError> {
        Secret::from_settings(self.database_url.as_ref(), self.database_url_file.as_deref(), Self::DATABASE_URL)
    }

    /// How ConfigMaps are filled.
    pub fn config_map_layout(&self) -> Layout {
        Layout { go_compatible: self.go_compatible, ..Layout::default() }
    }
}

/// The kinds of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageType {
    /// A ConfigMap in the bridge's namespace.
    ConfigMap,
    /// A database by its URL.
    Sql,
    /// An SQLite file by its path.
    Sqlite,
    /// Files in a GitHub repository.
    GitHub,
}

/// A text names no storage that there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such storage type: use ConfigMap, Sql, Sqlite or GitHub")]
pub struct UnknownStorageType;

impl FromStr for StorageType {
    type Err = UnknownStorageType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "configmap" => Ok(Self::ConfigMap),
            "sql" => Ok(Self::Sql),
            "sqlite" => Ok(Self::Sqlite),
            "github" => Ok(Self::GitHub),
            _ => Err(UnknownStorageType),
        }
    }
}
