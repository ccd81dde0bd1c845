//! `check`: goes through everything that must hold for a bridge with these settings, and says of each what was seen and
//! what to do. Changes nothing anywhere.
//!
//! Whatever does not depend on each other is asked at once, each within its time; the order of the report is fixed.

mod backstage;
mod clock;
mod cluster;
mod registries;
mod report;
mod rights;
mod services;
mod storage;
mod tls;
mod view;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use service::settings::GoDuration;
use service::telemetry;

use crate::color::ColorChoice;
use crate::up::UpArgs;

use self::report::{Finding, Level, Report, Section};

/// A failure was found.
const FAILURES: u8 = 1;

/// The settings of the three services, as `up` takes them, and how to tell what was found. Ends with 0 when nothing fails,
/// with 1 when something does (with --strict, when there is a warning, too), and with 2 when the settings are wrong.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    settings: UpArgs,

    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Output::Text, help_heading = "Report")]
    output: Output,

    /// When to colour it
    #[arg(long, value_enum, default_value_t, help_heading = "Report")]
    color: ColorChoice,

    /// Take warnings for failures
    #[arg(long, help_heading = "Report")]
    strict: bool,

    /// How long each check may take
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Report")]
    deadline: GoDuration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Runs all checks.
pub(crate) async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    // What services log about their settings is found here by checks; other levels are asked for by name.
    if args.settings.normalizer.log.log_level != telemetry::LogLevel::default() {
        telemetry::init(&args.settings.normalizer.log);
    }
    // Boxed for its size: it holds all checks.
    let report = Box::pin(examine(&args.settings, args.deadline.0)).await;
    match args.output {
        Output::Text => print!("{}", report.text(args.color.palette())),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    let fails = report.worst == Level::Failure || (args.strict && report.worst == Level::Warning);
    Ok(if fails { ExitCode::from(FAILURES) } else { ExitCode::SUCCESS })
}

async fn examine(settings: &UpArgs, deadline: Duration) -> Report {
    let (cluster_checks, cluster) = cluster::examine(settings, deadline).await;
    let bench = Bench { settings, deadline, cluster: cluster.as_ref() };
    let (registries, storage, services, backstage, clock) = tokio::join!(
        registries::examine(&bench),
        storage::examine(&bench),
        services::examine(&bench),
        backstage::examine(&bench),
        clock::examine(&bench),
    );
    let section = |name, checks| Section { name, checks };
    Report::of(vec![
        section("Cluster", cluster_checks),
        section("Registries", registries),
        section("Storage", storage),
        section("Running services", services),
        section("Backstage", backstage),
        section("Clocks", clock),
    ])
}

/// What all checks have at hand.
struct Bench<'a> {
    settings: &'a UpArgs,
    deadline: Duration,
    cluster: Option<&'a ::cluster::Cluster>,
}

/// What a check finds, or that it does not come to its end.
async fn within(deadline: Duration, check: &str, work: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
        let message = format!("no answer within {}", GoDuration(deadline));
        let advice = "see whether something on the way (a firewall, a NetworkPolicy, a proxy) drops connections; give \
                      more time with --deadline";
        vec![Finding::failure(check, message, advice)]
    })
}
