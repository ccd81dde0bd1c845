//! The `model-catalog-bridge` binary: the three services in one process, and what people run by hand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod backstage;
mod check;
mod color;
mod completions;
mod demo;
mod diff;
mod peers;
mod programs;
mod progress;
mod reference;
mod render;
mod settings;
mod status;
mod storage;
mod table;
mod up;
mod validate;

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
    /// Print what the next synchronisation would change in the storage that runs, as a unified diff; sends nothing
    Diff(diff::DiffArgs),
    /// Show how the three services are: live on a terminal, else as a table or JSON
    Status(status::StatusArgs),
    /// Tidy up in Backstage
    Backstage(backstage::BackstageArgs),
    /// Move stored entries: to a file, from a file, or from one storage to another
    #[command(subcommand)]
    Storage(storage::StorageCommand),
    /// Go through everything that must hold for a bridge with these settings, and say what to do; changes nothing
    Check(Box<check::CheckArgs>),
    /// Check catalog documents and catalog-info files against the schema and Backstage's rules
    Validate(validate::ValidateArgs),
    /// Print what a shell needs to complete this command
    Completions(completions::CompletionsArgs),
    /// Write completions and manual pages of all programs into a directory
    Manual(completions::ManualArgs),
    /// Print every setting of the services as Markdown
    Reference,
}

/// What commands end with that could not do what was asked of them.
const FAILED: u8 = 1;
/// The same of commands for which 1 is an answer.
const TROUBLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = service::settings::parse();
    let failed =
        if matches!(cli.command, Command::Check(_) | Command::Diff(_) | Command::Status(_) | Command::Validate(_)) {
            TROUBLE
        } else {
            FAILED
        };
    run(cli.command).await.unwrap_or_else(|error| {
        eprintln!("Error: {error:?}");
        ExitCode::from(failed)
    })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        // Boxed for their size: each holds the settings of three services.
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Up(args) => Box::pin(up::run(*args)).await,
        Command::Render(args) => render::run(args).await,
        Command::Backstage(args) => backstage::run(args).await,
        Command::Storage(command) => Box::pin(storage::run(command)).await,
        Command::Diff(args) => return Box::pin(diff::run(args)).await,
        Command::Status(args) => return Box::pin(status::run(args)).await,
        Command::Check(args) => return Box::pin(check::run(*args)).await,
        Command::Validate(args) => return validate::run(&args),
        Command::Completions(args) => completions::print::<Cli>(&args),
        Command::Manual(args) => completions::write_all::<Cli>(&args),
        Command::Reference => {
            reference::print();
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}
