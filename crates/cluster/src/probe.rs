//! What can be asked of a cluster without doing anything: its version and its clock, what the bridge may do there, and
//! which kinds it has.

use http::header::DATE;
use http_body_util::BodyExt as _;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client};
use serde::Deserialize;

use crate::presence::{CustomResource, served_version};
use crate::request::{RequestError, bounded};
use crate::routes::ROUTES;
use crate::{kserve, llm};

/// A verb on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// As RBAC rules write it.
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The plural.
    pub resource: &'static str,
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

/// What an API server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// Such as `v1.34.1`.
    pub version: String,
    /// Its clock, as its `Date` header has it.
    pub date: Option<String>,
}

/// A kind that a cluster may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionalKind {
    /// KServe's InferenceService.
    InferenceService,
    /// KServe's LLMInferenceService.
    LlmInferenceService,
    /// OpenShift's Route.
    Route,
}

impl OptionalKind {
    fn resource(self) -> CustomResource {
        match self {
            Self::InferenceService => {
                CustomResource { group: kserve::GROUP, versions: &[kserve::VERSION], plural: kserve::PLURAL }
            }
            Self::LlmInferenceService => {
                CustomResource { group: kserve::GROUP, versions: llm::VERSIONS, plural: llm::PLURAL }
            }
            Self::Route => ROUTES,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionAnswer {
    git_version: String,
}

/// The version of the API server.
pub async fn server_version(client: &Client) -> Result<ServerVersion, RequestError> {
    const WHAT: &str = "get /version";
    let request = http::Request::get("/version").body(Body::empty());
    let request = request.map_err(|error| RequestError::unreadable(WHAT, &error.to_string()))?;
    let answer = bounded(WHAT, client.send(request)).await?;
    let (head, body) = answer.into_parts();
    let what = || WHAT.to_owned();
    match head.status.as_u16() {
        200 => {}
        401 => return Err(RequestError::Unauthorized { what: what() }),
        403 => return Err(RequestError::Forbidden { what: what() }),
        404 => return Err(RequestError::NotFound { what: what() }),
        status => return Err(RequestError::unreadable(WHAT, &format!("status {status}"))),
    }
    let bytes = bounded(WHAT, async { Ok(body.collect().await?.to_bytes()) }).await?;
    let answer: VersionAnswer = serde_json::from_slice(&bytes)
        .map_err(|error| RequestError::unreadable(WHAT, &format!("the answer is not that of a cluster: {error}")))?;
    let date = head.headers.get(DATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(ServerVersion { version: answer.git_version, date })
}

/// Whether the bridge may do this: in a namespace, or in all of them.
pub async fn is_permitted(
    client: &Client,
    permission: Permission,
    namespace: Option<&str>,
) -> Result<bool, RequestError> {
    let attributes = ResourceAttributes {
        verb: Some(permission.verb.to_owned()),
        group: Some(permission.group.to_owned()),
        resource: Some(permission.resource.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let what = "create selfsubjectaccessreviews.authorization.k8s.io";
    let answer = bounded(what, api.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// The version in which the cluster has a kind; `None` where it has not.
pub async fn version_of(client: &Client, kind: OptionalKind) -> Result<Option<&'static str>, RequestError> {
    served_version(client, &kind.resource()).await
}
