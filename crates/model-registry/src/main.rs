//! The `model-registry` binary.

use model_registry::settings::{Cli, Command};
use model_registry::{reconcile, run};
use service::{Shutdown, settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli: Cli = settings::parse();
    match cli.command {
        Command::Proxy(settings) => run::proxy(*settings, Shutdown::new().on_signals()).await,
        Command::Catalog(settings) => run::catalog(*settings, Shutdown::new().on_signals()).await,
        Command::Migrate(settings) => run::migrate(*settings).await,
        Command::Seed(settings) => run::seed(*settings).await,
        Command::Reconcile(settings) => reconcile::run(*settings, Shutdown::new().on_signals()).await,
        Command::Export(settings) => run::export(*settings).await,
        Command::Import(settings) => run::import(*settings).await,
    }
}
