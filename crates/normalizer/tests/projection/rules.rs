//! What Backstage and its provider accept, written anew from their rules and not from the crate under test, and what
//! both formats of an entry must have in common.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use normalizer::project::{Entry, Projection};
use regex::Regex;
use serde_json::Value;
use url::Url;

use super::support::{document, entities, yaml};

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static KEY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[-._a-zA-Z0-9]{1,253}$"));
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[a-zA-Z0-9]+([-_.][a-zA-Z0-9]+)*$"));
static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[a-z0-9:+#]+(\-[a-z0-9:+#]+)*$"));
static HOST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([A-Za-z0-9._-]+|\[[0-9a-f:.]+\])$"));
static DNS_LABEL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[a-z0-9]+(?:\-+[a-z0-9]+)*$"));
static OWNER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(user|group):([a-z0-9]+([-.][a-z0-9]+)*/)?[a-zA-Z0-9]+([-_.][a-zA-Z0-9]+)*$"));
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/model-catalog.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
});

/// Holds all of a projection against the rules.
pub(crate) fn check(projection: &Projection) {
    let (mut names, mut uris) = (BTreeSet::new(), BTreeSet::new());
    for (key, entry) in &projection.entries {
        assert_eq!(*key, entry.key);
        assert!(KEY.is_match(key.as_str()), "{key}");
        assert!(uris.insert(key.uri(model_catalog::render::Format::ModelCatalogJson)), "{key}: its URI is taken");
        for entity in check_entry(entry) {
            let (kind, name) = (text(&entity["kind"]), text(&entity["metadata"]["name"]));
            // Backstage's references do not tell upper from lower case.
            assert!(names.insert(format!("{kind}:{name}").to_lowercase()), "{key}: two entities are {kind} {name}");
        }
    }
}

