//! Label and field selectors of lists, watches and collection deletes.

use serde_json::Value;

use super::failure::Failure;
use super::types::ResourceType;

/// Which objects of a resource are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    namespace: Option<String>,
    labels: Vec<LabelRule>,
    fields: Vec<FieldRule>,
}

#[derive(Clone, Debug, PartialEq)]
enum LabelRule {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

#[derive(Clone, Debug)]
struct FieldRule {
    path: Vec<String>,
    value: String,
    matches_when_equal: bool,
}

impl Selector {
    /// Parses what a request asks for; `namespace` is the one of its path.
    pub(crate) fn parse(
        resource: &ResourceType,
        namespace: Option<&str>,
        labels: &str,
        fields: &str,
    ) -> Result<Self, Failure> {
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            labels: parse_labels(labels)
                .map_err(|problem| Failure::bad_request(format!("unable to parse requirement: {problem}")))?,
            fields: parse_fields(fields)
                .and_then(|rules| check_fields(resource, rules))
                .map_err(Failure::bad_request)?,
        })
    }

    /// Selects by more than the namespace.
    pub(crate) fn is_narrow(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| object["metadata"]["namespace"] == **namespace)
            && self.labels.iter().all(|rule| rule.matches(object))
            && self.fields.iter().all(|rule| rule.matches(object))
    }
}

/// The name that a field selector `metadata.name=x` asks for: authorisation goes by it.
pub(crate) fn selected_name(fields: &str) -> Option<String> {
    parse_fields(fields)
        .ok()?
        .into_iter()
        .find(|rule| rule.matches_when_equal && rule.path == ["metadata", "name"])
        .map(|rule| rule.value)
}

impl LabelRule {
    fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        let within =
            |key: &str, values: &[String]| label(key).is_some_and(|value| values.iter().any(|wanted| wanted == value));
        match self {
            Self::In(key, values) => within(key, values),
            Self::NotIn(key, values) => !within(key, values),
            Self::Exists(key) => label(key).is_some(),
            Self::Missing(key) => label(key).is_none(),
        }
    }
}

impl FieldRule {
    fn matches(&self, object: &Value) -> bool {
        let mut found = object;
        for part in &self.path {
            found = &found[part.as_str()];
        }
        (found.as_str().unwrap_or_default() == self.value) == self.matches_when_equal
    }
}

fn parse_labels(text: &str) -> Result<Vec<LabelRule>, String> {
    split_outside_brackets(text).into_iter().map(str::trim).filter(|part| !part.is_empty()).map(parse_label).collect()
}

/// Splits at commas that are not inside `( )`.
fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
    .collect()
}

fn parse_label(part: &str) -> Result<LabelRule, String> {
    if let Some((key, values)) = part.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(|| format!("found '{part}', expected: ',', or ')'"))?;
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) =
            key.trim().split_once(char::is_whitespace).ok_or_else(|| format!("found '{part}', expected: in, notin"))?;
        return match operator.trim() {
            "in" => Ok(LabelRule::In(label_key(key)?, values)),
            "notin" => Ok(LabelRule::NotIn(label_key(key)?, values)),
            other => Err(format!("found '{other}', expected: in, notin")),
        };
    }
    for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let (key, values) = (label_key(key)?, vec![value.trim().to_owned()]);
            return Ok(if negated { LabelRule::NotIn(key, values) } else { LabelRule::In(key, values) });
        }
    }
    match part.strip_prefix('!') {
        Some(key) => Ok(LabelRule::Missing(label_key(key)?)),
        None => Ok(LabelRule::Exists(label_key(part)?)),
    }
}

fn label_key(text: &str) -> Result<String, String> {
    let key = text.trim();
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    if key.is_empty() || !key.chars().all(allowed) {
        return Err(format!(
            "<nil>: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.'"
        ));
    }
    Ok(key.to_owned())
}

fn parse_fields(text: &str) -> Result<Vec<FieldRule>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (path, value, matches_when_equal) = match part.split_once("!=") {
                Some((path, value)) => (path, value, false),
                None => part
                    .split_once("==")
                    .or_else(|| part.split_once('='))
                    .map(|(path, value)| (path, value, true))
                    .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?,
            };
            Ok(FieldRule {
                path: path.trim().split('.').map(str::to_owned).collect(),
                value: value.trim().to_owned(),
                matches_when_equal,
            })
        })
        .collect()
}

/// A real server only selects by the fields that it indexes.
fn check_fields(resource: &ResourceType, rules: Vec<FieldRule>) -> Result<Vec<FieldRule>, String> {
    let extra: &[&str] = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &["spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "reason",
            "type",
        ],
        ("route.openshift.io", "routes") => &["spec.host", "spec.path", "spec.to.name"],
        _ => &[],
    };
    for rule in &rules {
        let path = rule.path.join(".");
        let known = path == "metadata.name"
            || (path == "metadata.namespace" && resource.is_namespaced())
            || extra.contains(&path.as_str());
        if !known {
            return Err(format!("field label not supported: {path}"));
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(labels: &str) -> bool {
        let object = json!({"metadata": {"labels": {"app": "bridge", "tier": "back"}}});
        parse_labels(labels).unwrap().iter().all(|rule| rule.matches(&object))
    }

    #[test]
    fn labels_are_selected_by_equality_sets_and_presence() {
        for matching in
            ["", "app", "app=bridge,tier==back", "app in (x, bridge)", "tier notin (front),!owner", "owner!=me"]
        {
            assert!(selects(matching), "{matching} should match");
        }
        for other in ["owner", "app=x", "app!=bridge", "app in (x,y),tier", "!app", "tier notin (back)"] {
            assert!(!selects(other), "{other} should not match");
        }
    }

    #[test]
    fn a_malformed_selector_is_refused() {
        for bad in ["a b", "app in x", "app in (x", "=x", "app near (x)"] {
            assert!(parse_labels(bad).is_err(), "{bad} should be refused");
        }
        assert!(parse_fields("metadata.name").is_err());
    }
}
