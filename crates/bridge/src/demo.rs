//! `demo`: the whole bridge on sample data, for a first look.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bearer::Token;
use clap::Args;
use model_catalog::render::Format;
use model_registry::seed::Seeder;
use normalizer::observe::manifests;
use registry_client::{ListQuery, ModelVersion, RegistryClient, State};
use serde_json::{Value, json};
use service::http_client::{TlsSettings, client};
use service::{Shutdown, telemetry};
use url::Url;

use crate::settings::flag;
use crate::up;

#[cfg(feature = "lifecycle")]
mod lifecycle;
mod viewer;
mod wiring;

use wiring::Wiring;

const REGISTRY: &str = include_str!("../../../deploy/samples/registry.yaml");
const SERVICES: &str = include_str!("../../../deploy/samples/inferenceservices.yaml");
/// What the InferenceServices of the sample call the registry.
const REGISTRY_NAME: &str = "demo-registry";
/// How long the sample may take from the registry to location.
const PATIENCE: Duration = Duration::from_mins(1);

/// How to run the demo.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Stop when every expected entry is served: with status 0, or another one and the reason when that does not happen
    #[arg(long)]
    once: bool,
    /// yaml (catalog-info.yaml) or json (model-catalog.json)
    #[arg(long, default_value = "yaml", value_name = "FORMAT")]
    format: Format,
    /// The port of location; 0 for any free one
    #[arg(long, default_value_t = 9090)]
    port: u16,
    /// Tell the life of a model instead, with a cluster and an S3 server in memory: registered, deployed, downloaded, followed
    /// by a better version, put away
    #[arg(long, conflicts_with = "once")]
    lifecycle: bool,
    /// With --lifecycle: a Python that has the package `model-registry` and boto3; without it, the same requests are made
    #[arg(long, env = "LIFECYCLE_PYTHON", value_name = "FILE", requires = "lifecycle")]
    python: Option<PathBuf>,
    /// What to log
    #[arg(long, env = "LOG_LEVEL", default_value = "error", value_name = "FILTER")]
    log_level: telemetry::LogLevel,
    /// Traces
    #[command(flatten)]
    traces: telemetry::TraceSettings,
}

/// A model and a version, or a namespace and a service.
type Names = (String, String);

/// Runs the demo.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let log = telemetry::LogSettings { log_level: args.log_level.clone(), ..Default::default() };
    let traces = telemetry::start(&log, &args.traces, up::PROCESS)?;
    let ended = if args.lifecycle { tell(&args).await } else { show(args).await };
    traces.finish().await;
    ended
}

#[cfg(feature = "lifecycle")]
async fn tell(args: &DemoArgs) -> anyhow::Result<()> {
    Box::pin(lifecycle::tell(args)).await
}

#[cfg(not(feature = "lifecycle"))]
async fn tell(_: &DemoArgs) -> anyhow::Result<()> {
    anyhow::bail!(
        "this binary was built without the servers that --lifecycle needs, which are for tests: run `make demo \
         ARGS=--lifecycle` in the sources"
    )
}

async fn show(args: DemoArgs) -> anyhow::Result<()> {
    let shutdown = Shutdown::new().on_signals();
    let scratch = tempfile::tempdir().context("no directory for the demo's storage")?;
    let manifest = scratch.path().join("inferenceservices.yaml");
    std::fs::write(&manifest, SERVICES)?;

    let (registry_url, expected) = start_registry(scratch.path(), &shutdown).await?;
    println!("sample registry  {registry_url}");
    let wiring = Wiring {
        format: args.format,
        port: args.port,
        registry: format!("{REGISTRY_NAME}={registry_url}"),
        scratch: scratch.path(),
        cluster: flag("manifests", manifest.display()),
    };
    let (services, viewer) = wiring.start(&shutdown).await?;
    println!("normalizer       reads the registry every 5 s\n");

    let shown = shutdown.unless(tokio::time::timeout(PATIENCE, viewer.until_served(&expected))).await;
    let outcome = match shown {
        None => Ok(()),
        Some(Ok(shown)) => shown,
        Some(Err(_)) => Err(viewer.missing(&expected).await),
    };
    if let Err(error) = outcome {
        shutdown.trigger();
        let _ = services.wait(&shutdown).await;
        return Err(error);
    }
    if args.once {
        shutdown.trigger();
    } else if !shutdown.is_triggered() {
        viewer.say_how_to_go_on(&registry_url).await;
    }
    services.wait(&shutdown).await
}

/// Serves the sample from a registry of our own; returns where, and what should be made of it.
async fn start_registry(scratch: &Path, shutdown: &Shutdown) -> anyhow::Result<(Url, BTreeSet<Names>)> {
    let url = wiring::registry(scratch, Some(write_catalog(scratch)?), shutdown).await?;
    let http = client(&TlsSettings::default(), "the sample registry")?;
    Seeder::new(http.clone(), &url, Token::default()).seed(REGISTRY).await.context("the sample registry")?;

    let mut expected = live_versions(&RegistryClient::new(url.clone(), http, None)).await?;
    let services = manifests::read_text("inferenceservices.yaml", SERVICES)?;
    let registered =
        |labels: &BTreeMap<String, String>| labels.keys().any(|label| label.ends_with("/registered-model-id"));
    let unregistered =
        services.services.iter().map(|served| &served.service).filter(|service| !registered(&service.labels));
    expected.extend(unregistered.map(|service| (service.namespace.clone(), service.name.clone())));
    Ok((url, expected))
}

/// The catalog of the sample, as the files that a catalog is made of; answers which one names the others.
fn write_catalog(scratch: &Path) -> anyhow::Result<PathBuf> {
    let sample: Value = serde_yaml::from_str(REGISTRY)?;
    let mut sources = Vec::new();
    for source in sample["catalog"]["sources"].as_array().into_iter().flatten() {
        let file = format!("{}.yaml", source["id"].as_str().unwrap_or_default());
        std::fs::write(scratch.join(&file), json!({ "models": source["models"] }).to_string())?;
        sources.push(json!({
            "id": source["id"], "name": source["name"], "labels": source["labels"], "type": "yaml",
            "properties": { "yamlCatalogPath": file },
        }));
    }
    let path = scratch.join("sources.yaml");
    std::fs::write(&path, json!({ "catalogs": sources }).to_string())?;
    Ok(path)
}

async fn live_versions(registry: &RegistryClient) -> anyhow::Result<BTreeSet<Names>> {
    let models = registry.registered_models(ListQuery::default()).collect_all().await?.records;
    let live: BTreeMap<String, String> = models
        .into_iter()
        .filter(|model| model.state == State::Live)
        .map(|model| (model.id.clone(), model.name.clone()))
        .collect();
    let versions = registry.model_versions(ListQuery::default()).collect_all().await?.records;
    let of_live = |version: ModelVersion| Some((live.get(&version.registered_model_id)?.clone(), version.name));
    Ok(versions.into_iter().filter(|version| version.state == State::Live).filter_map(of_live).collect())
}
