//! Custom properties.

use serde_json::{Value, json};

use crate::registry::{Registry, id, property};

pub(crate) async fn all_types_come_back_as_they_went_in(registry: &Registry) {
    let properties = json!({
        "int": {"metadataType": "MetadataIntValue", "int_value": "2147483647"},
        "negative": {"metadataType": "MetadataIntValue", "int_value": "-2147483648"},
        "double": {"metadataType": "MetadataDoubleValue", "double_value": 0.1},
        "large": {"metadataType": "MetadataDoubleValue", "double_value": 1e300},
        "whole": {"metadataType": "MetadataDoubleValue", "double_value": 3.0},
        "string": property("some text\nof two lines \u{1F600}"),
        "empty": property(""),
        "long": property(&"x".repeat(100_000)),
        "true": {"metadataType": "MetadataBoolValue", "bool_value": true},
        "false": {"metadataType": "MetadataBoolValue", "bool_value": false},
        "struct": {"metadataType": "MetadataStructValue", "struct_value": "eyJhIjpbMSwyXX0="},
        "": property("a name may be empty"),
    });
    for (path, mut body) in [
        ("registered_models", json!({"name": "m"})),
        ("serving_environments", json!({"name": "e"})),
        ("experiments", json!({"name": "x"})),
        ("artifacts", json!({"artifactType": "metric"})),
    ] {
        body["customProperties"] = properties.clone();
        let made = registry.create(path, body).await;
        assert_eq!(made["customProperties"], properties, "{path}");
        assert_eq!(registry.read(&format!("{path}/{}", id(&made))).await, made);
        assert_eq!(registry.items(path).await, [made]);
    }
}

pub(crate) async fn fields_of_values_that_nobody_knows_are_ignored(registry: &Registry) {
    let value = json!({"metadataType": "MetadataStringValue", "string_value": "a", "nonsense": 1, "int_value": {}});
    let made = registry.create("registered_models", json!({"name": "m", "customProperties": {"p": value}})).await;
    assert_eq!(made["customProperties"], json!({"p": property("a")}));
}

pub(crate) async fn names_of_properties_are_told_apart_by_every_character(registry: &Registry) {
    let properties: Value = ["a", "A", "ä", "a ", "Registered from", "a.b", "`"]
        .map(|name| (name.to_owned(), property(name)))
        .into_iter()
        .collect();
    let made = registry.create("registered_models", json!({"name": "m", "customProperties": properties})).await;
    assert_eq!(registry.read(&format!("registered_models/{}", id(&made))).await["customProperties"], properties);
}

pub(crate) async fn values_of_no_type_are_refused(registry: &Registry) {
    let model = registry.model("there").await;
    for value in [
        json!({"metadataType": "MetadataProtoValue", "type": "t", "proto_value": "YQ=="}),
        json!({"metadataType": "nonsense", "string_value": "a"}),
        json!({"string_value": "a"}),
        json!("a"),
        json!(null),
        json!({"metadataType": "MetadataIntValue", "int_value": 1}),
        json!({"metadataType": "MetadataIntValue", "int_value": "2147483648"}),
        json!({"metadataType": "MetadataIntValue", "int_value": "1.5"}),
        json!({"metadataType": "MetadataStructValue", "struct_value": "no base64"}),
    ] {
        let properties = json!({"customProperties": {"p": value}});
        let mut body = properties.clone();
        body["name"] = json!("m");
        registry.post("registered_models", &body).await.is_bad();
        registry.patch(&format!("registered_models/{model}"), &properties).await.is_bad();
    }
    assert_eq!(registry.names("registered_models").await, ["there"]);
}
