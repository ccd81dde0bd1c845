//! Watches InferenceServices and the Services and ServiceAccounts that they own. Each kind keeps a cache and says how
//! complete it is: a failed list never empties it, only a completed list or a delete event removes.

mod cache;
mod follow;
mod kinds;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::{
    sync::watch::{self, Receiver, Sender},
    task::JoinSet,
};

pub use snapshot::{ClusterSnapshot, ObservedInferenceService};
pub use state::{KindState, Scope};

use crate::credentials::Cluster;
use cache::KindCache;
use kinds::{InferenceServices, ServiceAccounts, Services, Watched};

/// How the watches behave; the defaults suit a cluster, tests shorten them.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Namespaces to watch where a cluster-wide list is not permitted; empty: the bridge's own.
    pub namespaces: Vec<String>,
    /// How often to look whether a missing CRD has been installed.
    pub discovery_interval: Duration,
    /// How long a list may be silent.
    pub list_timeout: Duration,
    /// How long a watch must hold before a failure counts as over.
    pub settle: Duration,
    /// First delay after a failure; it doubles, with jitter.
    pub min_backoff: Duration,
    /// Longest delay between attempts.
    pub max_backoff: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            discovery_interval: Duration::from_secs(12),
            list_timeout: Duration::from_mins(1),
            settle: Duration::from_secs(5),
            min_backoff: Duration::from_millis(800),
            max_backoff: Duration::from_secs(30),
        }
    }
}

/// What the watches of one cluster know; they end when this is dropped.
pub struct ClusterWatch {
    inference_services: Arc<KindCache<InferenceServices>>,
    services: Arc<KindCache<Services>>,
    service_accounts: Arc<KindCache<ServiceAccounts>>,
    version: Arc<Sender<u64>>,
    _tasks: JoinSet<()>,
}

impl ClusterWatch {
    /// Starts the watches in the background.
    pub fn start(cluster: &Cluster, mut options: WatchOptions) -> Self {
        if options.namespaces.is_empty() {
            options.namespaces.push(cluster.namespace.clone());
        }
        let options = Arc::new(options);
        let version = Arc::new(watch::Sender::new(0));
        let mut tasks = JoinSet::new();
        Self {
            inference_services: spawn(&mut tasks, &cluster.client, &options, &version),
            services: spawn(&mut tasks, &cluster.client, &options, &version),
            service_accounts: spawn(&mut tasks, &cluster.client, &options, &version),
            version,
            _tasks: tasks,
        }
    }

    /// A counter that moves whenever a snapshot would differ. A change that the bridge has no use for does not move it.
    pub fn changes(&self) -> Receiver<u64> {
        self.version.subscribe()
    }

    /// What is known now, sorted by namespace and name.
    pub fn snapshot(&self) -> ClusterSnapshot {
        // Read first: what changes meanwhile moves the counter past it.
        let version = *self.version.borrow();
        snapshot::assemble(version, self.inference_services.view(), self.services.view(), self.service_accounts.view())
    }
}

fn spawn<W: Watched>(
    tasks: &mut JoinSet<()>,
    client: &Client,
    options: &Arc<WatchOptions>,
    version: &Arc<Sender<u64>>,
) -> Arc<KindCache<W>> {
    let cache = Arc::new(KindCache::new(Arc::clone(version)));
    tasks.spawn(follow::run(client.clone(), Arc::clone(options), Arc::clone(&cache)));
    cache
}
