//! The document is held against the facts in `tests/reference`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::*;

/// What a document says of one field, or of a schema without fields: keywords with their values.
type Leaf = BTreeMap<String, Value>;

/// A schema with everything that it refers to for its fields put together.
#[derive(Debug, Default, PartialEq)]
struct Resolved {
    fields: BTreeMap<String, Leaf>,
    required: BTreeSet<String>,
    /// Of a union: its members by the values that tell them apart.
    mapping: BTreeMap<String, String>,
    own: Leaf,
}

fn facts() -> Value {
    serde_json::from_str(include_str!("../../../tests/reference/registry-api.json")).unwrap()
}

fn ours() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// The name of a schema that is referred to, in the facts' way or in OpenAPI's.
fn referred(schema: &Value) -> Option<String> {
    let name = schema.get("ref").or_else(|| schema.get("$ref"))?.as_str()?;
    Some(name.trim_start_matches("#/components/schemas/").to_owned())
}

fn resolve(schema: &Value, schemas: &Map<String, Value>, into: &mut Resolved) {
    if let Some(name) = referred(schema) {
        return resolve(&schemas[&name], schemas, into);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        resolve(part, schemas, into);
    }
    let names = schema["required"].as_array().into_iter().flatten();
    into.required.extend(names.map(|name| name.as_str().unwrap().to_owned()));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        into.fields.entry(name.clone()).or_default().extend(leaf(field));
    }
    if let Some(discriminator) = schema.get("discriminator") {
        let (field, mapping) = match discriminator {
            Value::String(field) => (field.clone(), &schema["mapping"]),
            other => (other["propertyName"].as_str().unwrap().to_owned(), &other["mapping"]),
        };
        into.own.insert("discriminator".to_owned(), field.into());
        for (value, name) in mapping.as_object().unwrap() {
            let name = name.as_str().unwrap().trim_start_matches("#/components/schemas/").to_owned();
            into.mapping.insert(value.clone(), name);
        }
        let members: BTreeSet<String> = schema["oneOf"].as_array().unwrap().iter().filter_map(referred).collect();
        assert_eq!(members, into.mapping.values().cloned().collect(), "what a union consists of is what it names");
    }
    into.own.extend(leaf(schema));
}

fn leaf(schema: &Value) -> Leaf {
    let mut leaf = Leaf::new();
    if let Some(name) = referred(schema) {
        leaf.insert("ref".to_owned(), name.into());
    }
    for keyword in ["type", "format", "pattern", "minLength", "enum", "default", "additionalProperties"] {
        if let Some(value) = schema.get(keyword) {
            let value = referred(value).map_or_else(|| value.clone(), Value::from);
            leaf.insert(keyword.to_owned(), value);
        }
    }
    if schema["readOnly"] == json!(true) {
        leaf.insert("readOnly".to_owned(), json!(true));
    }
    if let Some(items) = schema.get("items") {
        let items = referred(items).unwrap_or_else(|| items["type"].as_str().unwrap_or_default().to_owned());
        leaf.insert("items".to_owned(), items.into());
    }
    leaf
}

fn resolved(name: &str, schemas: &Map<String, Value>) -> Resolved {
    let mut resolved = Resolved::default();
    resolve(&schemas[name], schemas, &mut resolved);
    resolved
}

#[test]
fn the_schemas_are_those_of_the_facts() {
    let (facts, ours) = (facts(), ours());
    let facts = facts["schemas"].as_object().unwrap();
    let ours = ours["components"]["schemas"].as_object().unwrap();
    for name in facts.keys() {
        assert!(ours.contains_key(name), "there is no schema {name}");
        let mut fact = resolved(name, facts);
        let our = resolved(name, ours);
        if name == "ParameterType" {
            // The facts do not say what its words are.
            fact.own.insert("type".to_owned(), "string".into());
        }
        // Whether something is an object is said at other places there: what counts is that it has fields.
        let without_object = |mut resolved: Resolved| {
            if resolved.own.get("type") == Some(&json!("object")) {
                resolved.own.remove("type");
            }
            resolved
        };
        assert_eq!(without_object(our), without_object(fact), "{name}: left is ours");
    }
    let more: Vec<&String> = ours.keys().filter(|name| !facts.contains_key(*name)).collect();
    assert!(more.iter().all(|name| name.ends_with("V1")), "{more:?}");
}

fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.insert((path.clone(), method.to_uppercase()), operation.clone());
        }
    }
    operations
}

/// Name, place, whether it is required, and what it may be.
fn parameters_of(operation: &Value) -> Vec<(String, String, bool, Leaf)> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut parameters: Vec<_> = parameters
        .map(|parameter| {
            let text = |name: &str| parameter[name].as_str().unwrap().to_owned();
            let required = parameter["required"].as_bool().unwrap_or(false);
            (text("name"), text("in"), required, leaf(&parameter["schema"]))
        })
        // Conditional requests are what this registry has beyond the facts.
        .filter(|(_, place, ..)| place != "header")
        .collect();
    parameters.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    parameters
}

#[test]
fn the_operations_are_those_of_the_facts() {
    let (facts, document) = (facts(), ours());
    let ours = operations(&document);
    let facts = facts["operations"].as_array().unwrap();
    let of_version = |prefix: &str| ours.keys().filter(|(path, _)| path.starts_with(&format!("{prefix}/"))).count();
    assert_eq!(of_version(Version::V1Alpha3.prefix()), facts.len());
    for fact in facts {
        let (path, method) = (fact["path"].as_str().unwrap(), fact["method"].as_str().unwrap());
        let our = ours.get(&(path.to_owned(), method.to_owned())).unwrap_or_else(|| panic!("no {method} {path}"));
        let what = format!("{method} {path}");
        assert_eq!(our["operationId"], fact["operationId"], "{what}");
        assert_eq!(parameters_of(our), parameters_of(fact), "{what}");
        let body = &our["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(referred(body), referred(&fact["request"]["application/json"]), "{what}");
        for (status, contents) in fact["responses"].as_object().unwrap() {
            // The facts say 200; what is answered there, and here, is 201.
            let status =
                if fact["operationId"] == "createInferenceService" && status == "200" { "201" } else { status };
            let answer = &our["responses"][status]["content"]["application/json"]["schema"];
            assert_eq!(referred(answer), referred(&contents["application/json"]), "{what} {status}");
        }
    }
}

#[test]
fn version_1_has_the_same_without_experiments() {
    let document = ours();
    let operations = operations(&document);
    let of = |version: Version| -> BTreeSet<(String, String)> {
        let rest = |path: &str| path.strip_prefix(&format!("{}/", version.prefix())).map(str::to_owned);
        operations.keys().filter_map(|(path, method)| Some((rest(path)?, method.clone()))).collect()
    };
    let without_experiments = of(Version::V1Alpha3).into_iter().filter(|(path, _)| !path.starts_with("experiment"));
    assert_eq!(of(Version::V1), without_experiments.collect());
}

#[test]
fn version_1_has_its_own_metrics() {
    let document = ours();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, kind) in [("Metric", "integer"), ("MetricV1", "string")] {
        let metric = resolved(name, schemas);
        assert_eq!(metric.fields["step"]["type"], kind, "{name}");
        assert_eq!(metric.fields.contains_key("experimentRunId"), name == "Metric", "{name}");
    }
    for (path, operation) in operations(&document) {
        let of_v1 = path.0.starts_with(&format!("{}/", Version::V1.prefix()));
        let text = operation.to_string();
        for name in ["Artifact", "ArtifactCreate", "ArtifactUpdate", "ArtifactList", "ModelArtifact"] {
            assert!(!of_v1 || !text.contains(&format!("/{name}\"")), "{path:?} has the {name} of the other version");
        }
    }
}

#[test]
fn whatever_is_referred_to_is_there_and_operations_are_told_apart() {
    let document = ours();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "there is no schema {name}");
    }
    for name in schemas.keys() {
        let unused = ["BaseModel", "Error"].contains(&name.as_str());
        assert!(unused || text.contains(&format!("schemas/{name}\"")), "nothing refers to {name}");
    }
    let operations = operations(&document);
    let ids: BTreeSet<&str> = operations.values().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
}
