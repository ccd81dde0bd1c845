//! Puts the service together: store, routes, deliveries, and their end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use bridge_api::LocationClient;
use cluster::{Cluster, ClusterReviewer};
use service::auth::Surroundings;
use service::calls::Target;
use service::http_client;
use service::secret::source_of;
use service::server::{BoundServer, Limits};
use service::{Authorizer, Listen, Metrics, Readiness, Running, ServerBuilder, Shutdown};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::api::{self, Api};
use crate::deliver::backstage::{Backstage, BackstageImport};
use crate::deliver::location::LocationDelivery;
use crate::deliver::{Held, Pace, Settled, Touched, Untold};
use crate::metrics::{self, StorageMetrics};
use crate::settings::Settings;
use crate::store::backend::Backend;
use crate::store::{Filling, Store, StoreError};

/// How often the store is asked whether it can be reached.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long deliveries may take to come to their end; requests under way have their own, shorter, limit.
const STOP_WITHIN: Duration = Duration::from_secs(7);

/// Runs the service until `shutdown`.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    start(settings, shutdown).await?.task.await?
}

/// Starts the service. Wrong settings are an error; a store that can't be reached yet is not.
pub async fn start(mut settings: Settings, shutdown: Shutdown) -> anyhow::Result<Running> {
    http_client::install_crypto_provider();
    let shutdown = shutdown.child();
    let metrics = Metrics::new("storage-rest");
    let counted = StorageMetrics::new(&metrics);
    settings.cluster.calls = counted.calls.to(Target::Kubernetes);
    let backend = Backend::choose(&settings.storage, &settings.cluster).await?;
    let cluster = cluster_of_backstage(&settings, &backend).await?;
    let authorizer = authorizer(&settings, &backend).await?;
    let service = Service::new(settings, counted, cluster)?;
    let server = ServerBuilder::new("storage-rest")
        .described(api::router(service.api.clone(), &authorizer))
        .readiness(service.readiness.clone())
        .limits(Limits { body_bytes: service.settings.max_body_bytes, ..Limits::default() })
        .metrics(metrics)
        .tls(service.settings.tls.load()?);
    let listen =
        Listen { address: service.settings.listen_address, setting: "--listen-address / STORAGE_LISTEN_ADDRESS" };
    let server = server.bind(listen).await?;
    let address = server.local_addr();
    Ok(Running { address, task: tokio::spawn(service.serve(server, backend, shutdown)) })
}

/// The cluster that knows where Backstage is, where nothing else says so.
async fn cluster_of_backstage(settings: &Settings, backend: &Backend) -> anyhow::Result<Option<Cluster>> {
    if !settings.backstage.push_to_rhdh || settings.backstage.access.bkstg_url.is_some() {
        return Ok(None);
    }
    match backend.cluster() {
        Some(cluster) => Ok(Some(cluster)),
        None => Ok(cluster::connect(&settings.cluster).await?),
    }
}

async fn authorizer(settings: &Settings, backend: &Backend) -> anyhow::Result<Authorizer> {
    let reviewer = match backend.cluster() {
        _ if !settings.access.needs_reviewer() => None,
        Some(cluster) => Some(ClusterReviewer::new(&cluster)),
        None => ClusterReviewer::connect(&settings.cluster).await?,
    };
    let surroundings = Surroundings {
        pod_ip: settings.pod_ip,
        listen: Some(settings.listen_address),
        reviewer: reviewer.map(|reviewer| Arc::new(reviewer) as _),
    };
    Ok(Authorizer::new("storage-rest", &settings.access, surroundings)?)
}

/// What the parts of the service share.
struct Service {
    settings: Settings,
    api: Api,
    readiness: Readiness,
    held: Arc<Held>,
    untold: Arc<Untold>,
    location: LocationClient,
    import: Option<Import>,
    pace: Pace,
}

/// The Backstage import before Backstage is found.
#[derive(Clone)]
struct Import {
    backstage: Backstage,
    bridge_url: Url,
}

impl Service {
    fn new(settings: Settings, metrics: StorageMetrics, cluster: Option<Cluster>) -> anyhow::Result<Self> {
        let location_url = settings.location_url().context("LOCATION_URL")?;
        let location_http =
            http_client::client(&settings.location_tls(), "location").context("--location-ca / LOCATION_CA")?;
        let location = LocationClient::new(location_url, location_http)
            .with_token_source(source_of(settings.access.token.secret()?))
            .with_calls(metrics.calls.to(Target::Location));
        let import = if settings.backstage.push_to_rhdh {
            Some(Import {
                backstage: Backstage::new(&settings.backstage.access, &settings.cluster, cluster)?
                    .with_calls(metrics.calls.to(Target::Backstage)),
                bridge_url: settings.bridge_url().context("BRIDGE_URL")?,
            })
        } else {
            None
        };
        metrics.delivers_to(metrics::Target::Location);
        if import.is_some() {
            metrics.delivers_to(metrics::Target::Backstage);
        }
        let api = Api {
            store: Arc::new(OnceLock::new()),
            settled: Settled::default(),
            touched: Arc::new(Touched::default()),
            metrics,
            facts: api::Facts { format: settings.format, push_to_backstage: settings.backstage.push_to_rhdh },
        };
        Ok(Self {
            pace: settings.pace(),
            settings,
            api,
            readiness: Readiness::not_ready("the store can't be reached yet"),
            held: Arc::default(),
            untold: Arc::default(),
            location,
            import,
        })
    }

