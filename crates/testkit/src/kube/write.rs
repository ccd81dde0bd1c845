//! Create, update and patch, as the generic registry of a real server does them.

use serde_json::{Value, json};

use super::failure::{Failure, FieldError};
use super::object::{
    generated_name, has_finalizers, meta, metadata_mut, name, namespace, new_uid, now, revision, set_field, set_meta,
};
use super::patch::{Patch, conflicts, release};
use super::store::State;
use super::types::{Origin, ResourceType, TypeId};
use super::validate::{decode, validate};

/// Metadata that only the server sets.
const SERVER_FIELDS: &[&str] = &[
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];

/// Whether a write is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Commit,
    DryRun,
}

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
}

/// The object that a request addresses.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) resource: &'a ResourceType,
    pub(crate) version: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// Who applies, and whether it takes fields from other appliers.
#[derive(Clone, Debug)]
pub(crate) struct Applier {
    pub(crate) manager: Option<String>,
    pub(crate) force: bool,
}

/// What a write left behind, and whether it made the object.
#[derive(Debug)]
pub(crate) enum Written {
    Created(Value),
    Updated(Value),
}

impl State {
    pub(crate) fn create(&mut self, place: &Place<'_>, mut body: Value, effect: Effect) -> Result<Value, Failure> {
        let resource = place.resource;
        check_identity(place, &mut body)?;
        if meta(&body, "name").is_none()
            && let Some(prefix) = meta(&body, "generateName")
        {
            let generated = generated_name(prefix);
            set_meta(&mut body, "name", Some(json!(generated)));
        }
        if resource.is_namespaced() {
            self.require_namespace(place.namespace)?;
        }
        if meta(&body, "resourceVersion").is_some() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Failure::status(500, "", message));
        }
        let mut object = decode(resource, body)?;
        for field in SERVER_FIELDS {
            set_meta(&mut object, field, None);
        }
        if resource.has_status {
            set_field(&mut object, "status", None);
        }
        fill_defaults(resource, &mut object);
        validate(resource, &object, None)?;
        if self.get(&resource.id(), place.namespace, name(&object)).is_some() {
            return Err(Failure::already_exists(resource, name(&object)));
        }
        set_meta(&mut object, "uid", Some(json!(new_uid())));
        set_meta(&mut object, "creationTimestamp", Some(json!(now())));
        if counts_generations(resource) {
            set_meta(&mut object, "generation", Some(json!(1)));
        }
        Ok(self.keep(resource, object, effect))
    }

    pub(crate) fn update(
        &mut self,
        place: &Place<'_>,
        mut body: Value,
        part: Part,
        effect: Effect,
    ) -> Result<Written, Failure> {
        let resource = place.resource;
        check_identity(place, &mut body)?;
        if meta(&body, "name").is_none() {
            return Err(Failure::invalid(
                resource,
                "",
                &[FieldError::required("metadata.name", "name or generateName is required")],
            ));
        }
        let Some(before) = self.get(&resource.id(), place.namespace, place.name).map(|found| Value::clone(found))
        else {
            if resource.create_on_update && part == Part::Main {
                return self.create(place, body, effect).map(Written::Created);
            }
            return Err(Failure::not_found(resource, place.name));
        };
        check_preconditions(place, &body, &before)?;
        let body = decode(resource, body)?;
        let mut object = merge_parts(resource, body, &before, part);
        if counts_generations(resource) && spec_of(resource, &object) != spec_of(resource, &before) {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
            set_meta(&mut object, "generation", Some(json!(generation)));
        }
        validate(resource, &object, Some(&before))?;
        if object == before {
            return Ok(Written::Updated(object));
        }
        if meta(&object, "deletionTimestamp").is_some() && !has_finalizers(&object) {
            if effect == Effect::Commit {
                self.erase(resource, place.namespace, place.name);
            }
            return Ok(Written::Updated(object));
        }
        Ok(Written::Updated(self.keep(resource, object, effect)))
    }

    pub(crate) fn patch(
        &mut self,
        place: &Place<'_>,
        patch: Patch,
        applier: &Applier,
        part: Part,
        effect: Effect,
    ) -> Result<Written, Failure> {
        let resource = place.resource;
        let current = self.get(&resource.id(), place.namespace, place.name).map(|found| {
            let mut current = Value::clone(found);
            set_field(&mut current, "apiVersion", Some(json!(resource.api_version(place.version))));
            current
        });
        match (patch, current) {
            (Patch::Apply(wanted), current) => self.apply_patch(place, wanted, current, applier, part, effect),
            (_, None) => Err(Failure::not_found(resource, place.name)),
            (patch, Some(current)) => self.update(place, patch.patched(&current)?, part, effect),
        }
    }

    /// Server-side apply. Fields are owned by appliers only: ordinary updates are not tracked.
    fn apply_patch(
        &mut self,
        place: &Place<'_>,
        mut wanted: Value,
        current: Option<Value>,
        applier: &Applier,
        part: Part,
        effect: Effect,
    ) -> Result<Written, Failure> {
        let resource = place.resource;
        let Some(manager) = &applier.manager else {
            return Err(Failure::status(
                422,
                "Invalid",
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            ));
        };
        check_identity(place, &mut wanted)?;
        if !wanted["metadata"]["managedFields"].is_null() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        let key = (place.namespace.to_owned(), place.name.to_owned());
        let owner = if part == Part::Status { format!("{manager}/status") } else { manager.clone() };
        let applier_key = (resource.id(), key.clone(), owner);
        let written = match current {
            None if part == Part::Status => return Err(Failure::not_found(resource, place.name)),
            None if meta(&wanted, "resourceVersion").is_some() || meta(&wanted, "uid").is_some() => {
                return Err(Failure::modified(resource, place.name));
            }
            None => {
                set_meta(&mut wanted, "name", Some(json!(place.name)));
                Written::Created(self.create(place, wanted.clone(), effect)?)
            }
            Some(mut current) => {
                let others: Vec<(&String, &Value)> = self
                    .applied
                    .iter()
                    .filter(|((of, at, who), _)| *of == resource.id() && *at == key && *who != applier_key.2)
                    .map(|((_, _, who), config)| (who, config))
                    .collect();
                if !applier.force {
                    refuse_conflicts(&wanted, &others)?;
                }
                if let Some(last) = self.applied.get(&applier_key) {
                    let others: Vec<&Value> = others.iter().map(|(_, config)| *config).collect();
                    release(&mut current, last, &wanted, &others);
                }
                let patched = Patch::Apply(wanted.clone()).patched(&current)?;
                self.update(place, patched, part, effect)?
            }
        };
        if effect == Effect::Commit {
            self.applied.insert(applier_key, own_fields(wanted));
        }
        Ok(written)
    }

    fn keep(&mut self, resource: &ResourceType, mut object: Value, effect: Effect) -> Value {
        set_field(&mut object, "apiVersion", Some(json!(resource.api_version(&resource.versions[0]))));
        match effect {
            Effect::Commit => Value::clone(&self.put(resource, object)),
            Effect::DryRun => object,
        }
    }

    pub(crate) fn require_namespace(&self, wanted: &str) -> Result<(), Failure> {
        let namespaces = TypeId { group: String::new(), plural: "namespaces".to_owned() };
        if self.get(&namespaces, "", wanted).is_some() {
            return Ok(());
        }
        let message = format!("namespaces {wanted:?} not found");
        let details = json!({"name": wanted, "kind": "namespaces"});
        Err(Failure::detailed(404, "NotFound", message, Some(details)))
    }
}

