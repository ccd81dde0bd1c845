//! `status`: how the three services are, live on a terminal, as a table or as JSON anywhere else.

mod screen;
mod snapshot;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use futures::future::join_all;
use service::settings::{GoDuration, http_url};
use url::Url;

use self::snapshot::Snapshot;
use crate::peers::Peer;
use crate::settings::{flag, from_flags};
use crate::up::UpArgs;

/// A service is silent, or not ready.
const UNWELL: u8 = 1;
/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

/// Whose status to show. What is not given comes from the environment, as the services read it. A single look ends with 0
/// when all three are well, with 1 when one is silent or not ready.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatusArgs {
    /// storage-rest [default: STORAGE_URL, else http://localhost:7070]
    #[arg(long, value_name = "URL", value_parser = http_url)]
    storage_url: Option<Url>,

    /// location [default: LOCATION_URL, else http://localhost:9090]
    #[arg(long, value_name = "URL", value_parser = http_url)]
    location_url: Option<Url>,

    /// The normalizer's health page [default: by NORMALIZER_ADMIN_ADDRESS, else http://localhost:8080]
    #[arg(long, env = "NORMALIZER_URL", value_name = "URL", value_parser = http_url)]
    normalizer_url: Option<Url>,

    /// Look once and print, on a terminal, too
    #[arg(long)]
    once: bool,

    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    interval: GoDuration,

    /// How to print a single look
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs: what each service tells
    Json,
}

/// Shows it.
pub(crate) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let peers = args.peers()?;
    let is_live = !args.once && args.output == Output::Table && std::io::stdout().is_terminal();
    if is_live {
        screen::run(&peers, args.interval.0.max(SHORTEST)).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let snapshot = look(&peers).await;
    match args.output {
        Output::Table => print!("{}", snapshot.text()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&snapshot.json())?),
    }
    Ok(if snapshot.is_well() { ExitCode::SUCCESS } else { ExitCode::from(UNWELL) })
}

/// What all three tell at this moment.
async fn look(peers: &[Peer; 3]) -> Snapshot {
    let told = join_all(peers.iter().map(|peer| async move { (peer, peer.status().await) })).await;
    Snapshot::of(told.into_iter().map(|(peer, told)| (peer.name, peer.url.clone(), told)))
}

impl StatusArgs {
    fn peers(&self) -> anyhow::Result<[Peer; 3]> {
        let given =
            |name: &str, url: &Option<Url>| -> Vec<OsString> { url.iter().map(|url| flag(name, url)).collect() };
        let settings = UpArgs {
            storage: from_flags("storage-rest", given("location-url", &self.location_url))?,
            location: from_flags("location", Vec::new())?,
            normalizer: from_flags("normalizer", given("storage-url", &self.storage_url))?,
        };
        let mut peers = Peer::all(&settings)?;
        if let Some(url) = &self.normalizer_url {
            let Some(normalizer) = peers.iter_mut().find(|peer| peer.name == "normalizer") else {
                bail!("there is no normalizer to look at");
            };
            normalizer.url = url.clone();
        }
        Ok(peers)
    }
}
