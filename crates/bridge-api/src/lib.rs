//! The wire contract of the three services: what names an entry ([`key`]), what travels ([`messages`]), how a receiver
//! tells whether content changed ([`digest`]), and typed clients for those who send ([`clients`]).
//!
//! The shapes are those of the Go bridge, so that any one of the three services can be exchanged for its Go
//! counterpart. Whatever is ours is optional and additive.

mod base64_bytes;
pub mod clients;
pub mod digest;
pub mod key;
pub mod messages;
pub mod status;

pub use clients::{ClientError, LocationClient, NormalizerClient, StorageClient, TokenSource, Upserted};
pub use digest::{Digest, content_digest};
pub use key::{EntryKey, KeyError};
pub use messages::{
    EntryDigest, ErrorBody, FetchedEntries, KeyList, KeySet, MAX_FETCHED_KEYS, Origin, PostBody, ReconcilerType,
    StorageBody, UriList, from_json,
};
pub use status::NormalizerStatus;
