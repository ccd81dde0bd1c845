//! Watches InferenceServices with the Services and ServiceAccounts that they own, LLMInferenceServices, and annotations
//! of namespaces. Each kind keeps a cache and says how complete it is: a failed list never empties it, only a completed
//! list or a delete event removes.

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
use cache::{KindCache, Read};
use kinds::{InferenceServices, LlmInferenceServices, Namespaces, ServiceAccounts, Services, Watched};
use snapshot::Views;

/// How the watches behave; the defaults suit a cluster, tests shorten them.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Namespaces to watch where a cluster-wide list is not permitted; empty: the bridge's own.
    pub namespaces: Vec<String>,
    /// Which kinds are of use; nothing is asked about the others.
    pub kinds: Kinds,
    /// Whether annotations of namespaces are of use.
    pub namespace_annotations: NamespaceAnnotations,
    /// How often to look whether a missing CRD has been installed.
    pub discovery_interval: Duration,
    /// How often everything is listed anew, give or take a tenth: for so long a watch that died silently goes unnoticed,
    /// and so does a better version of a kind. Zero: never.
    pub relist_interval: Duration,
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
            kinds: Kinds::default(),
            namespace_annotations: NamespaceAnnotations::default(),
            relist_interval: Duration::from_mins(30),
            discovery_interval: Duration::from_secs(12),
            list_timeout: Duration::from_mins(1),
            settle: Duration::from_secs(5),
            min_backoff: Duration::from_millis(800),
            max_backoff: Duration::from_secs(30),
        }
    }
}

/// Which kinds are watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kinds {
    /// InferenceServices, LLMInferenceServices, and the Services and ServiceAccounts that the former own.
    #[default]
    All,
    /// InferenceServices alone: nothing is ever known of the others, so that [`ClusterSnapshot::is_known`] and
    /// [`ClusterSnapshot::complete_lists`] say nothing.
    InferenceServices,
}

/// Whether namespaces are watched for the annotations that are meant for the bridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NamespaceAnnotations {
    /// They are not asked for.
    #[default]
    Ignored,
    /// They are watched, where that is permitted.
    Watched,
}

/// What the watches of one cluster know; they end when this is dropped.
pub struct ClusterWatch {
    inference_services: Arc<KindCache<InferenceServices>>,
    llm_inference_services: Arc<KindCache<LlmInferenceServices>>,
    services: Arc<KindCache<Services>>,
    service_accounts: Arc<KindCache<ServiceAccounts>>,
    namespaces: Option<Arc<KindCache<Namespaces>>>,
    version: Arc<Sender<u64>>,
    asked: Arc<Asked>,
    _tasks: JoinSet<()>,
}

impl std::fmt::Debug for ClusterWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ClusterWatch").field("version", &*self.version.borrow()).finish_non_exhaustive()
    }
}

/// The newest read that was asked for, of the kinds that are counted and of the others.
struct Asked {
    counted: Sender<Read>,
    others: Sender<Read>,
}

impl ClusterWatch {
    /// Starts the watches in the background.
    pub fn start(cluster: &Cluster, mut options: WatchOptions) -> Self {
        if options.namespaces.is_empty() {
            options.namespaces.push(cluster.namespace.clone());
        }
        let mut spawner = Spawner {
            client: cluster.client.clone(),
            options: Arc::new(options),
            version: Arc::new(watch::Sender::new(0)),
            asked: Arc::new(Asked { counted: watch::Sender::new(1), others: watch::Sender::new(1) }),
            tasks: JoinSet::new(),
        };
        let namespaces = match spawner.options.namespace_annotations {
            NamespaceAnnotations::Watched => Some(spawner.spawn()),
            NamespaceAnnotations::Ignored => None,
        };
        let inference_services = spawner.spawn();
        let (llm_inference_services, services, service_accounts) = match spawner.options.kinds {
            Kinds::All => (spawner.spawn(), spawner.spawn(), spawner.spawn()),
            Kinds::InferenceServices => (spawner.idle(), spawner.idle(), spawner.idle()),
        };
        spawner.relist_from_time_to_time();
        Self {
            inference_services,
            llm_inference_services,
            services,
            service_accounts,
            namespaces,
            version: spawner.version,
            asked: spawner.asked,
            _tasks: spawner.tasks,
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
        let views = Views {
            inference_services: self.inference_services.view(),
            llm_inference_services: self.llm_inference_services.view(),
            services: self.services.view(),
            service_accounts: self.service_accounts.view(),
            namespaces: self.namespaces.as_ref().map(|cache| cache.view()),
        };
        snapshot::assemble(version, views)
    }

    /// Asks for a new complete list of InferenceServices and LLMInferenceServices. Once
    /// [`ClusterSnapshot::complete_lists`] is at least what this returns, the snapshot rests on lists that began after
    /// this call. Until then, and when a list fails, what was known stays.
    pub fn relist(&self) -> u64 {
        self.asked.counted.send_modify(|read| *read += 1);
        *self.asked.counted.borrow()
    }
}

/// Starts the tasks of one cluster.
struct Spawner {
    client: Client,
    options: Arc<WatchOptions>,
    version: Arc<Sender<u64>>,
    asked: Arc<Asked>,
    tasks: JoinSet<()>,
}

impl Spawner {
    fn spawn<W: Watched>(&mut self) -> Arc<KindCache<W>> {
        let cache = Arc::new(KindCache::new(Arc::clone(&self.version)));
        let asked = if W::COUNTED { &self.asked.counted } else { &self.asked.others };
        self.tasks.spawn(follow::run(follow::Task {
            client: self.client.clone(),
            options: Arc::clone(&self.options),
            cache: Arc::clone(&cache),
            asked: asked.subscribe(),
        }));
        cache
    }

    /// A cache that stays empty.
    fn idle<W: Watched>(&self) -> Arc<KindCache<W>> {
        Arc::new(KindCache::new(Arc::clone(&self.version)))
    }

    fn relist_from_time_to_time(&mut self) {
        let (asked, interval) = (Arc::clone(&self.asked), self.options.relist_interval);
        if interval.is_zero() {
            return;
        }
        self.tasks.spawn(async move {
            loop {
                // Bridges that were started together shall not list together for ever.
                tokio::time::sleep(interval.mul_f64(rand::random_range(0.9..1.1))).await;
                asked.counted.send_modify(|read| *read += 1);
                asked.others.send_modify(|read| *read += 1);
            }
        });
    }
}
