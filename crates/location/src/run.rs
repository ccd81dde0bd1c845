//! Puts the parts together and runs them.

use std::sync::Arc;

use anyhow::Context;
use bridge_api::StorageClient;
use service::server::Limits;
use service::{Listen, Metrics, Readiness, Running, ServerBuilder, Shutdown, http_client, telemetry};

use crate::api;
use crate::catalog::ServedCatalog;
use crate::metrics::LoadCounters;
use crate::settings::Settings;
use crate::sync::Synchronizer;

/// Runs the service until `shutdown`.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    telemetry::init(&settings.log);
    start(settings, shutdown).await?.task.await.context("location ended unexpectedly")?
}

/// Starts the service: when this returns, it listens.
pub async fn start(settings: Settings, shutdown: Shutdown) -> anyhow::Result<Running> {
    let storage_url = settings.storage_url().context("no URL of storage-rest: set --storage-url or STORAGE_URL")?;
    let http = http_client::client(&settings.storage_tls(), "storage-rest").context("--storage-ca / STORAGE_CA")?;
    let readiness = Readiness::not_ready("storage was not asked yet");
    let catalog = Arc::new(ServedCatalog::new(settings.format));
    let (metrics, loads) = (Metrics::new("location"), LoadCounters::default());
    loads.register(&metrics);
    catalog.sizes().register(&metrics);

    let server = ServerBuilder::new("location")
        .router(api::router(Arc::clone(&catalog), readiness.clone()))
        .readiness(readiness.clone())
        .metrics(metrics)
        .limits(Limits { body_bytes: settings.body_limit, ..Limits::default() })
        .bind(Listen { address: settings.listen_address, setting: "--listen-address or LOCATION_LISTEN_ADDRESS" })
        .await?;
    let address = server.local_addr();
    tracing::info!(storage = storage_url.origin().ascii_serialization(), format = %settings.format, "location loads from storage");

    let storage = StorageClient::new(storage_url, http);
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
