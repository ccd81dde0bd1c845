//! How an entry is written where storage holds bytes: the Go bridge's StorageBody as JSON, with our own fields beside
//! its, and with whatever fields others have added kept.

use bridge_api::StorageBody;
use serde_json::{Map, Value};

use super::StoredEntry;

/// A stored value as read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) entry: StoredEntry,
    /// Fields that are not ours to understand.
    pub(crate) foreign: Map<String, Value>,
}

/// The fields that [`encode`] writes itself.
const OWN_FIELDS: [&str; 10] = [
    "body",
    "locationId",
    "locationTarget",
    "locationIDValid",
    "locationDigest",
    "reconcilerType",
    "lastUpdateTimeSinceEpoch",
    "modelCardKey",
    "modelCard",
    "origin",
];

/// Reads a stored value; the error says what is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let stored: StorageBody = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut foreign: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    foreign.retain(|name, _| !OWN_FIELDS.contains(&name.as_str()));
    Ok(Decoded { entry: stored.into(), foreign })
}

/// Writes a value that [`decode`] and the Go bridge read.
pub(crate) fn encode(entry: StoredEntry, foreign: &Map<String, Value>) -> Result<Vec<u8>, serde_json::Error> {
    let stored = StorageBody::from(entry);
    if foreign.is_empty() {
        return serde_json::to_vec(&stored);
    }
    let mut value = serde_json::to_value(&stored)?;
    if let Value::Object(fields) = &mut value {
        fields.extend(foreign.iter().map(|(name, field)| (name.clone(), field.clone())));
    }
    serde_json::to_vec(&value)
}

#[cfg(test)]
mod tests {
    use bridge_api::{PostBody, ReconcilerType};

    use super::*;

    #[test]
    fn what_others_have_added_survives() {
        let written = br#"{"body":"e30=","reconcilerType":"kserve","later":{"a":[1]},"locationId":"x","locationTarget":"t","locationIDValid":true}"#;
        let decoded = decode(written).unwrap();
        assert_eq!(decoded.entry.body, b"{}");
        assert_eq!(decoded.entry.reconciler_type, ReconcilerType::Kserve);
        assert_eq!(decoded.entry.location.as_ref().unwrap().id, "x");
        let again = decode(&encode(decoded.entry.clone(), &decoded.foreign).unwrap()).unwrap();
        assert_eq!(again, decoded);
        assert_eq!(again.foreign["later"]["a"][0], 1);
    }

    #[test]
    fn what_we_write_has_the_fields_that_go_writes() {
        let post = PostBody { body: b"{}".to_vec(), ..PostBody::default() };
        let bytes = encode(StoredEntry::new(ReconcilerType::Kubeflow, post), &Map::new()).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"{"body":"e30=","locationId":"","locationTarget":"","locationIDValid":false,"reconcilerType":"kubeflow","lastUpdateTimeSinceEpoch":""}"#
        );
    }

    #[test]
    fn what_is_no_entry_is_an_error_that_says_why() {
        for bytes in [b"".as_slice(), b"null", b"[]", b"{\"body\":\"%%\"}", b"\xff\xfe"] {
            decode(bytes).unwrap_err();
        }
    }
}
