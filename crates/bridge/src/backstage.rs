//! `backstage cleanup`: finds and removes what former bridges left behind in Backstage.

mod leftovers;
mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use backstage_client::{BackstageError, CatalogClient};
use bridge_api::{ClientError, LocationClient};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, ArgGroup, Args, Subcommand, ValueEnum};
use cluster::ClusterSettings;
use futures::{StreamExt as _, stream};
use service::auth::BridgeTokenSettings;
use service::http_client::{self, TlsSettings};
use service::secret::source_of;
use service::settings::http_url;
use service::telemetry;
use storage_rest::deliver::Pace;
use storage_rest::deliver::backstage::{Backstage, BridgeUrl};
use storage_rest::settings::BackstageAccess;
use tokio::net::TcpStream;
use url::Url;

use self::leftovers::{Catalog, Leftover, Removal, Scope};
use self::report::{Outcome, Report};

/// How long Backstage's Route may take to be found.
const SEARCH: Duration = Duration::from_secs(30);
/// How long it may take to connect to a bridge.
const CONNECT: Duration = Duration::from_secs(5);
/// How many requests to Backstage are under way at once.
const CONCURRENCY: usize = 4;
/// The kinds of entities that bridges make, and that Backstage makes for their locations.
const KINDS: [&str; 5] = ["kind=resource", "kind=component", "kind=api", "kind=aimodelserverapi", "kind=location"];

/// What can be done in Backstage by hand.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackstageArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Find and remove what former bridges left behind: locations and entities below the URLs of bridges that no bridge
    /// serves
    Cleanup(Box<CleanupArgs>),
}

/// What to look for, and what to do with it.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("what to do").required(true).args(["dry_run", "yes"]))]
pub(crate) struct CleanupArgs {
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,

    /// Remove it
    #[arg(long)]
    yes: bool,

    /// The URL of a bridge's location service as Backstage sees it, of now or of former times; may be given several times
    #[arg(long = "bridge-url", env = "BRIDGE_URL", value_name = "URL", value_parser = http_url, value_delimiter = ',')]
    bridge_urls: Vec<Url>,

    /// Look also for whatever is of type `rhdh-rhoai-bridge`, under any URL
    #[arg(long)]
    bridge_type: bool,

    /// Remove also what a bridge serves at the moment, and what lies below the URL of a bridge that can't be asked
    #[arg(long)]
    all: bool,

    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    token: BridgeTokenSettings,

    /// A PEM file, or a directory of them, with certificates to trust in the bridges', besides the system's
    #[arg(long, env = "LOCATION_CA", value_name = "FILE")]
    location_ca: Option<PathBuf>,

    /// Take any certificate of the bridges: anyone on the way can read the token
    #[arg(
        long, env = "LOCATION_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    location_insecure_skip_tls_verify: bool,

    #[command(flatten)]
    access: BackstageAccess,

    #[command(flatten)]
    cluster: ClusterSettings,

    /// What to log
    #[arg(long, env = "LOG_LEVEL", default_value = "warn", value_name = "FILTER")]
    log_level: telemetry::LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Runs the command that was given.
pub(crate) async fn run(args: BackstageArgs) -> anyhow::Result<()> {
    match args.command {
        Command::Cleanup(args) => cleanup(&args).await,
    }
}

async fn cleanup(args: &CleanupArgs) -> anyhow::Result<()> {
    telemetry::init(&telemetry::LogSettings { log_level: args.log_level.clone(), ..Default::default() });
    if args.bridge_urls.is_empty() && !args.bridge_type {
        bail!("nothing to look for: give --bridge-url (BRIDGE_URL), --bridge-type or both");
    }
    let client = args.client().await?;
    let (scope, silent) = args.scope().await?;
    let catalog = Catalog {
        locations: client.locations().await.context("the locations of Backstage can't be read")?,
        entities: client.entities(&KINDS).await.context("the entities of Backstage can't be read")?,
    };
    let found = leftovers::find(&catalog, &scope);
    let report = if args.yes { remove(&client, found).await } else { Report::of_findings(found) };
    match args.output {
        Output::Table => print!("{}", report.table()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report.json())?),
    }
    for problem in &silent {
        eprintln!("{problem}");
    }
    match (report.failed(), silent.len()) {
        (0, 0) => Ok(()),
        (0, _) => bail!("not everything could be judged: see above"),
        (failed, _) => bail!("{failed} could not be removed: see above"),
    }
}

