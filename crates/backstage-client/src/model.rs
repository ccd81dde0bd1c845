//! What Backstage's catalog API sends and takes.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// A registered location: a URL that Backstage reads entities from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Location {
    /// Backstage's own id, by which the location is deleted.
    pub id: String,
    /// Which of Backstage's readers is used, such as `url`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is read.
    pub target: String,
}

/// The answer to a request to register a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is new, and has this id.
    Created {
        /// Backstage's id.
        id: String,
    },
    /// The same type and target are registered already; [`crate::CatalogClient::locations`] knows the id.
    AlreadyExists,
}

/// The reference of the `Location` entity that Backstage makes for a registered location. Refreshing it makes
/// Backstage read the target again.
pub fn location_entity_ref(kind: &str, target: &str) -> String {
    format!("location:default/{}", location_entity_name(kind, target))
}

pub(crate) fn location_entity_name(kind: &str, target: &str) -> String {
    let hash: [u8; 20] = Sha1::digest(format!("{kind}:{target}").as_bytes()).into();
    let mut name = "generated-".to_owned();
    for byte in hash {
        // Writing to a String does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[derive(Deserialize)]
pub(crate) struct ListedLocation {
    pub(crate) data: Location,
}

#[derive(Deserialize)]
pub(crate) struct CreatedLocation {
    pub(crate) location: Location,
}

#[derive(Serialize)]
pub(crate) struct NewLocation<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) target: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefreshRequest<'a> {
    pub(crate) entity_ref: &'a str,
}

#[cfg(test)]
mod tests {
    use super::location_entity_ref;

    #[test]
    fn a_location_entity_is_named_by_the_hash_of_type_and_target() {
        assert_eq!(
            location_entity_ref("url", "https://example.com/catalog-info.yaml"),
            "location:default/generated-94fde8d1a3274d54a87afa4868abb452412d59c6"
        );
    }
}
