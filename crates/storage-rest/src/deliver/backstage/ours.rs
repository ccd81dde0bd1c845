//! What in Backstage came from a bridge.

use backstage_client::Entity;
use url::Url;

/// The URL of a bridge as Backstage sees it, and all that lies below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeUrl(String);

impl From<&Url> for BridgeUrl {
    fn from(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        Self(url.as_str().trim_end_matches('/').to_owned())
    }
}

impl BridgeUrl {
    /// It, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a location's target is served by that bridge.
    pub fn covers(&self, target: &str) -> bool {
        target.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether an entity was read from a location of this type that the bridge serves.
    pub fn emitted(&self, entity: &Entity, kind: &str) -> bool {
        entity.locations().any(|(found, target)| found == kind && self.covers(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_the_url_is_covered() {
        let url = |text: &str| BridgeUrl::from(&Url::parse(text).unwrap());
        for (base, target, covered) in [
            ("http://bridge:9090", "http://bridge:9090/m/v/catalog-info.yaml", true),
            ("http://bridge:9090/", "http://bridge:9090/m/v/catalog-info.yaml", true),
            ("http://bridge:9090/sub/", "http://bridge:9090/sub/m/v/catalog-info.yaml", true),
            ("http://bridge:9090/sub", "http://bridge:9090/subway/v/catalog-info.yaml", false),
            ("http://bridge:909", "http://bridge:9090/m/v/catalog-info.yaml", false),
            ("http://bridge:9090", "http://bridge:9090", false),
            ("http://bridge:9090", "https://bridge:9090/m/v/catalog-info.yaml", false),
        ] {
            assert_eq!(url(base).covers(target), covered, "{base} {target}");
        }
    }
}
