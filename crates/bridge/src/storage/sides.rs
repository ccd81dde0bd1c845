//! The two sides of a copy: the settings of a storage twice, with `from-` and `to-` in front.
//!
//! A side is parsed by the storage's own definitions, so that each has whatever settings storages have, and says of them
//! what storage-rest says. Variables of a storage count only with their prefix, since they could mean either side;
//! those of the cluster count for both.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser};

use super::Kept;

/// Where from and where to.
#[derive(Debug, Clone)]
pub(super) struct Sides {
    pub(super) from: Kept,
    pub(super) to: Kept,
}

#[derive(Debug, Parser)]
#[command(name = "storage")]
struct Side {
    #[command(flatten)]
    kept: Kept,
}

const PREFIXES: [&str; 2] = ["from", "to"];

impl Args for Sides {
    fn augment_args(mut command: Command) -> Command {
        for prefix in PREFIXES {
            for argument in Side::command().get_arguments().filter(|argument| argument.get_long().is_some()) {
                command = command.arg(prefixed(prefix, argument));
            }
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Sides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let [from, to] = PREFIXES.map(|prefix| side(prefix, matches));
        Ok(Self { from: from?, to: to? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn id(prefix: &str, argument: &Arg) -> String {
    format!("{prefix}_{}", argument.get_id())
}

/// `--sqlite-path` as `--from-sqlite-path`; `--storage-type` is plain `--from`.
fn prefixed(prefix: &'static str, argument: &Arg) -> Arg {
    let long = argument.get_long().unwrap_or_default();
    let mut renamed = argument.clone().id(id(prefix, argument)).help_heading(match prefix {
        "from" => "Where from",
        _ => "Where to",
    });
    if let Some(variable) = argument.get_env() {
        renamed = renamed.env(format!("{}_{}", prefix.to_uppercase(), variable.to_string_lossy()));
    }
    if is_type(argument) { renamed.long(prefix).required(true) } else { renamed.long(format!("{prefix}-{long}")) }
}

fn is_type(argument: &Arg) -> bool {
    argument.get_long() == Some("storage-type")
}

fn side(prefix: &str, matches: &ArgMatches) -> Result<Kept, clap::Error> {
    let command = Side::command();
    let mut flags = vec![OsString::from(prefix)];
    for argument in command.get_arguments() {
        let (id, Some(long)) = (id(prefix, argument), argument.get_long()) else { continue };
        if !matches!(matches.value_source(&id), Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        for value in matches.get_raw(&id).into_iter().flatten() {
            let mut flag = OsString::from(format!("--{long}="));
            flag.push(value);
            flags.push(flag);
        }
    }
    let of_a_cluster: Vec<OsString> = ClusterVariables::names();
    let variables = |name: &OsStr| {
        if of_a_cluster.iter().any(|known| known == name) { std::env::var_os(name) } else { Some(OsString::new()) }
    };
    Ok(service::settings::try_parse_from::<Side, _, _>(flags, variables)?.kept)
}

struct ClusterVariables;

impl ClusterVariables {
    fn names() -> Vec<OsString> {
        let command = cluster::ClusterSettings::augment_args(Command::new("cluster"));
        command.get_arguments().filter_map(|argument| argument.get_env().map(OsStr::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use storage_rest::StorageType;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        sides: Sides,
    }

    #[test]
    fn each_side_has_its_own_settings() {
        Cli::command().debug_assert();
        let arguments = [
            "copy",
            "--from=ConfigMap",
            "--from-namespace=rhdh",
            "--from-kubeconfig=a:b",
            "--to=Sql",
            "--to-database-url=sqlite:x",
        ];
        let Sides { from, to } = Cli::try_parse_from(arguments).unwrap().sides;
        assert_eq!(from.storage.storage_type, Some(StorageType::ConfigMap));
        assert_eq!(from.cluster.namespace.as_deref(), Some("rhdh"));
        assert_eq!(from.cluster.kubeconfig.as_deref(), Some("a:b"));
        assert!(from.storage.database_url.is_none());
        assert_eq!(to.storage.storage_type, Some(StorageType::Sql));
        assert_eq!(to.storage.database_url.unwrap().expose_secret(), "sqlite:x");
        assert_eq!(to.cluster.namespace, None);
    }

    #[test]
    fn both_sides_must_be_named() {
        assert!(Cli::try_parse_from(["copy", "--from=Sqlite"]).unwrap_err().to_string().contains("--to"));
        let unknown = Cli::try_parse_from(["copy", "--from=etcd", "--to=Sqlite"]).unwrap_err().to_string();
        assert!(unknown.contains("--from") && unknown.contains("no such storage type"), "{unknown}");
    }
}
