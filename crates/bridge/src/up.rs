//! `up`: the three services in one process, with the settings that each would take on its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory, FromArgMatches};
use service::{Running, Shutdown, telemetry};

/// What the process is called in traces, of which it sends those of all three.
pub(crate) const PROCESS: &str = "model-catalog-bridge";

/// The settings of the three services together. Those that they share are given once; the addresses on which they listen
/// are `--storage-listen-address`, `--location-listen-address` and `--admin-address`.
#[derive(Debug, Clone)]
pub(crate) struct UpArgs {
    pub(crate) storage: storage_rest::Settings,
    pub(crate) location: location::Settings,
    pub(crate) normalizer: normalizer::Settings,
}

impl FromArgMatches for UpArgs {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            storage: storage_rest::Settings::from_arg_matches(matches)?,
            location: location::Settings::from_arg_matches(matches)?,
            normalizer: normalizer::Settings::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for UpArgs {
    fn augment_args(command: Command) -> Command {
        let mut known = BTreeSet::new();
        let services =
            [normalizer::Settings::command(), storage_rest::Settings::command(), location::Settings::command()];
        let mut command = command;
        for service in services {
            let name = service.get_name().to_owned();
            for argument in service.get_arguments() {
                if known.insert(argument.get_id().clone()) {
                    // Two services have a `--listen-address`; together each is called after its service.
                    let argument = match argument.get_long() {
                        Some("listen-address") => {
                            let long = format!("{}-listen-address", name.trim_end_matches("-rest"));
                            argument.clone().long(long)
                        }
                        _ => argument.clone(),
                    };
                    command = command.arg(argument);
                }
            }
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Runs the three until SIGTERM or SIGINT.
pub(crate) async fn run(args: UpArgs) -> anyhow::Result<()> {
    let traces = telemetry::start(&args.normalizer.log, &args.normalizer.traces, PROCESS)?;
    let shutdown = Shutdown::new().on_signals();
    let services = Box::pin(start(args, &shutdown)).await?;
    let ended = services.wait(&shutdown).await;
    traces.finish().await;
    ended
}

/// The three services, started.
pub(crate) struct Services {
    pub(crate) storage: Running,
    pub(crate) location: Running,
    normalizer: Running,
}

/// Starts the three; they find each other at the addresses on which they listen, unless settings say otherwise.
pub(crate) async fn start(mut args: UpArgs, shutdown: &Shutdown) -> anyhow::Result<Services> {
    // One certificate for all three. Whatever names it has, here they know each other by the certificate itself.
    let certificate = args.storage.tls.tls_cert.clone();
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let storage_url = local_url(scheme, args.storage.listen_address)?;
    let location_url = local_url(scheme, args.location.listen_address)?;
    if args.storage.location_url.is_none() {
        (args.storage.location_url, args.storage.location_certificate) = (Some(location_url), certificate.clone());
    }
    if args.location.storage_url.is_none() {
        (args.location.storage_url, args.location.storage_certificate) =
            (Some(storage_url.clone()), certificate.clone());
    }
    let admin = args.normalizer.admin_address;
    if args.location.normalizer_url.is_none() && admin.port() != 0 {
        args.location.normalizer_url = Some(local_url(scheme, admin)?);
        args.location.normalizer_certificate.clone_from(&certificate);
    }
    if args.normalizer.storage_url.is_none() {
        (args.normalizer.storage_url, args.normalizer.storage_certificate) = (Some(storage_url), certificate);
    }
    let stopping = shutdown.clone();
    let started = async {
        let storage = storage_rest::start(args.storage, stopping.clone()).await.context("storage-rest")?;
        let location = location::start(args.location, stopping.clone()).await.context("location")?;
        let normalizer = normalizer::start(args.normalizer, stopping.clone()).await.context("normalizer")?;
        anyhow::Ok(Services { storage, location, normalizer })
    };
    started.await.inspect_err(|_| shutdown.trigger())
}

fn local_url(scheme: &str, address: SocketAddr) -> Result<url::Url, url::ParseError> {
    let ip = address.ip();
    let host = if ip.is_unspecified() { "localhost".to_owned() } else { SocketAddr::new(ip, 0).ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    url::Url::parse(&format!("{scheme}://{host}:{}", address.port()))
}

impl Services {
    /// Waits until all have stopped. When one ends, for whatever reason, the others are stopped too.
    pub(crate) async fn wait(self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let tasks = [
            ("storage-rest", self.storage.task),
            ("location", self.location.task),
            ("normalizer", self.normalizer.task),
        ];
        let ended = tasks.into_iter().map(|(name, task)| async move {
            let ended = task.await;
            shutdown.trigger();
            ended.with_context(|| format!("{name} ended unexpectedly"))?.with_context(|| name)
        });
        futures::future::join_all(ended).await.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        up: UpArgs,
    }

    #[test]
    fn the_command_line_is_consistent_and_shares_what_the_services_share() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from([
            "up",
            "--format",
            "JsonArrayFormat",
            "--storage-listen-address",
            "127.0.0.1:1",
            "--location-listen-address",
            "127.0.0.1:2",
            "--admin-address",
            "127.0.0.1:3",
            "--mr-url",
            "http://registry.example.com",
        ])
        .unwrap();
        assert_eq!(cli.up.storage.format, cli.up.location.format);
        assert_eq!(cli.up.normalizer.format, cli.up.location.format);
        assert_eq!(cli.up.storage.listen_address.port(), 1);
        assert_eq!(cli.up.location.listen_address.port(), 2);
        assert_eq!(cli.up.normalizer.admin_address.port(), 3);
    }

    #[test]
    fn services_find_each_other_on_the_loopback_address() {
        assert_eq!(local_url("http", "0.0.0.0:7070".parse().unwrap()).unwrap().as_str(), "http://localhost:7070/");
        assert_eq!(local_url("http", "127.0.0.1:80".parse().unwrap()).unwrap().as_str(), "http://127.0.0.1/");
        assert_eq!(local_url("https", "[::1]:7070".parse().unwrap()).unwrap().as_str(), "https://[::1]:7070/");
    }
}
