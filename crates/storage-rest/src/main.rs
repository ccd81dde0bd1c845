//! The `storage-rest` binary.

use service::{Shutdown, settings, telemetry};
use storage_rest::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = settings::parse();
    telemetry::init(&settings.log);
    storage_rest::run(settings, Shutdown::new().on_signals()).await
}
