//! The files of a catalog.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::models::{Model, Snapshot, Source, Stamps};

/// A model YAML may hold cards, but no more than this.
const LARGEST: u64 = 64 << 20;
/// What a model of a file may say, and a model of the API does; all else is left out.
const SHOWN: [&str; 12] = [
    "name",
    "description",
    "readme",
    "maturity",
    "language",
    "tasks",
    "provider",
    "logo",
    "license",
    "licenseLink",
    "libraryName",
    "customProperties",
];
const TIMES: [&str; 2] = ["createTimeSinceEpoch", "lastUpdateTimeSinceEpoch"];

/// The file of sources can't be used.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// It can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is none.
    #[error("{}: {source}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_yaml::Error,
    },
    /// Two sources have one id.
    #[error("{}: two catalogs have the id `{id}`", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
}

#[derive(Deserialize)]
struct SourcesFile {
    #[serde(default, alias = "model_catalogs")]
    catalogs: Vec<SourceEntry>,
    #[serde(default)]
    labels: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceEntry {
    id: String,
    name: Option<String>,
    #[serde(rename = "type")]
    of: String,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    included_models: Vec<String>,
    #[serde(default)]
    excluded_models: Vec<String>,
    #[serde(default)]
    properties: Map<String, Value>,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct ModelsFile {
    #[serde(default)]
    models: Vec<Map<String, Value>>,
}

/// Reads the file of sources, and those that it names. A source that can't be read keeps what it had in `before`.
pub(super) fn read(file: &Path, before: &Snapshot) -> Result<Snapshot, CatalogError> {
    let unreadable = |source| CatalogError::Unreadable { path: file.to_owned(), source };
    let mut stamps = Stamps::from([(file.to_owned(), stamp(file))]);
    let text = read_text(file).map_err(unreadable)?;
    let parsed: SourcesFile =
        serde_yaml::from_str(&text).map_err(|source| CatalogError::Yaml { path: file.to_owned(), source })?;
    let mut sources: Vec<Source> = Vec::new();
    for entry in parsed.catalogs {
        if sources.iter().any(|source| source.id == entry.id) {
            return Err(CatalogError::Twice { path: file.to_owned(), id: entry.id });
        }
        sources.push(source(&entry, file, before, &mut stamps));
    }
    Ok(Snapshot { sources, labels: parsed.labels, stamps })
}

/// What the files that were read are like now.
pub(super) fn stamps(snapshot: &Snapshot) -> Stamps {
    snapshot.stamps.keys().map(|path| (path.clone(), stamp(path))).collect()
}

fn stamp(path: &Path) -> Option<(std::time::SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read_text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {LARGEST} bytes")));
    }
    fs::read_to_string(path)
}

fn source(entry: &SourceEntry, file: &Path, before: &Snapshot, stamps: &mut Stamps) -> Source {
    let mut source = Source {
        name: entry.name.clone().unwrap_or_else(|| entry.id.clone()),
        enabled: entry.enabled,
        labels: entry.labels.clone(),
        included: entry.included_models.clone(),
        excluded: entry.excluded_models.clone(),
        error: None,
        models: BTreeMap::new(),
        id: entry.id.clone(),
    };
    if !source.enabled {
        return source;
    }
    match models(entry, file, stamps) {
        Ok((models, left_out)) => {
            source.models = models;
            source.error = left_out;
        }
        Err(error) => {
            source.error = Some(error);
            let known = before.sources.iter().find(|known| known.id == source.id);
            source.models = known.map(|known| known.models.clone()).unwrap_or_default();
        }
    }
    source
}

/// The models of a source that it includes, and what is wrong with others.
#[allow(clippy::type_complexity, reason = "a name for this pair would say no more")]
fn models(
    entry: &SourceEntry,
    file: &Path,
    stamps: &mut Stamps,
) -> Result<(BTreeMap<String, Model>, Option<String>), String> {
    if entry.of != "yaml" {
        return Err(format!("a catalog of type `{}` is not known here; there is `yaml`", entry.of));
    }
    let named = entry.properties.get("yamlCatalogPath").and_then(Value::as_str);
    let named = named.ok_or("properties.yamlCatalogPath is missing: it names the file of models")?;
    let path = file.parent().unwrap_or(Path::new("")).join(named);
    stamps.insert(path.clone(), stamp(&path));
    let text = read_text(&path).map_err(|error| format!("{named}: {error}"))?;
    let parsed: ModelsFile = serde_yaml::from_str(&text).map_err(|error| format!("{named}: {error}"))?;
    let (included, excluded) = (globs(&entry.included_models)?, globs(&entry.excluded_models)?);
    let mut models = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, fields) in parsed.models.into_iter().enumerate() {
        let Some(name) = fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
            problems.push(format!("{named}: model {} has no name", index + 1));
            continue;
        };
        let name = name.to_owned();
        let is_meant = (entry.included_models.is_empty() || included.is_match(&name)) && !excluded.is_match(&name);
        if !is_meant {
            continue;
        }
        if models.contains_key(&name) {
            problems.push(format!("{named}: two models are called {name}"));
            continue;
        }
        models.insert(name, model(&entry.id, fields));
    }
    Ok((models, (!problems.is_empty()).then(|| problems.join("; "))))
}

fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?);
    }
    set.build().map_err(|error| error.to_string())
}

fn model(source: &str, mut fields: Map<String, Value>) -> Model {
    let artifacts = match fields.remove("artifacts") {
        Some(Value::Array(artifacts)) => artifacts,
        _ => Vec::new(),
    };
    let mut shown: Map<String, Value> = fields
        .into_iter()
        .filter(|(name, _)| SHOWN.contains(&name.as_str()) || TIMES.contains(&name.as_str()))
        .collect();
    shown.insert("source_id".to_owned(), source.into());
    complete(&mut shown);
    let artifact = |value: Value| match value {
        Value::Object(mut fields)
            if fields.get("uri").is_some_and(Value::is_string) || fields.contains_key("metricsType") =>
        {
            fields.entry("artifactType").or_insert_with(|| "model-artifact".into());
            complete(&mut fields);
            Some(fields)
        }
        _ => None,
    };
    Model { shown, artifacts: artifacts.into_iter().filter_map(artifact).collect() }
}

/// What the API always answers, and times as it has them.
fn complete(fields: &mut Map<String, Value>) {
    fields.entry("customProperties").or_insert_with(|| Value::Object(Map::new()));
    for time in TIMES {
        if let Some(number) = fields.get(time).and_then(Value::as_i64) {
            fields.insert(time.to_owned(), number.to_string().into());
        }
    }
}
