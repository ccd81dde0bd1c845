//! The bodies of requests: JSON objects whose fields are named without regard to case, and whose last mention of a field
//! counts.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::failure::Failure;
use super::metadata;
use crate::model::{Id, Properties};

/// The fields of a body that nobody took yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object(Vec<(String, Value)>);

impl Object {
    /// From what was sent.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let object: Self = serde_json::from_slice(bytes)
            .map_err(|error| Failure::bad_request(format!("the body is not understood: {error}")))?;
        if object.0.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)) {
            return Err(Failure::bad_request("the body holds a NUL byte"));
        }
        Ok(object)
    }

    /// From JSON that is there already.
    pub(super) fn of(json: Value) -> Result<Self, Failure> {
        match json {
            json if holds_nul(&json) => Err(Failure::bad_request("it holds a NUL byte")),
            Value::Object(fields) => Ok(Self(fields.into_iter().collect())),
            _ => Err(Failure::bad_request("it must be an object")),
        }
    }

    /// The names of the fields that nobody took yet and that say something.
    pub(super) fn left(self) -> impl Iterator<Item = String> {
        self.0.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name)
    }

    /// The value of a field; `null` is none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let mut last = None;
        for (_, value) in self.0.extract_if(.., |(given, _)| given.eq_ignore_ascii_case(name)) {
            last = Some(value);
        }
        last.filter(|value| !value.is_null())
    }

    /// A text; an empty one is none.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let text = self.take(name).map(|value| text(name, value)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// An id; an empty one is none.
    pub(super) fn id(&mut self, name: &str) -> Result<Option<Id>, Failure> {
        self.text(name)?.map(|text| super::params::id(name, &text)).transpose()
    }

    /// The custom properties.
    pub(super) fn properties(&mut self) -> Result<Option<Properties>, Failure> {
        self.take(metadata::FIELD).map(metadata::read).transpose()
    }

    /// Checks that nothing is left.
    pub(super) fn end(self) -> Result<(), Failure> {
        match self.0.first() {
            Some((name, _)) => Err(Failure::unknown_field(name)),
            None => Ok(()),
        }
    }
}

/// `value`, which has to be a text.
pub(super) fn text(name: &str, value: Value) -> Result<String, Failure> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(name, "a string", &other)),
    }
}

/// The field called `name` has to be something else.
pub(super) fn wrong_type(name: &str, wanted: &str, found: &Value) -> Failure {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) => return Failure::bad_request(format!("field '{name}' must be {wanted}, not {number}")),
        Value::String(_) => "this string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Failure::bad_request(format!("field '{name}' must be {wanted}, not {found}"))
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        Object::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_match_without_regard_to_case_and_the_last_counts() {
        let mut body = object(r#"{"name": "a", "NAME": "b", "externalid": "c", "Name": "d"}"#);
        assert_eq!(body.text("name").unwrap().as_deref(), Some("d"));
        assert_eq!(body.text("externalId").unwrap().as_deref(), Some("c"));
        body.end().unwrap();
    }

    #[test]
    fn null_and_what_is_empty_are_none() {
        let mut body = object(r#"{"name": null, "externalId": "", "customProperties": null}"#);
        assert_eq!(body.text("name").unwrap(), None);
        assert_eq!(body.text("externalId").unwrap(), None);
        assert_eq!(body.properties().unwrap(), None);
    }

    #[test]
    fn what_nobody_took_is_unknown() {
        let mut body = object(r#"{"name": "a", "nonsense": 1, "more": 2}"#);
        body.take("name");
        assert_eq!(body.end().unwrap_err().parts(), (400, r#"json: unknown field "nonsense""#));
    }

    #[test]
    fn a_wrong_type_names_the_field() {
        let failure = object(r#"{"name": 5}"#).text("name").unwrap_err();
        assert_eq!(failure.parts(), (400, "field 'name' must be a string, not 5: bad request"));
    }

    #[test]
    fn what_is_no_object_and_nul_bytes_are_refused() {
        for body in ["", "null", "[]", "\"a\"", "{", "{}x", "{\"a\": 1e999}", "{\"a\": \"\0\"}"] {
            assert_eq!(Object::parse(body.as_bytes()).unwrap_err().parts().0, 400, "{body:?}");
        }
        for body in
            [r#"{"a": "x\u0000"}"#, r#"{"a": [{"b": "\u0000"}]}"#, r#"{"a": {"\u0000": 1}}"#, r#"{"\u0000": 1}"#]
        {
            let failure = Object::parse(body.as_bytes()).unwrap_err();
            assert_eq!(failure.parts(), (400, "the body holds a NUL byte: bad request"), "{body}");
        }
    }
}
