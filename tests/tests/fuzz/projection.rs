//! What registries and clusters answer, all the way to what is published.

use model_catalog::render::{Format, render};
use normalizer::inventory::SourceId;
use normalizer::observe::manifests;
use normalizer::project::project;
use rand::Rng as _;
use serde::Deserialize;
use serde_json::{Value, json};

use testkit::fuzz::{StdRng, fuzz, mutated_value};

use crate::support;

const FIXTURES: [&str; 6] = [
    include_str!("../../../crates/normalizer/tests/fixtures/projection/described.yaml"),
    include_str!("../../../crates/normalizer/tests/fixtures/projection/served_by_label.yaml"),
    include_str!("../../../crates/normalizer/tests/fixtures/projection/served_by_record.yaml"),
    include_str!("../../../crates/normalizer/tests/fixtures/projection/kserve_only.yaml"),
    include_str!("../../../crates/normalizer/tests/fixtures/projection/llm_services.yaml"),
    include_str!("../../../crates/normalizer/tests/fixtures/projection/names.yaml"),
];

#[test]
fn whatever_is_answered_is_published_or_left_out() {
    let seeds: Vec<Value> = FIXTURES.iter().map(|text| serde_yaml::from_str::<Value>(text).unwrap()).collect();
    let settings = support::settings();
    let make = |rng: &mut StdRng| {
        let seed = rng.random_range(0..seeds.len());
        mutated_value(rng, &seeds[seed]).to_string()
    };
    fuzz("projection", make, |input| {
        // What is nested too deeply is no JSON to any of our readers.
        let Ok(world) = serde_json::from_str::<Value>(input) else { return };
        let input = world.get("input").unwrap_or(&world);
        let mut inventory = support::inventory(&json!({ "registries": input["registries"] }));
        for (name, objects) in input["clusters"].as_object().into_iter().flatten() {
            let objects = objects.as_array().into_iter().flatten();
            let text: Vec<String> = objects.map(|object| serde_yaml::to_string(object).unwrap()).collect();
            if let Ok(snapshot) = manifests::read_text(name, &text.join("---\n")) {
                inventory.clusters.insert(SourceId::cluster(name), std::sync::Arc::new(snapshot));
            }
        }
        for entry in project(&inventory, &settings).entries.values() {
            let json = render(&entry.catalog, Format::ModelCatalogJson).unwrap();
            assert!(serde_json::from_slice::<Value>(&json).is_ok());
            let yaml = render(&entry.catalog, Format::CatalogInfoYaml).unwrap();
            for document in serde_yaml::Deserializer::from_slice(&yaml) {
                Value::deserialize(document).unwrap();
            }
        }
    });
}
