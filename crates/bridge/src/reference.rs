//! `reference`: the settings of all programs that serve as Markdown, from the services' own definitions, so that
//! `docs/configuration.md` cannot say anything else (`make generate-docs`, checked by `make lint`).

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::programs;

/// Prints the reference.
pub(crate) fn print() {
    print!("{}", markdown());
}

fn markdown() -> String {
    programs::servers().iter().map(|program| sections(program, program.get_name())).collect()
}

/// What a program can be told, or each of its commands.
fn sections(command: &Command, name: &str) -> String {
    if !command.has_subcommands() {
        return section(command, name);
    }
    command.get_subcommands().map(|command| sections(command, &format!("{name} {}", command.get_name()))).collect()
}

fn section(command: &Command, name: &str) -> String {
    let mut text = format!("## {name}\n\n");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(
        text,
        "{}\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n",
        about.trim_end_matches('.').to_owned() + "."
    );
    let is_shown =
        |argument: &&Arg| !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version");
    for argument in command.get_arguments().filter(is_shown) {
        let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let flag =
            argument.get_long().map_or_else(|| format!("`{}`", placeholder(argument)), |long| format!("`--{long}`"));
        let (meaning, default) = meaning_and_default(argument);
        let _ = writeln!(text, "| {flag} | {variable} | {default} | {meaning} |");
    }
    text.push('\n');
    text
}

/// What stands for an argument that has no flag.
fn placeholder(argument: &Arg) -> String {
    argument.get_id().as_str().to_uppercase()
}

/// A default that clap does not know stands in brackets behind the meaning.
fn meaning_and_default(argument: &Arg) -> (String, String) {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|").replace('\n', " ");
    let values: Vec<String> =
        argument.get_default_values().iter().map(|v| format!("`{}`", v.to_string_lossy())).collect();
    let known = Some(values.join(" ")).filter(|text| !text.is_empty() && text != "``");
    match help.split_once(" [default: ") {
        Some((meaning, default)) => {
            let default = default.trim_end_matches(['.', ']']).to_owned();
            (meaning.trim().to_owned(), known.unwrap_or(default))
        }
        None => (help.trim().to_owned(), known.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_flag_a_variable_and_a_meaning() {
        for line in markdown().lines().filter(|line| line.starts_with("| `--")) {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert_eq!(cells.len(), 4, "{line}");
            assert!(cells[1].starts_with('`'), "no variable: {line}");
            assert!(cells[3].len() > 10, "no meaning: {line}");
        }
    }

    #[test]
    fn every_command_of_a_program_has_its_settings() {
        let text = markdown();
        for (command, setting) in [
            ("location", "`LOCATION_LISTEN_ADDRESS`"),
            ("model-registry proxy", "`MR_HOSTNAME`"),
            ("model-registry import", "`MR_FROM`"),
            ("model-registry seed", "| `FILE` |"),
        ] {
            let section = text.split("\n## ").find(|section| section.trim_start_matches("## ").starts_with(command));
            let section = section.unwrap_or_else(|| panic!("no section {command}"));
            assert!(section.contains(setting), "{command} has no {setting}");
        }
    }

    #[test]
    fn every_variable_of_the_go_bridge_is_there() {
        let text = markdown();
        for name in [
            "KUBECONFIG",
            "K8S_TOKEN",
            "NAMESPACE",
            "MR_ROUTE",
            "KFMR_TOKEN",
            "STORAGE_URL",
            "NORMALIZER_FORMAT",
            "POLLING_INTERVAL",
            "DEFAULT_OWNER",
            "DEFAULT_LIFECYCLE",
            "RHDH_TOKEN",
            "BKSTG_URL",
            "BRIDGE_URL",
            "PUSH_TO_RHDH",
            "STORAGE_TYPE",
            "POD_IP",
            "POD_NAMESPACE",
        ] {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }
}
