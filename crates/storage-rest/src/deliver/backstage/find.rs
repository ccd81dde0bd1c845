//! Where Backstage is, and how it is talked to.

use anyhow::Context;
use backstage_client::CatalogClient;
use calls::Calls;
use cluster::{Cluster, ClusterSettings};
use service::http_client;
use service::secret::{Secret, source_of};
use url::Url;

use crate::deliver::Pace;
use crate::settings::BackstageAccess;

const NO_ROUTE: &str = "BKSTG_URL is unset, and no Route's label app.kubernetes.io/name contains `backstage`";

/// A Backstage that is given, or to be found in the cluster.
#[derive(Clone)]
pub struct Backstage {
    http: reqwest::Client,
    token: Option<Secret>,
    place: Place,
    calls: Calls,
}

#[derive(Clone)]
enum Place {
    Given(Url),
    /// The Route in a namespace.
    Route {
        cluster: Box<Cluster>,
        namespace: String,
    },
    /// Neither a URL nor a cluster.
    Nowhere,
}

/// What it means that there is no Route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// There is no Backstage.
    Final,
    /// Backstage is not installed yet.
    Awaited,
}

impl Backstage {
    /// The Backstage of these settings. The cluster is asked where no URL is given.
    pub fn new(access: &BackstageAccess, settings: &ClusterSettings, cluster: Option<Cluster>) -> anyhow::Result<Self> {
        let place = match (&access.bkstg_url, cluster) {
            (Some(url), _) => Place::Given(url.clone()),
            (None, Some(cluster)) => {
                let namespace = settings.pod_namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
                Place::Route { cluster: Box::new(cluster), namespace }
            }
            (None, None) => Place::Nowhere,
        };
        let http = http_client::client(&access.tls(), "Backstage").context("--bkstg-ca / BKSTG_CA")?;
        Ok(Self { http, token: access.token()?, place, calls: Calls::default() })
    }

    /// The same, telling of each request as `calls` does.
    #[must_use]
    pub fn with_calls(self, calls: Calls) -> Self {
        Self { calls, ..self }
    }

    /// A client of it; `None`, after a warning, where there is none to talk to. A cluster that can't be reached is waited
    /// for.
    pub async fn client(&self, pace: Pace) -> Option<CatalogClient> {
        self.found(pace, Missing::Final).await
    }

    /// The same, and a Route that is not there yet is waited for, too.
    pub async fn awaited_client(&self, pace: Pace) -> Option<CatalogClient> {
        self.found(pace, Missing::Awaited).await
    }

    async fn found(&self, pace: Pace, missing: Missing) -> Option<CatalogClient> {
        let url = match &self.place {
            Place::Given(url) => url.clone(),
            Place::Route { cluster, namespace } => find_route(cluster, namespace, pace, missing).await?,
            Place::Nowhere => {
                tracing::warn!("BKSTG_URL is unset, and there is no cluster to find Backstage in");
                return None;
            }
        };
        if self.token.is_none() {
            tracing::warn!("neither RHDH_TOKEN nor RHDH_TOKEN_FILE is set: Backstage is asked without a token");
        }
        let client = match CatalogClient::new(&url, self.http.clone(), None) {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "Backstage can't be asked anything");
                return None;
            }
        };
        tracing::debug!(url = %url, "Backstage is found");
        Some(client.with_token_source(source_of(self.token.clone())).with_calls(self.calls.clone()))
    }
}

async fn find_route(cluster: &Cluster, namespace: &str, pace: Pace, missing: Missing) -> Option<Url> {
    let (mut failures, mut said) = (0, String::new());
    loop {
        let found = cluster::find_backstage_route(&cluster.client, namespace).await;
        let problem = match found {
            Ok(Some(route)) => match route.url() {
                Ok(url) => return Some(url),
                Err(reason) => format!("the Route {} {reason}", route.name),
            },
            Ok(None) if missing == Missing::Final => {
                tracing::warn!(namespace, "{NO_ROUTE}");
                return None;
            }
            Ok(None) => NO_ROUTE.to_owned(),
            Err(error) => error.to_string(),
        };
        failures += 1;
        let wait = pace.wait(failures);
        if said == problem {
            tracing::debug!(namespace, problem, retry_in = ?wait, "Backstage is not found yet");
        } else {
            tracing::warn!(namespace, problem, retry_in = ?wait, "Backstage is not found yet; it is looked for until it is");
        }
        said = problem;
        tokio::time::sleep(wait).await;
    }
}
