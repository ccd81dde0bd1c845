//! `demo`: the whole bridge on sample data, for a first look.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bearer::Token;
use bridge_api::clients::{LocationClient, StorageClient};
use bridge_api::key::EntryKey;
use bridge_api::messages::Origin;
use clap::Args;
use model_catalog::render::Format;
use model_registry::seed::Seeder;
use model_registry::settings::{DatabaseSettings, ProxySettings};
use normalizer::observe::manifests;
use registry_client::{ListQuery, ModelVersion, RegistryClient, State};
use serde_json::{Value, json};
use service::auth::AccessSettings;
use service::http_client::{TlsSettings, client};
use service::tls::ServerTlsSettings;
use service::{Shutdown, telemetry};
use tokio::net::TcpListener;
use url::Url;

use crate::progress::Progress;
use crate::settings::{flag, from_flags};
use crate::table::Table;
use crate::up::{self, UpArgs};

const REGISTRY: &str = include_str!("../../../deploy/samples/registry.yaml");
const SERVICES: &str = include_str!("../../../deploy/samples/inferenceservices.yaml");
/// What the InferenceServices of the sample call the registry.
const REGISTRY_NAME: &str = "demo-registry";
/// How long the sample may take from the registry to location.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
    let ended = show(args).await;
    traces.finish().await;
    ended
}

async fn show(args: DemoArgs) -> anyhow::Result<()> {
    let shutdown = Shutdown::new().on_signals();
    let scratch = tempfile::tempdir().context("no directory for the demo's storage")?;
    let manifest = scratch.path().join("inferenceservices.yaml");
    std::fs::write(&manifest, SERVICES)?;

    let (registry_url, expected) = start_registry(scratch.path(), &shutdown).await?;
    println!("sample registry  {registry_url}");
    let location = reserve(args.port, "--port").await?;
    let storage = reserve(0, "storage").await?;
    let admin = reserve(0, "normalizer").await?;
    let mut settings = UpArgs {
        storage: from_flags(
            "storage-rest",
            vec![
                flag("listen-address", storage),
                flag("format", args.format),
                flag("storage-type", "Sqlite"),
                flag("sqlite-path", scratch.path().join("storage.sqlite").display()),
                flag("location-url", format!("http://{location}")),
                flag("push-to-rhdh", false),
            ],
        )?,
        location: from_flags(
            "location",
            vec![
                flag("listen-address", location),
                flag("format", args.format),
                flag("storage-url", format!("http://{storage}")),
                flag("normalizer-url", format!("http://{admin}")),
                flag("no-ui", false),
            ],
        )?,
        normalizer: from_flags(
            "normalizer",
            vec![
                flag("admin-address", admin),
                flag("format", args.format),
                flag("mr-url", format!("{REGISTRY_NAME}={registry_url}")),
                flag("mr-route", ""),
                flag("catalog-url", ""),
                flag("manifests", manifest.display()),
                flag("polling-interval", "5s"),
                flag("storage-url", format!("http://{storage}")),
                flag("bridge-public-url", format!("http://localhost:{}", location.port())),
            ],
        )?,
    };
    // On this machine alone, whatever the environment says about others.
    settings.storage.access = AccessSettings::default();
    settings.location.access = AccessSettings::default();
    for tls in [&mut settings.storage.tls, &mut settings.location.tls, &mut settings.normalizer.tls] {
        *tls = ServerTlsSettings::default();
    }
    let services = Box::pin(up::start(settings, &shutdown)).await?;
    println!("storage-rest     http://{}  (SQLite)", services.storage.address);
    println!("location         http://localhost:{}", services.location.address.port());
    println!("normalizer       reads the registry every 5 s\n");

    let viewer = Viewer::new(storage, location, args.format)?;
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
    let mut settings = ProxySettings::here(DatabaseSettings::sqlite_in(scratch), telemetry::LogSettings::default());
    settings.catalogs_path = Some(write_catalog(scratch)?);
    let registry = model_registry::run::start(settings, shutdown.clone()).await.context("the sample registry")?;
    registry.readiness.until_ready().await;
    let url = registry.url()?;
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

/// An address that is free now. The services learn of each other before they listen, so their ports must be known.
async fn reserve(port: u16, setting: &str) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener =
        listener.with_context(|| format!("port {port} cannot be used: choose another one with {setting}"))?;
    Ok(listener.local_addr()?)
}

