//! The catalog at one moment: all entries and model cards, the lists of them, and whether they are complete. A snapshot
//! never changes; the next one is a copy that shares everything with it but the changes.

use std::sync::{Arc, OnceLock};

use bridge_api::{Digest, EntryDigest, EntryKey, UriList, content_digest};
use model_catalog::render::Format;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::representation::Representation;
use crate::shards::Shards;

/// An entry as it is served.
#[derive(Debug)]
pub struct Entry {
    document: Representation,
    card: Option<Card>,
}

/// A model card and the key that it is served by. Entries with equal cards share one.
#[derive(Debug, Clone)]
pub struct Card {
    key: Arc<str>,
    text: Arc<Representation>,
}

/// A document cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unservable {
    /// There is nothing in it.
    #[error("the document is empty")]
    Empty,
    /// It is of another format.
    #[error(
        "the document is not in {0}, the format that location serves: NORMALIZER_FORMAT must be the same for normalizer, \
         storage-rest and location"
    )]
    Format(Format),
}

impl Entry {
    /// An entry with this content, if its document is one of the given format.
    pub fn new(format: Format, body: Vec<u8>, card_key: &str, card: String) -> Result<Self, Unservable> {
        Self::checked(format, body, card_key, card).map_err(|(unservable, _)| unservable)
    }

    /// The same; content that cannot be served is named by its digest.
    pub(crate) fn checked(
        format: Format,
        body: Vec<u8>,
        card_key: &str,
        card: String,
    ) -> Result<Self, (Unservable, Digest)> {
        let digest = content_digest(&body, card_key, &card);
        if let Err(unservable) = check(format, &body) {
            return Err((unservable, digest));
        }
        let card = (!card_key.is_empty()).then(|| Card::new(card_key, card));
        Ok(Self { document: Representation::new(body, digest), card })
    }

    /// The catalog document.
    pub fn document(&self) -> &Representation {
        &self.document
    }

    /// The model card, where it has one.
    pub(crate) fn card(&self) -> Option<&Card> {
        self.card.as_ref()
    }

    /// What changes when anything in the entry changes.
    pub fn digest(&self) -> &Digest {
        self.document.digest()
    }
}

impl Card {
    /// What it is served by.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The card itself.
    pub(crate) fn text(&self) -> &Representation {
        &self.text
    }

    fn new(key: &str, text: String) -> Self {
        let digest = Digest::of(text.as_bytes());
        Self { key: key.into(), text: Arc::new(Representation::new(text.into_bytes(), digest)) }
    }
}

fn check(format: Format, body: &[u8]) -> Result<(), Unservable> {
    if body.trim_ascii().is_empty() {
        return Err(Unservable::Empty);
    }
    let is_valid = match format {
        Format::CatalogInfoYaml => true,
        // Backstage's provider gives up on all models when one is not JSON.
        Format::ModelCatalogJson => serde_json::from_slice::<IgnoredAny>(body).is_ok(),
    };
    let is_servable = format.fits(body) && std::str::from_utf8(body).is_ok() && is_valid;
    if is_servable { Ok(()) } else { Err(Unservable::Format(format)) }
}

/// Which list of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// Only the URIs, as the Go bridge has it.
    Uris,
    /// The digests, too.
    Details,
}

/// Whether a snapshot may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Completeness {
    /// Storage was not loaded completely yet.
    #[default]
    Loading,
    /// It was, once.
    Loaded,
}

/// All that is served at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    entries: Shards<EntryKey, Arc<Entry>>,
    /// Which entries carry the card of a key, in order. The first one's is served.
    carriers: Shards<Arc<str>, Vec<EntryKey>>,
    completeness: Completeness,
    generation: u64,
    uris: OnceLock<Representation>,
    details: OnceLock<Representation>,
}

