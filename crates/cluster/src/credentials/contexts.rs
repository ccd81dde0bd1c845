//! Several clusters at once: each is a context of the kubeconfig, and fails by itself.

use std::fmt;

use futures::future::join_all;

use super::{Cluster, ClusterSettings, CredentialsError, Environment, connect_with, open, settings, sources};

/// What one of several clusters is called: its context in the kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextName(String);

impl ContextName {
    /// The context of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ContextName {
    /// What the one cluster is called when no contexts are listed.
    fn default() -> Self {
        Self::new("default")
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Connects to every cluster of the settings, with the process' environment: those of `KUBE_CONTEXTS`, in their order,
/// or else the one that [`super::connect`] finds, if any, under the default name.
pub async fn connect_all(settings: &ClusterSettings) -> Vec<(ContextName, Result<Cluster, CredentialsError>)> {
    connect_all_with(settings, &Environment::process()).await
}

/// The same with a given environment.
pub async fn connect_all_with(
    settings: &ClusterSettings,
    environment: &Environment,
) -> Vec<(ContextName, Result<Cluster, CredentialsError>)> {
    let contexts = settings.contexts();
    if contexts.is_empty() {
        let cluster = connect_with(settings, environment).await.transpose();
        return cluster.map(|cluster| (ContextName::default(), cluster)).into_iter().collect();
    }
    let mut settings = settings.clone();
    if contexts.len() > 1 && settings.gives_token() {
        tracing::warn!("K8S_TOKEN belongs to one cluster: with several in KUBE_CONTEXTS it is sent to none of them");
        (settings.k8s_token, settings.k8s_token_file) = (None, None);
    }
    let connecting = contexts.into_iter().map(|context| {
        let settings = ClusterSettings { kube_context: Some(context.as_str().to_owned()), ..settings.clone() };
        async move {
            let cluster = connect_to(&settings, environment).await;
            (context, cluster)
        }
    });
    join_all(connecting).await
}

async fn connect_to(settings: &ClusterSettings, environment: &Environment) -> Result<Cluster, CredentialsError> {
    let Some(found) = sources::find(settings, environment).await? else {
        return Err(CredentialsError::Invalid {
            setting: "KUBE_CONTEXTS",
            reason: "there is no kubeconfig to look the context up in; set KUBECONFIG".to_owned(),
        });
    };
    // The pod's own namespace says nothing about another cluster.
    let namespace = match (settings.namespace(), &found.context_namespace) {
        (Some(namespace), _) => settings::checked_namespace("NAMESPACE", namespace)?,
        (None, Some(namespace)) => namespace.clone(),
        (None, None) => "default".to_owned(),
    };
    open(found, namespace, settings.calls.clone()).await
}
