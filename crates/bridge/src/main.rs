//! The `model-catalog-bridge` binary: the three services in one process, and what people run by hand.

use clap::{Parser, Subcommand};

mod backstage;
mod demo;
mod reference;
mod render;
mod settings;
mod storage;
mod table;
mod up;

/// Keeps Backstage in step with model registries and KServe.
#[derive(Debug, Parser)]
#[command(name = "model-catalog-bridge", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bridge on sample data: a sample registry and all three services in this process; no cluster, no account
    Demo(demo::DemoArgs),
    /// Run the three services in this process against real settings
    Up(Box<up::UpArgs>),
    /// Print what would be published, and what could not be; sends nothing
    Render(render::RenderArgs),
    /// Tidy up in Backstage
    Backstage(backstage::BackstageArgs),
    /// Move stored entries: to a file, from a file, or from one storage to another
    #[command(subcommand)]
    Storage(storage::StorageCommand),
    /// Print every setting of the services as Markdown
    Reference,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli: Cli = service::settings::parse();
    match cli.command {
        // Boxed for their size: each holds the settings of three services.
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Up(args) => Box::pin(up::run(*args)).await,
        Command::Render(args) => render::run(args).await,
        Command::Backstage(args) => backstage::run(args).await,
        Command::Storage(command) => Box::pin(storage::run(command)).await,
        Command::Reference => {
            reference::print();
            Ok(())
        }
    }
}
