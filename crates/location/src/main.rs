//! The `location` binary: reads its settings and runs until it is told to stop.

use service::Shutdown;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = service::settings::parse::<location::Settings>();
    location::run(settings, Shutdown::new().on_signals()).await
}
