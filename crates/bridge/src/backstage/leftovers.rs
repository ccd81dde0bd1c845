//! What in Backstage came from bridges and is served by none.

use std::collections::BTreeSet;

use backstage_client::{Entity, Location};
use storage_rest::deliver::backstage::BridgeUrl;

/// The type of locations and entities that only bridges and RHDH's provider for them make.
const BRIDGE_TYPE: &str = "rhdh-rhoai-bridge";

/// What is in Backstage.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) locations: Vec<Location>,
    pub(super) entities: Vec<Entity>,
}

/// What came from a bridge, and what of it is to stay.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Whatever lies below these came from a bridge.
    pub(super) bridges: Vec<BridgeUrl>,
    /// The targets that bridges serve at the moment.
    pub(super) served: BTreeSet<String>,
    /// Whether whatever is of the bridge's own type came from one, too.
    pub(super) bridge_type: bool,
}

/// Something that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    /// `registered location`, or the kind of an entity.
    pub(super) kind: String,
    pub(super) reference: String,
    pub(super) why: String,
    pub(super) removal: Removal,
}

/// By what it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Removal {
    Location { id: String },
    Entity { uid: String },
}

impl Scope {
    fn covers(&self, kind: &str, target: &str) -> bool {
        let by_type = self.bridge_type && kind == BRIDGE_TYPE;
        by_type || self.bridges.iter().any(|bridge| bridge.covers(target))
    }

    fn is_left_over(&self, kind: &str, target: &str) -> bool {
        self.covers(kind, target) && !self.served.contains(target)
    }
}

/// The leftovers, locations first.
pub(super) fn find(catalog: &Catalog, scope: &Scope) -> Vec<Leftover> {
    let locations = catalog.locations.iter().filter(|location| scope.is_left_over(&location.kind, &location.target));
    let locations = locations.map(|location| Leftover {
        kind: "registered location".to_owned(),
        reference: format!("{}:{}", location.kind, location.target),
        why: "no bridge serves it".to_owned(),
        removal: Removal::Location { id: location.id.clone() },
    });
    let registered: BTreeSet<(&str, &str)> =
        catalog.locations.iter().map(|location| (location.kind.as_str(), location.target.as_str())).collect();
    let entities = catalog.entities.iter().filter_map(|entity| left_over(entity, scope, &registered));
    locations.chain(entities).collect()
}

fn left_over(entity: &Entity, scope: &Scope, registered: &BTreeSet<(&str, &str)>) -> Option<Leftover> {
    // The entity of a registered location comes and goes with it.
    if entity.kind.eq_ignore_ascii_case("location") && entity.locations().any(|place| registered.contains(&place)) {
        return None;
    }
    let uid = entity.uid()?.to_owned();
    let (kind, target) = entity.locations().find(|(kind, target)| scope.covers(kind, target))?;
    let why = if entity.is_orphan() {
        format!("orphaned: {kind}:{target} does not emit it any more")
    } else if scope.is_left_over(kind, target) {
        format!("came from {kind}:{target}, which no bridge serves")
    } else {
        return None;
    };
    Some(Leftover { kind: entity.kind.clone(), reference: entity.reference(), why, removal: Removal::Entity { uid } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use url::Url;

    use super::*;

    const BRIDGE: &str = "http://bridge:9090";

    fn location(kind: &str, target: &str) -> Location {
        Location { id: target.to_owned(), kind: kind.to_owned(), target: target.to_owned() }
    }

    fn entity(kind: &str, name: &str, place: &str, orphan: &str) -> Entity {
        let mut annotations = json!({"backstage.io/managed-by-location": place});
        if !orphan.is_empty() {
            annotations["backstage.io/orphan"] = orphan.into();
        }
        let metadata = json!({"name": name, "uid": name, "annotations": annotations});
        serde_json::from_value(json!({"kind": kind, "metadata": metadata})).unwrap()
    }

    fn at(path: &str) -> String {
        format!("{BRIDGE}/{path}/v1/catalog-info.yaml")
    }

    fn catalog() -> Catalog {
        Catalog {
            locations: vec![
                location("url", &at("served")),
                location("url", &at("gone")),
                location("url", "https://git.example.com/catalog-info.yaml"),
                location("rhdh-rhoai-bridge", "http://former:9090/a/v1/model-catalog.json"),
            ],
            entities: vec![
                entity("Resource", "served", &format!("url:{}", at("served")), ""),
                entity("Resource", "former-name", &format!("url:{}", at("served")), "true"),
                entity("Resource", "gone", &format!("url:{}", at("gone")), ""),
                entity("Location", "generated-1", &format!("url:{}", at("gone")), ""),
                entity("Location", "generated-2", &format!("url:{}", at("long-gone")), "true"),
                entity("API", "theirs", "url:https://git.example.com/catalog-info.yaml", "true"),
                entity("API", "of-provider", "rhdh-rhoai-bridge:default", ""),
            ],
        }
    }

    fn names(scope: &Scope) -> Vec<String> {
        find(&catalog(), scope).into_iter().map(|leftover| leftover.reference).collect()
    }

    fn scope() -> Scope {
        Scope {
            bridges: vec![BridgeUrl::from(&Url::parse(BRIDGE).unwrap())],
            served: BTreeSet::from([at("served")]),
            bridge_type: false,
        }
    }

    #[test]
    fn what_no_bridge_serves_is_left_over_and_what_is_of_others_is_not() {
        let gone = format!("url:{}", at("gone"));
        let expected = [&gone, "resource:default/former-name", "resource:default/gone", "location:default/generated-2"];
        assert_eq!(names(&scope()), expected);
    }

    #[test]
    fn with_the_type_whatever_is_of_it_is_left_over() {
        let scope = Scope { bridge_type: true, ..Scope::default() };
        let expected = ["rhdh-rhoai-bridge:http://former:9090/a/v1/model-catalog.json", "api:default/of-provider"];
        assert_eq!(names(&scope), expected);
    }

    #[test]
    fn without_anything_served_all_below_the_url_is_left_over() {
        let scope = Scope { served: BTreeSet::new(), ..scope() };
        assert_eq!(names(&scope).len(), 6);
    }
}
