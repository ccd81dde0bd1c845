//! The one thing that is ever written to KServe's objects: a label.

use kube::{
    Api,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::json;

use crate::{
    credentials::Cluster,
    kserve::{GROUP, InferenceService, KIND, PLURAL, VERSION},
    request::{RequestError, bounded},
};

impl Cluster {
    /// Gives an InferenceService a label, by a merge patch that has nothing else in it.
    pub async fn label(&self, service: &InferenceService, key: &str, value: &str) -> Result<(), RequestError> {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, KIND);
        let resource = ApiResource::from_gvk_with_plural(&kind, PLURAL);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &service.namespace, &resource);
        let patch = Patch::Merge(json!({"metadata": {"labels": {key: value}}}));
        let what = format!("patch {PLURAL}.{GROUP} {} in namespace {}", service.name, service.namespace);
        bounded(&what, api.patch(&service.name, &PatchParams::default(), &patch)).await.map(drop)
    }
}