/// The body must be the kind, version, namespace and name that the path says.
fn check_identity(place: &Place<'_>, body: &mut Value) -> Result<(), Failure> {
    let resource = place.resource;
    if !body.is_object() {
        return Err(Failure::bad_request("couldn't get version/kind; json parse error: the body is no JSON object"));
    }
    let (kind, api_version) =
        (body["kind"].as_str().unwrap_or_default(), body["apiVersion"].as_str().unwrap_or_default());
    let expected = resource.api_version(place.version);
    if kind.is_empty() {
        return Err(Failure::bad_request(format!("Object 'Kind' is missing in '{body}'")));
    }
    if api_version != expected {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if kind != resource.kind {
        return Err(Failure::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}",
            place.version, resource.kind
        )));
    }
    let (their_namespace, their_name) = (namespace(body), name(body));
    if resource.is_namespaced() && !their_namespace.is_empty() && their_namespace != place.namespace {
        return Err(Failure::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request: {their_namespace} != {}",
            place.namespace
        )));
    }
    if !place.name.is_empty() && !their_name.is_empty() && their_name != place.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({their_name}) does not match the name on the URL ({})",
            place.name
        )));
    }
    let wanted = resource.is_namespaced().then(|| json!(place.namespace));
    set_meta(body, "namespace", wanted);
    Ok(())
}

