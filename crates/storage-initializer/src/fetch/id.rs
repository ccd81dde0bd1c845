//! What tells one version of one object from all others, in few bytes.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::checksum::Checksum;
use crate::source::Object;

const BYTES: usize = 16;

/// An object in one version: the same path, locator, size, version and checksum make the same identity, in each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id([u8; BYTES]);

impl Id {
    pub(super) fn of(object: &Object) -> Self {
        let mut hash = Sha256::new();
        let mut field = |text: Option<&str>| {
            hash.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            hash.update(text.unwrap_or_default());
        };
        field(Some(object.path.as_str()));
        field(Some(&object.locator));
        field(object.size.map(|size| size.to_string()).as_deref());
        field(object.version.as_deref());
        field(object.checksum.as_ref().map(Checksum::to_string).as_deref());
        let mut id = [0; BYTES];
        id.iter_mut().zip(hash.finalize()).for_each(|(byte, hashed)| *byte = hashed);
        Self(id)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 * BYTES)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Whether a later answer can be told to be of the same version.
pub(super) fn is_identifiable(object: &Object) -> bool {
    object.version.is_some() || object.checksum.is_some()
}