/// Looks at the bridge from the outside, as its readers do.
struct Viewer {
    storage: StorageClient,
    location: LocationClient,
    http: reqwest::Client,
    base: String,
    format: Format,
}

impl Viewer {
    fn new(storage: SocketAddr, location: SocketAddr, format: Format) -> anyhow::Result<Self> {
        let http = client(&TlsSettings::default(), "the demo")?;
        let url = |address: SocketAddr| Url::parse(&format!("http://{address}"));
        Ok(Self {
            storage: StorageClient::new(url(storage)?, http.clone()),
            location: LocationClient::new(url(location)?, http.clone()),
            http,
            base: format!("http://localhost:{}", location.port()),
            format,
        })
    }

    /// Prints the entries as they appear, until each expected one is served with the right content type.
    async fn until_served(&self, expected: &BTreeSet<Names>) -> anyhow::Result<()> {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let progress = Progress::new("serving", expected.len());
        loop {
            let served = self.served().await.unwrap_or_default();
            let mut table = Table::new(&["MODEL", "VERSION", "SERVED BY", "URL"]);
            let fresh: Vec<&(Origin, String)> = served.iter().filter(|(_, uri)| !seen.contains(uri)).collect();
            for (origin, uri) in &fresh {
                let served_by =
                    origin.served_by.as_ref().map(|service| format!("{}/{}", service.namespace, service.name));
                let names = [origin.first.clone(), origin.second.clone(), served_by.unwrap_or_else(|| "-".to_owned())];
                table.row(names.into_iter().chain([format!("{}{uri}", self.base)]).collect());
                self.check(uri).await?;
            }
            if !fresh.is_empty() {
                progress.aside(|| println!("{table}"));
            }
            seen.extend(fresh.iter().map(|(_, uri)| uri.clone()).collect::<Vec<_>>());
            let names: BTreeSet<Names> = served.into_iter().map(|(origin, _)| (origin.first, origin.second)).collect();
            if let Some((model, version)) = names.difference(expected).next() {
                bail!("location serves an entry that the sample does not call for: {model} {version}");
            }
            progress.set(names.len());
            if names == *expected {
                drop(progress);
                println!("{} entries are served, as expected", names.len());
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What location serves, and what it is made from.
    async fn served(&self) -> anyhow::Result<Vec<(Origin, String)>> {
        let uris: BTreeSet<String> = self.location.list().await?.uris.into_iter().collect();
        let entries = self.storage.list().await?.entries.unwrap_or_default();
        let made_from = entries.into_iter().filter_map(|entry| {
            let uri = entry.key.parse::<EntryKey>().ok()?.uri(self.format);
            Some((entry.origin?, uri))
        });
        Ok(made_from.filter(|(_, uri)| uris.contains(uri)).collect())
    }

    async fn check(&self, uri: &str) -> anyhow::Result<()> {
        let answer = self.http.get(format!("{}{uri}", self.base)).send().await?;
        let content_type =
            answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !answer.status().is_success() || !content_type.starts_with(self.format.content_type()) {
            bail!("location lists {uri} but answers {} with content type `{content_type}`", answer.status());
        }
        if !self.format.fits(&answer.bytes().await?) {
            bail!("what location serves at {uri} is not {}", self.format.file_name());
        }
        Ok(())
    }

    /// Why not everything is served.
    async fn missing(&self, expected: &BTreeSet<Names>) -> anyhow::Error {
        let served = self.served().await.unwrap_or_default();
        let names: BTreeSet<Names> = served.into_iter().map(|(origin, _)| (origin.first, origin.second)).collect();
        let missing: Vec<String> =
            expected.difference(&names).map(|(model, version)| format!("{model} {version}")).collect();
        anyhow::anyhow!("not served within {} s: {}", PATIENCE.as_secs(), missing.join(", "))
    }

    async fn say_how_to_go_on(&self, registry: &Url) {
        let uris = self.location.list().await.map(|list| list.uris).unwrap_or_default();
        let uri = uris.into_iter().next().unwrap_or_default();
        let base = &self.base;
        println!("\nThe page  {base}/");
        println!("\nLook further:");
        println!("  curl {base}/list");
        println!("  curl {base}{uri}");
        println!("  curl {base}/metrics");
        println!("  curl {registry}api/model_registry/v1alpha3/registered_models");
        println!("\nBackstage reads it from {base}. Stop with Ctrl-C.");
    }
}
