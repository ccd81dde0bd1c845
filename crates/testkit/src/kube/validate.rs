//! The rules that objects must keep: metadata, and the sizes and keys of ConfigMaps and Secrets.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use k8s_openapi::api::{
    apps::v1 as apps, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
    networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
};

use super::failure::{Failure, FieldError};
use super::object::{meta, name};
use super::types::{NameRule, Origin, ResourceType};

/// A ConfigMap or Secret may hold this many bytes of values.
const DATA_LIMIT: usize = 1024 * 1024;
const ANNOTATIONS_LIMIT: usize = 256 * 1024;
/// What etcd takes in one request, unless it is told otherwise: 1.5 MiB.
const STORED_LIMIT: usize = 3 * 512 * 1024;

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SERVICE_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const DATA_KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Reads a built-in object through its Go-like type: wrong types are refused, unknown fields dropped.
pub(crate) fn decode(resource: &ResourceType, object: Value) -> Result<Value, Failure> {
    if resource.origin == Origin::Custom {
        return Ok(object);
    }
    let decoded = match resource.plural.as_str() {
        "configmaps" => typed::<core::ConfigMap>(object),
        "events" => typed::<core::Event>(object),
        "namespaces" => typed::<core::Namespace>(object),
        "persistentvolumeclaims" => typed::<core::PersistentVolumeClaim>(object),
        "pods" => typed::<core::Pod>(object),
        "secrets" => typed::<core::Secret>(object),
        "serviceaccounts" => typed::<core::ServiceAccount>(object),
        "services" => typed::<core::Service>(object),
        "deployments" => typed::<apps::Deployment>(object),
        "jobs" => typed::<batch::Job>(object),
        "ingresses" => typed::<networking::Ingress>(object),
        "networkpolicies" => typed::<networking::NetworkPolicy>(object),
        "poddisruptionbudgets" => typed::<policy::PodDisruptionBudget>(object),
        "leases" => typed::<coordination::Lease>(object),
        "roles" => typed::<rbac::Role>(object),
        "rolebindings" => typed::<rbac::RoleBinding>(object),
        "clusterroles" => typed::<rbac::ClusterRole>(object),
        "clusterrolebindings" => typed::<rbac::ClusterRoleBinding>(object),
        _ => Ok(object),
    };
    decoded.map_err(|problem| {
        let (kind, version) = (&resource.kind, &resource.versions[0]);
        Failure::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {problem}"))
    })
}

fn typed<T: DeserializeOwned + Serialize>(object: Value) -> serde_json::Result<Value> {
    serde_json::from_value::<T>(object).and_then(serde_json::to_value)
}

/// Checks a new object, or the new state of `before`.
pub(crate) fn validate(resource: &ResourceType, object: &Value, before: Option<&Value>) -> Result<(), Failure> {
    let mut errors = Vec::new();
    metadata(resource, object, &mut errors);
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "configmaps") => {
            data(object, &["data", "binaryData"], &mut errors);
            immutable(object, before, &["data", "binaryData"], &mut errors);
        }
        ("", "secrets") => {
            data(object, &["data"], &mut errors);
            immutable(object, before, &["data"], &mut errors);
        }
        ("apiextensions.k8s.io", _) => definition(object, &mut errors),
        _ => {}
    }
    if !errors.is_empty() {
        return Err(Failure::invalid(resource, name(object), &errors));
    }
    if stored_size(object) > STORED_LIMIT {
        return Err(Failure::status(500, "InternalError", "etcdserver: request is too large"));
    }
    Ok(())
}

/// About what an object with values takes in etcd, where it is kept with the names of its fields in `managedFields`.
fn stored_size(object: &Value) -> usize {
    let bags = ["data", "binaryData"].into_iter().filter_map(|bag| Some((bag, object[bag].as_object()?)));
    let fields = bags.flat_map(|(bag, fields)| fields.iter().map(move |(key, value)| (bag, key, value)));
    fields
        .map(|(bag, key, value)| {
            let text = value.as_str().unwrap_or_default();
            let stored = if bag == "binaryData" { decoded_len(text) } else { text.len() };
            stored + 2 * key.len() + 16
        })
        .sum()
}

fn metadata(resource: &ResourceType, object: &Value, errors: &mut Vec<FieldError>) {
    match meta(object, "name") {
        None => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
        Some(name) => {
            if let Some(rule) = name_problem(resource.name_rule, name) {
                errors.push(FieldError::invalid("metadata.name", name, &rule));
            }
        }
    }
    for (key, value) in entries(object, "labels") {
        if let Some(rule) = qualified_problem(key) {
            errors.push(FieldError::invalid("metadata.labels", key, &rule));
        }
        let value = value.as_str().unwrap_or_default();
        if value.len() > 63 {
            errors.push(FieldError::invalid("metadata.labels", value, "must be no more than 63 bytes"));
        } else if !value.is_empty() && !is_name_part(value) {
            errors.push(FieldError::invalid("metadata.labels", value, VALUE_RULE));
        }
    }
    let mut size = 0;
    for (key, value) in entries(object, "annotations") {
        if let Some(rule) = qualified_problem(&key.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", key, &rule));
        }
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
    }
}

