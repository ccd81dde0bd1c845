//! CustomResourceDefinitions that tests install.

use serde_json::{Value, json};

/// A custom kind with a status subresource and an open schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    group: String,
    kind: String,
    plural: String,
    versions: Vec<String>,
}

impl Definition {
    /// A namespaced kind; the first version is the stored one.
    pub fn new(group: &str, kind: &str, plural: &str, versions: &[&str]) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        }
    }

    /// KServe's InferenceService `v1beta1`.
    pub fn inference_services() -> Self {
        Self::new("serving.kserve.io", "InferenceService", "inferenceservices", &["v1beta1"])
    }

    /// KServe's LLMInferenceService in these versions (`v1alpha2`, older `v1alpha1`).
    pub fn llm_inference_services(versions: &[&str]) -> Self {
        Self::new("serving.kserve.io", "LLMInferenceService", "llminferenceservices", versions)
    }

    /// OpenShift's Route `v1`.
    pub fn routes() -> Self {
        Self::new("route.openshift.io", "Route", "routes", &["v1"])
    }

    /// The definition's object name, `plural.group`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// The CustomResourceDefinition.
    pub fn object(&self) -> Value {
        let versions: Vec<Value> = self
            .versions
            .iter()
            .enumerate()
            .map(|(index, version)| {
                json!({
                    "name": version, "served": true, "storage": index == 0,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                })
            })
            .collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name()},
            "spec": {
                "group": self.group, "scope": "Namespaced",
                "names": {
                    "kind": self.kind, "listKind": format!("{}List", self.kind),
                    "plural": self.plural, "singular": self.kind.to_lowercase(),
                },
                "versions": versions,
            },
        })
    }
}
