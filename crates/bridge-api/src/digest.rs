//! Says whether the content of an entry changed: a digest over the document and its model card.
//!
//! Who receives content computes the digest itself; a digest that was sent along is only compared, never believed.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// A SHA-256 in lower-case hexadecimal digits, or whatever a peer names its content by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Digest(Box<str>);

impl Digest {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest of some bytes alone, without an entry around them.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes))
    }

    /// The digest of several parts. Each goes in with its length, so that no two lists of parts look alike.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self::from_hash(&hash.finalize())
    }

    fn from_hash(hash: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(hash.len() * 2);
        for byte in hash {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self(text.into())
    }
}

impl From<String> for Digest {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of an entry's content.
pub fn content_digest(body: &[u8], model_card_key: &str, model_card: &str) -> Digest {
    Digest::of_parts([body, model_card_key.as_bytes(), model_card.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_counts_and_so_does_where_it_ends() {
        let digest = content_digest(b"body", "key", "card");
        assert_eq!(digest, content_digest(b"body", "key", "card"));
        assert_eq!(digest.as_str().len(), 64);
        assert!(digest.as_str().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        for other in [
            content_digest(b"bod", "ykey", "card"),
            content_digest(b"body", "keyc", "ard"),
            content_digest(b"body", "", ""),
            content_digest(b"", "key", "card"),
        ] {
            assert_ne!(digest, other);
        }
    }

    #[test]
    fn plain_bytes_have_the_well_known_digest() {
        assert_eq!(Digest::of(b"").to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
