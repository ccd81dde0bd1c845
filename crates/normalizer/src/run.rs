//! Puts the normalizer together and runs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bridge_api::clients::StorageClient;
use cluster::{Cluster, ClusterWatch, WatchOptions, connect};
use service::http_client::{TlsSettings, client};
use service::{Listen, Metrics, Readiness, Running, ServerBuilder, Shutdown, telemetry};
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::hold::HoldPolicy;
use crate::inventory::SourceId;
use crate::metrics::NormalizerMetrics;
use crate::observe::registry::Cadence;
use crate::observe::{Board, cluster as follow_cluster, manifests};
use crate::project::ProjectionSettings;
use crate::publish::Publisher;
use crate::settings::Settings;
use crate::status::{self, EngineStatus};
use crate::sources::{Access, Registries, Token};

/// What entries of the cluster are remembered under.
const CLUSTER: &str = "default";

/// Runs the normalizer until `shutdown`.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    telemetry::init(&settings.log);
    start(settings, shutdown).await?.task.await.context("the normalizer ended unexpectedly")?
}

/// Starts the normalizer; wrong settings are errors.
pub async fn start(settings: Settings, shutdown: Shutdown) -> anyhow::Result<Running> {
    let metrics = Metrics::new("normalizer");
    let counted = NormalizerMetrics::new(&metrics);
    let readiness = Readiness::not_ready("storage was not reached yet");
    let (board, status) = (Board::default(), EngineStatus::default());
    let server = ServerBuilder::new("normalizer")
        .router(status::router(board.clone(), status.clone()))
        .metrics(metrics)
        .readiness(readiness.clone());
    let server = server
        .bind(Listen { address: settings.admin_address, setting: "--admin-address / NORMALIZER_ADMIN_ADDRESS" })
        .await?;
    let address = server.local_addr();

    let tasks = TaskTracker::new();
    observe(&settings, &board, &tasks, &counted, &shutdown).await?;

    let storage = settings.storage()?;
    tracing::info!(%storage, format = %settings.format, "entries go to storage");
    let tls = TlsSettings { ca_file: settings.storage_ca.clone(), insecure_skip_verify: false };
    let storage = StorageClient::new(storage, client(&tls, "storage").context("--storage-ca / STORAGE_CA")?);
    let policy = HoldPolicy { share: settings.mass_removal_share, interval: settings.polling_interval.into() };
    let engine = Engine {
        board,
        settings: Arc::new(projection_settings(&settings)?),
        publisher: Publisher::new(storage, settings.format, policy, counted.clone()),
        interval: Duration::from(settings.polling_interval),
        metrics: counted,
        readiness,
        status,
    };
    tasks.spawn(engine.run(shutdown.clone()));
    tasks.close();
    let task = tokio::spawn(async move {
        let served = server.serve(shutdown.clone()).await;
        // Without its health page the service must not go on unseen.
        shutdown.trigger();
        tasks.wait().await;
        served.context("health and metrics could not be served")
    });
    Ok(Running { address, task })
}

/// What the projection takes from the settings.
pub fn projection_settings(settings: &Settings) -> anyhow::Result<ProjectionSettings> {
    Ok(ProjectionSettings {
        default_owner: settings.default_owner.clone(),
        default_lifecycle: settings.default_lifecycle.clone(),
        location_base: settings.location_base()?,
    })
}

/// Starts to observe whatever the settings name, or the cluster has.
pub async fn observe(
    settings: &Settings,
    board: &Board,
    tasks: &TaskTracker,
    metrics: &NormalizerMetrics,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let named = &settings.mr_url.0;
    let manifests: Vec<PathBuf> = settings.manifests.0.iter().map(PathBuf::from).collect();
    let cluster = if manifests.is_empty() && !settings.no_cluster { connect(&settings.cluster).await? } else { None };
    if cluster.is_none() && named.is_empty() && manifests.is_empty() {
        bail!(
            "nothing to read: no cluster is configured and no registry is named; set KUBECONFIG (or run in a cluster), \
             or name registries with --mr-url / MR_URL"
        );
    }
    if cluster.is_none() && !settings.mr_route.0.is_empty() {
        bail!(
            "--mr-route / MR_ROUTE names Routes, but no cluster is configured: set KUBECONFIG, or use --mr-url / MR_URL"
        );
    }
    let cluster = cluster.map(Arc::new);
    let registries = Registries {
        access: access(settings, cluster.as_ref())?,
        board: board.clone(),
        metrics: metrics.sources.clone(),
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
    };
    registries.read_named(named);
    if !manifests.is_empty() {
        let snapshot = manifests::read(&manifests).context("--manifests / KSERVE_MANIFESTS")?;
        board.cluster_seen(&SourceId::cluster(CLUSTER), Some(snapshot), None);
    }
    match &cluster {
        None => tracing::info!("no cluster is configured: only the registries that were named are read"),
        Some(cluster) => {
            tracing::info!(namespace = %cluster.namespace, "the cluster is watched ({})", cluster.description);
            watch(settings, cluster, board, tasks, shutdown)?;
            let routes = settings.mr_route.0.clone();
            if named.is_empty() || !routes.is_empty() {
                tasks.spawn(registries.follow(Arc::clone(cluster), routes));
            }
        }
    }
    Ok(())
}

fn watch(
    settings: &Settings,
    cluster: &Cluster,
    board: &Board,
    tasks: &TaskTracker,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let id = SourceId::cluster(CLUSTER);
    board.expect_cluster(&id);
    let options = WatchOptions { namespaces: settings.cluster.watched_namespaces()?, ..WatchOptions::default() };
    let watch = ClusterWatch::start(cluster, options);
    tasks.spawn(follow_cluster::follow(id, watch, board.clone(), shutdown.clone()));
    Ok(())
}

fn access(settings: &Settings, cluster: Option<&Arc<Cluster>>) -> anyhow::Result<Access> {
    let tls = TlsSettings {
        ca_file: settings.registry_ca.clone(),
        insecure_skip_verify: settings.registry_insecure_skip_tls_verify,
    };
    let token = match (&settings.kfmr_token, cluster) {
        (None, Some(cluster)) => Token::OfCluster(Arc::clone(cluster)),
        (token, _) => Token::Fixed(token.clone()),
    };
    Ok(Access {
        http: client(&tls, "the registries").context("--registry-ca / REGISTRY_CA")?,
        token,
        catalogs: settings.catalog_url.0.clone(),
        concurrency: usize::from(settings.registry_concurrency),
        cadence: Cadence {
            polling: settings.polling_interval.into(),
            resync: settings.resync_interval.into(),
            probe: settings.probe_interval.into(),
        },
        grace: settings.source_grace.into(),
    })
}
