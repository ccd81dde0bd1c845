//! One stored value: its bytes, and what is known of the entry in them once somebody has asked.

use std::sync::OnceLock;

use bridge_api::{Digest, EntryKey};

use super::super::{Identity, IndexEntry};
use super::codec::{self, Decoded, Form, Stamps};

/// The bytes under one key of one ConfigMap.
#[derive(Debug)]
pub(super) struct Value {
    bytes: Box<[u8]>,
    facts: OnceLock<Result<Facts, String>>,
}

/// What a value says, without its content.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) listed: IndexEntry,
    pub(super) stamps: Option<Stamps>,
}

impl Facts {
    pub(super) fn identity(&self) -> Identity {
        let IndexEntry { digest, reconciler_type, origin, .. } = self.listed.clone();
        Identity { digest, reconciler_type, origin }
    }
}

impl Value {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), facts: OnceLock::new() }
    }

    pub(super) fn encoded(decoded: Decoded, form: Form) -> Result<Self, String> {
        codec::encode(decoded, form).map(Self::new).map_err(|error| error.to_string())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn decode(&self) -> Result<Decoded, String> {
        codec::decode(&self.bytes)
    }

    /// What it says of the entry `key`, or what is wrong with it.
    pub(super) fn facts(&self, key: &EntryKey) -> Result<&Facts, String> {
        let facts = self.facts.get_or_init(|| {
            let Decoded { entry, stamps, .. } = self.decode()?;
            Ok(Facts { listed: IndexEntry::of(key.clone(), &entry), stamps })
        });
        facts.as_ref().map_err(String::clone)
    }

    /// Names the bytes, shortly.
    pub(super) fn fingerprint(&self) -> String {
        Digest::of(&self.bytes).as_str().chars().take(16).collect()
    }
}
