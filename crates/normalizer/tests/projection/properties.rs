//! Properties of the projection that hold whatever people write into registries and clusters.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::rules;
use super::support::projected;
use super::worlds::world;

/// The same world, with every list that a peer answers in another order.
fn turned(value: &Value, by: usize) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| turned(item, by)).collect();
            let by = by % items.len().max(1);
            items.rotate_left(by);
            items.reverse();
            items.into()
        }
        Value::Object(fields) => {
            // The order of adapters is their service's own: two that have one name are told apart by it.
            let turn = |key: &str, value: &Value| if key == "adapters" { value.clone() } else { turned(value, by) };
            fields.iter().map(|(key, value)| (key.clone(), turn(key, value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_is_valid_when_it_goes_out(world in world()) {
        rules::check(&projected(&world));
    }

    #[test]
    fn every_live_version_of_a_live_model_is_shown(world in world()) {
        let live = |record: &Value| record["state"] == "LIVE" && record["name"] != "";
        let mut expected = 0;
        for registry in world["registries"].as_object().unwrap().values() {
            let models = registry["registered_models"].as_array().unwrap();
            let shown: BTreeSet<&str> = models.iter().filter(|m| live(m)).map(|m| m["id"].as_str().unwrap()).collect();
            let versions = registry["model_versions"].as_array().unwrap();
            expected += versions.iter().filter(|v| live(v) && shown.contains(v["registeredModelId"].as_str().unwrap())).count();
        }
        let projection = projected(&world);
        let registered = projection.entries.values().filter(|entry| entry.reconciler.to_string() == "kubeflow").count();
        prop_assert_eq!(registered, expected);
    }

    #[test]
    fn the_order_in_which_records_come_says_nothing(world in world(), by in 0..5usize) {
        prop_assert_eq!(projected(&world), projected(&turned(&world, by)));
    }

    #[test]
    fn the_same_world_gives_the_same_result(world in world()) {
        prop_assert_eq!(projected(&world), projected(&world));
    }
}
