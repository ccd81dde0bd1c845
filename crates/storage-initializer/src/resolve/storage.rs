//! Where an artifact is: its `uri`, or `storageKey` and `storagePath` as KServe understands them.
//!
//! KServe keeps places and credentials in the Secret `storage-config`, an entry each, and gives an init container the entry that
//! the InferenceService names as `STORAGE_CONFIG`. An artifact names an entry by `storageKey`: it is looked for in the directory
//! with the mounted Secret, then in `STORAGE_CONFIG`, which may also hold several entries by name.

use std::path::Path;

use serde_json::{Map, Value};

use super::lookup::Found;
use crate::environment::Environment;
use crate::uri::SourceUri;
use crate::{Failure, Kind};

/// The variable with an entry of `storage-config`.
pub(super) const STORAGE_CONFIG: &str = "STORAGE_CONFIG";
/// What replaces some of its fields.
const STORAGE_OVERRIDE_CONFIG: &str = "STORAGE_OVERRIDE_CONFIG";
/// The name of an entry is that of a file.
const ENTRY_LIMIT: u64 = 1 << 20;

/// Where a model is, and the entry with its credentials where the artifact names one.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) uri: SourceUri,
    pub(super) config: Option<String>,
}

type Entry = Map<String, Value>;

/// The place of the artifact that was found.
pub(super) fn place(found: &Found, directory: Option<&Path>, environment: &Environment) -> Result<Place, Failure> {
    let artifact = &found.artifact;
    let subject = || {
        let name = artifact.name.as_deref().unwrap_or_default();
        format!(
            "artifact {name:?} (id {}) of model {:?} version {:?}",
            artifact.id, found.model.name, found.version.name
        )
    };
    let entry = match &artifact.storage_key {
        Some(key) => entry(key, directory, environment)?,
        None => environment.get(STORAGE_CONFIG).and_then(|text| serde_json::from_str(text).ok()),
    };
    let config = match (&artifact.storage_key, &entry) {
        (Some(_), Some(entry)) => Some(Value::Object(entry.clone()).to_string()),
        _ => None,
    };
    let uri = match (&artifact.uri, &artifact.storage_path) {
        (Some(uri), _) => uri.clone(),
        (None, Some(path)) if path.contains("://") => path.clone(),
        (None, path) => {
            let path = path.as_deref().unwrap_or_default();
            built(&subject(), artifact.storage_key.as_deref(), path, entry, environment)?
        }
    };
    Ok(Place { uri: parsed(&uri, &subject())?, config })
}

fn parsed(text: &str, subject: &str) -> Result<SourceUri, Failure> {
    let uri: SourceUri = text.parse().map_err(|error: crate::uri::UriError| {
        let what = format!("{subject} has a uri that cannot be used: {error}");
        Failure::new(Kind::Integrity, what, format!("correct it in the registry: {}", error.forms))
    })?;
    if let SourceUri::Registry(_) = uri {
        let what = format!("{subject} has the uri {uri}, which is a registry's and no place of a model");
        return Err(Failure::new(Kind::Integrity, what, "put there where the model is"));
    }
    Ok(uri)
}

/// The entry `key` of `storage-config`.
fn entry(key: &str, directory: Option<&Path>, environment: &Environment) -> Result<Option<Entry>, Failure> {
    if let Some(entry) = directory.map(|directory| mounted(key, directory)).transpose()?.flatten() {
        return Ok(Some(entry));
    }
    let Some(text) = environment.get(STORAGE_CONFIG) else { return Ok(None) };
    let mut entries = object(text).ok_or_else(|| malformed(STORAGE_CONFIG))?;
    match entries.remove(key) {
        Some(Value::Object(entry)) => Ok(Some(entry)),
        Some(Value::String(text)) => object(&text).map(Some).ok_or_else(|| malformed(STORAGE_CONFIG)),
        // One entry, without its name: the one that the InferenceService has chosen.
        _ => Ok(Some(entries)),
    }
}

fn mounted(key: &str, directory: &Path) -> Result<Option<Entry>, Failure> {
    let is_name = !key.contains('/') && !key.starts_with("..") && !key.contains('\0') && !key.is_empty();
    let file = directory.join(key);
    if !is_name || !file.is_file() {
        return Ok(None);
    }
    let shown = file.display();
    let unreadable = |reason: &dyn std::fmt::Display| {
        Failure::new(Kind::Usage, format!("{shown} cannot be read: {reason}"), "correct the Secret storage-config")
    };
    let length = file.metadata().map_err(|error| unreadable(&error))?.len();
    if length > ENTRY_LIMIT {
        return Err(unreadable(&"it is too long for an entry"));
    }
    let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&error))?;
    object(&text).map(Some).ok_or_else(|| malformed(&shown.to_string()))
}

fn object(text: &str) -> Option<Entry> {
    serde_json::from_str(text).ok()
}

/// The reason of the parser might show a credential.
fn malformed(name: &str) -> Failure {
    Failure::new(Kind::Usage, format!("{name} holds no JSON object"), "correct the Secret storage-config")
}

/// The URI of a path in the bucket of an entry.
fn built(
    subject: &str,
    key: Option<&str>,
    path: &str,
    entry: Option<Entry>,
    environment: &Environment,
) -> Result<String, Failure> {
    let named = key.map_or_else(String::new, |key| format!(" {key:?}"));
    let Some(mut entry) = entry else {
        let what = format!("{subject} has no uri, and there is no entry{named} of storage-config for its storagePath");
        let advice =
            "give the entry in STORAGE_CONFIG, or mount the Secret and name it with --storage-config-directory";
        return Err(Failure::new(Kind::Usage, what, advice));
    };
    if let Some(overrides) = environment.get(STORAGE_OVERRIDE_CONFIG).and_then(object) {
        entry.extend(overrides);
    }
    let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let incomplete = |what: &str| {
        let what = format!("{subject} has no uri, and the entry{named} of storage-config {what}");
        Failure::new(Kind::Usage, what, "correct the Secret storage-config")
    };
    let path = path.trim_start_matches('/');
    let bucket = ["bucket", "default_bucket", "container"].into_iter().find_map(field);
    let bucket = || bucket.ok_or_else(|| incomplete("names no bucket"));
    match field("type") {
        Some("s3") => Ok(format!("s3://{}/{path}", bucket()?)),
        Some("gs" | "gcs") => Ok(format!("gs://{}/{path}", bucket()?)),
        Some("azure") => Ok(format!("az://{}/{path}", bucket()?)),
        Some(other) => Err(incomplete(&format!("is of the type {other:?}, in which there are no buckets"))),
        None => Err(incomplete("has no type")),
    }
}
