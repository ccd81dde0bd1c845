//! Where the cluster is and who the bridge is there. Credentials come from the first of: an explicit kubeconfig, the
//! sidecar's environment variables, the pod's service account, the default kubeconfig. Finding none is normal.

mod contexts;
mod environment;
mod proxy;
mod settings;
mod sources;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use kube::client::ClientBuilder;
use kube::{Client, Config};
use secrecy::SecretString;

pub use contexts::{ContextName, connect_all, connect_all_with};
pub use environment::Environment;
pub use settings::ClusterSettings;

use calls::{Calls, CallsLayer};
use sources::Found;

/// Building a client may run a kubeconfig's `exec` plugin, which could wait for a person.
const CLIENT_TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a watch's own 290 s, so that only a silent peer is cut off.
const READ_TIMEOUT: Duration = Duration::from_mins(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Cluster credentials are configured but cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file that a setting points to cannot be read.
    #[error("{setting}: cannot read {}: {source}", file.display())]
    Unreadable {
        /// The setting that leads to the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A kubeconfig is not usable as it is.
    #[error("{setting}: {files}: {reason}")]
    Kubeconfig {
        /// The setting that leads to the file.
        setting: &'static str,
        /// The file or files.
        files: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting or environment variable holds something that cannot be used.
    #[error("{setting}: {reason}")]
    Invalid {
        /// The setting or environment variable.
        setting: &'static str,
        /// What is wrong, without the value where that is secret.
        reason: String,
    },
    /// The client could not be built from the credentials.
    #[error("{description}: cannot use these cluster credentials: {reason}")]
    Client {
        /// Where the credentials come from.
        description: String,
        /// Why.
        reason: String,
    },
}

/// A connection to one cluster.
#[derive(Clone)]
pub struct Cluster {
    /// The client; clones share its connections.
    pub client: Client,
    /// The bridge's own namespace, where its ConfigMap lives.
    pub namespace: String,
    /// Whether the bridge runs inside this cluster, so that `*.svc` names resolve.
    pub in_cluster: bool,
    /// Where the credentials come from, for logs; holds no secret.
    pub description: String,
    token: TokenSource,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .field("in_cluster", &self.in_cluster)
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

/// Where the bearer token is. Token files are rotated by the kubelet, so they are read at each use.
#[derive(Clone, Debug)]
enum TokenSource {
    Unknown,
    Fixed(SecretString),
    File(PathBuf),
}

impl Cluster {
    /// Wraps a client that was built elsewhere, seen from outside the cluster.
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            in_cluster: false,
            description: "given client".to_owned(),
            token: TokenSource::Unknown,
        }
    }

    /// The same connection, seen from inside the cluster.
    #[must_use]
    pub fn inside(mut self) -> Self {
        self.in_cluster = true;
        self
    }

    /// The bearer token of this connection, where it is known (not for client certificates and `exec` plugins).
    pub fn bearer_token(&self) -> Result<Option<SecretString>, CredentialsError> {
        match &self.token {
            TokenSource::Unknown => Ok(None),
            TokenSource::Fixed(token) => Ok(Some(token.clone())),
            TokenSource::File(file) => {
                let text = sources::read_text("cluster token file", file)?;
                Ok(Some(SecretString::from(text.trim().to_owned())))
            }
        }
    }
}

/// Connects with the process' environment. `None`: no cluster is configured anywhere.
pub async fn connect(settings: &ClusterSettings) -> Result<Option<Cluster>, CredentialsError> {
    connect_with(settings, &Environment::process()).await
}

/// Connects with a given environment. Nothing is sent yet: a wrong token shows at the first request.
pub async fn connect_with(
    settings: &ClusterSettings,
    environment: &Environment,
) -> Result<Option<Cluster>, CredentialsError> {
    let Some(found) = sources::find(settings, environment).await? else {
        if settings.gives_token() {
            tracing::warn!(
                "K8S_TOKEN or K8S_TOKEN_FILE is set, but there is no kubeconfig and no service account to use it with"
            );
        }
        return Ok(None);
    };
    let namespace = own_namespace(settings, &found)?;
    open(found, namespace, settings.calls.clone()).await.map(Some)
}

async fn open(found: Found, namespace: String, calls: Calls) -> Result<Cluster, CredentialsError> {
    let token = token_source(&found.config);
    let client = build_client(found.config, &found.description, calls).await?;
    Ok(Cluster { client, namespace, in_cluster: found.in_cluster, description: found.description, token })
}

fn own_namespace(settings: &ClusterSettings, found: &Found) -> Result<String, CredentialsError> {
    if let Some(namespace) = settings.namespace() {
        return settings::checked_namespace("NAMESPACE", namespace);
    }
    if let Some(namespace) = settings.pod_namespace() {
        return settings::checked_namespace("POD_NAMESPACE", namespace);
    }
    let fallback = found.service_account_namespace.as_ref().or(found.context_namespace.as_ref());
    Ok(fallback.cloned().unwrap_or_else(|| "default".to_owned()))
}

fn token_source(config: &Config) -> TokenSource {
    let auth = &config.auth_info;
    match (&auth.token, &auth.token_file) {
        (Some(token), _) => TokenSource::Fixed(token.clone()),
        (None, Some(file)) => TokenSource::File(PathBuf::from(file)),
        (None, None) => TokenSource::Unknown,
    }
}

async fn build_client(mut config: Config, description: &str, calls: Calls) -> Result<Client, CredentialsError> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    // Its retries go on for minutes, unseen; whoever asks has a backoff of its own.
    config.default_retry = false;
    config.reset_reader_on_write = true;
    let failed = |reason: String| CredentialsError::Client { description: description.to_owned(), reason };
    let building = tokio::task::spawn_blocking(move || {
        let seen = CallsLayer::new(calls);
        ClientBuilder::try_from(config).map(|builder| builder.with_layer(&seen).build())
    });
    match tokio::time::timeout(CLIENT_TIMEOUT, building).await {
        Ok(Ok(Ok(client))) => Ok(client),
        Ok(Ok(Err(error))) => Err(failed(crate::request::chain(&error))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer from the `exec` plugin within {} s", CLIENT_TIMEOUT.as_secs()))),
    }
}
