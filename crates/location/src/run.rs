//! Puts the parts together and runs them.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use bridge_api::{NormalizerClient, StorageClient};
use cluster::ClusterReviewer;
use service::auth::Surroundings;
use service::calls::{CallMetrics, Target};
use service::secret::source_of;
use service::server::Limits;
use service::{Authorizer, Listen, Metrics, Readiness, Running, ServerBuilder, Shutdown, http_client, telemetry};

use crate::api;
use crate::catalog::ServedCatalog;
use crate::metrics::{ChangeTimes, LoadCounters};
use crate::settings::Settings;
use crate::sync::Synchronizer;
use crate::ui::{self, Normalizer};

/// Runs the service until `shutdown`.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let traces = telemetry::start(&settings.log, &settings.traces, "location")?;
    let ended = start(settings, shutdown).await?.task.await;
    traces.finish().await;
    ended.context("location ended unexpectedly")?
}

/// Starts the service: when this returns, it listens.
pub async fn start(mut settings: Settings, shutdown: Shutdown) -> anyhow::Result<Running> {
    let storage_url = settings.storage_url().context("no URL of storage-rest: set --storage-url or STORAGE_URL")?;
    let http = http_client::client(&settings.storage_tls(), "storage-rest").context("--storage-ca / STORAGE_CA")?;
    let readiness = Readiness::not_ready("storage was not asked yet");
    let catalog = Arc::new(ServedCatalog::new(settings.format));
    let (metrics, loads) = (Metrics::new("location"), LoadCounters::default());
    loads.register(&metrics);
    let (calls, changes) = (CallMetrics::new(&metrics), ChangeTimes::default());
    changes.register(&metrics);
    settings.cluster.calls = calls.to(Target::Kubernetes);
    catalog.sizes().register(&metrics);

    let authorizer = authorizer(&settings).await?;
    let mut pages = Router::new();
    if !settings.no_ui {
        let (catalog, normalizer) = (Arc::clone(&catalog), normalizer(&settings)?);
        pages = ui::router(catalog, readiness.clone(), normalizer, &authorizer, shutdown.child());
    }
    let server = ServerBuilder::new("location")
        .described(api::router(Arc::clone(&catalog), readiness.clone(), changes, &authorizer))
        .router(pages)
        .readiness(readiness.clone())
        .metrics(metrics)
        .tls(settings.tls.load()?)
        .limits(Limits { body_bytes: settings.body_limit, ..Limits::default() })
        .bind(Listen { address: settings.listen_address, setting: "--listen-address or LOCATION_LISTEN_ADDRESS" })
        .await?;
    let address = server.local_addr();
    tracing::info!(storage = storage_url.origin().ascii_serialization(), format = %settings.format, "location loads from storage");

    let token = settings.access.token.secret()?;
    let storage =
        StorageClient::new(storage_url, http).with_token_source(source_of(token)).with_calls(calls.to(Target::Storage));
    let synchronizer = Synchronizer::new(storage, catalog, readiness, loads);
    let stopped = shutdown.child();
    let synchronizing = tokio::spawn(synchronizer.run(settings.resync_interval.0, stopped.clone()));
    let task = tokio::spawn(async move {
        let served = server.serve(shutdown).await;
        // Without the server there is no one to synchronize for.
        stopped.trigger();
        synchronizing.await.context("the synchronization with storage ended unexpectedly")?;
        served.context("location cannot serve")
    });
    Ok(Running { address, task })
}

fn normalizer(settings: &Settings) -> anyhow::Result<Normalizer> {
    let url = settings.normalizer_url().context("no URL of the normalizer: set --normalizer-url or NORMALIZER_URL")?;
    let http =
        http_client::client(&settings.normalizer_tls(), "the normalizer").context("--normalizer-ca / NORMALIZER_CA")?;
    Ok(Normalizer::new(NormalizerClient::new(url, http)))
}

async fn authorizer(settings: &Settings) -> anyhow::Result<Authorizer> {
    let reviewer =
        if settings.access.needs_reviewer() { ClusterReviewer::connect(&settings.cluster).await? } else { None };
    let surroundings = Surroundings {
        pod_ip: settings.pod_ip,
        listen: Some(settings.listen_address),
        reviewer: reviewer.map(|reviewer| Arc::new(reviewer) as _),
    };
    Ok(Authorizer::new("location", &settings.access, surroundings)?)
}
