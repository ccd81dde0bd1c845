//! Model cards: the keys under which location serves them, and the addresses that lead there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_api::digest::Digest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::inventory::CardRef;

/// A card that a draft leads to. Two registries may have catalogs that say different things of one model, so the text
/// belongs to what a card is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) card: CardRef,
    pub(super) text: Arc<str>,
}

/// Unreserved characters stay as they are in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The key of each card: the Go bridge's where one card has it, else that with a digest of the card behind it.
pub(super) fn keys<'a>(found: impl Iterator<Item = &'a Found>) -> BTreeMap<Found, String> {
    let cards: BTreeSet<&Found> = found.collect();
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for card in &cards {
        *wanted.entry(card.card.go_key()).or_default() += 1;
    }
    let key = |found: &Found| {
        let key = found.card.go_key();
        if wanted.get(&key) == Some(&1) { key } else { format!("{key}-{}", digest(found)) }
    };
    cards.into_iter().map(|found| (found.clone(), key(found))).collect()
}

fn digest(found: &Found) -> String {
    let parts = [&found.card.source, &found.card.group, &found.card.name, &*found.text];
    Digest::of_parts(parts.map(str::as_bytes)).as_str()[..16].to_owned()
}

/// Where location serves the card of that key.
pub(super) fn url(base: &Url, key: &str) -> String {
    let base = base.as_str().trim_end_matches('/');
    format!("{base}/modelcard?key={}", utf8_percent_encode(key, QUERY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, group: &str, name: &str, text: &str) -> Found {
        let card = CardRef { source: source.into(), group: group.into(), name: name.into() };
        Found { card, text: text.into() }
    }

    #[test]
    fn a_card_keeps_the_go_bridges_key_unless_another_has_it_too() {
        let alone = found("redhat_ai_models", "RedHatAI", "granite 0", "x");
        assert_eq!(keys([&alone, &alone].into_iter())[&alone], "redhat_ai_modelsRedHatAIgranite0");
        let (one, two) = (found("a", "bc", "d", "x"), found("ab", "c", "d", "x"));
        let keys = keys([&one, &two].into_iter());
        assert_ne!(keys[&one], keys[&two]);
    }

    #[test]
    fn the_address_of_a_card_encodes_its_key() {
        let base = Url::parse("http://bridge.example.com:9090/").unwrap();
        assert_eq!(url(&base, "a/b&c"), "http://bridge.example.com:9090/modelcard?key=a%2Fb%26c");
    }
}
