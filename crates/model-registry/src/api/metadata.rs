//! Custom properties as JSON: each value says of which type it is, and holds itself in a field that is called like the type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::body;
use super::failure::Failure;
use crate::model::{Properties, Property};

/// The field of a resource that holds them.
pub(super) const FIELD: &str = "customProperties";
/// The field of a value that says of which type it is.
pub(super) const TYPE: &str = "metadataType";
/// A type that the API has and nobody can use.
pub(super) const PROTO: &str = "MetadataProtoValue";

/// The custom properties in `value`.
pub(super) fn read(value: Value) -> Result<Properties, Failure> {
    match value {
        Value::Object(values) => {
            values.into_iter().map(|(name, value)| property(&name, value).map(|property| (name, property))).collect()
        }
        other => Err(body::wrong_type(FIELD, "an object", &other)),
    }
}

fn property(name: &str, value: Value) -> Result<Property, Failure> {
    let of = |what: &str| format!("{FIELD}.{name}{what}");
    let Value::Object(mut fields) = value else { return Err(body::wrong_type(&of(""), "an object", &value)) };
    let mut take = |name: &str| fields.remove(name).unwrap_or(Value::Null);
    let metadata_type = body::text(&of(".metadataType"), take(TYPE))?;
    match metadata_type.as_str() {
        "MetadataIntValue" => int(&of(".int_value"), take("int_value")),
        "MetadataDoubleValue" => {
            let number = take("double_value");
            let wrong = || body::wrong_type(&of(".double_value"), "a number", &number);
            number.as_f64().map(Property::Double).ok_or_else(wrong)
        }
        "MetadataStringValue" => body::text(&of(".string_value"), take("string_value")).map(Property::String),
        "MetadataBoolValue" => {
            let value = take("bool_value");
            value.as_bool().map(Property::Bool).ok_or_else(|| body::wrong_type(&of(".bool_value"), "a boolean", &value))
        }
        "MetadataStructValue" => structure(&of(".struct_value"), take("struct_value")),
        PROTO => Err(Failure::bad_request(format!("{}: values of the type {PROTO} are not supported", of("")))),
        other => Err(Failure::bad_request(format!("{}: there is no type {}", of(""), Value::from(other)))),
    }
}

fn int(name: &str, value: Value) -> Result<Property, Failure> {
    let text = body::text(name, value)?;
    let wrong =
        |_| Failure::bad_request(format!("field '{name}' must be a string that holds a whole number of 32 bits"));
    text.parse().map(Property::Int).map_err(wrong)
}

fn structure(name: &str, value: Value) -> Result<Property, Failure> {
    let text = body::text(name, value)?;
    let json = STANDARD.decode(&text).ok().and_then(|json| serde_json::from_slice::<serde::de::IgnoredAny>(&json).ok());
    match json {
        Some(_) => Ok(Property::Struct(text)),
        None => Err(Failure::bad_request(format!("field '{name}' must be the base64 form of JSON"))),
    }
}

/// Custom properties, to be written.
pub(super) struct Written<'a>(pub(super) &'a Properties);

struct WrittenValue<'a>(&'a Property);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, property)| (name, WrittenValue(property))))
    }
}

impl Serialize for WrittenValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(TYPE, self.0.metadata_type())?;
        map.serialize_key(self.0.value_field())?;
        match self.0 {
            Property::Int(number) => map.serialize_value(&number.to_string()),
            Property::Double(number) => map.serialize_value(number),
            Property::String(text) | Property::Struct(text) => map.serialize_value(text),
            Property::Bool(value) => map.serialize_value(value),
        }?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::int(json!({"metadataType": "MetadataIntValue", "int_value": "-2147483648"}), Property::Int(i32::MIN))]
    #[case::double(json!({"metadataType": "MetadataDoubleValue", "double_value": 0.5}), Property::Double(0.5))]
    #[case::string(json!({"metadataType": "MetadataStringValue", "string_value": ""}), Property::String(String::new()))]
    #[case::bool(json!({"metadataType": "MetadataBoolValue", "bool_value": false}), Property::Bool(false))]
    #[case::structure(
        json!({"metadataType": "MetadataStructValue", "struct_value": "eyJhIjpbMV19"}),
        Property::Struct("eyJhIjpbMV19".to_owned())
    )]
    fn each_type_comes_back_as_it_went_in(#[case] value: Value, #[case] property: Property) {
        let read = read(json!({"key": value})).unwrap();
        assert_eq!(read["key"], property);
        assert_eq!(serde_json::to_value(Written(&read)).unwrap(), json!({"key": value}));
    }

    #[test]
    fn fields_that_a_value_does_not_have_are_ignored() {
        let value = json!({"metadataType": "MetadataStringValue", "string_value": "a", "int_value": 1, "more": {}});
        assert_eq!(read(json!({"key": value})).unwrap()["key"], Property::String("a".to_owned()));
    }

    #[rstest]
    #[case::not_an_object(json!("a"))]
    #[case::null(json!(null))]
    #[case::no_type(json!({"string_value": "a"}))]
    #[case::no_such_type(json!({"metadataType": "String", "string_value": "a"}))]
    #[case::no_value(json!({"metadataType": "MetadataStringValue"}))]
    #[case::proto(json!({"metadataType": "MetadataProtoValue", "type": "a", "proto_value": "YQ=="}))]
    #[case::int_as_a_number(json!({"metadataType": "MetadataIntValue", "int_value": 1}))]
    #[case::int_of_more_bits(json!({"metadataType": "MetadataIntValue", "int_value": "2147483648"}))]
    #[case::double_as_a_string(json!({"metadataType": "MetadataDoubleValue", "double_value": "1"}))]
    #[case::bool_as_a_string(json!({"metadataType": "MetadataBoolValue", "bool_value": "true"}))]
    #[case::no_base64(json!({"metadataType": "MetadataStructValue", "struct_value": "{}"}))]
    #[case::base64_of_no_json(json!({"metadataType": "MetadataStructValue", "struct_value": "e30gfQ=="}))]
    fn what_is_no_value_is_refused_by_the_name_of_the_property(#[case] value: Value) {
        let failure = read(json!({"key": value})).unwrap_err();
        let (status, message) = failure.parts();
        assert_eq!(status, 400);
        assert!(message.contains("customProperties.key") && message.ends_with(": bad request"), "{message}");
    }
}
