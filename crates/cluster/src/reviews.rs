//! Reviews of bearer tokens: the cluster tells whose they are, and what these users may do.

use std::fmt;

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretString};
use service::auth::{AccessReviewer, ReviewError, ServiceAction, TokenReviewer, User};

use crate::credentials::{Cluster, ClusterSettings, CredentialsError, connect};
use crate::request::{RequestError, bounded};

const TOKENS: &str = "create tokenreviews.authentication.k8s.io";
const ACCESS: &str = "create subjectaccessreviews.authorization.k8s.io";

/// Has the cluster review tokens, and what users may do. Its own account needs the permission to create TokenReviews and
/// SubjectAccessReviews, as the ClusterRole `system:auth-delegator` grants it.
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
    async fn review(&self, token: &SecretString, audience: Option<&str>) -> Result<Option<User>, ReviewError> {
        let spec = TokenReviewSpec {
            token: token.expose_secret().to_owned(),
            audiences: audience.map(|audience| vec![audience.to_owned()]),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = bounded(TOKENS, api.create(&PostParams::default(), &review)).await.map_err(explain)?;
        Ok(answer.status.and_then(|status| {
            // A server that knows nothing of audiences names none: the token may be meant for anyone.
            let meant = audience.is_none_or(|wanted| status.audiences.iter().flatten().any(|named| named == wanted));
            let user = status.user.and_then(named);
            user.filter(|_| meant && status.authenticated == Some(true))
        }))
    }
}

#[async_trait]
impl AccessReviewer for ClusterReviewer {
    async fn may(&self, user: &User, action: &ServiceAction) -> Result<bool, ReviewError> {
        let attributes = ResourceAttributes {
            verb: Some(action.verb.clone()),
            version: Some("v1".to_owned()),
            resource: Some("services".to_owned()),
            namespace: Some(action.namespace.clone()),
            name: Some(action.name.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.name.clone()),
            uid: user.uid.clone(),
            groups: Some(user.groups.clone()),
            extra: Some(user.extra.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = bounded(ACCESS, api.create(&PostParams::default(), &review)).await.map_err(explain)?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// A user that has a name.
fn named(user: UserInfo) -> Option<User> {
    let name = user.username.filter(|name| !name.is_empty())?;
    Some(User { name, uid: user.uid, groups: user.groups.unwrap_or_default(), extra: user.extra.unwrap_or_default() })
}

fn explain(error: RequestError) -> ReviewError {
    match error {
        RequestError::Forbidden { .. } => ReviewError(format!(
            "{error}: this is in the ClusterRole system:auth-delegator, which the service account of this service needs"
        )),
        other => ReviewError(other.to_string()),
    }
}
