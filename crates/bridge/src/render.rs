//! `render`: what would be published, on standard output; what could not be, on standard error. Sends nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use model_catalog::render::{Format, RenderOptions, render_with};
use normalizer::observe::{Board, Observed};
use normalizer::project::{Projection, project};
use normalizer::settings::NamedUrl;
use service::{Metrics, Shutdown, telemetry};
use tokio_util::task::TaskTracker;

use crate::progress::Waiting;
use crate::settings::{flag, from_flags};

/// How long sources may take to be read.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long served APIs may take to answer, all together.
const ANSWERS: Duration = Duration::from_secs(30);

/// What to look at. Without a registry and without manifests, the settings of the normalizer count (its environment
/// variables), as when it runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sources {
    /// Model registries by URL
    #[arg(long, value_name = "URL", num_args = 1.., value_delimiter = ',')]
    registry: Vec<NamedUrl>,
    /// Files with InferenceServices to take in place of a cluster's
    #[arg(long, value_name = "FILE", num_args = 1..)]
    manifests: Vec<PathBuf>,
    /// CatalogInfoYamlFormat (yaml) or JsonArrayFormat (json) [default: NORMALIZER_FORMAT, else yaml]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

/// What to print.
#[derive(Debug, Clone, Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    sources: Sources,
    /// What to log
    #[arg(long, env = "LOG_LEVEL", default_value = "warn", value_name = "FILTER")]
    log_level: telemetry::LogLevel,
}

/// Reads all sources once and prints what they come to.
pub(crate) async fn run(args: RenderArgs) -> anyhow::Result<()> {
    telemetry::init(&telemetry::LogSettings { log_level: args.log_level.clone(), ..Default::default() });
    let settings = args.sources.settings()?;
    let projection = read(&settings).await?;
    print(&projection, settings.format, &settings.render_options())
}

/// Reads all sources once and projects them, as the normalizer does.
pub(crate) async fn read(settings: &normalizer::Settings) -> anyhow::Result<Projection> {
    let shutdown = Shutdown::new().on_signals();
    let waiting = Waiting::new("reading all sources");
    let (board, tasks) = (Board::default(), TaskTracker::new());
    let metrics = normalizer::metrics::NormalizerMetrics::new(&Metrics::new("render"));
    normalizer::observe(settings, &board, &tasks, &metrics, &shutdown).await?;
    let read = shutdown.unless(tokio::time::timeout(PATIENCE, all_read(&board))).await;
    let observed = match read {
        None => bail!("stopped before all sources were read"),
        Some(Err(_)) => bail!("not all sources were read within {} s: {}", PATIENCE.as_secs(), missing(&board)),
        Some(Ok(observed)) => observed?,
    };
    let projected = normalizer::projection_settings(settings)?;
    let mut projection = project(&observed.inventory, &projected);
    if !projection.questions.is_empty() {
        board.ask(projection.questions.clone());
        let asked = tokio::time::timeout(ANSWERS, all_asked(&board, projection.questions.len()));
        if shutdown.unless(asked).await.is_none_or(|asked| asked.is_err()) {
            tracing::warn!("not all served APIs were asked within {} s", ANSWERS.as_secs());
        }
        projection = project(&board.observed().inventory, &projected);
    }
    drop(waiting);
    shutdown.trigger();
    Ok(projection)
}

impl Sources {
    /// The settings of the normalizer that read them.
    pub(crate) fn settings(&self) -> anyhow::Result<normalizer::Settings> {
        let mut flags: Vec<OsString> = Vec::new();
        if !self.registry.is_empty() || !self.manifests.is_empty() {
            let registries: Vec<String> = self.registry.iter().map(ToString::to_string).collect();
            let manifests: Vec<String> = self.manifests.iter().map(|path| path.display().to_string()).collect();
            flags.extend([flag("mr-url", registries.join(",")), flag("mr-route", ""), flag("no-cluster", true)]);
            flags.push(flag("manifests", manifests.join(",")));
        }
        flags.extend(self.format.map(|format| flag("format", format)));
        from_flags("normalizer", flags)
    }
}

/// Waits until every source was read; fails as soon as one that was tried could not be.
async fn all_read(board: &Board) -> anyhow::Result<Observed> {
    let mut changes = board.changes();
    loop {
        changes.borrow_and_update();
        let observed = board.observed();
        let statuses = board.statuses();
        // A registry that can no longer be read settles nothing more.
        let settled = observed.inventory.unread_versions.is_empty()
            || observed
                .inventory
                .registries
                .keys()
                .any(|registry| statuses.get(registry).is_some_and(|status| status.failure.is_some()));
        if observed.is_complete() && settled {
            return Ok(observed);
        }
        let failures: Vec<String> = statuses
            .into_iter()
            .filter(|(source, _)| observed.unread.contains(source))
            .filter_map(|(source, status)| Some(format!("{source}: {}", status.failure?)))
            .collect();
        if !failures.is_empty() {
            bail!("not everything could be read:\n  {}", failures.join("\n  "));
        }
        changes.changed().await?;
    }
}

/// Waits until all served APIs were asked, whatever they answered.
async fn all_asked(board: &Board, apis: usize) {
    let mut changes = board.changes();
    loop {
        changes.borrow_and_update();
        if board.observed().inventory.served_apis.len() >= apis || changes.changed().await.is_err() {
            return;
        }
    }
}

fn missing(board: &Board) -> String {
    let observed = board.observed();
    let unread: Vec<String> = observed.unread.iter().map(ToString::to_string).collect();
    if unread.is_empty() { "registries are still being searched for".to_owned() } else { unread.join(", ") }
}

fn print(projection: &Projection, format: Format, options: &RenderOptions) -> anyhow::Result<()> {
    match format {
        Format::CatalogInfoYaml => {
            for (index, entry) in projection.entries.values().enumerate() {
                let divider = if index == 0 { "" } else { "---\n" };
                let text = String::from_utf8(render_with(&entry.catalog, format, options)?)?;
                print!("{divider}# {} ({})\n{text}", entry.key, entry.key.uri(format));
            }
        }
        Format::ModelCatalogJson => {
            let entries: serde_json::Map<String, serde_json::Value> = projection
                .entries
                .values()
                .map(|entry| Ok((entry.key.uri(format), serde_json::to_value(options.document(&entry.catalog))?)))
                .collect::<Result<_, serde_json::Error>>()?;
            println!("{}", serde_json::to_string_pretty(&entries)?);
        }
    }
    for diagnostic in &projection.diagnostics {
        eprintln!("{}: {}: {}", diagnostic.source, diagnostic.subject, diagnostic.problem);
    }
    eprintln!("{} entries, {} diagnostics", projection.entries.len(), projection.diagnostics.len());
    Ok(())
}
