//! The requests that the store makes of the Kubernetes API, and what it means when one fails.

use std::time::Duration;

use http::{HeaderMap, header};
use http_body_util::BodyExt;
use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::request::{Error as BuildError, Request};
use kube::core::{ObjectList, PartialObjectMeta, Status};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::StoreError;

/// Who wrote, for `managedFields`.
const FIELD_MANAGER: &str = "storage-rest";

/// The metadata of a ConfigMap.
pub(super) type Metadata = PartialObjectMeta<ConfigMap>;

/// What a failed request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Others have written in between, or made what was to be made.
    Conflict,
    /// It is not there.
    Missing,
    /// It has no room for what was to be written.
    TooLarge,
    /// The list has changed too much to be read on.
    Expired,
    /// The bridge may not do it at all.
    Forbidden,
    /// The bridge may do it, but a quota, a policy or a rule of the API is against it.
    Refused,
    /// The API is not well.
    Unwell,
}

/// A request that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) verb: &'static str,
    pub(super) reason: String,
    /// How long the API asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    fn unwell(verb: &'static str, reason: String) -> Self {
        Self { kind: Kind::Unwell, verb, reason, retry_after: None }
    }

    fn of(verb: &'static str, status: &Status, headers: &HeaderMap) -> Self {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let asked = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
        let retry_after = seconds.or(asked).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Self { kind: kind_of(status), verb, reason: format!("{} ({})", status.message, status.code), retry_after }
    }
}

fn kind_of(status: &Status) -> Kind {
    let says = |words: &str| status.message.contains(words);
    match status.code {
        // What etcd says when an object with its keys and metadata exceeds what it takes.
        _ if says("request is too large") || says("message larger than max") => Kind::TooLarge,
        413 => Kind::TooLarge,
        422 if says("Too long") => Kind::TooLarge,
        404 => Kind::Missing,
        409 => Kind::Conflict,
        410 => Kind::Expired,
        403 if says("exceeded quota") || says("failed quota") || says("denied") => Kind::Refused,
        401 | 403 => Kind::Forbidden,
        400 | 405 | 415 | 422 => Kind::Refused,
        _ => Kind::Unwell,
    }
}

/// The ConfigMaps of one namespace.
pub(super) struct Requests {
    client: Client,
    base: Request,
    namespace: String,
    timeout: Duration,
}

impl Requests {
    pub(super) fn new(client: Client, namespace: &str, timeout: Duration) -> Self {
        let path = format!("/api/{}/namespaces/{namespace}/{}", ConfigMap::VERSION, ConfigMap::URL_PATH_SEGMENT);
        Self { client, base: Request::new(path), namespace: namespace.to_owned(), timeout }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// `None` when there is none of that name.
    pub(super) async fn get(&self, name: &str) -> Result<Option<ConfigMap>, Failure> {
        found(self.send("get", self.base.get(name, &GetParams::default())).await)
    }

    /// As [`Requests::get`], but only its metadata.
    pub(super) async fn get_metadata(&self, name: &str) -> Result<Option<Metadata>, Failure> {
        found(self.send("get", self.base.get_metadata(name, &GetParams::default())).await)
    }

    /// All pages of a list of ConfigMaps, as they were at one moment.
    pub(super) async fn list(&self, labels: &str, page: u32) -> Result<Vec<ConfigMap>, Failure> {
        self.pages(ListParams::default().labels(labels).limit(page), |params| self.base.list(params)).await
    }

    /// As [`Requests::list`], but only their metadata.
    pub(super) async fn list_metadata(&self, labels: &str, page: u32) -> Result<Vec<Metadata>, Failure> {
        self.pages(ListParams::default().labels(labels).limit(page), |params| self.base.list_metadata(params)).await
    }

    pub(super) async fn create(&self, config_map: &ConfigMap) -> Result<Metadata, Failure> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let body = serde_json::to_vec(config_map).map_err(|error| Failure::unwell("create", error.to_string()))?;
        self.send("create", self.base.create(&params, body)).await
    }

