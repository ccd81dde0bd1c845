//! Puts the normalizer together and runs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bridge_api::clients::StorageClient;
use cluster::ContextName;
use cluster::watch::NamespaceAnnotations;
use service::calls::{CallMetrics, Target};
use service::http_client::{TlsSettings, client, client_with};
use service::secret::source_of;
use service::{Listen, Metrics, Readiness, Running, ServerBuilder, Shutdown, telemetry};
use tokio_util::task::TaskTracker;

use crate::clusters::{self, Clusters, Search};
use crate::engine::Engine;
use crate::hold::HoldPolicy;
use crate::inventory::SourceId;
use crate::metrics::{Freshness, NormalizerMetrics};
use crate::observe::registry::Cadence;
use crate::observe::{Board, manifests, served_apis};
use crate::project::ProjectionSettings;
use crate::publish::Publisher;
use crate::settings::Settings;
use crate::sources::{Access, Registries, Token};
use crate::status::{self, EngineStatus};

/// Runs the normalizer until `shutdown`.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let traces = telemetry::start(&settings.log, &settings.traces, "normalizer")?;
    let ended = start(settings, shutdown).await?.task.await;
    traces.finish().await;
    ended.context("the normalizer ended unexpectedly")?
}

/// Starts the normalizer; wrong settings are errors.
pub async fn start(mut settings: Settings, shutdown: Shutdown) -> anyhow::Result<Running> {
    let metrics = Metrics::new("normalizer");
    let counted = NormalizerMetrics::new(&metrics);
    settings.cluster.calls = counted.calls.to(Target::Kubernetes);
    let readiness = Readiness::not_ready("storage was not reached yet");
    let (board, status) = (Board::default(), EngineStatus::default());
    metrics.collect(Freshness(board.clone()));
    let server = ServerBuilder::new("normalizer")
        .described(status::router(board.clone(), status.clone(), settings.format))
        .metrics(metrics)
        .tls(settings.tls.load()?)
        .readiness(readiness.clone());
    let server = server
        .bind(Listen { address: settings.admin_address, setting: "--admin-address / NORMALIZER_ADMIN_ADDRESS" })
        .await?;
    let address = server.local_addr();

    let tasks = TaskTracker::new();
    observe(&settings, &board, &tasks, &counted, &shutdown).await?;

    let storage = settings.storage()?;
    tracing::info!(%storage, format = %settings.format, "entries go to storage");
    let tls = TlsSettings {
        ca_file: settings.storage_ca.clone(),
        insecure_skip_verify: settings.storage_insecure_skip_tls_verify,
        server_certificate: settings.storage_certificate.clone(),
    };
    let storage = StorageClient::new(storage, client(&tls, "storage").context("--storage-ca / STORAGE_CA")?)
        .with_token_source(source_of(settings.token.secret()?))
        .with_calls(counted.calls.to(Target::Storage));
    let policy = HoldPolicy { share: settings.mass_removal_share, interval: settings.polling_interval.into() };
    let engine = Engine {
        board,
        settings: Arc::new(projection_settings(&settings)?),
        publisher: Publisher::new(storage, settings.format, policy, settings.source_grace.into(), counted.clone())
            .emitting(settings.render_options()),
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
        filter: settings.filter(),
        owners: settings.owners(),
        emit: settings.render_options().emit,
        questions: settings.questions(),
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
    let connections = if manifests.is_empty() && !settings.no_cluster {
        clusters::connect(&settings.cluster).await?
    } else {
        Vec::new()
    };
    if connections.is_empty() && named.is_empty() && manifests.is_empty() {
        bail!(
            "nothing to read: no cluster is configured and no registry is named; set KUBECONFIG (or run in a cluster), \
             or name registries with --mr-url / MR_URL"
        );
    }
    if connections.is_empty() && !settings.mr_route.0.is_empty() {
        bail!(
            "--mr-route / MR_ROUTE names Routes, but no cluster is configured: set KUBECONFIG, or use --mr-url / MR_URL"
        );
    }
    let registries = Registries {
        access: access(settings, clusters::token_for_named(&connections), &metrics.calls)?,
        board: board.clone(),
        metrics: metrics.sources.clone(),
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
    };
    if !settings.questions().is_empty() {
        let tls = registry_tls(settings);
        let guard = settings.foreign.guard(settings.pod_ip);
        let asker = served_apis::Asker::new(&tls, guard, board.clone()).context("--registry-ca / REGISTRY_CA")?;
        tasks.spawn(asker.run(shutdown.clone()));
    }
    registries.read_named(named);
    if !manifests.is_empty() {
        let snapshot = manifests::read(&manifests).context("--manifests / KSERVE_MANIFESTS")?;
        board.cluster_seen(&SourceId::cluster(ContextName::default().as_str()), Some(snapshot), None);
    } else if connections.is_empty() {
        tracing::info!("no cluster is configured: only the registries that were named are read");
    }
    let routes = settings.mr_route.0.clone();
    let search = if named.is_empty() || !routes.is_empty() { Search::Routes(routes) } else { Search::None };
    let clusters = Clusters {
        settings: settings.cluster.clone(),
        board: board.clone(),
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
        namespace_annotations: if settings.namespace_annotations {
            NamespaceAnnotations::Watched
        } else {
            NamespaceAnnotations::Ignored
        },
        interval: settings.polling_interval.into(),
        several: connections.len() > 1,
    };
    connections.into_iter().try_for_each(|connection| clusters.start(connection, &registries, &search))
}

fn registry_tls(settings: &Settings) -> TlsSettings {
    TlsSettings {
        ca_file: settings.registry_ca.clone(),
        insecure_skip_verify: settings.registry_insecure_skip_tls_verify,
        ..TlsSettings::default()
    }
}

/// How registries are read with these settings, with `token` unless they give one; `calls` sees the requests.
pub fn access(settings: &Settings, token: Token, calls: &CallMetrics) -> anyhow::Result<Access> {
    let tls = registry_tls(settings);
    let token = settings.registry_token()?.map_or(token, Token::Given);
    let guard = settings.foreign.guard(settings.pod_ip);
    let guarded = client_with(&tls, "discovered registries", |builder| guard.restrict(builder));
    Ok(Access {
        http: client(&tls, "the registries").context("--registry-ca / REGISTRY_CA")?,
        guarded: guarded.context("--registry-ca / REGISTRY_CA")?,
        guard,
        registry_calls: calls.to(Target::Registry),
        catalog_calls: calls.to(Target::Catalog),
        foreign: settings.foreign.clone(),
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
