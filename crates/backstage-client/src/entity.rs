//! Entities, as far as it matters where they came from.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What of an entity is asked for.
pub(crate) const ENTITY_FIELDS: &str = "kind,metadata.name,metadata.namespace,metadata.uid,metadata.annotations";
/// The filter that selects entities that nothing emits any more.
pub const ORPHANS: &str = "metadata.annotations.backstage.io/orphan=true";

const ORPHAN: &str = "backstage.io/orphan";
const MANAGED_BY_LOCATION: &str = "backstage.io/managed-by-location";
const MANAGED_BY_ORIGIN_LOCATION: &str = "backstage.io/managed-by-origin-location";

/// An entity of the catalog, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entity {
    /// Its kind, such as `Resource`.
    pub kind: String,
    metadata: Metadata,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Entity {
    /// Its reference, such as `resource:default/granite`.
    pub fn reference(&self) -> String {
        let Metadata { name, namespace, .. } = &self.metadata;
        format!("{}:{}/{name}", self.kind, namespace.as_deref().unwrap_or("default")).to_lowercase()
    }

    /// The id by which it is removed; one that is not processed yet has none.
    pub fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }

    /// Whether nothing emits it any more.
    pub fn is_orphan(&self) -> bool {
        self.annotation(ORPHAN) == Some("true")
    }

    /// Where it came from, as `<type>:<target>`: the location that it was read from, and the one that led there.
    pub fn locations(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = [MANAGED_BY_LOCATION, MANAGED_BY_ORIGIN_LOCATION].map(|name| self.annotation(name));
        values.into_iter().flatten().filter_map(|value| value.split_once(':'))
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.get(name).map(String::as_str)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueryAnswer {
    #[serde(default)]
    pub(crate) items: Vec<Entity>,
    #[serde(default)]
    pub(crate) page_info: PageInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    pub(crate) next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CreatedLocation, ListedLocation};

    #[test]
    fn fuzz() {
        let entities = br#"{"items":[{"kind":"Resource","metadata":{"name":"granite","namespace":"default","uid":"1",
            "annotations":{"backstage.io/orphan":"true","backstage.io/managed-by-location":"url:http://bridge/a"}}}],
            "pageInfo":{"nextCursor":"x"}}"#;
        let created = br#"{"location":{"id":"1","type":"url","target":"http://bridge/a"},"entities":[]}"#;
        let listed = br#"[{"data":{"id":"1","type":"url","target":"http://bridge/a"}}]"#;
        testkit::fuzz::fuzz_seeds("backstage-answers", &[entities, created, listed], |input| {
            let _ = serde_json::from_slice::<CreatedLocation>(input);
            let _ = serde_json::from_slice::<Vec<ListedLocation>>(input);
            let Ok(answer) = serde_json::from_slice::<QueryAnswer>(input) else { return };
            for entity in &answer.items {
                assert!(entity.reference().contains(':'));
                let _ = (entity.uid(), entity.is_orphan(), entity.locations().count());
            }
        });
    }
}
