//! Patches: how each content type turns the current object into the wanted one.
//!
//! A strategic merge patch is applied as a plain merge patch: lists are replaced, not merged by key.

use serde_json::{Map, Value};

use super::failure::Failure;
use super::types::{Origin, ResourceType};

/// A parsed PATCH body.
#[derive(Debug)]
pub(crate) enum Patch {
    Merge(Value),
    Json(json_patch::Patch),
    Apply(Value),
}

impl Patch {
    pub(crate) fn parse(resource: &ResourceType, content_type: &str, body: &[u8]) -> Result<Self, Failure> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "application/merge-patch+json" => merge_body(body),
            "application/strategic-merge-patch+json" if resource.origin == Origin::BuiltIn => merge_body(body),
            "application/json-patch+json" => serde_json::from_slice(body)
                .map(Self::Json)
                .map_err(|problem| Failure::bad_request(format!("error decoding patch: {problem}"))),
            "application/apply-patch+yaml" => serde_yaml::from_slice(body)
                .map(Self::Apply)
                .map_err(|problem| Failure::bad_request(format!("error decoding YAML: {problem}"))),
            _ => Err(unsupported(resource)),
        }
    }

    /// The object after the patch.
    pub(crate) fn patched(self, current: &Value) -> Result<Value, Failure> {
        let mut object = current.clone();
        match self {
            Self::Merge(patch) => json_patch::merge(&mut object, &patch),
            Self::Apply(wanted) => overlay(&mut object, &wanted),
            Self::Json(patch) => json_patch::patch(&mut object, &patch).map_err(|problem| {
                Failure::status(
                    422,
                    "Invalid",
                    format!("the server rejected our request due to an error in our request: {problem}"),
                )
            })?,
        }
        Ok(object)
    }
}

fn merge_body(body: &[u8]) -> Result<Patch, Failure> {
    serde_json::from_slice::<Map<String, Value>>(body)
        .map(|patch| Patch::Merge(Value::Object(patch)))
        .map_err(|problem| Failure::bad_request(format!("error decoding patch: {problem}")))
}

fn unsupported(resource: &ResourceType) -> Failure {
    let mut accepted = vec!["application/json-patch+json", "application/merge-patch+json"];
    if resource.origin == Origin::BuiltIn {
        accepted.push("application/strategic-merge-patch+json");
    }
    accepted.push("application/apply-patch+yaml");
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        accepted.join(", ")
    );
    Failure::status(415, "UnsupportedMediaType", message)
}

/// Lays an applied configuration over an object: maps are joined, everything else replaced.
fn overlay(target: &mut Value, wanted: &Value) {
    match (target, wanted) {
        (Value::Object(target), Value::Object(wanted)) => {
            for (key, value) in wanted {
                overlay(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, wanted) => *target = wanted.clone(),
    }
}

/// Removes from `target` what a manager applied last time (`last`), applies no more (`now`), and nobody else applies.
pub(crate) fn release(target: &mut Value, last: &Value, now: &Value, others: &[&Value]) {
    let (Value::Object(fields), Value::Object(last)) = (target, last) else {
        return;
    };
    for (key, last_value) in last {
        let of_others: Vec<&Value> = others.iter().filter_map(|other| other.get(key)).collect();
        let now_value = now.get(key);
        let Some(field) = fields.get_mut(key) else { continue };
        if now_value.is_none() && of_others.is_empty() && !last_value.is_object() {
            fields.remove(key);
            continue;
        }
        release(field, last_value, now_value.unwrap_or(&Value::Null), &of_others);
        let emptied = field.as_object().is_some_and(Map::is_empty);
        if now_value.is_none() && of_others.is_empty() && emptied {
            fields.remove(key);
        }
    }
}

/// The paths of fields that `wanted` sets otherwise than `other` did.
pub(crate) fn conflicts(wanted: &Value, other: &Value, path: &str) -> Vec<String> {
    match (wanted, other) {
        (Value::Object(wanted), Value::Object(other)) => wanted
            .iter()
            .filter_map(|(key, value)| other.get(key).map(|theirs| (key, value, theirs)))
            .flat_map(|(key, value, theirs)| conflicts(value, theirs, &format!("{path}.{key}")))
            .collect(),
        _ if wanted == other => Vec::new(),
        _ => vec![path.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_applier_releases_only_what_it_alone_applied() {
        let mut object = json!({"data": {"mine": "1", "shared": "2", "theirs": "3"}, "extra": {"x": "1"}});
        let last = json!({"data": {"mine": "1", "shared": "2"}, "extra": {"x": "1"}});
        let other = json!({"data": {"shared": "2"}});
        release(&mut object, &last, &json!({"data": {}}), &[&other]);
        assert_eq!(object, json!({"data": {"shared": "2", "theirs": "3"}}));
    }

    #[test]
    fn conflicts_name_the_fields_that_differ() {
        let wanted = json!({"kind": "X", "data": {"a": "1", "b": "2", "c": "3"}});
        let other = json!({"kind": "X", "data": {"a": "1", "b": "other"}});
        assert_eq!(conflicts(&wanted, &other, ""), [".data.b"]);
    }
}
