//! The `storage-rest` binary.

use service::{Shutdown, settings, telemetry};
use storage_rest::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = settings::parse();
    let traces = telemetry::start(&settings.log, &settings.traces, "storage-rest")?;
    let ended = storage_rest::run(settings, Shutdown::new().on_signals()).await;
    traces.finish().await;
    ended
}
