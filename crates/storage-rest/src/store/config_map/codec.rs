//! How an entry is written where storage holds bytes: the Go bridge's StorageBody as JSON, with our own fields beside
//! its, and with whatever fields others have added kept. What is long is compressed in fields of our own.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge_api::StorageBody;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::StoredEntry;

/// What a compressed field may expand to; more is not compressed, and not read.
const LONGEST: usize = 16 << 20;
/// What is shorter is not worth it.
const SHORTEST: usize = 256;

/// Who reads what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A Go bridge, too: the document is in `body`.
    Readable,
    /// Nobody but us: the document is in `bodyGzip` where that is shorter.
    Compact,
}

/// When an entry was written, so that the newer of two copies is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stamps {
    /// When its content was: milliseconds since 1970, or later than that where clocks disagree.
    pub(super) content: u64,
    /// When its location was.
    pub(super) location: u64,
    /// The value without stamps that this one replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replaces: Option<String>,
}

/// A stored value as read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decoded {
    pub(super) entry: StoredEntry,
    /// What a Go bridge wrote has none.
    pub(super) stamps: Option<Stamps>,
    /// Fields that are not ours to understand.
    pub(super) foreign: Map<String, Value>,
}

/// The fields of a stored value, in their order.
#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(flatten)]
    stored: StorageBody,
    #[serde(flatten)]
    own: OwnFields,
    #[serde(flatten)]
    foreign: Map<String, Value>,
}

/// What only this store writes.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    body_gzip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_card_gzip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Stamps>,
}

/// Reads a stored value; the error says what is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let fields: Fields = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut entry = StoredEntry::from(fields.stored);
    // A Go bridge that updates an entry writes `body` and drops what it does not know.
    if let Some(packed) = fields.own.body_gzip.filter(|_| entry.body.is_empty()) {
        entry.body = expand(&packed).map_err(|reason| format!("bodyGzip {reason}"))?;
    }
    if let Some(packed) = fields.own.model_card_gzip {
        let card = expand(&packed).map_err(|reason| format!("modelCardGzip {reason}"))?;
        entry.model_card = String::from_utf8(card).map_err(|error| format!("modelCardGzip is no text: {error}"))?;
    }
    Ok(Decoded { entry, stamps: fields.own.written, foreign: fields.foreign })
}

/// Writes a value that [`decode`] reads, and in the readable form the Go bridge too.
pub(super) fn encode(decoded: Decoded, form: Form) -> Result<Vec<u8>, serde_json::Error> {
    let mut stored = StorageBody::from(decoded.entry);
    let mut own = OwnFields { written: decoded.stamps, ..OwnFields::default() };
    if form == Form::Compact
        && let Some(packed) = compress(&stored.body, stored.body.len().div_ceil(3) * 4)
    {
        own.body_gzip = Some(packed);
        stored.body = Vec::new();
    }
    // A Go bridge knows no model cards in storage.
    if let Some(packed) = compress(stored.model_card.as_bytes(), stored.model_card.len()) {
        own.model_card_gzip = Some(packed);
        stored.model_card = String::new();
    }
    serde_json::to_vec(&Fields { stored, own, foreign: decoded.foreign })
}

/// The bytes as gzip in base64, unless that is no shorter than what they would take as they are.
fn compress(bytes: &[u8], plain_length: usize) -> Option<String> {
    if !(SHORTEST..=LONGEST).contains(&bytes.len()) {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).ok()?;
    let packed = STANDARD.encode(encoder.finish().ok()?);
    (packed.len() < plain_length).then_some(packed)
}

