//! What the process can find out about itself. Injectable, so that tests never change the real environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

const SERVICE_ACCOUNT_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Environment variables, and where the service account's files are.
#[derive(Clone)]
pub struct Environment {
    lookup: Lookup,
    service_account: PathBuf,
}

impl Environment {
    /// The real one.
    pub fn process() -> Self {
        Self {
            lookup: Arc::new(|name| std::env::var(name).ok()),
            service_account: PathBuf::from(SERVICE_ACCOUNT_DIRECTORY),
        }
    }

    /// One with exactly these variables and no service account.
    pub fn of<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self {
            lookup: Arc::new(move |name| variables.get(name).cloned()),
            service_account: PathBuf::from("/nonexistent/service-account"),
        }
    }

    /// The same, with the service account's files in another directory.
    #[must_use]
    pub fn with_service_account(mut self, directory: impl Into<PathBuf>) -> Self {
        self.service_account = directory.into();
        self
    }

    /// A variable; set but blank counts as unset.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }

    pub(crate) fn service_account_file(&self, name: &str) -> PathBuf {
        self.service_account.join(name)
    }

    pub(crate) fn default_kubeconfig(&self) -> Option<PathBuf> {
        self.get("HOME").map(|home| Path::new(&home).join(".kube").join("config"))
    }
}