fn check_entry(entry: &Entry) -> Vec<Value> {
    let document = document(entry);
    no_null(&document);
    let errors: Vec<String> = SCHEMA.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{}: {errors:?} in {document}", entry.key);
    check_document(&document);
    let yaml = yaml(entry);
    let entities = entities(&yaml);
    entities.iter().for_each(no_null);
    entities.iter().for_each(check_entity);
    check_references(&entities);
    check_both_formats_agree(&document, &entities);
    entities
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn no_null(value: &Value) {
    match value {
        Value::Null => panic!("a null"),
        Value::Array(items) => items.iter().for_each(no_null),
        Value::Object(fields) => fields.values().for_each(no_null),
        _ => {}
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.chars().count()) && NAME.is_match(text)
}

fn is_annotation_key(key: &str) -> bool {
    let is_dns = |prefix: &str| {
        (1..=253).contains(&prefix.len())
            && prefix.split('.').all(|label| label.len() <= 63 && DNS_LABEL.is_match(label))
    };
    match key.split('/').collect::<Vec<_>>()[..] {
        [name] => is_name(name),
        [prefix, name] => is_dns(prefix) && is_name(name),
        _ => false,
    }
}

fn check_tags(tags: &Value) {
    let tags = list(tags);
    for tag in &tags {
        assert!(tag.len() <= 63 && TAG.is_match(tag), "tag {tag:?}");
    }
    assert!(tags.is_sorted_by(|a, b| a < b), "sorted and without doubles: {tags:?}");
}

fn check_annotations(annotations: &Value) {
    for (key, value) in annotations.as_object().into_iter().flatten() {
        assert!(is_annotation_key(key), "annotation key {key:?}");
        assert!(value.is_string(), "annotation {key}: {value}");
    }
}

fn check_url(url: &str) {
    let parsed = Url::parse(url).unwrap_or_else(|error| panic!("{url:?}: {error}"));
    assert!(!["javascript", "data", "vbscript", "file"].contains(&parsed.scheme()), "{url}");
    assert!(parsed.username().is_empty() && parsed.password().is_none(), "{url} carries credentials");
    if ["http", "https"].contains(&parsed.scheme()) {
        assert!(HOST.is_match(parsed.host_str().unwrap()), "the host of {url}");
    }
    assert!(url.is_ascii(), "{url:?}: Go and Java clients read only ASCII ones");
}

/// Line breaks and tabs are the only control characters that readers of both formats agree on.
fn check_text(what: &str, value: &str) {
    let odd = |c: char| (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    assert!(!value.contains(odd), "{what}: {value:?}");
}

/// The rules of RHDH's provider, which takes the document's fields as they are.
fn check_document(document: &Value) {
    assert!(document["models"].as_array().is_some_and(|models| !models.is_empty()), "{document}");
    let server = document.get("modelServer");
    for part in document["models"].as_array().unwrap().iter().chain(server) {
        assert!(is_name(text(&part["name"])), "name {}", part["name"]);
        assert!(is_name(text(&part["owner"])), "owner {}: the provider puts `user:` before it", part["owner"]);
        assert!(!text(&part["lifecycle"]).trim().is_empty());
        check_tags(&part["tags"]);
        check_annotations(&part["annotations"]);
        for (field, value) in part.as_object().unwrap() {
            if let Value::String(value) = value {
                assert!(field == "description" || !value.trim().is_empty(), "{field} is blank");
                check_text(field, value);
            }
            if ["artifactLocationURL", "howToUseURL", "license", "homepageURL"].contains(&field.as_str()) {
                check_url(text(value));
            }
        }
        // The provider of RHDH 2.x writes `user:` before this, too.
        if let Some(owner) = part["annotations"].get("rhdh.io/owner") {
            assert!(is_name(text(owner)), "{owner}");
        }
    }
    if let Some(api) = server.and_then(|server| server.get("API")) {
        check_url(text(&api["url"]));
        assert!(!text(&api["spec"]).trim().is_empty());
        check_tags(&api["tags"]);
        check_annotations(&api["annotations"]);
    }
}

/// The rules of Backstage's own policies and of its schemas of the three kinds.
fn check_entity(entity: &Value) {
    let (kind, metadata, spec) = (text(&entity["kind"]), &entity["metadata"], &entity["spec"]);
    assert_eq!(entity["apiVersion"], "backstage.io/v1alpha1");
    assert!(is_name(text(&metadata["name"])), "{metadata}");
    check_tags(&metadata["tags"]);
    check_annotations(&metadata["annotations"]);
    for link in metadata["links"].as_array().into_iter().flatten() {
        check_url(text(&link["url"]));
        assert!(!text(&link["title"]).trim().is_empty());
    }
    if let Some(description) = metadata.get("description") {
        check_text("description", text(description));
    }
    assert!(OWNER.is_match(text(&spec["owner"])), "owner {}", spec["owner"]);
    assert!(!text(&spec["lifecycle"]).is_empty());
    let types: &[&str] = match kind {
        "Resource" => &["ai-model"],
        "Component" => &["model-server"],
        "API" => &["openapi", "asyncapi", "graphql", "grpc"],
        other => panic!("an entity of kind {other}"),
    };
    assert!(types.contains(&text(&spec["type"])), "{kind} of type {}", spec["type"]);
    assert_eq!(spec.get("definition").is_some(), kind == "API");
    if kind == "API" {
        assert!(!text(&spec["definition"]).trim().is_empty());
    }
}

/// Every reference from one entity leads to another of the same document.
fn check_references(entities: &[Value]) {
    let known: BTreeSet<String> = entities
        .iter()
        .map(|entity| format!("{}:{}", text(&entity["kind"]).to_lowercase(), text(&entity["metadata"]["name"])))
        .collect();
    for entity in entities {
        for (field, kind) in [("dependsOn", None), ("dependencyOf", None), ("providesApis", Some("api"))] {
            for reference in list(&entity["spec"][field]) {
                let full = match (reference.contains(':'), kind) {
                    (false, Some(kind)) => format!("{kind}:{reference}"),
                    _ => reference.to_owned(),
                };
                assert!(known.contains(&full), "{field}: {reference} is none of {known:?}");
            }
        }
    }
}

fn check_both_formats_agree(document: &Value, entities: &[Value]) {
    let models = document["models"].as_array().unwrap();
    let server = document.get("modelServer");
    let api = server.and_then(|server| server.get("API"));
    let of_kind = |kind: &str| entities.iter().filter(|entity| entity["kind"] == kind).collect::<Vec<_>>();
    let (resources, components, apis) = (of_kind("Resource"), of_kind("Component"), of_kind("API"));
    assert_eq!(resources.len(), models.len());
    assert_eq!(components.len(), usize::from(server.is_some()));
    assert_eq!(apis.len(), usize::from(api.is_some()));
    for (part, entity) in models.iter().chain(server).zip(resources.into_iter().chain(components)) {
        let (metadata, spec) = (&entity["metadata"], &entity["spec"]);
        assert_eq!(part["name"], metadata["name"]);
        assert_eq!(list(&part["tags"]), list(&metadata["tags"]));
        assert_eq!(text(&part["description"]), metadata["description"].as_str().unwrap_or_default());
        assert_eq!(part["lifecycle"], spec["lifecycle"]);
        assert_eq!(part["owner"], text(&spec["owner"]).rsplit([':', '/']).next().unwrap());
        let links: Vec<&str> =
            metadata["links"].as_array().into_iter().flatten().map(|link| text(&link["url"])).collect();
        for field in ["artifactLocationURL", "howToUseURL", "license", "homepageURL"] {
            if let Some(url) = part.get(field) {
                assert!(links.contains(&text(url)), "{field} {url} is none of the links {links:?}");
            }
        }
        if let Some(docs) = part["annotations"].get("TechDocs") {
            assert_eq!(part["annotations"]["techdocs"], *docs);
            assert_eq!(metadata["annotations"]["backstage.io/techdocs-ref"], format!("url:{}", text(docs)));
        }
    }
    if let (Some(api), [entity]) = (api, &apis[..]) {
        assert_eq!(list(&api["tags"]), list(&entity["metadata"]["tags"]));
        assert_eq!(api["spec"], entity["spec"]["definition"]);
        assert_eq!(api["type"], entity["spec"]["type"]);
        assert_eq!(api["annotations"], entity["metadata"]["annotations"]);
    }
}
