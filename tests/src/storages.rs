//! Each kind of storage, as the settings that name one which is there and empty.

use std::any::Any;

use tempfile::TempDir;
use testkit::github::{NAME, OWNER, ScriptedGithub, TOKEN};
use testkit::kube::KubeApi;
use testkit::postgres::PostgresServer;

use crate::Settings;

/// The kinds of storage. Another kind is another variant, and an arm in [`EmptyStorage::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    /// ConfigMaps of a cluster of its own.
    ConfigMap,
    /// A file.
    Sqlite,
    /// A database of the tests' PostgreSQL server.
    Postgres,
    /// A repository of testkit's GitHub.
    GitHub,
}

/// A storage that nobody uses yet; it is gone with this.
pub struct EmptyStorage {
    settings: Settings,
    directory: TempDir,
    /// What must go on for as long as it is used.
    peers: Vec<Box<dyn Any + Send + Sync>>,
}

const NAMESPACE: &str = "rhdh";

impl EmptyStorage {
    /// `None` where this machine has none of its kind, which is said.
    pub async fn of(kind: StorageKind) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mut storage = Self { settings: Settings::new(), directory, peers: Vec::new() };
        match kind {
            StorageKind::ConfigMap => {
                let kube = KubeApi::builder().namespace(NAMESPACE).start().await;
                let kubeconfig = kube.write_kubeconfig(storage.directory.path()).display().to_string();
                storage.set(&[("STORAGE_TYPE", "ConfigMap"), ("KUBECONFIG", &kubeconfig), ("NAMESPACE", NAMESPACE)]);
                storage.peers.push(Box::new(kube));
            }
            StorageKind::Sqlite => {
                let file = storage.directory.path().join("storage.sqlite").display().to_string();
                storage.set(&[("STORAGE_TYPE", "Sqlite"), ("SQLITE_PATH", &file)]);
            }
            StorageKind::Postgres => {
                let database = PostgresServer::shared()?.database();
                storage.set(&[("STORAGE_TYPE", "Sql"), ("DATABASE_URL", &database.url())]);
                storage.peers.push(Box::new(database));
            }
            StorageKind::GitHub => {
                let github = ScriptedGithub::start().await;
                storage.set(&[
                    ("STORAGE_TYPE", "GitHub"),
                    ("STORAGE_GITHUB_API_URL", github.url().as_str()),
                    ("STORAGE_GITHUB_REPOSITORY", &format!("{OWNER}/{NAME}")),
                    ("STORAGE_GITHUB_TOKEN", TOKEN),
                    // Nothing is to be spared here.
                    ("STORAGE_GITHUB_COMMIT_INTERVAL", "10ms"),
                ]);
                storage.peers.push(Box::new(github));
            }
        }
        Some(storage)
    }

    fn set(&mut self, settings: &[(&str, &str)]) {
        let home = self.directory.path().display().to_string();
        self.settings.insert("HOME".to_owned(), home);
        self.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    /// The variables that name it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same with a prefix, as for one side of a copy.
    pub fn prefixed(&self, prefix: &str) -> Settings {
        self.settings.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())).collect()
    }
}