fn entries<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object["metadata"][field].as_object().into_iter().flatten()
}

fn name_problem(rule: NameRule, name: &str) -> Option<String> {
    let too_long = |limit: usize| (name.len() > limit).then(|| format!("must be no more than {limit} bytes"));
    let shape = |keeps: bool, rule: &str| (!keeps).then(|| rule.to_owned());
    match rule {
        NameRule::Subdomain => too_long(253).or_else(|| shape(is_subdomain(name), SUBDOMAIN_RULE)),
        NameRule::Label => too_long(63).or_else(|| shape(is_dns_label(name), LABEL_RULE)),
        NameRule::ServiceLabel => too_long(63).or_else(|| {
            let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
            shape(starts_well && is_dns_label(name), SERVICE_RULE)
        }),
        NameRule::PathSegment => match name {
            "." | ".." => Some(format!("may not be '{name}'")),
            _ => ['/', '%'].into_iter().find(|bad| name.contains(*bad)).map(|bad| format!("may not contain '{bad}'")),
        },
    }
}

fn is_dns_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| allowed(*byte))
        && bytes.last().is_some_and(|byte| allowed(*byte))
        && bytes.iter().all(|byte| allowed(*byte) || *byte == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn qualified_problem(key: &str) -> Option<String> {
    let (prefix, part) = match key.split_once('/') {
        Some((prefix, part)) => (Some(prefix), part),
        None => (None, key),
    };
    if part.contains('/') {
        return Some("a qualified name must consist of alphanumeric characters, '-', '_' or '.', with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')".to_owned());
    }
    if let Some(prefix) = prefix
        && (prefix.len() > 253 || !is_subdomain(prefix))
    {
        return Some(format!("prefix part {SUBDOMAIN_RULE}"));
    }
    match part {
        "" => Some("name part must be non-empty".to_owned()),
        long if long.len() > 63 => Some("name part must be no more than 63 bytes".to_owned()),
        odd if !is_name_part(odd) => Some(QUALIFIED_RULE.to_owned()),
        _ => None,
    }
}

/// The keys of all bags and the size of their values: a real server does not count the keys.
fn data(object: &Value, bags: &[&str], errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    let mut size = 0;
    let is_secret = bags.len() == 1;
    for bag in bags {
        for (key, value) in object[*bag].as_object().into_iter().flatten() {
            let field = format!("{bag}[{key}]");
            if let Some(rule) = data_key_problem(key) {
                errors.push(FieldError::invalid(field.clone(), key, &rule));
            }
            if !seen.insert(key) {
                let rule = "duplicate of key present in data";
                errors.push(FieldError::invalid(field, key, rule));
            }
            let text = value.as_str().unwrap_or_default();
            let is_encoded = is_secret || *bag == "binaryData";
            size += if is_encoded { decoded_len(text) } else { text.len() };
        }
    }
    if size > DATA_LIMIT {
        // A ConfigMap's error names the whole object, whose path is empty.
        errors.push(FieldError::too_long(if is_secret { "data" } else { "[]" }, DATA_LIMIT));
    }
}

fn decoded_len(text: &str) -> usize {
    STANDARD.decode(text).map_or(0, |bytes| bytes.len())
}

fn data_key_problem(key: &str) -> Option<String> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    if key.len() > 253 {
        Some("must be no more than 253 bytes".to_owned())
    } else if key.is_empty() || !key.as_bytes().iter().all(allowed) {
        Some(DATA_KEY_RULE.to_owned())
    } else if key == "." || key == ".." {
        Some(format!("must not be '{key}'"))
    } else if key.starts_with("..") {
        Some("must not start with '..'".to_owned())
    } else {
        None
    }
}

fn immutable(object: &Value, before: Option<&Value>, bags: &[&str], errors: &mut Vec<FieldError>) {
    const RULE: &str = "field is immutable when `immutable` is set";
    let Some(before) = before.filter(|before| before["immutable"] == true) else {
        return;
    };
    for field in bags {
        if object[*field] != before[*field] {
            errors.push(FieldError::forbidden(*field, RULE));
        }
    }
    if object["immutable"] != json!(true) {
        errors.push(FieldError::forbidden("immutable", RULE));
    }
}

fn definition(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    for (field, value) in [
        ("spec.group", &spec["group"]),
        ("spec.names.plural", &spec["names"]["plural"]),
        ("spec.names.kind", &spec["names"]["kind"]),
        ("spec.scope", &spec["scope"]),
    ] {
        if value.as_str().is_none_or(str::is_empty) {
            errors.push(FieldError::required(field, ""));
        }
    }
    let expected = format!(
        "{}.{}",
        spec["names"]["plural"].as_str().unwrap_or_default(),
        spec["group"].as_str().unwrap_or_default()
    );
    if name(object) != expected {
        let rule = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", name(object), rule));
    }
}
