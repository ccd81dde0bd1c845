//! Reviews of bearer tokens: the cluster tells whose they are.

use std::fmt;

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretString};
use service::auth::{ReviewError, TokenReviewer};

use crate::credentials::{Cluster, ClusterSettings, CredentialsError, connect};
use crate::request::{RequestError, bounded};

const WHAT: &str = "create tokenreviews.authentication.k8s.io";

/// Has the cluster review tokens. Its own account needs the permission to create TokenReviews, as the ClusterRole
/// `system:auth-delegator` grants it.
#[derive(Clone)]
pub struct ClusterReviewer {
    client: Client,
}

impl fmt::Debug for ClusterReviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterReviewer")
    }
}

impl ClusterReviewer {
    /// A reviewer that asks `cluster`.
    pub fn new(cluster: &Cluster) -> Self {
        Self { client: cluster.client.clone() }
    }

    /// A reviewer that asks the cluster of the settings; `None` where none is configured.
    pub async fn connect(settings: &ClusterSettings) -> Result<Option<Self>, CredentialsError> {
        Ok(connect(settings).await?.map(|cluster| Self::new(&cluster)))
    }
}

#[async_trait]
impl TokenReviewer for ClusterReviewer {
    async fn review(&self, token: &SecretString, audience: Option<&str>) -> Result<Option<String>, ReviewError> {
        let spec = TokenReviewSpec {
            token: token.expose_secret().to_owned(),
            audiences: audience.map(|audience| vec![audience.to_owned()]),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = bounded(WHAT, api.create(&PostParams::default(), &review)).await.map_err(explain)?;
        Ok(answer.status.and_then(|status| {
            // A server that knows nothing of audiences names none: the token may be meant for anyone.
            let meant = audience.is_none_or(|wanted| status.audiences.iter().flatten().any(|named| named == wanted));
            let user = status.user.and_then(|user| user.username).filter(|name| !name.is_empty());
            user.filter(|_| meant && status.authenticated == Some(true))
        }))
    }
}

fn explain(error: RequestError) -> ReviewError {
    match error {
        RequestError::Forbidden { .. } => ReviewError(format!(
            "{error}: this is in the ClusterRole system:auth-delegator, which the service account of this service needs"
        )),
        other => ReviewError(other.to_string()),
    }
}
