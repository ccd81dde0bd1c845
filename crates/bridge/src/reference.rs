//! `reference`: the settings of all services as Markdown, from the services' own definitions, so that
//! `docs/configuration.md` cannot say anything else (`make generate-docs`, checked by `make lint`).

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

/// Prints the reference.
pub(crate) fn print() {
    print!("{}", markdown());
}

fn markdown() -> String {
    let services = [normalizer::Settings::command(), storage_rest::Settings::command(), location::Settings::command()];
    services.into_iter().map(|service| section(&service)).collect()
}

fn section(service: &Command) -> String {
    let mut text = format!("## {}\n\n", service.get_name());
    let about = service.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(
        text,
        "{}\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n",
        about.trim_end_matches('.').to_owned() + "."
    );
    for argument in service.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
    {
        let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let flag = argument.get_long().map(|long| format!("`--{long}`")).unwrap_or_default();
        let (meaning, default) = meaning_and_default(argument);
        let _ = writeln!(text, "| {flag} | {variable} | {default} | {meaning} |");
    }
    text.push('\n');
    text
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