impl CleanupArgs {
    async fn client(&self) -> anyhow::Result<CatalogClient> {
        let cluster = match self.access.bkstg_url {
            Some(_) => None,
            None => cluster::connect(&self.cluster).await?,
        };
        let backstage = Backstage::new(&self.access, &self.cluster, cluster)?;
        let found = tokio::time::timeout(SEARCH, backstage.client(Pace::default())).await;
        found
            .context("Backstage's Route was not found in time")?
            .context("where is Backstage? Give --bkstg-url (BKSTG_URL)")
    }

    /// What is a leftover, and what is to be said of bridges that do not answer: of these nobody knows what they serve.
    async fn scope(&self) -> anyhow::Result<(Scope, Vec<String>)> {
        let mut scope = Scope { bridges: Vec::new(), served: BTreeSet::new(), bridge_type: self.bridge_type };
        let mut silent = Vec::new();
        let tls = TlsSettings {
            ca_file: self.location_ca.clone(),
            insecure_skip_verify: self.location_insecure_skip_tls_verify,
            server_certificate: None,
        };
        let http = http_client::client(&tls, "location").context("--location-ca / LOCATION_CA")?;
        let token = source_of(self.token.secret()?);
        for url in &self.bridge_urls {
            let bridge = BridgeUrl::from(url);
            if !self.all {
                let location = LocationClient::new(url.clone(), http.clone()).with_token_source(token.clone());
                match location.list().await {
                    Ok(list) => scope.served.extend(list.uris.iter().map(|uri| format!("{}{uri}", bridge.as_str()))),
                    Err(error) => {
                        silent.push(format!(
                            "{} is left alone: what its bridge serves is not known ({error}); {}",
                            bridge.as_str(),
                            advice(url, &error).await
                        ));
                        continue;
                    }
                }
            }
            scope.bridges.push(bridge);
        }
        Ok((scope, silent))
    }
}

/// What to do about a bridge that can't be asked. Only one that nobody can connect to may be gone.
async fn advice(url: &Url, error: &ClientError) -> &'static str {
    match error {
        ClientError::Transport { .. } if !takes_connections(url).await => "if it is gone for good, give --all",
        ClientError::Transport { .. } if url.scheme() == "https" => {
            "if its certificate is not trusted, give its authority with --location-ca / LOCATION_CA"
        }
        _ if error.is_refusal() => "give its token with --bridge-token / BRIDGE_TOKEN or --bridge-token-file",
        _ => "try again when it answers",
    }
}

async fn takes_connections(url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    let host = host.trim_matches(['[', ']']);
    matches!(tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await, Ok(Ok(_)))
}

/// Locations first: they take their entities along, which can't come back then.
async fn remove(client: &CatalogClient, found: Vec<Leftover>) -> Report {
    let (locations, entities): (Vec<Leftover>, Vec<Leftover>) =
        found.into_iter().partition(|leftover| matches!(leftover.removal, Removal::Location { .. }));
    let mut report = Report::default();
    for part in [locations, entities] {
        let removed = stream::iter(part).map(|leftover| async move {
            let outcome = match remove_one(client, &leftover.removal).await {
                Ok(()) => Outcome::Removed,
                Err(error) => Outcome::Failed(error.to_string()),
            };
            (leftover, outcome)
        });
        report.extend(removed.buffered(CONCURRENCY).collect::<Vec<_>>().await);
    }
    report
}

async fn remove_one(client: &CatalogClient, removal: &Removal) -> Result<(), BackstageError> {
    match removal {
        Removal::Location { id } => client.delete_location(id).await,
        Removal::Entity { uid } => client.delete_entity(uid).await,
    }
}