impl Snapshot {
    /// A copy to make the next snapshot of.
    pub(crate) fn to_edit(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            carriers: self.carriers.clone(),
            completeness: self.completeness,
            generation: self.generation,
            uris: OnceLock::new(),
            details: OnceLock::new(),
        }
    }

    /// Whether storage was loaded.
    pub fn completeness(&self) -> Completeness {
        self.completeness
    }

    /// Which snapshot it is: each has a greater number than the one before.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(crate) fn set_loaded(&mut self) {
        self.completeness = Completeness::Loaded;
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// How many model cards there are.
    pub fn cards(&self) -> usize {
        self.carriers.len()
    }

    /// The entry of a key.
    pub fn entry(&self, key: &EntryKey) -> Option<&Arc<Entry>> {
        self.entries.get(key.as_str())
    }

    /// All entries, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&EntryKey, &Arc<Entry>)> {
        self.entries.iter()
    }

    /// Whether readers, who see this snapshot, have not seen this entry as it is.
    pub fn would_serve_anew(&self, key: &EntryKey, entry: &Entry) -> bool {
        let is_same = self.entry(key).is_some_and(|known| known.digest() == entry.digest());
        self.completeness == Completeness::Loaded && !is_same
    }

    /// The entry whose key has these segments.
    pub fn entry_at(&self, first: &str, second: &str) -> Option<&Arc<Entry>> {
        // Of no key the first segment has a separator: no two share a URI.
        if first.contains('_') { None } else { self.entries.get(&format!("{first}_{second}")) }
    }

    /// The model card of a card key.
    pub fn card(&self, card_key: &str) -> Option<&Arc<Representation>> {
        self.carried(card_key).map(|card| &card.text)
    }

    /// All keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &EntryKey> {
        self.entries.iter().map(|(key, _)| key)
    }

    /// A list of all entries, in order of their keys' URIs. Made when first asked for.
    pub fn list(&self, kind: ListKind, format: Format) -> &Representation {
        let cell = match kind {
            ListKind::Uris => &self.uris,
            ListKind::Details => &self.details,
        };
        cell.get_or_init(|| self.make_list(kind, format))
    }

    fn make_list(&self, kind: ListKind, format: Format) -> Representation {
        let mut all: Vec<_> = self.entries.iter().map(|(key, entry)| (key.uri(format), key, entry)).collect();
        all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let entries = (kind == ListKind::Details).then(|| {
            let described = |(_, key, entry): &(String, &EntryKey, &Arc<Entry>)| EntryDigest {
                key: key.to_string(),
                digest: entry.digest().clone(),
                reconciler_type: None,
                origin: None,
            };
            all.iter().map(described).collect()
        });
        let list = UriList { uris: all.into_iter().map(|(uri, _, _)| uri).collect(), entries };
        // Strings in lists always have a JSON form.
        let bytes = serde_json::to_vec(&list).unwrap_or_default();
        let digest = Digest::of(&bytes);
        Representation::new(bytes, digest)
    }

    /// Puts an entry in the place of the one that may be there.
    pub(crate) fn insert(&mut self, key: EntryKey, mut entry: Entry) {
        if let Some(card) = &mut entry.card {
            self.share(card);
        }
        self.remove(&key);
        if let Some(card) = &entry.card {
            let mut carriers = self.carriers.get(&card.key).cloned().unwrap_or_default();
            if let Err(place) = carriers.binary_search(&key) {
                carriers.insert(place, key.clone());
            }
            self.carriers.insert(Arc::clone(&card.key), carriers);
        }
        self.entries.insert(key, Arc::new(entry));
    }

    pub(crate) fn remove(&mut self, key: &EntryKey) {
        let Some(entry) = self.entries.remove(key.as_str()) else { return };
        let Some(card) = &entry.card else { return };
        let mut carriers = self.carriers.get(&card.key).cloned().unwrap_or_default();
        carriers.retain(|carrier| carrier != key);
        if carriers.is_empty() {
            self.carriers.remove(&card.key);
        } else {
            self.carriers.insert(Arc::clone(&card.key), carriers);
        }
    }

    /// Versions of one model carry the same card: keep it once.
    fn share(&self, card: &mut Card) {
        if let Some(known) = self.carried(&card.key)
            && known.text.bytes() == card.text.bytes()
        {
            *card = known.clone();
        }
    }

    fn carried(&self, card_key: &str) -> Option<&Card> {
        let first = self.carriers.get(card_key)?.first()?;
        self.entries.get(first.as_str())?.card.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format::ModelCatalogJson;

    fn entry(card_key: &str, card: &str) -> Entry {
        Entry::new(FORMAT, b"{}".to_vec(), card_key, card.to_owned()).unwrap()
    }

    fn key(text: &str) -> EntryKey {
        text.parse().unwrap()
    }

    fn card(snapshot: &Snapshot) -> Option<&[u8]> {
        snapshot.card("card").map(|card| card.bytes().as_ref())
    }

    #[test]
    fn the_entry_with_the_smallest_key_serves_the_card_whatever_came_first() {
        let entries = [("b_1", "of b"), ("a_1", "of a"), ("c_1", "of c")];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut snapshot = Snapshot::default();
            for (name, text) in order.map(|place| entries[place]) {
                snapshot.insert(key(name), entry("card", text));
            }
            assert_eq!(card(&snapshot), Some(&b"of a"[..]));
            assert_eq!((snapshot.entries(), snapshot.cards()), (3, 1));
            snapshot.remove(&key("a_1"));
            assert_eq!(card(&snapshot), Some(&b"of b"[..]));
            snapshot.insert(key("b_1"), entry("other", "of b"));
            assert_eq!(card(&snapshot), Some(&b"of c"[..]));
            snapshot.insert(key("c_1"), entry("", ""));
            assert_eq!(card(&snapshot), None, "no entry carries it any more");
            assert_eq!(snapshot.cards(), 1);
        }
    }

    #[test]
    fn equal_cards_are_kept_once() {
        let mut snapshot = Snapshot::default();
        snapshot.insert(key("m_1"), entry("card", "text"));
        snapshot.insert(key("m_2"), entry("card", "text"));
        let text = |name: &str| Arc::as_ptr(&snapshot.entry(&key(name)).unwrap().card.as_ref().unwrap().text);
        assert_eq!(text("m_1"), text("m_2"));
    }

    #[test]
    fn a_snapshot_stays_as_it_is_when_the_next_one_is_made() {
        let mut first = Snapshot::default();
        first.insert(key("a_1"), entry("", ""));
        let list = first.list(ListKind::Uris, FORMAT).bytes().clone();
        let mut second = first.to_edit();
        second.insert(key("b_1"), entry("", ""));
        second.remove(&key("a_1"));
        assert_eq!(list, r#"{"uris":["/a/1/model-catalog.json"]}"#);
        assert_eq!(first.list(ListKind::Uris, FORMAT).bytes(), &list);
        assert_eq!(second.list(ListKind::Uris, FORMAT).bytes(), r#"{"uris":["/b/1/model-catalog.json"]}"#);
        assert!(first.entry(&key("a_1")).is_some() && first.entry(&key("b_1")).is_none());
    }

    #[test]
    fn only_documents_of_the_format_are_servable() {
        let check = |format, body: &[u8]| Entry::new(format, body.to_vec(), "", String::new()).err();
        let (json, yaml) = (Format::ModelCatalogJson, Format::CatalogInfoYaml);
        assert_eq!(check(json, b"{\"models\":[]}"), None);
        assert_eq!(check(yaml, b"apiVersion: v1\n"), None);
        for format in [json, yaml] {
            assert_eq!(check(format, b""), Some(Unservable::Empty));
            assert_eq!(check(format, b" \n"), Some(Unservable::Empty));
        }
        for body in [&b"apiVersion: v1"[..], b"[]", b"null", b"{", b"{} {}", b"\"text\"", b"\xff", b"{\"a\": \"\xff\"}"]
        {
            assert_eq!(check(json, body), Some(Unservable::Format(json)));
        }
        for body in [&b"{}"[..], b" {\"a\": 1}", b"kind: \xff"] {
            assert_eq!(check(yaml, body), Some(Unservable::Format(yaml)));
        }
    }
}