fn check_preconditions(place: &Place<'_>, body: &Value, before: &Value) -> Result<(), Failure> {
    let resource = place.resource;
    match meta(body, "resourceVersion") {
        Some(_) if revision(body) != revision(before) => return Err(Failure::modified(resource, place.name)),
        None if !resource.unconditional_update => {
            let error = FieldError::invalid("metadata.resourceVersion", "0x0", "must be specified for an update");
            return Err(Failure::invalid(resource, place.name, &[error]));
        }
        _ => {}
    }
    match (meta(body, "uid"), meta(before, "uid")) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Failure::conflict(
            resource,
            place.name,
            &format!(
                "StorageError: invalid object, Code: 4, Precondition failed: UID in precondition: {theirs}, UID in object meta: {ours}"
            ),
        )),
        _ => Ok(()),
    }
}

/// The new object: what the caller may change from `body`, the rest from `before`.
fn merge_parts(resource: &ResourceType, body: Value, before: &Value, part: Part) -> Value {
    if part == Part::Status {
        let mut object = before.clone();
        let status = body.get("status").filter(|status| !status.is_null()).cloned();
        set_field(&mut object, "status", status);
        return object;
    }
    let mut object = body;
    for field in SERVER_FIELDS.iter().chain(&["resourceVersion"]) {
        set_meta(&mut object, field, before["metadata"].get(*field).cloned());
    }
    if resource.has_status {
        set_field(&mut object, "status", before.get("status").cloned());
    }
    fill_defaults(resource, &mut object);
    set_field(&mut object, "apiVersion", before.get("apiVersion").cloned());
    drop_empty(&mut object);
    object
}

/// Empty maps of metadata are the same as none, so they make no change.
fn drop_empty(object: &mut Value) {
    let metadata = metadata_mut(object);
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = match metadata.get(field) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty {
            metadata.remove(field);
        }
    }
}

fn fill_defaults(resource: &ResourceType, object: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") if object["status"].is_null() => {
            set_field(object, "status", Some(json!({"phase": "Active"})));
        }
        ("", "services") if object["status"].is_null() => {
            set_field(object, "status", Some(json!({"loadBalancer": {}})));
        }
        ("", "secrets") => fill_secret(object),
        ("apiextensions.k8s.io", _) if object["status"].is_null() => {
            let names = object["spec"]["names"].clone();
            let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": now()});
            let conditions =
                [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")];
            set_field(
                object,
                "status",
                Some(json!({"acceptedNames": names, "conditions": conditions, "storedVersions": []})),
            );
        }
        _ => {}
    }
    drop_empty(object);
}

fn fill_secret(object: &mut Value) {
    use base64::Engine as _;
    if let Some(texts) = object["stringData"].as_object().cloned() {
        for (key, text) in texts {
            let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
            object["data"][key] = json!(encoded);
        }
        set_field(object, "stringData", None);
    }
    if object["type"].is_null() {
        object["type"] = json!("Opaque");
    }
}

fn counts_generations(resource: &ResourceType) -> bool {
    resource.origin == Origin::Custom || resource.group == "apiextensions.k8s.io"
}

/// What a generation counts: everything but metadata, and status where that is a part of its own.
fn spec_of(resource: &ResourceType, object: &Value) -> Value {
    let mut spec = object.clone();
    set_field(&mut spec, "metadata", None);
    set_field(&mut spec, "apiVersion", None);
    if resource.has_status {
        set_field(&mut spec, "status", None);
    }
    spec
}

fn refuse_conflicts(wanted: &Value, others: &[(&String, &Value)]) -> Result<(), Failure> {
    for (who, config) in others {
        let fields = conflicts(&own_fields(wanted.clone()), config, "");
        if let Some(first) = fields.first() {
            let message = format!(
                "Apply failed with {} conflict{}: conflict with {who:?}: {first}",
                fields.len(),
                if fields.len() == 1 { "" } else { "s" }
            );
            return Err(Failure::status(409, "Conflict", message));
        }
    }
    Ok(())
}

/// What of an applied configuration can be owned.
fn own_fields(mut config: Value) -> Value {
    for field in ["apiVersion", "kind"] {
        set_field(&mut config, field, None);
    }
    for field in ["name", "namespace", "resourceVersion", "uid"] {
        set_meta(&mut config, field, None);
    }
    config
}