    pub(super) async fn patch(&self, name: &str, patch: &Value) -> Result<Metadata, Failure> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.send("patch", self.base.patch_metadata(name, &params, &Patch::Merge(patch))).await
    }

    /// Has the API judge the writes that the store makes, and do none of them.
    pub(super) async fn rehearse(&self, name: &str) -> Result<(), Failure> {
        if self.get_metadata(name).await?.is_some() {
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: true, ..PatchParams::default() };
            let nothing = serde_json::json!({ "binaryData": {} });
            let patch = self.base.patch_metadata(name, &params, &Patch::Merge(&nothing));
            return self.send::<Metadata>("patch", patch).await.map(drop);
        }
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let config_map = ConfigMap { metadata, ..ConfigMap::default() };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: true };
        let body = serde_json::to_vec(&config_map).map_err(|error| Failure::unwell("create", error.to_string()))?;
        self.send::<Metadata>("create", self.base.create(&params, body)).await.map(drop)
    }

    /// The error that tells of a failure.
    pub(super) fn error(&self, store: String, failure: &Failure) -> StoreError {
        let Failure { kind, verb, reason, .. } = failure.clone();
        let resource = format!("configmaps in namespace {}", self.namespace);
        match kind {
            Kind::Forbidden => StoreError::Permission { store, verb, resource, reason },
            Kind::Refused => StoreError::Refused { store, verb, resource, reason },
            _ => StoreError::Unavailable { store, reason },
        }
    }

    async fn pages<T: DeserializeOwned + Clone>(
        &self,
        mut params: ListParams,
        request: impl Fn(&ListParams) -> Result<http::Request<Vec<u8>>, BuildError>,
    ) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        loop {
            let page: ObjectList<T> = self.send("list", request(&params)).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        verb: &'static str,
        request: Result<http::Request<Vec<u8>>, BuildError>,
    ) -> Result<T, Failure> {
        let request = request.map_err(|error| Failure::unwell(verb, error.to_string()))?;
        let exchange = async {
            let (head, body) = self.client.send(request.map(Body::from)).await?.into_parts();
            Ok::<_, kube::Error>((head, body.collect().await?.to_bytes()))
        };
        // The client itself waits as long as a watch may be silent.
        let (head, body) = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Failure::unwell(verb, error.to_string())),
            Err(_) => {
                let reason = format!("no answer from the Kubernetes API within {:?}", self.timeout);
                return Err(Failure::unwell(verb, reason));
            }
        };
        if head.status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| Failure::unwell(verb, format!("the answer is not understood: {error}")));
        }
        let mut status: Status = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Status::failure(excerpt(&String::from_utf8_lossy(&body)), ""));
        status.code = head.status.as_u16();
        Err(Failure::of(verb, &status, &head.headers))
    }
}

fn found<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.kind == Kind::Missing => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What a proxy in between says is no `Status`, and may be long.
fn excerpt(text: &str) -> &str {
    const SHOWN: usize = 200;
    text.trim().char_indices().nth(SHOWN).map_or(text.trim(), |(end, _)| &text.trim()[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_means_is_told_by_the_words_of_a_real_api() {
        let forbidden = "configmaps \"bac-import-model\" is forbidden: ";
        for (code, message, kind) in [
            (
                403,
                format!("{forbidden}User \"a\" cannot patch resource \"configmaps\" in API group \"\""),
                Kind::Forbidden,
            ),
            (403, format!("{forbidden}exceeded quota: objects, requested: count/configmaps=1"), Kind::Refused),
            (400, "admission webhook \"a.b\" denied the request: no".to_owned(), Kind::Refused),
            (403, "admission webhook \"a.b\" denied the request: no".to_owned(), Kind::Refused),
            (
                422,
                format!("{forbidden}ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no"),
                Kind::Refused,
            ),
            (
                422,
                "ConfigMap \"a\" is invalid: []: Too long: may not be more than 1048576 bytes".to_owned(),
                Kind::TooLarge,
            ),
            (500, "etcdserver: request is too large".to_owned(), Kind::TooLarge),
            (413, "Request entity too large: limit is 3145728".to_owned(), Kind::TooLarge),
            (500, "etcdserver: leader changed".to_owned(), Kind::Unwell),
            (429, "Too many requests, please try again later.".to_owned(), Kind::Unwell),
        ] {
            assert_eq!(kind_of(&Status::failure(&message, "").with_code(code)), kind, "{message}");
        }
    }

    #[test]
    fn a_wait_may_be_asked_for_in_the_header_or_in_the_status() {
        let mut status = Status::failure("Too many requests", "").with_code(429);
        assert_eq!(Failure::of("get", &status, &HeaderMap::new()).retry_after, None);
        status.details = Some(serde_json::from_value(serde_json::json!({ "retryAfterSeconds": 3 })).unwrap());
        assert_eq!(Failure::of("get", &status, &HeaderMap::new()).retry_after, Some(Duration::from_secs(3)));
        let header = HeaderMap::from_iter([(header::RETRY_AFTER, header::HeaderValue::from_static("2"))]);
        assert_eq!(Failure::of("get", &status, &header).retry_after, Some(Duration::from_secs(2)));
    }
}
