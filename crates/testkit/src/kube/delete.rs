//! Deletion: preconditions, finalizers, and what goes along with a namespace or a definition.

use serde_json::{Value, json};

use super::failure::{Failure, details};
use super::object::{has_finalizers, meta, name, namespace, now, revision, set_meta};
use super::selectors::Selector;
use super::store::{DEFINITIONS, State};
use super::types::{ResourceType, from_definition};
use super::write::{Effect, Place};

impl State {
    /// Deletes one object; `options` is the DeleteOptions body, or null.
    pub(crate) fn delete(&mut self, place: &Place<'_>, options: &Value, effect: Effect) -> Result<Value, Failure> {
        let resource = place.resource;
        let object = self
            .get(&resource.id(), place.namespace, place.name)
            .map(|found| Value::clone(found))
            .ok_or_else(|| Failure::not_found(resource, place.name))?;
        check_preconditions(place, &object, &options["preconditions"])?;
        if effect == Effect::Commit
            && let Some(waiting) = self.remove_or_mark(resource, &object)
        {
            return Ok(waiting);
        }
        if matches!(resource.plural.as_str(), "pods" | "namespaces") && resource.group.is_empty() {
            return Ok(object);
        }
        let mut details = details(resource, place.name);
        details["uid"] = object["metadata"]["uid"].clone();
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}))
    }

    /// Deletes what a selector matches and returns it.
    pub(crate) fn delete_collection(
        &mut self,
        resource: &ResourceType,
        selector: &Selector,
        effect: Effect,
    ) -> Vec<Value> {
        let doomed: Vec<Value> = self
            .all(&resource.id())
            .filter(|object| selector.matches(object))
            .map(|object| Value::clone(object))
            .collect();
        if effect == Effect::Commit {
            for object in &doomed {
                self.remove_or_mark(resource, object);
            }
        }
        doomed
    }

    /// Removes the object, or, when finalizers hold it, marks it as being deleted and returns it.
    fn remove_or_mark(&mut self, resource: &ResourceType, object: &Value) -> Option<Value> {
        if !has_finalizers(object) {
            self.erase(resource, namespace(object), name(object));
            return None;
        }
        if meta(object, "deletionTimestamp").is_some() {
            return Some(object.clone());
        }
        let mut waiting = object.clone();
        set_meta(&mut waiting, "deletionTimestamp", Some(json!(now())));
        set_meta(&mut waiting, "deletionGracePeriodSeconds", Some(json!(0)));
        Some(Value::clone(&self.put(resource, waiting)))
    }

    /// Takes an object away at once, with everything inside it when it is a namespace or a definition.
    pub(crate) fn erase(&mut self, resource: &ResourceType, namespace: &str, name: &str) {
        if resource.is("", "namespaces") {
            for inner in self.types.clone().iter().filter(|inner| inner.is_namespaced()) {
                self.erase_all(inner, Some(name));
            }
        }
        if resource.is(DEFINITIONS.0, DEFINITIONS.1)
            && let Some(defined) = self.get(&resource.id(), "", name).and_then(|found| from_definition(found))
        {
            self.erase_all(&defined, None);
        }
        self.remove(resource, &(namespace.to_owned(), name.to_owned()));
    }

    fn erase_all(&mut self, resource: &ResourceType, within: Option<&str>) {
        let keys: Vec<(String, String)> = self
            .all(&resource.id())
            .map(|object| (namespace(object).to_owned(), name(object).to_owned()))
            .filter(|(namespace, _)| within.is_none_or(|within| within == namespace))
            .collect();
        for key in keys {
            self.remove(resource, &key);
        }
    }
}

fn check_preconditions(place: &Place<'_>, object: &Value, wanted: &Value) -> Result<(), Failure> {
    let refuse = |what: &str, theirs: &str, ours: &str| {
        let why = format!(
            "StorageError: invalid object, Code: 4, Precondition failed: {what} in precondition: {theirs}, {what} in object meta: {ours}"
        );
        Failure::conflict(place.resource, place.name, &why)
    };
    if let Some(uid) = wanted["uid"].as_str()
        && meta(object, "uid") != Some(uid)
    {
        return Err(refuse("UID", uid, meta(object, "uid").unwrap_or_default()));
    }
    if let Some(version) = wanted["resourceVersion"].as_str()
        && version != revision(object).to_string()
    {
        return Err(refuse("ResourceVersion", version, &revision(object).to_string()));
    }
    Ok(())
}
