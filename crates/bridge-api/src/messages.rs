//! What travels between the services, with the field names of the Go bridge.
//!
//! Reading is lenient where the peers are: a field that is missing or `null` is an empty one, a field that is unknown
//! is ignored. Writing is strict: lists are always arrays, and what is ours alone is left out when there is nothing to
//! say.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::base64_bytes;
use crate::digest::Digest;
use crate::key::EntryKey;

/// Reads one of these messages. Unlike plain `serde_json` it takes nothing but an object: an array would be read as the
/// fields in their order, and an empty one as a message that says nothing.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(bytes),
        _ => Err(serde_json::Error::custom("a JSON object was expected")),
    }
}

/// The JSON body of both upserts.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PostBody {
    /// The catalog document; base64 on the wire.
    #[serde(with = "base64_bytes")]
    #[schema(value_type = String, format = Byte, min_length = 1, required = true)]
    pub body: Vec<u8>,
    /// Milliseconds since 1970, or empty.
    #[serde(deserialize_with = "null_is_empty")]
    #[schema(value_type = Option<String>)]
    pub last_update_time_since_epoch: String,
    /// Under which key location serves the model card; empty when there is none.
    #[serde(deserialize_with = "null_is_empty")]
    #[schema(value_type = Option<String>)]
    pub model_card_key: String,
    /// The model card, in Markdown.
    #[serde(deserialize_with = "null_is_empty")]
    #[schema(value_type = Option<String>)]
    pub model_card: String,
    /// Ours: what the entry is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Ours: when the change happened that this is sent for, in milliseconds since 1970. It is not kept, and there only for
    /// what changed while the bridge looked on, so that it tells how long changes take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<i64>,
}

/// What an entry is made from, whatever it is called. Ours: it lets the normalizer tell, after a restart, whose entries
/// storage holds, so that a source that can't be read keeps its entries and their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct Origin {
    /// The registry or cluster.
    pub source: String,
    /// The registered model's id, or the namespace.
    pub parent: String,
    /// The model version's id, or the InferenceService's name.
    pub child: String,
    /// The registered model's name, or the namespace.
    pub first: String,
    /// The model version's name, or the InferenceService's name.
    pub second: String,
    /// The InferenceService that serves it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<ServedBy>,
}

/// An InferenceService of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct ServedBy {
    /// The cluster.
    pub cluster: String,
    /// The service's namespace.
    pub namespace: String,
    /// The service's name.
    pub name: String,
}

/// What storage keeps of an entry, and what it answers to `/fetch`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageBody {
    /// The catalog document; base64 on the wire.
    #[serde(with = "base64_bytes")]
    #[schema(value_type = String, format = Byte)]
    pub body: Vec<u8>,
    /// The id that Backstage gave the location of this entry.
    #[serde(deserialize_with = "null_is_empty")]
    pub location_id: String,
    /// The URL that Backstage reads this entry from.
    #[serde(deserialize_with = "null_is_empty")]
    pub location_target: String,
    /// Whether `location_id` is one that Backstage gave.
    #[serde(rename = "locationIDValid", deserialize_with = "null_is_false")]
    pub location_id_valid: bool,
    /// Ours: the content that Backstage was last told to read there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_digest: Option<Digest>,
    /// Which part of the normalizer the entry came from; empty in what very old bridges stored.
    #[serde(deserialize_with = "null_is_empty")]
    pub reconciler_type: String,
    /// Milliseconds since 1970, or empty.
    #[serde(deserialize_with = "null_is_empty")]
    pub last_update_time_since_epoch: String,
    /// Ours: under which key location serves the model card.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub model_card_key: String,
    /// Ours: the model card, in Markdown.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub model_card: String,
    /// Ours: what the entry is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What an entry is, without its content. Ours: in lists that were asked for with `details=true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryDigest {
    /// The entry's key.
    pub key: String,
    /// Its [`crate::digest::content_digest`].
    pub digest: Digest,
    /// Where the entry came from; location does not know it.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub reconciler_type: Option<String>,
    /// What the entry is made from; unknown for entries of the Go bridge and in location's lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Storage's answer to `GET /list`. One without `keys` is no list: it must not be taken for an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// All keys.
    #[serde(deserialize_with = "null_is_empty")]
    #[schema(required = true)]
    pub keys: Vec<String>,
    /// Ours: all entries with their digests; never there in a Go storage's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntryDigest>>,
    /// Ours: whether the list may be taken for the whole. A storage that began with nothing is being filled until it is
    /// told the first key set; what it lacks until then, nobody may take for gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<bool>,
}

/// Location's answer to `GET /list`. One without `uris` is no list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UriList {
    /// The path of each entry's document.
    #[serde(deserialize_with = "null_is_empty")]
    #[schema(required = true)]
    pub uris: Vec<String>,
    /// Ours: all entries with their digests; never there in a Go location's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntryDigest>>,
}

/// Ours: the JSON body of `POST /currentkeyset` for a key set that is too long for a URL, and of `POST /fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeySet {
    /// All keys that there are now, or those that are asked for.
    #[schema(value_type = Vec<EntryKey>)]
    pub keys: Vec<String>,
}

/// The most keys that one `POST /fetch` may ask for.
pub const MAX_FETCHED_KEYS: usize = 1_000;

/// Ours: storage's answer to `POST /fetch`. A key that was asked for and is in neither part is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FetchedEntries {
    /// What was found.
    #[schema(value_type = BTreeMap<String, StorageBody>)]
    pub entries: BTreeMap<EntryKey, StorageBody>,
    /// What was not looked for because the answer is long enough: to be asked for again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rest: Vec<EntryKey>,
}

/// The JSON body of each answer that reports an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, for people.
    pub error: String,
}

/// Which part of the normalizer an entry came from; the `type` of storage's upsert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReconcilerType {
    /// A model registry.
    Kubeflow,
    /// An InferenceService that no registry knows.
    Kserve,
}

impl ReconcilerType {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubeflow => "kubeflow",
            Self::Kserve => "kserve",
        }
    }
}

impl fmt::Display for ReconcilerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no [`ReconcilerType`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no entry type: use kubeflow or kserve")]
pub struct UnknownReconcilerType(String);

impl FromStr for ReconcilerType {
    type Err = UnknownReconcilerType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "kubeflow" => Ok(Self::Kubeflow),
            "kserve" => Ok(Self::Kserve),
            other => Err(UnknownReconcilerType(other.chars().take(40).collect())),
        }
    }
}

impl fmt::Debug for PostBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostBody")
            .field("body_bytes", &self.body.len())
            .field("last_update_time_since_epoch", &self.last_update_time_since_epoch)
            .field("model_card_key", &self.model_card_key)
            .field("model_card_bytes", &self.model_card.len())
            .field("origin", &self.origin)
            .field("changed_at", &self.changed_at)
            .finish()
    }
}

impl fmt::Debug for StorageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageBody")
            .field("body_bytes", &self.body.len())
            .field("location_id", &self.location_id)
            .field("location_target", &self.location_target)
            .field("location_id_valid", &self.location_id_valid)
            .field("location_digest", &self.location_digest)
            .field("reconciler_type", &self.reconciler_type)
            .field("last_update_time_since_epoch", &self.last_update_time_since_epoch)
            .field("model_card_key", &self.model_card_key)
            .field("model_card_bytes", &self.model_card.len())
            .field("origin", &self.origin)
            .finish()
    }
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn null_is_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    null_is_empty(deserializer)
}
