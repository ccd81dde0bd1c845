//! Plain values to `customProperties`, so that samples and tests can say `{"License": "apache-2.0"}`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// A map of plain JSON values as `customProperties`.
pub fn metadata(plain: &Map<String, Value>) -> Value {
    plain.iter().map(|(key, value)| (key.clone(), metadata_value(value))).collect::<Map<_, _>>().into()
}

/// One plain JSON value as a metadata value: text, whole number, fraction, boolean, or a struct for the rest. A value
/// that already names its `metadataType` is taken as it is.
pub fn metadata_value(plain: &Value) -> Value {
    match plain {
        Value::Null => json!({"metadataType": "MetadataStringValue", "string_value": ""}),
        Value::String(text) => json!({"metadataType": "MetadataStringValue", "string_value": text}),
        Value::Bool(flag) => json!({"metadataType": "MetadataBoolValue", "bool_value": flag}),
        Value::Number(number) if number.is_f64() => {
            json!({"metadataType": "MetadataDoubleValue", "double_value": number})
        }
        Value::Number(number) => {
            json!({"metadataType": "MetadataIntValue", "int_value": number.to_string()})
        }
        Value::Object(object) if object.contains_key("metadataType") => plain.clone(),
        Value::Object(_) | Value::Array(_) => {
            json!({"metadataType": "MetadataStructValue", "struct_value": STANDARD.encode(plain.to_string())})
        }
    }
}

/// Replaces the short form `properties` by `customProperties` in the fields of a record.
pub(crate) fn expand(fields: &mut Map<String, Value>) {
    if let Some(Value::Object(plain)) = fields.remove("properties") {
        fields.insert("customProperties".into(), metadata(&plain));
    }
}
