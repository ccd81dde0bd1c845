//! The `normalizer` binary: reads its settings and runs until it is told to stop.

use service::Shutdown;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = service::settings::parse::<normalizer::Settings>();
    normalizer::run(settings, Shutdown::new().on_signals()).await
}
