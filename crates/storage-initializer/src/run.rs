//! What the program does, from its arguments to its exit code.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinError;
use tracing::Instrument as _;

use crate::environment::Environment;
use crate::settings::Settings;
use crate::summary::{Ending, Report};
use crate::{Failure, Kind};

mod fetching;
mod printing;
mod push;

pub use fetching::run as initialize;

/// What the program is called in its last line.
const NAME: &str = "storage-initializer";

/// Does it all, as the arguments and the environment of the process say.
pub async fn main() -> ExitCode {
    let settings = service::settings::try_parse_from(std::env::args_os(), |name| std::env::var_os(name));
    let settings: Settings = match settings {
        Ok(settings) => settings,
        Err(error) => return refused(&error),
    };
    let traces = match service::telemetry::start(&settings.log, &settings.traces, NAME) {
        Ok(traces) => traces,
        Err(error) => return ended(&Ending::Failed(Failure::new(Kind::Usage, error.to_string(), ""))),
    };
    let (settings, report) = (Arc::new(settings), Arc::new(Report::new()));
    let ending = supervised(Arc::clone(&settings), Arc::clone(&report)).await;
    // Told to stop, there is no time for what others take their time for.
    if !matches!(ending, Ending::Stopped(_)) {
        push::metrics(&settings.metrics, &report, &ending).await;
        traces.finish().await;
    }
    if let Some(file) = &settings.summary
        && let Err(error) = report.write(&settings, &ending, file)
    {
        tracing::warn!("the summary cannot be written to {}: {error}", file.display());
    }
    ended(&ending)
}

/// What clap has to say: help and version are no failure.
fn refused(error: &clap::Error) -> ExitCode {
    // Nobody is there to be told that it cannot be printed.
    let _ = error.print();
    if error.use_stderr() {
        let advice = "see the message above, and storage-initializer --help";
        return ended(&Ending::Failed(Failure::new(Kind::Usage, "the arguments or settings cannot be used", advice)));
    }
    ExitCode::SUCCESS
}

/// Runs until it ends, or a signal ends it.
async fn supervised(settings: Arc<Settings>, report: Arc<Report>) -> Ending {
    let span = tracing::info_span!(
        target: service::telemetry::TARGET, parent: None, "initialize storage", destination = ?settings.dest_path,
    );
    let work = async move {
        let result = fetching::run(&settings, Environment::of_process(), &report).await;
        if let Err(failure) = &result {
            service::telemetry::failed(&tracing::Span::current(), failure);
        }
        result
    };
    let mut task = tokio::spawn(work.instrument(span));
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return ending(task.await);
    };
    tokio::select! {
        result = &mut task => ending(result),
        () = received(&mut term) => { task.abort(); Ending::Stopped("SIGTERM") }
        () = received(&mut int) => { task.abort(); Ending::Stopped("SIGINT") }
    }
}

async fn received(signals: &mut Signal) {
    if signals.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

fn ending(result: Result<Result<(), Failure>, JoinError>) -> Ending {
    match result {
        Ok(Ok(())) => Ending::Succeeded,
        Ok(Err(failure)) => Ending::Failed(failure),
        Err(error) => {
            let what = format!("the program has a fault: {error}");
            Ending::Failed(Failure::new(Kind::Internal, what, "report it with the lines above"))
        }
    }
}

/// The last line, and the exit code.
fn ended(ending: &Ending) -> ExitCode {
    if let Some(message) = ending.message() {
        eprintln!("{NAME}: {message}");
    }
    ExitCode::from(ending.code())
}
