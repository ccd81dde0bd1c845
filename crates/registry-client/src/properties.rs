//! `customProperties`: what people and tools write on models and versions, as typed values.

use std::{collections::BTreeMap, ops::Deref};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// A custom property's value.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyValue {
    /// Text; empty for a label.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A fraction.
    Double(f64),
    /// A yes or no.
    Bool(bool),
    /// JSON.
    Struct(Value),
    /// Something that none of the known types explains, as it came.
    Other(Value),
}

/// The custom properties of a record by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Properties(BTreeMap<String, PropertyValue>);

impl Properties {
    /// The value as text, where it has one: numbers and booleans as they are written, a struct as JSON.
    pub fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(PropertyValue::text)
    }

    pub(crate) fn from_object(object: &Map<String, Value>) -> Self {
        object.iter().map(|(key, value)| (key.clone(), PropertyValue::parse(value))).collect()
    }
}

impl Deref for Properties {
    type Target = BTreeMap<String, PropertyValue>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromIterator<(String, PropertyValue)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, PropertyValue)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = (&'a String, &'a PropertyValue);
    type IntoIter = std::collections::btree_map::Iter<'a, String, PropertyValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl PropertyValue {
    /// The value as text, see [`Properties::text`].
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(number.to_string()),
            Self::Double(number) => Some(number.to_string()),
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Struct(json) => Some(json.to_string()),
            Self::Other(_) => None,
        }
    }

    /// The metadata value, as the API has it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!({"metadataType": "MetadataStringValue", "string_value": text}),
            Self::Int(number) => json!({"metadataType": "MetadataIntValue", "int_value": number.to_string()}),
            Self::Double(number) => json!({"metadataType": "MetadataDoubleValue", "double_value": number}),
            Self::Bool(flag) => json!({"metadataType": "MetadataBoolValue", "bool_value": flag}),
            Self::Struct(json) => {
                json!({"metadataType": "MetadataStructValue", "struct_value": STANDARD.encode(json.to_string())})
            }
            Self::Other(value) => value.clone(),
        }
    }

    /// Reads a metadata value by the field that it has; `metadataType` only repeats what that field's name says.
    fn parse(value: &Value) -> Self {
        let known = || {
            let field = |name| value.get(name).filter(|value| !value.is_null());
            if let Some(text) = field("string_value") {
                return text.as_str().map(|text| Self::Text(text.to_owned()));
            }
            if let Some(number) = field("int_value") {
                return whole_number(number).map(Self::Int);
            }
            if let Some(number) = field("double_value") {
                return fraction(number).map(Self::Double);
            }
            if let Some(flag) = field("bool_value") {
                return flag.as_bool().map(Self::Bool);
            }
            if let Some(json) = field("struct_value") {
                return Some(Self::Struct(structure(json)));
            }
            // A string value that was never filled in is what an empty label looks like to some clients.
            (value.get("metadataType")? == "MetadataStringValue").then(|| Self::Text(String::new()))
        };
        known().unwrap_or_else(|| Self::Other(value.clone()))
    }
}

/// Plain JSON, as people write properties.
impl From<&Value> for PropertyValue {
    fn from(plain: &Value) -> Self {
        match plain {
            Value::Null => Self::Text(String::new()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, Some(fraction)) => Self::Double(fraction),
                (None, None) => Self::Text(number.to_string()),
            },
            Value::Array(_) | Value::Object(_) => Self::Struct(plain.clone()),
        }
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_i64(),
    }
}

fn fraction(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        _ => value.as_f64(),
    }
}

/// A struct comes as base64 of JSON, as JSON text, or as JSON.
fn structure(value: &Value) -> Value {
    let Value::String(text) = value else {
        return value.clone();
    };
    let decoded = STANDARD.decode(text).ok();
    decoded
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .or_else(|| serde_json::from_str(text).ok())
        .unwrap_or_else(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let plain = json!([null, "text", true, 7, -0.5, u64::MAX, ["a", 1], {"a": null}]);
        for value in plain.as_array().into_iter().flatten().map(PropertyValue::from) {
            assert_eq!(PropertyValue::parse(&value.to_json()), value);
        }
        let unknown = json!({"metadataType": "MetadataProtoValue", "proto_value": "x"});
        assert_eq!(PropertyValue::parse(&unknown).to_json(), unknown);
        assert_eq!(PropertyValue::from(&json!(7)).to_json()["int_value"], "7", "the API wants a text");
    }
}
