//! `validate`: catalog documents and catalog-info files against the schema and Backstage's rules, with line and column.

mod catalog;
mod entities;
mod finding;
mod kinds;
mod rules;
mod source;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use model_catalog::render::Format;

use self::entities::Known;
use self::finding::{Finding, Severity};

/// Which files, and how to tell what is wrong with them. Ends with 0 when there is nothing to mend, with 1 when there is,
/// with 2 when a file cannot be read.
#[derive(Debug, Clone, Args)]
pub(crate) struct ValidateArgs {
    /// Files with a catalog document (model-catalog.json) or with entities (catalog-info.yaml); - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What the files are: yaml (catalog-info.yaml) or json (model-catalog.json) [default: by what is in each]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// FILE:LINE:COLUMN: what is wrong
    Text,
    /// A JSON array of findings
    Json,
}

/// Something is to be mended.
const FINDINGS: u8 = 1;

/// Checks all files.
pub(crate) fn run(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let texts: Vec<(String, String)> = args.files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let findings = validate(&texts, args.format);
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&findings)?),
        Output::Text => {
            for finding in &findings {
                println!("{finding}");
            }
        }
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    eprintln!("{} files, {errors} errors, {} warnings", texts.len(), findings.len() - errors);
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn read(path: &Path) -> anyhow::Result<(String, String)> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok((path.display().to_string(), text))
}

/// What is wrong with the files, in their order and from top to bottom.
fn validate(files: &[(String, String)], format: Option<Format>) -> Vec<Finding> {
    let mut known: Known = BTreeMap::new();
    let mut all = Vec::new();
    for (name, text) in files {
        let format = format.unwrap_or_else(|| guess(text));
        let mut found = match format {
            Format::ModelCatalogJson => catalog::check(name, text, &mut known),
            Format::CatalogInfoYaml => entities::check(name, text, &mut known),
        };
        found.sort();
        all.append(&mut found);
    }
    all
}

/// Entities are YAML, of which JSON is a part: a brace alone does not tell, what follows it does.
fn guess(text: &str) -> Format {
    let is_entity =
        serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.get("apiVersion").is_some());
    if Format::ModelCatalogJson.fits(text.as_bytes()) && !is_entity {
        Format::ModelCatalogJson
    } else {
        Format::CatalogInfoYaml
    }
}

#[cfg(test)]
mod tests;
