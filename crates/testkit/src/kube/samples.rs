//! Objects that many tests need, as KServe and OpenShift write them.

use serde_json::{Value, json};

use super::object::set_meta;

/// An InferenceService; ready and served by default.
#[derive(Clone, Debug)]
pub struct InferenceService {
    object: Value,
}

impl InferenceService {
    /// A ready service of an ONNX model.
    pub fn new(namespace: &str, name: &str) -> Self {
        let url = format!("https://{name}-{namespace}.apps.example.com");
        let internal = format!("https://{name}-predictor.{namespace}.svc.cluster.local:8443");
        let object = json!({
            "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"predictor": {"model": {
                "modelFormat": {"name": "onnx", "version": "1"}, "runtime": "ovms", "storageUri": format!("oci://registry.example.com/models/{name}:1"),
            }}},
            "status": {
                "url": url, "address": {"url": internal},
                "components": {"predictor": {"url": url}},
                "modelStatus": {"transitionStatus": "UpToDate", "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"}},
                "conditions": [condition("IngressReady", "True"), condition("PredictorReady", "True"), condition("Ready", "True"), condition("Stopped", "False")],
            },
        });
        Self { object }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.object["metadata"]["labels"][key] = json!(value);
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.object["metadata"]["annotations"][key] = json!(value);
        self
    }

    /// Sets `status.url`, the external one.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        self.object["status"]["url"] = json!(url);
        self
    }

    /// Replaces `spec.predictor`.
    #[must_use]
    pub fn predictor(mut self, predictor: Value) -> Self {
        self.object["spec"]["predictor"] = predictor;
        self
    }

    /// The service is not ready: its model is still loading.
    #[must_use]
    pub fn not_ready(mut self) -> Self {
        self.object["status"] = json!({
            "modelStatus": {"transitionStatus": "InProgress"},
            "conditions": [condition("PredictorReady", "False"), condition("Ready", "False"), condition("Stopped", "False")],
        });
        self
    }

    /// The service has been stopped by its annotation.
    #[must_use]
    pub fn stopped(self) -> Self {
        let mut stopped = self.annotation("serving.kserve.io/stop", "true");
        stopped.object["status"] = json!({
            "conditions": [condition("PredictorReady", "False"), condition("Ready", "False"), condition("Stopped", "True")],
        });
        stopped
    }

    /// The object, for `KubeApi::apply`.
    pub fn build(self) -> Value {
        self.object
    }
}

/// A ready LLMInferenceService in an API version such as `v1alpha2`.
pub fn llm_inference_service(version: &str, namespace: &str, name: &str, uri: &str) -> Value {
    let external = format!("https://gateway.example.com/{namespace}/{name}");
    json!({
        "apiVersion": format!("serving.kserve.io/{version}"), "kind": "LLMInferenceService",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"model": {"uri": uri, "name": name}},
        "status": {
            "url": external,
            "addresses": [
                {"name": "gateway-external", "url": external},
                {"name": "gateway-internal", "url": format!("http://gateway.{namespace}.svc.cluster.local/{namespace}/{name}")},
            ],
            "conditions": [condition("Ready", "True")],
        },
    })
}

/// The Service `<name>-predictor` that a stored InferenceService owns.
pub fn predictor_service(owner: &Value, port: u16) -> Value {
    let name = format!("{}-predictor", owner["metadata"]["name"].as_str().unwrap_or_default());
    owned(
        owner,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"name": "http", "port": port, "protocol": "TCP"}], "selector": {"app": name}},
        }),
    )
}

/// A ServiceAccount that a stored InferenceService owns, the older sign of authentication.
pub fn owned_service_account(owner: &Value, name: &str) -> Value {
    owned(owner, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}))
}

/// `object`, placed beside its owner and referring to it.
pub fn owned(owner: &Value, mut object: Value) -> Value {
    let reference = json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    });
    set_meta(&mut object, "namespace", Some(owner["metadata"]["namespace"].clone()));
    set_meta(&mut object, "ownerReferences", Some(json!([reference])));
    object
}

/// An admitted Route to the Service of the same name.
pub fn route(namespace: &str, name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "route.openshift.io/v1", "kind": "Route",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"host": host, "to": {"kind": "Service", "name": name, "weight": 100}, "tls": {"termination": "reencrypt"}},
        "status": {"ingress": [{"host": host, "routerName": "default", "conditions": [condition("Admitted", "True")]}]},
    })
}

/// A Route as `route`, labelled as the model registry operator labels it.
pub fn registry_route(namespace: &str, name: &str, host: &str) -> Value {
    let mut route = route(namespace, name, host);
    route["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "model-registry-operator"});
    route
}

/// A Service of the model registry operator: `component` is `model-registry` or `model-catalog`, `port_name`
/// `https-api` or `http-api`, `external` the address outside of the cluster (`host:port` or `host/path`).
pub fn registry_service(
    namespace: &str,
    name: &str,
    component: &str,
    port_name: &str,
    external: Option<&str>,
) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "labels": {"component": component, "app": name}},
        "spec": {"ports": [{"name": port_name, "port": if port_name == "https-api" { 8443 } else { 8080 }, "protocol": "TCP"}], "selector": {"app": name}},
    });
    if let Some(address) = external {
        service["metadata"]["annotations"] = json!({"routing.opendatahub.io/external-address-rest": address});
    }
    service
}

/// A condition of a status.
pub fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "lastTransitionTime": "2025-01-01T00:00:00Z"})
}