    async fn serve(self, server: BoundServer, backend: Backend, shutdown: Shutdown) -> anyhow::Result<()> {
        let served = {
            let work = self.work(&backend, &shutdown);
            let served = async {
                let served = server.serve(shutdown.clone()).await;
                shutdown.trigger();
                served
            };
            let (served, ()) = tokio::join!(served, work);
            served
        };
        if let Some(store) = self.api.store.get() {
            store.close().await;
        }
        served.context("storage-rest stopped serving")
    }

    /// Everything besides the routes.
    async fn work(&self, backend: &Backend, shutdown: &Shutdown) {
        let Some(store) = shutdown.unless(self.open(backend)).await else { return };
        let deliveries = [self.deliver_to_location(&store, shutdown), self.import_to_backstage(&store, shutdown)];
        shutdown.unless(self.watch(&*store)).await;
        for delivery in deliveries {
            if tokio::time::timeout(STOP_WITHIN, delivery).await.is_err() {
                tracing::warn!("a delivery did not come to its end in time; it goes on after the next start");
            }
        }
    }

    /// Opens the store, however long it takes.
    async fn open(&self, backend: &Backend) -> Arc<dyn Store> {
        let mut failures = 0;
        loop {
            match self.open_once(backend).await {
                Ok(store) => {
                    tracing::info!("opened {}", store.describe());
                    let store = Arc::clone(self.api.store.get_or_init(|| store));
                    // Only now: whoever reads that it is ready is answered.
                    self.readiness.set_ready();
                    return store;
                }
                Err(error) => {
                    failures += 1;
                    let wait = self.pace.wait(failures);
                    tracing::warn!(%error, retry_in = ?wait, "the store can't be opened yet");
                    self.readiness.set_not_ready(error.to_string());
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Opens the store and sees whether it may be taken for the whole.
    async fn open_once(&self, backend: &Backend) -> Result<Arc<dyn Store>, StoreError> {
        let store = backend.open().await?;
        if store.index().await?.is_empty() {
            store.set_filling(Filling::UnderWay).await?;
        }
        self.api.settled.set(store.filling().await? == Filling::Over);
        Ok(store)
    }

    /// Keeps the readiness true.
    async fn watch(&self, store: &dyn Store) {
        loop {
            tokio::time::sleep(PING_EVERY).await;
            match store.ping().await {
                Ok(()) if !self.readiness.is_ready() => {
                    tracing::info!("{} can be reached again", store.describe());
                    self.readiness.set_ready();
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "the store can't be reached");
                    self.readiness.set_not_ready(error.to_string());
                }
            }
        }
    }

    fn deliver_to_location(&self, store: &Arc<dyn Store>, shutdown: &Shutdown) -> AbortOnDropHandle<()> {
        let delivery = LocationDelivery {
            store: Arc::clone(store),
            client: self.location.clone(),
            touched: Arc::clone(&self.api.touched),
            held: Arc::clone(&self.held),
            untold: self.import.as_ref().map(|_| Arc::clone(&self.untold)),
            settled: self.api.settled.clone(),
            metrics: self.api.metrics.clone(),
            pace: self.pace,
        };
        AbortOnDropHandle::new(tokio::spawn(delivery.run(shutdown.clone())))
    }

    fn import_to_backstage(&self, store: &Arc<dyn Store>, shutdown: &Shutdown) -> AbortOnDropHandle<()> {
        let Some(import) = self.import.clone() else { return AbortOnDropHandle::new(tokio::spawn(async {})) };
        let settings = self.settings.clone();
        let (store, settled) = (Arc::clone(store), self.api.settled.clone());
        let (held, untold) = (Arc::clone(&self.held), Arc::clone(&self.untold));
        let (metrics, pace, shutdown) = (self.api.metrics.clone(), self.pace, shutdown.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let Some(found) = shutdown.unless(import.backstage.awaited_client(pace)).await else { return };
            let Some(client) = found else {
                tracing::warn!("PUSH_TO_RHDH is on, and nothing is registered in Backstage");
                return;
            };
            let import = BackstageImport {
                store,
                client,
                held,
                untold,
                settled,
                bridge_url: import.bridge_url,
                format: settings.format,
                location_type: settings.backstage.location_type(settings.format).to_owned(),
                orphans: settings.backstage.orphans(),
                metrics,
                pace,
            };
            import.run(shutdown).await;
        }))
    }
}
