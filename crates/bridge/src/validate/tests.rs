use std::fs;
use std::path::PathBuf;

use rstest::rstest;

use super::*;

const RESOURCE: &str = "apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: granite-v1
  tags: [onnx]
spec:
  type: ai-model
  owner: user:jane
";

fn said(name: &str, text: &str) -> Vec<String> {
    validate(&[(name.to_owned(), text.to_owned())], None).iter().map(ToString::to_string).collect()
}

fn examples(kind: &str) -> Vec<(String, String)> {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/tests")).join(kind);
    let files = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
    let read = files.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()));
    let found: Vec<_> = read.collect();
    assert!(!found.is_empty(), "no examples in {}", directory.display());
    found
}

#[test]
fn every_example_of_the_schema_is_judged_as_the_schema_judges_it() {
    for (name, text) in examples("valid") {
        assert_eq!(said(&name, &text), Vec::<String>::new());
    }
    for (name, text) in examples("invalid") {
        assert!(!said(&name, &text).is_empty(), "{name}");
    }
}

#[rstest]
#[case::no_json("{\n  \"models\": [\n  ]\n", "a:4:1: error: this is no JSON")]
#[case::missing("{}", "a:1:1: error: the field models is missing")]
#[case::unknown("{\"models\": [],\n  \"servers\": []}", "a:2:3: error: servers: there is no such field")]
#[case::null("{\"models\": [],\n \"modelServer\": null}", "a:2:17: error: modelServer: this is null")]
#[case::tag(
    "{\"models\": [\n{\"name\": \"m\", \"owner\": \"o\", \"lifecycle\": \"l\", \"description\": \"\",\n\t\"tags\": [\"ok\", \"Not OK\"]}]}",
    "a:3:17: error: models[0].tags[1]: this must be lower-case letters"
)]
#[case::twice("{\"models\": [],\n \"models\": []}", "a:2:2: error: the key `models` is there twice")]
#[case::same_name(
    "{\"models\": [{\"name\": \"m\", \"owner\": \"o\", \"lifecycle\": \"l\", \"description\": \"\"},\n{\"name\": \"M\", \"owner\": \"o\", \"lifecycle\": \"l\", \"description\": \"\"}]}",
    "a:2:10: error: models[1].name: resource:default/m is at a:1:22, too"
)]
#[case::url_of_types(
    "{\"models\": [{\"name\": \"m\", \"owner\": \"o\", \"lifecycle\": \"l\", \"description\": \"\",\n\"license\": \"https://user:pw@[::1\"}]}",
    "a:2:12: error: models[0].license: "
)]
#[case::key(
    "{\"models\": [{\"name\": \"m\", \"owner\": \"o\", \"lifecycle\": \"l\", \"description\": \"\",\n\"annotations\": {\"has space\": \"\"}}]}",
    "a:2:17: error: models[0].annotations.has space: this key must be"
)]
fn a_catalog_document_is_judged_with_line_and_column(#[case] text: &str, #[case] expected: &str) {
    let said = said("a", text);
    assert!(said.iter().any(|line| line.starts_with(expected)), "{said:#?}");
}

#[test]
fn escapes_and_tabs_of_json_do_not_matter() {
    let text = "{\t\"models\": [\n\t{\"name\": \"m\", \"owner\": \"o\", \"lifecycle\": \"l\", \"description\": \"\\ud83d\\ude00\\/\"}]}";
    assert_eq!(said("a", text), Vec::<String>::new());
}

