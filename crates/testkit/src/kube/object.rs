//! Reading and setting the metadata of an object that is kept as plain JSON.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serde_json::{Map, Value};

const GENERATED_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A string of `metadata`, when it is there and not empty.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object["metadata"][field].as_str().filter(|text| !text.is_empty())
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name").unwrap_or_default()
}

pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace").unwrap_or_default()
}

/// The revision that last changed the object; 0 when unset.
pub(crate) fn revision(object: &Value) -> u64 {
    meta(object, "resourceVersion").and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// `metadata`, made an object when it is missing.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    match &mut object["metadata"] {
        Value::Object(map) => map,
        _ => unreachable!("was just made an object"),
    }
}

/// Sets a field of `metadata`, or takes it away.
pub(crate) fn set_meta(object: &mut Value, field: &str, value: Option<Value>) {
    let metadata = metadata_mut(object);
    match value {
        Some(value) => metadata.insert(field.to_owned(), value),
        None => metadata.remove(field),
    };
}

/// Sets or removes a top-level field.
pub(crate) fn set_field(object: &mut Value, field: &str, value: Option<Value>) {
    if let Value::Object(map) = object {
        match value {
            Some(value) => map.insert(field.to_owned(), value),
            None => map.remove(field),
        };
    }
}

pub(crate) fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// The time as the API writes it: whole seconds, UTC.
pub(crate) fn now() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A fresh version 4 UUID.
pub(crate) fn new_uid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0x0fff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// `prefix` with five random characters, as `generateName` does; the prefix is cut so that the whole fits a label.
pub(crate) fn generated_name(prefix: &str) -> String {
    let mut name: String = prefix.chars().take(58).collect();
    let mut bits = random();
    for _ in 0..5 {
        let count = GENERATED_ALPHABET.len() as u64;
        let index = usize::try_from(bits % count).unwrap_or_default();
        name.push(char::from(GENERATED_ALPHABET[index]));
        bits /= count;
    }
    name
}
