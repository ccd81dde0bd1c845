//! InferenceServices and LLMInferenceServices from manifest files in place of a cluster: for the demo, and for a look at
//! what would be shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster::kserve::{self, InferenceService};
use cluster::llm::{self, LlmInferenceService};
use cluster::owned::{OwnedService, OwnedServiceAccount};
use cluster::watch::{ClusterSnapshot, KindState, ObservedInferenceService, Scope};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use kube::core::PartialObjectMeta;
use serde::Deserialize as _;
use serde_json::Value;
use thiserror::Error;

/// A manifest file cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("the manifest {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not YAML, or an object in it is not what its kind says.
    #[error("the manifest {path} has an unusable document ({document}. in the file): {reason}")]
    Document {
        /// The file.
        path: PathBuf,
        /// Which of its documents, counted from 1.
        document: usize,
        /// Why.
        reason: String,
    },
}

#[derive(Default)]
struct Found {
    services: Vec<InferenceService>,
    llm_services: Vec<LlmInferenceService>,
    unreadable: Vec<cluster::ParseError>,
    owned_services: Vec<OwnedService>,
    owned_accounts: Vec<OwnedServiceAccount>,
}

/// Reads InferenceServices with the Services and ServiceAccounts that they own, and LLMInferenceServices, as a cluster
/// would show them. Objects of other kinds are passed over.
pub fn read(paths: &[PathBuf]) -> Result<ClusterSnapshot, ManifestError> {
    let mut found = Found::default();
    for path in paths {
        let text =
            std::fs::read_to_string(path).map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        found.add_file(path, &text)?;
    }
    Ok(found.into_snapshot())
}

/// Reads the same from text.
pub fn read_text(name: &str, text: &str) -> Result<ClusterSnapshot, ManifestError> {
    let mut found = Found::default();
    found.add_file(Path::new(name), text)?;
    Ok(found.into_snapshot())
}

impl Found {
    fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ManifestError> {
        for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
            let failed =
                |reason: String| ManifestError::Document { path: path.to_owned(), document: index + 1, reason };
            let object = Value::deserialize(document).map_err(|error| failed(error.to_string()))?;
            self.add(object).map_err(failed)?;
        }
        Ok(())
    }

    fn add(&mut self, object: Value) -> Result<(), String> {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "List" => {
                let items = object.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
                items.into_iter().try_for_each(|item| self.add(item))?;
            }
            kserve::KIND => match InferenceService::from_json(object) {
                Ok(service) => self.services.push(service),
                Err(error) => self.unreadable.push(error),
            },
            llm::KIND => match LlmInferenceService::from_json(object) {
                Ok(service) => self.llm_services.push(service),
                Err(error) => self.unreadable.push(error),
            },
            "Service" => {
                let service: Service = serde_json::from_value(object).map_err(|error| error.to_string())?;
                self.owned_services.extend(OwnedService::of(&service));
            }
            "ServiceAccount" => {
                let account: PartialObjectMeta<ServiceAccount> =
                    serde_json::from_value(object).map_err(|error| error.to_string())?;
                self.owned_accounts.extend(OwnedServiceAccount::of(&account));
            }
            _ => {}
        }
        Ok(())
    }

    fn into_snapshot(mut self) -> ClusterSnapshot {
        self.services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        self.llm_services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let services = self.services.iter().map(|service| ObservedInferenceService {
            services: self
                .owned_services
                .iter()
                .filter(|o| o.owner.is(&o.namespace, service))
                .cloned()
                .map(Arc::new)
                .collect(),
            service_accounts: self
                .owned_accounts
                .iter()
                .filter(|o| o.owner.is(&o.namespace, service))
                .cloned()
                .map(Arc::new)
                .collect(),
            service: Arc::new(service.clone()),
        });
        let complete = KindState::Complete { at: Timestamp::now() };
        ClusterSnapshot {
            version: 0,
            services: services.collect(),
            llm_services: self.llm_services.into_iter().map(Arc::new).collect(),
            unreadable: self.unreadable,
            scope: Scope::AllNamespaces,
            llm_scope: Scope::AllNamespaces,
            inference_services: complete.clone(),
            llm_inference_services: complete.clone(),
            owned_services: complete.clone(),
            service_accounts: complete,
            namespaces: None,
            namespace_annotations: BTreeMap::new(),
            complete_lists: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_services_are_read_and_what_cannot_be_is_named_by_its_kind() {
        let text = "
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {namespace: n, name: one}
---
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {namespace: n, name: two}
spec: {model: {uri: 'hf://org/model', lora: {adapters: [{name: adapter}]}}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {namespace: n, name: odd}
spec: {model: 5}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: n, name: other}
";
        let snapshot = read_text("manifests", text).unwrap();
        assert!(snapshot.is_known());
        assert_eq!(snapshot.services[0].service.name, "one");
        let models = snapshot.llm_services[0].served_models();
        assert_eq!(models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["two", "adapter"]);
        assert_eq!(snapshot.unreadable.len(), 1);
        assert_eq!(snapshot.unreadable[0].kind, cluster::ServiceKind::LlmInferenceService);
        assert!(snapshot.proves_absent_of(cluster::ServiceKind::LlmInferenceService, "n", "one"));
    }
}