fn expand(packed: &str) -> Result<Vec<u8>, String> {
    let packed = STANDARD.decode(packed).map_err(|error| format!("is not in base64: {error}"))?;
    let mut bytes = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let read = GzDecoder::new(packed.as_slice()).take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("is no gzip: {error}"))?;
    if bytes.len() > LONGEST { Err(format!("expands to more than {LONGEST} bytes")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use bridge_api::{PostBody, ReconcilerType};

    use super::*;

    fn decoded(body: &[u8]) -> Decoded {
        let post = PostBody { body: body.to_vec(), ..PostBody::default() };
        let entry = StoredEntry::new(ReconcilerType::Kubeflow, post);
        Decoded { entry, stamps: None, foreign: Map::new() }
    }

    fn gzip_of(bytes: &[u8]) -> String {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        STANDARD.encode(encoder.finish().unwrap())
    }

    #[test]
    fn what_others_have_added_survives() {
        let written = br#"{"body":"e30=","reconcilerType":"kserve","later":{"a":[1]},"locationId":"x","locationTarget":"t","locationIDValid":true}"#;
        let decoded = decode(written).unwrap();
        assert_eq!(decoded.entry.body, b"{}");
        assert_eq!(decoded.entry.reconciler_type, ReconcilerType::Kserve);
        assert_eq!(decoded.entry.location.as_ref().unwrap().id, "x");
        for form in [Form::Readable, Form::Compact] {
            let again = decode(&encode(decoded.clone(), form).unwrap()).unwrap();
            assert_eq!(again, decoded);
            assert_eq!(again.foreign["later"]["a"][0], 1);
            assert_eq!(again.foreign.len(), 1);
        }
    }

    #[test]
    fn what_we_write_has_the_fields_that_go_writes() {
        let bytes = encode(decoded(b"{}"), Form::Readable).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"{"body":"e30=","locationId":"","locationTarget":"","locationIDValid":false,"reconcilerType":"kubeflow","lastUpdateTimeSinceEpoch":""}"#
        );
    }

    #[test]
    fn what_is_long_is_compressed_unless_go_is_to_read_it() {
        let card = "# Granite\n".repeat(1_000);
        let mut written = decoded("a: 1\n".repeat(1_000).as_bytes());
        written.entry.model_card.clone_from(&card);
        written.stamps = Some(Stamps { content: 3, location: 2, replaces: Some("aa".to_owned()) });
        let [readable, compact] = [Form::Readable, Form::Compact].map(|form| encode(written.clone(), form).unwrap());
        assert!(compact.len() < 600 && readable.len() > 6_000, "{} {}", compact.len(), readable.len());
        let go: StorageBody = serde_json::from_slice(&readable).unwrap();
        assert_eq!((go.body, go.model_card), (written.entry.body.clone(), String::new()));
        for bytes in [readable, compact] {
            assert_eq!(decode(&bytes).unwrap(), written);
        }
    }

    #[test]
    fn what_a_go_bridge_wrote_over_a_compressed_document_counts() {
        let bytes = format!(r#"{{"body":"e30=","bodyGzip":"{}"}}"#, gzip_of(b"old"));
        assert_eq!(decode(bytes.as_bytes()).unwrap().entry.body, b"{}");
    }

    #[test]
    fn fuzz() {
        let mut long = decoded("a: 1\n".repeat(1_000).as_bytes());
        long.entry.model_card = "# Granite\n".repeat(100);
        let seeds = [
            encode(decoded(b"{}"), Form::Readable).unwrap(),
            encode(long.clone(), Form::Readable).unwrap(),
            encode(long, Form::Compact).unwrap(),
            br#"{"body":"e30=","reconcilerType":"kserve","later":{"a":[1]},"locationId":"x","locationTarget":"t","locationIDValid":true,"written":{"content":3,"location":2,"replaces":"aa"}}"#.to_vec(),
        ];
        testkit::fuzz::fuzz_seeds("config-map-values", &seeds.each_ref().map(Vec::as_slice), |input| {
            let Ok(read) = decode(input) else { return };
            for form in [Form::Readable, Form::Compact] {
                let written = encode(read.clone(), form).unwrap();
                assert_eq!(decode(&written).as_ref(), Ok(&read));
            }
        });
    }

    #[test]
    fn what_is_no_entry_is_an_error_that_says_why() {
        for bytes in [b"".as_slice(), b"null", b"[]", b"{\"body\":\"%%\"}", b"\xff\xfe", b"{\"written\":3}"] {
            decode(bytes).unwrap_err();
        }
    }

    #[test]
    fn what_expands_without_end_is_refused() {
        let bomb = gzip_of(&vec![0; LONGEST + 1]);
        assert!(bomb.len() < 64 << 10);
        for field in ["bodyGzip", "modelCardGzip"] {
            let reason = decode(format!(r#"{{"{field}":"{bomb}"}}"#).as_bytes()).unwrap_err();
            assert!(reason.contains(field) && reason.contains("expands to more"), "{reason}");
            for broken in ["%", "AAAA"] {
                let reason = decode(format!(r#"{{"{field}":"{broken}"}}"#).as_bytes()).unwrap_err();
                assert!(reason.contains(field), "{reason}");
            }
        }
    }
}
