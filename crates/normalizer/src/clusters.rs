//! The clusters that are watched: none, one, or several contexts of a kubeconfig, each with failures of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cluster::watch::NamespaceAnnotations;
use cluster::{Cluster, ClusterSettings, ClusterWatch, ContextName, CredentialsError, WatchOptions, connect_all};
use service::Shutdown;
use tokio_util::task::TaskTracker;

use crate::inventory::SourceId;
use crate::observe::{Board, cluster as observer};
use crate::sources::{Registries, Token};

/// How often a cluster whose credentials cannot be used is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// A cluster by its context, or why there is no connection to it.
pub type Connection = (ContextName, Result<Cluster, CredentialsError>);

/// Connects to the clusters of the settings. One cluster that cannot be used is an error of the settings; of several,
/// each is on its own, and only if none can be used that is an error.
pub async fn connect(settings: &ClusterSettings) -> anyhow::Result<Vec<Connection>> {
    let connections = connect_all(settings).await;
    if connections.iter().any(|(_, cluster)| cluster.is_ok()) {
        return Ok(connections);
    }
    match connections.into_iter().next() {
        Some((_, Err(error))) => Err(error).context("the cluster cannot be used"),
        _ => Ok(Vec::new()),
    }
}

/// What starts to watch clusters, and to look for registries in them.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// The settings of all of them.
    pub settings: ClusterSettings,
    /// Where what they serve is put.
    pub board: Board,
    /// The tasks.
    pub tasks: TaskTracker,
    /// Ends all of them.
    pub shutdown: Shutdown,
    /// Whether annotations of namespaces are read, too.
    pub namespace_annotations: NamespaceAnnotations,
    /// How long lies between the two lists that must agree on a large removal.
    pub interval: Duration,
    /// Whether several are watched: then registries are remembered with their cluster's name.
    pub several: bool,
}

/// Which registries are looked for in a cluster.
#[derive(Debug, Clone)]
pub enum Search {
    /// None: they were named by URL.
    None,
    /// Those of these Routes; all that there are, where there is none.
    Routes(Vec<String>),
}

impl Clusters {
    /// Watches a cluster, and looks for registries in it, as soon as it can be used.
    pub fn start(&self, connection: Connection, registries: &Registries, search: &Search) -> anyhow::Result<()> {
        let (context, cluster) = connection;
        self.board.expect_cluster(&SourceId::cluster(context.as_str()));
        if let Search::Routes(_) = search {
            registries.expect_search(context.as_str());
        }
        match cluster {
            Ok(cluster) => self.begin(&context, Arc::new(cluster), registries, search),
            Err(error) => {
                tracing::error!(%context, "the cluster cannot be used, its entries stay as they are: {error}");
                let (clusters, registries, search) = (self.clone(), registries.clone(), search.clone());
                self.tasks.spawn(async move { clusters.try_again(context, error, registries, search).await });
                Ok(())
            }
        }
    }

    async fn try_again(&self, context: ContextName, error: CredentialsError, registries: Registries, search: Search) {
        self.board.cluster_seen(&SourceId::cluster(context.as_str()), None, Some(error.to_string()));
        while self.shutdown.unless(tokio::time::sleep(TRY_AGAIN)).await.is_some() {
            let connections = connect_all(&self.settings).await;
            let found = connections.into_iter().find(|(name, _)| *name == context);
            let Some((_, Ok(cluster))) = found else { continue };
            tracing::info!(%context, "the cluster can be used now");
            if let Err(error) = self.begin(&context, Arc::new(cluster), &registries, &search) {
                tracing::error!(%context, "{error:#}");
            }
            return;
        }
    }

    fn begin(
        &self,
        context: &ContextName,
        cluster: Arc<Cluster>,
        registries: &Registries,
        search: &Search,
    ) -> anyhow::Result<()> {
        tracing::info!(%context, namespace = %cluster.namespace, "the cluster is watched ({})", cluster.description);
        let options = WatchOptions {
            namespaces: self.settings.watched_namespaces()?,
            namespace_annotations: self.namespace_annotations,
            ..WatchOptions::default()
        };
        let watch = ClusterWatch::start(&cluster, options);
        let id = SourceId::cluster(context.as_str());
        let follower = observer::Follower { id, watch, board: self.board.clone(), interval: self.interval };
        self.tasks.spawn(follower.run(self.shutdown.clone()));
        if let Search::Routes(routes) = search {
            let registries = registries.of_cluster(Arc::clone(&cluster));
            let prefix = if self.several { format!("{context}/") } else { String::new() };
            self.tasks.spawn(registries.follow(cluster, context.as_str().to_owned(), prefix, routes.clone()));
        }
        Ok(())
    }
}

/// The token for registries that were named by URL: the cluster's, where there is just one.
pub fn token_for_named(connections: &[Connection]) -> Token {
    match connections {
        [(_, Ok(cluster))] => Token::OfCluster(Arc::new(cluster.clone())),
        _ => Token::None,
    }
}
