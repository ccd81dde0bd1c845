//! Reads the fields of one JSON record, saying which one is wrong.

use serde_json::{Map, Value};

use super::RecordError;
use crate::{endpoint::excerpt, properties::Properties};

/// The fields of a JSON object.
#[derive(Debug)]
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// Reads a record; a fault carries the record's id and name as far as they are known.
    pub(crate) fn read<T>(
        kind: &'static str,
        json: &'a Value,
        read: impl FnOnce(&Self) -> Result<T, String>,
    ) -> Result<T, RecordError> {
        let Value::Object(object) = json else {
            return Err(RecordError {
                kind,
                id: None,
                name: None,
                reason: format!("it is {}, not an object", type_name(json)),
            });
        };
        let fields = Self(object);
        read(&fields).map_err(|reason| {
            let known = |name| fields.text(name).ok().flatten().map(|text| excerpt(&text));
            RecordError { kind, id: known("id"), name: known("name"), reason }
        })
    }

    /// Text, from numbers and booleans too; empty text is as good as none.
    pub(crate) fn text(&self, field: &str) -> Result<Option<String>, String> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(value) => Err(format!("its {field} is {}, not text", type_name(value))),
        }
    }

    /// Text that must be there.
    pub(crate) fn required(&self, field: &str) -> Result<String, String> {
        self.text(field)?.ok_or_else(|| format!("its {field} is missing"))
    }

    /// A list of texts; what is no text in it is left out.
    pub(crate) fn texts(&self, field: &str) -> Result<Vec<String>, String> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                let texts = values.iter().filter_map(Value::as_str);
                Ok(texts.map(str::to_owned).collect())
            }
            Some(value) => Err(format!("its {field} is {}, not a list", type_name(value))),
        }
    }

    /// A yes or no.
    pub(crate) fn flag(&self, field: &str) -> Option<bool> {
        self.0.get(field)?.as_bool()
    }

    /// The custom properties.
    pub(crate) fn properties(&self) -> Result<Properties, String> {
        match self.0.get("customProperties") {
            None | Some(Value::Null) => Ok(Properties::default()),
            Some(Value::Object(object)) => Ok(Properties::from_object(object)),
            Some(value) => Err(format!("its customProperties is {}, not an object", type_name(value))),
        }
    }

    /// Milliseconds since the epoch. A time that cannot be read is unknown: nothing but its age is lost.
    pub(crate) fn time(&self, field: &str) -> Option<i64> {
        match self.0.get(field)? {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        }
    }
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