#[rstest]
#[case::syntax("kind: [", "a:", "this is no YAML")]
#[case::empty("# nothing\n---\n", "a:1:1: error: ", "no entity")]
#[case::list("- a\n", "a:1:1: error: ", "object")]
#[case::doubled(&RESOURCE.replace("  tags: [onnx]", "  name: other"), "a:5:3: error: ", "duplicate")]
#[case::name(&RESOURCE.replace("granite-v1", "granite:v1"), "a:4:9: error: metadata.name: ", "letters and digits")]
#[case::number(&RESOURCE.replace("granite-v1", "1"), "a:4:9: error: metadata.name: ", "the number 1; quote it")]
#[case::tag(&RESOURCE.replace("[onnx]", "[a, B]"), "a:5:13: error: metadata.tags[1]: ", "lower-case")]
#[case::tags(&RESOURCE.replace("[onnx]", "onnx"), "a:5:9: error: metadata.tags: ", "a list")]
#[case::owner(&RESOURCE.replace("  owner: user:jane\n", ""), "a:6:1: error: spec.owner: ", "missing")]
#[case::reference(&RESOURCE.replace("user:jane", "a/b/c"), "a:8:10: error: spec.owner: ", "KIND")]
#[case::version(&RESOURCE.replace("v1alpha1", "v2"), "a:1:13: error: apiVersion: ", "v1alpha1")]
#[case::top(&format!("{RESOURCE}extra: 1\n"), "a:9:1: error: extra: ", "no such field")]
#[case::kind(&RESOURCE.replace("Resource", "Widget"), "a:2:7: warning: kind: ", "plugin")]
#[case::second(&format!("{RESOURCE}---\n{}", RESOURCE.replace("Resource", "resource")), "a:13:9: error: ", "too")]
#[case::depends(&format!("{RESOURCE}  dependsOn: [x]\n"), "a:9:15: error: spec.dependsOn[0]: ", "with its kind")]
#[case::link(&RESOURCE.replace("tags: [onnx]", "links: [{url: /relative}]"), "a:5:17: error: metadata.links[0].url: ", "URL")]
fn an_entity_is_judged_with_line_and_column(#[case] text: &str, #[case] place: &str, #[case] rule: &str) {
    let said = said("a", text);
    assert!(said.iter().any(|line| line.starts_with(place) && line.contains(rule)), "{said:#?}");
}

#[test]
fn an_api_needs_a_definition_which_may_be_read_from_elsewhere() {
    let api = RESOURCE.replace("Resource", "API").replace("type: ai-model", "type: openapi\n  lifecycle: production");
    assert_eq!(said("a", &api), ["a:6:1: error: spec.definition: this field is missing"]);
    let elsewhere = format!("{api}  definition:\n    $text: ./openapi.yaml\n");
    assert_eq!(said("a", &elsewhere), Vec::<String>::new());
}

#[test]
fn what_is_in_one_file_must_not_be_in_another() {
    let files = [("a".to_owned(), RESOURCE.to_owned()), ("b".to_owned(), RESOURCE.to_owned())];
    let said: Vec<String> = validate(&files, None).iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("b:4:9: error: metadata.name: resource:default/granite-v1 is at a:4:9, too"),
        "{said:?}"
    );
}

#[test]
fn whatever_nests_deeply_is_refused_and_not_followed() {
    for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000), "- ".repeat(50_000), "a: &a [*a]".to_owned()] {
        assert!(!said("a", &text).is_empty());
    }
}

/// What the bridge itself writes has no findings.
#[test]
fn what_the_bridge_renders_is_without_findings() {
    use model_catalog::document::Catalog;
    use model_catalog::entities::Extra;
    use model_catalog::render::{RenderOptions, render_with};
    let everything = RenderOptions { emit: [Extra::AiModelServerApi].into() };
    for (name, text) in examples("valid").into_iter().filter(|(name, _)| !name.contains("no-models")) {
        let catalog: Catalog = serde_json::from_str(&text).unwrap();
        for format in [Format::CatalogInfoYaml, Format::ModelCatalogJson] {
            let rendered = String::from_utf8(render_with(&catalog, format, &everything).unwrap()).unwrap();
            let errors: Vec<String> = validate(&[(name.clone(), rendered)], None)
                .iter()
                .filter(|finding| finding.severity == Severity::Error)
                .map(ToString::to_string)
                .collect();
            assert_eq!(errors, Vec::<String>::new());
        }
    }
}
