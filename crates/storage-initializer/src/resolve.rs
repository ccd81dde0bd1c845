//! From `model-registry://` to where the model is: the newest LIVE artifact of the version that is named, or of the newest LIVE
//! one.
//!
//! A URI of two segments has two readings, host and model, or model and version. In each round all readings are asked, in this
//! order, and the first that leads to an artifact wins. What failed in a way that may go away is asked again in the next round,
//! until the time for that is over.

use std::fmt;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use secrecy::SecretString;
use serde_json::{Value, json};
use service::http_client::client;
use service::secret::Secret;

use crate::environment::Environment;
use crate::settings::RegistrySettings;
use crate::uri::{RegistryUri, SourceUri};
use crate::{Failure, Kind};

mod address;
mod choose;
mod failures;
mod lookup;
mod storage;

use address::Address;
use lookup::{Found, Registry};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A record of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name; artifacts may have none.
    pub name: Option<String>,
}

/// Where a model is, and how that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The root of the registry's API.
    pub registry: String,
    /// The registered model.
    pub model: Named,
    /// The version.
    pub version: Named,
    /// The artifact.
    pub artifact: Named,
    /// The model's format, as in `onnx 1`.
    pub format: Option<String>,
    /// The entry of `storage-config` that the artifact names.
    pub storage_key: Option<String>,
    /// Where the model is.
    pub uri: SourceUri,
    /// What an operator may want to know.
    pub warnings: Vec<String>,
    /// The entry of `storage-config`, for whoever fetches.
    storage_config: Option<StorageConfig>,
}

/// An entry of `storage-config`, which has credentials.
#[derive(Clone, PartialEq, Eq)]
struct StorageConfig(String);

impl fmt::Debug for StorageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageConfig(***)")
    }
}

/// Asks registries where the model is.
pub async fn resolve(
    uri: &RegistryUri,
    settings: &RegistrySettings,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    let mut asked: Vec<Asked> = registries(uri, settings)?.into_iter().map(Asked::new).collect();
    let until = Instant::now() + settings.registry_retry_for.0;
    let mut waits = ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        if let Some(found) = round(&mut asked).await {
            return resolved(found, settings, environment);
        }
        let Some(wait) = next_wait(&asked, waits.next().unwrap_or(LONGEST_WAIT)) else { break };
        if Instant::now() + wait > until {
            break;
        }
        for failure in asked.iter().filter_map(Asked::transient) {
            tracing::info!(?wait, "asking again after a wait: {}", failure.what);
        }
        tokio::time::sleep(wait).await;
    }
    let failed = asked.into_iter().filter_map(|asked| Some((asked.registry.address, asked.failure?)));
    Err(failures::of_all_readings(uri, failed.collect()))
}

/// A registry, and what it came to when it was asked last.
struct Asked {
    registry: Registry,
    failure: Option<Failure>,
}

impl Asked {
    fn new(registry: Registry) -> Self {
        Self { registry, failure: None }
    }

    fn transient(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| failure.is_transient)
    }

    fn is_over(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| !failure.is_transient)
    }
}

/// Asks all registries of which something may be had.
async fn round(asked: &mut [Asked]) -> Option<Found> {
    for asked in asked.iter_mut().filter(|asked| !asked.is_over()) {
        match asked.registry.look_up().await {
            Ok(found) => return Some(found),
            Err(failure) => asked.failure = Some(failure),
        }
    }
    None
}

/// How long to wait before the next round: at least as long as registries ask for; none where nothing can come of it.
fn next_wait(asked: &[Asked], wait: Duration) -> Option<Duration> {
    let waits = asked.iter().filter_map(Asked::transient).map(|failure| failure.retry_after.unwrap_or_default());
    waits.max().map(|longest| longest.max(wait))
}

fn registries(uri: &RegistryUri, settings: &RegistrySettings) -> Result<Vec<Registry>, Failure> {
    let usage = |error: &dyn fmt::Display| Failure::new(Kind::Usage, error.to_string(), "correct the setting");
    let token = settings.token().map_err(|error| usage(&error))?;
    let http = client(&settings.tls(), "the model registry").map_err(|error| usage(&error))?;
    let registry = |address: Address| {
        let token: Option<SecretString> = token.as_ref().filter(|_| address.may_have_token).map(Secret::current);
        if token.is_some() && address.base.scheme() == "http" && !address.is_loopback() {
            tracing::debug!("the registry's token goes to {} without TLS", address.host());
        }
        Registry::new(address, http.clone(), token, settings.registry_timeout.0)
    };
    Ok(address::addresses(uri, settings)?.into_iter().map(registry).collect())
}

fn resolved(found: Found, settings: &RegistrySettings, environment: &Environment) -> Result<Resolved, Failure> {
    let place = storage::place(&found, settings.storage_config_directory.as_deref(), environment)?;
    let Found { registry, model, version, artifact, warnings } = found;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let format = artifact.model_format_name.map(|name| match artifact.model_format_version {
        Some(version) => format!("{name} {version}"),
        None => name,
    });
    Ok(Resolved {
        registry,
        model: Named { id: model.id, name: Some(model.name) },
        version: Named { id: version.id, name: Some(version.name) },
        artifact: Named { id: artifact.id, name: artifact.name },
        format,
        storage_key: artifact.storage_key,
        uri: place.uri,
        warnings,
        storage_config: place.config.map(StorageConfig),
    })
}

impl Named {
    fn json(&self) -> Value {
        json!({ "id": self.id, "name": self.name })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name:?} (id {})", self.id),
            None => write!(f, "without a name (id {})", self.id),
        }
    }
}

impl Resolved {
    /// The environment for whoever fetches: with the entry of `storage-config` that the artifact names.
    pub fn environment(&self, environment: Environment) -> Environment {
        match &self.storage_config {
            Some(StorageConfig(entry)) => environment.with(storage::STORAGE_CONFIG, entry),
            None => environment,
        }
    }

    /// All that is known, a line each.
    pub fn lines(&self) -> String {
        let mut lines = vec![
            format!("uri:      {}", self.uri),
            format!("model:    {}", self.model),
            format!("version:  {}", self.version),
            format!("artifact: {}", self.artifact),
        ];
        lines.extend(self.format.as_ref().map(|format| format!("format:   {format}")));
        lines.extend(self.storage_key.as_ref().map(|key| format!("storage:  {key}")));
        lines.push(format!("registry: {}", self.registry));
        lines.join("\n")
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "uri": self.uri.to_string(),
            "model": self.model.json(),
            "version": self.version.json(),
            "artifact": self.artifact.json(),
            "format": self.format,
            "storageKey": self.storage_key,
            "registry": self.registry,
            "warnings": self.warnings,
        })
    }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, version, uri, registry, .. } = self;
        write!(f, "model {model} version {version} is at {uri}, says the registry at {registry}")
    }
}
