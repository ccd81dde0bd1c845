//! The registry that is read: its lists, by whichever version of the API it has.

use std::time::Duration;

use bearer::Token;
use registry_client::{ListQuery, Pages, Patience, RawRecord, RegistryClient, RegistryError};
use reqwest::Client;
use serde_json::Value;
use url::Url;

use crate::api::Version;
use crate::model::Kind;

/// Resources on one page: few requests, and answers that every server gives in time.
const PAGE: u32 = 500;
/// A registry that restarts is waited for.
const PATIENCE: Patience =
    Patience { attempts: 8, first_wait: Duration::from_millis(200), longest_wait: Duration::from_secs(20) };

/// A list of all resources of some kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    /// Where it is, below the root of the API.
    pub(super) path: &'static str,
    /// Of which kinds.
    pub(super) kinds: &'static [Kind],
}

/// Those that belong to nothing or name what they belong to: what others refer to comes first.
pub(super) const CONTEXTS: [Whole; 6] = [
    Whole { path: "registered_models", kinds: &[Kind::RegisteredModel] },
    Whole { path: "model_versions", kinds: &[Kind::ModelVersion] },
    Whole { path: "serving_environments", kinds: &[Kind::ServingEnvironment] },
    Whole { path: "experiments", kinds: &[Kind::Experiment] },
    Whole { path: "experiment_runs", kinds: &[Kind::ExperimentRun] },
    Whole { path: "inference_services", kinds: &[Kind::InferenceService] },
];
/// All artifacts; the oldest servers list only those of models.
pub(super) const ARTIFACTS: [Whole; 2] = [
    Whole { path: "artifacts", kinds: &Kind::ARTIFACTS },
    Whole { path: "model_artifacts", kinds: &[Kind::ModelArtifact] },
];

/// A registry that is read.
#[derive(Debug, Clone)]
pub struct Source {
    client: RegistryClient,
    version: Version,
}

/// What of each list was changed last, which is something else when anything was changed.
pub(super) type Marks = Vec<(&'static str, Option<(Value, Value)>)>;

impl Source {
    /// The registry at `url`: its version 1alpha3 of the API, or 1 where it has no other or `url` leads there.
    pub async fn open(url: Url, http: Client, token: Token) -> Result<Self, RegistryError> {
        Self::with_patience(url, http, token, PATIENCE).await
    }

    /// The same, with another patience for a registry that fails.
    pub async fn with_patience(
        url: Url,
        http: Client,
        token: Token,
        patience: Patience,
    ) -> Result<Self, RegistryError> {
        let client = RegistryClient::new(url, http, None).with_token(token);
        if client.version() == "v1" {
            return Ok(Self { client: client.with_patience(patience), version: Version::V1 });
        }
        let first = ListQuery::default().with_page_size(1);
        // Without patience: an address that is wrong is told at once.
        let answer = client.list::<RawRecord>(&[CONTEXTS[0].path], first).next_page().await;
        let client = client.with_patience(patience);
        match found(answer)? {
            Some(_) => Ok(Self { client, version: Version::V1Alpha3 }),
            None => Ok(Self { client: client.at_version("v1"), version: Version::V1 }),
        }
    }

    /// Where it is, without credentials.
    pub fn url(&self) -> String {
        self.client.base_url()
    }

    /// Which version of the API it is asked by.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Whether there may be such a list.
    pub(super) fn has(&self, list: Whole) -> bool {
        list.kinds.iter().all(|kind| self.version.has(*kind))
    }

    /// A list by its path, in the order of the ids, which nothing that is changed meanwhile moves.
    pub(super) fn list(&self, path: &[&str]) -> Pages<RawRecord> {
        self.client.list(path, ListQuery::default().with_page_size(PAGE))
    }

    /// One resource, if it is there.
    pub(super) async fn one(&self, list: Whole, id: &str) -> Result<Option<Value>, RegistryError> {
        self.client.find(&[list.path, id], &[]).await
    }

    /// What was changed last.
    pub(super) async fn marks(&self) -> Result<Marks, RegistryError> {
        let newest = ListQuery::newest_first().with_page_size(1);
        let mut marks = Marks::new();
        for list in CONTEXTS.into_iter().chain(ARTIFACTS).filter(|list| self.has(*list)) {
            let page = found(self.client.list::<RawRecord>(&[list.path], newest).next_page().await)?.flatten();
            let first = page.and_then(|page| page.records.into_iter().flatten().next());
            let mark = first.map(|record| (record.0["id"].clone(), record.0["lastUpdateTimeSinceEpoch"].clone()));
            marks.push((list.path, mark));
        }
        Ok(marks)
    }
}

/// `None` where the registry has no such list.
pub(super) fn found<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
