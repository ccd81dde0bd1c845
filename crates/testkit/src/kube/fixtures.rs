//! What tests do to the cluster behind the API's back: put, change and remove objects as an administrator would.

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::KubeApi;
use super::failure::Failure;
use super::object::{meta, name, namespace, set_field, set_meta};
use super::store::State;
use super::types::{ResourceType, TypeId};
use super::write::{Effect, Part, Place, Written};

impl KubeApi {
    /// Applies a multi-document YAML text and returns the stored objects.
    ///
    /// # Panics
    /// When the text is no YAML, or an object is refused.
    pub fn apply_yaml(&self, text: &str) -> Vec<Value> {
        serde_yaml::Deserializer::from_str(text)
            .map(|document| Value::deserialize(document).expect("manifests must be YAML"))
            .filter(|document| !document.is_null())
            .map(|document| self.apply(document))
            .collect()
    }

    /// Creates or replaces an object, status included, and returns it as stored. A missing namespace is made.
    ///
    /// # Panics
    /// When the object is refused, or its kind is not served.
    pub fn apply(&self, object: Value) -> Value {
        let label = format!("{} {:?}", object["kind"], name(&object));
        apply(&mut self.shared.state(), object)
            .unwrap_or_else(|failure| panic!("{label} is refused: {}", failure.object()))
    }

    /// The object as stored. `kind` is a kind or plural; `namespace` is empty for cluster-scoped kinds.
    pub fn get_object(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.shared.state();
        let resource = find(&state, kind);
        state.get(&resource.id(), namespace, name).map(|object| Value::clone(object))
    }

    /// All objects of a kind, in every namespace.
    pub fn list_objects(&self, kind: &str) -> Vec<Value> {
        let state = self.shared.state();
        let resource = find(&state, kind);
        state.all(&resource.id()).map(|object| Value::clone(object)).collect()
    }

    /// Changes a stored object, status included, and returns it as stored.
    ///
    /// # Panics
    /// When there is no such object, or the change is refused.
    pub fn edit(&self, kind: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut state = self.shared.state();
        let resource = find(&state, kind);
        let mut object = state
            .get(&resource.id(), namespace, name)
            .map_or_else(|| panic!("there is no {kind} {namespace}/{name} to edit"), |object| Value::clone(object));
        change(&mut object);
        set_meta(&mut object, "resourceVersion", None);
        apply(&mut state, object)
            .unwrap_or_else(|failure| panic!("the edit of {kind} {namespace}/{name} is refused: {}", failure.object()))
    }

    /// Replaces the status of a stored object.
    ///
    /// # Panics
    /// When there is no such object.
    pub fn set_status(&self, kind: &str, namespace: &str, name: &str, status: Value) -> Value {
        self.edit(kind, namespace, name, |object| set_field(object, "status", Some(status)))
    }

    /// Deletes an object; says whether there was one.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let mut state = self.shared.state();
        let resource = find(&state, kind);
        let place = Place { resource: &resource, version: &resource.versions[0], namespace, name };
        state.delete(&place, &Value::Null, Effect::Commit).is_ok()
    }

    /// Serves a custom kind from now on.
    pub fn install_crd(&self, definition: &super::Definition) {
        self.apply(definition.object());
    }

    /// Ends a custom kind, by the name of its definition (`inferenceservices.serving.kserve.io`): its objects are
    /// deleted, its watches end, its paths are gone. Says whether there was one.
    pub fn remove_crd(&self, name: &str) -> bool {
        self.delete("CustomResourceDefinition", "", name)
    }
}

fn find(state: &State, kind: &str) -> ResourceType {
    state
        .types
        .iter()
        .find(|known| known.kind == kind || known.plural == kind)
        .cloned()
        .unwrap_or_else(|| panic!("the kind {kind} is not served: install its definition first"))
}

fn apply(state: &mut State, mut object: Value) -> Result<Value, Failure> {
    let (group, version) = match object["apiVersion"].as_str().unwrap_or_default().split_once('/') {
        Some((group, version)) => (group.to_owned(), version.to_owned()),
        None => (String::new(), object["apiVersion"].as_str().unwrap_or_default().to_owned()),
    };
    let resource = state
        .types
        .iter()
        .find(|known| known.group == group && object["kind"] == *known.kind && known.versions.contains(&version))
        .cloned()
        .ok_or(Failure::PageNotFound)?;
    if resource.is_namespaced() {
        if namespace(&object).is_empty() {
            set_meta(&mut object, "namespace", Some(json!("default")));
        }
        make_namespace(state, namespace(&object));
    } else {
        set_meta(&mut object, "namespace", None);
    }
    let (within, called) = (namespace(&object).to_owned(), name(&object).to_owned());
    let place = Place { resource: &resource, version: &version, namespace: &within, name: &called };
    let known =
        state.get(&resource.id(), &within, &called).and_then(|known| meta(known, "resourceVersion")).map(str::to_owned);
    set_meta(&mut object, "uid", None);
    set_meta(&mut object, "resourceVersion", known.as_ref().map(|version| json!(version)));
    let status = object.get("status").cloned().filter(|_| resource.has_status);
    let mut stored = match known {
        None => state.create(&place, object, Effect::Commit)?,
        Some(_) => value(state.update(&place, object, Part::Main, Effect::Commit)?),
    };
    if let Some(status) = status {
        let called = name(&stored).to_owned();
        let place = Place { name: &called, ..place };
        set_field(&mut stored, "apiVersion", Some(json!(resource.api_version(&version))));
        set_field(&mut stored, "status", Some(status));
        stored = value(state.update(&place, stored, Part::Status, Effect::Commit)?);
    }
    Ok(stored)
}

fn value(written: Written) -> Value {
    match written {
        Written::Created(object) | Written::Updated(object) => object,
    }
}

pub(crate) fn make_namespace(state: &mut State, name: &str) {
    let namespaces = TypeId { group: String::new(), plural: "namespaces".to_owned() };
    if state.get(&namespaces, "", name).is_some() {
        return;
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}});
    apply(state, namespace).unwrap_or_else(|failure| panic!("namespace {name:?} is refused: {}", failure.object()));
}
