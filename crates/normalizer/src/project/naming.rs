//! Keys and entity names: derived from what people call a model, made valid, and made unique.
//!
//! An entry *is* a source and its ids ([`Identity`]); its key and its name are derived from that and from the names
//! given. The scheme looks at the whole set of entries at once, so that it gives the same result in any order of
//! arrival:
//!
//! 1. The **preferred key** is the Go bridge's: both names cleaned by its rule, joined by `_`. It is kept by the one
//!    entry that has it, provided that it is unambiguous: neither half is empty, holds a `_` (the Go bridge splits
//!    keys there) or had to be cut at 63 characters.
//! 2. Every other entry gets `<first>_<second>-<digest>`, with a digest of its identity. Where several entries share
//!    a preferred key, none of them keeps it: a key never silently begins to mean another model.
//! 3. **Entity names** follow the same two steps: `<model>-<version>` as Backstage allows it, with the digest behind
//!    it where names are shared (Backstage compares them without regard to case), too long, or empty.
//! 4. **Further models** of an entry are called `<entity name>-<model>`, with a digest under the same conditions. They
//!    come after all entries: what entries are called does not depend on them.

use std::collections::{BTreeMap, BTreeSet};

use bridge_api::digest::Digest;
use bridge_api::key::EntryKey;
use bridge_api::messages::{Origin, ServedBy};
use model_catalog::names::{EntityName, MAX_NAME};

use crate::inventory::SourceId;

/// What an entry is, whatever it is called: ids within a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The registry or cluster.
    pub source: SourceId,
    /// The registered model's id, or the namespace.
    pub parent: String,
    /// The model version's id, or the service's name ([`crate::inventory::service_id`]).
    pub child: String,
}

impl Identity {
    /// Hexadecimal digits that stand for this identity.
    fn digest(&self) -> String {
        let parts = [self.source.as_str(), &self.parent, &self.child];
        Digest::of_parts(parts.map(str::as_bytes)).to_string()
    }

    /// The same for one of its further models.
    fn digest_of(&self, model: &str) -> String {
        let parts = [self.source.as_str(), &self.parent, &self.child, model];
        Digest::of_parts(parts.map(str::as_bytes)).to_string()
    }
}

/// What one entry would like to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Who asks.
    pub identity: Identity,
    /// The registered model's name, or the namespace.
    pub first: String,
    /// The model version's name, or the service's name.
    pub second: String,
    /// What its further models are called, beside the one that has the entry's name.
    pub further: Vec<String>,
}

impl From<&Origin> for Identity {
    fn from(origin: &Origin) -> Self {
        let Origin { source, parent, child, .. } = origin.clone();
        Self { source: SourceId::from_text(source), parent, child }
    }
}

impl From<&Origin> for Wish {
    fn from(origin: &Origin) -> Self {
        Self {
            identity: origin.into(),
            first: origin.first.clone(),
            second: origin.second.clone(),
            further: Vec::new(),
        }
    }
}

impl Wish {
    /// What an entry of that name is made from.
    pub(super) fn into_origin(self, served_by: Option<ServedBy>) -> Origin {
        let Self { identity: Identity { source, parent, child }, first, second, .. } = self;
        Origin { source: source.to_string(), parent, child, first, second, served_by }
    }
}

/// What one entry is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// In storage, and in the URI under which location serves it.
    pub key: EntryKey,
    /// In Backstage.
    pub name: EntityName,
    /// In Backstage, what its further models are called, by the names they have.
    pub further: BTreeMap<String, EntityName>,
}

/// Names every entry; the result is in the order of `wishes`, but does not depend on it.
///
/// An entry is left out (`None`) only if its identity is there twice, which a source that obeys its own rules never
/// shows: one of the two is named.
pub fn assign(wishes: &[&Wish]) -> Vec<Option<Naming>> {
    let firsts = firsts(wishes);
    let preferred = |of: fn(&Wish) -> Option<String>| -> Vec<Option<String>> {
        wishes.iter().zip(&firsts).map(|(wish, first)| if *first { of(wish) } else { None }).collect()
    };
    let keys = unique(&preferred(preferred_key), &firsts, &BTreeSet::new(), |index, length| {
        let [first, second] = [&wishes[index].first, &wishes[index].second].map(|name| fallback_segment(name));
        format!("{first}_{second}-{}", &wishes[index].identity.digest()[..length])
    });
    let names = unique(&preferred(preferred_name), &firsts, &BTreeSet::new(), |index, length| {
        with_digest(&full_name(wishes[index]), &wishes[index].identity.digest()[..length])
    });
    let mut further = further_names(wishes, &names);
    keys.into_iter()
        .zip(names)
        .enumerate()
        .map(|(index, (key, name))| {
            let further = further.remove(&index).unwrap_or_default();
            Some(Naming { key: key?.parse().ok()?, name: name?.parse().ok()?, further })
        })
        .collect()
}

/// What the further models of each wish are called, by the wish's index.
fn further_names(wishes: &[&Wish], names: &[Option<String>]) -> BTreeMap<usize, BTreeMap<String, EntityName>> {
    let mut models: Vec<(usize, &str, &str)> = Vec::new();
    for (index, (wish, name)) in wishes.iter().zip(names).enumerate() {
        let Some(name) = name else { continue };
        let distinct: BTreeSet<&str> = wish.further.iter().map(String::as_str).collect();
        models.extend(distinct.into_iter().map(|model| (index, name.as_str(), model)));
    }
    let preferred: Vec<Option<String>> = models
        .iter()
        .map(|(_, entry, model)| {
            let full = format!("{entry}-{}", model.trim());
            let whole = model.chars().any(|c| c.is_ascii_alphanumeric()) && full.chars().count() <= MAX_NAME;
            EntityName::lossy(&full).filter(|_| whole).map(|name| name.to_string())
        })
        .collect();
    let taken: BTreeSet<&str> = names.iter().flatten().map(String::as_str).collect();
    let found = unique(&preferred, &vec![true; models.len()], &taken, |model, length| {
        let (index, entry, name) = models[model];
        with_digest(&format!("{entry}-{}", name.trim()), &wishes[index].identity.digest_of(name)[..length])
    });
    let mut by_wish: BTreeMap<usize, BTreeMap<String, EntityName>> = BTreeMap::new();
    for ((index, _, model), name) in models.iter().zip(found) {
        if let Some(name) = name.and_then(|name| name.parse().ok()) {
            by_wish.entry(*index).or_default().insert((*model).to_owned(), name);
        }
    }
    by_wish
}

fn with_digest(full: &str, digest: &str) -> String {
    let base = EntityName::lossy(full).or_else(|| EntityName::lossy("model"));
    base.map(|base| base.with_suffix(digest).to_string()).unwrap_or_default()
}

/// For each wish, whether it is the first of its identity in the identities' own order of names.
fn firsts(wishes: &[&Wish]) -> Vec<bool> {
    let mut best: BTreeMap<&Identity, usize> = BTreeMap::new();
    for (index, wish) in wishes.iter().enumerate() {
        let slot = best.entry(&wish.identity).or_insert(index);
        let rank = |i: usize| (&wishes[i].first, &wishes[i].second);
        if rank(index) < rank(*slot) {
            *slot = index;
        }
    }
    wishes.iter().enumerate().map(|(index, wish)| best.get(&wish.identity) == Some(&index)).collect()
}

/// Gives each of those that are `present` its preferred text where it is the only one to have it and it is not taken,
/// else one with so many digits of its digest that it is unique.
fn unique(
    preferred: &[Option<String>],
    present: &[bool],
    reserved: &BTreeSet<&str>,
    with_digest: impl Fn(usize, usize) -> String,
) -> Vec<Option<String>> {
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for text in preferred.iter().flatten() {
        *wanted.entry(text).or_default() += 1;
    }
    let free = |text: &&str| wanted.get(text) == Some(&1) && !reserved.contains(text);
    let kept = |index: usize| preferred[index].as_deref().filter(free);

    let mut names: Vec<Option<String>> = (0..present.len()).map(|index| kept(index).map(str::to_owned)).collect();
    let mut open: Vec<usize> = (0..present.len()).filter(|index| present[*index] && names[*index].is_none()).collect();
    // Eight digits do in practice; more are taken by exactly those that still coincide with something.
    for length in [8, 12, 16, 24, 31] {
        let taken: BTreeSet<&str> =
            names.iter().flatten().map(String::as_str).chain(reserved.iter().copied()).collect();
        let made: Vec<String> = open.iter().map(|index| with_digest(*index, length)).collect();
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for text in &made {
            *count.entry(text).or_default() += 1;
        }
        let settled: Vec<bool> =
            made.iter().map(|text| count.get(text.as_str()) == Some(&1) && !taken.contains(text.as_str())).collect();
        let mut still_open = Vec::new();
        for ((index, text), settled) in open.iter().zip(made).zip(settled) {
            if settled {
                names[*index] = Some(text);
            } else {
                still_open.push(*index);
            }
        }
        open = still_open;
        if open.is_empty() {
            break;
        }
    }
    names
}

fn preferred_key(wish: &Wish) -> Option<String> {
    let segments = [&wish.first, &wish.second].map(|name| go_segment(name));
    let [Some(first), Some(second)] = segments else { return None };
    Some(format!("{first}_{second}"))
}

fn preferred_name(wish: &Wish) -> Option<String> {
    let full = full_name(wish);
    let name = EntityName::lossy(&full)?;
    // Both halves must have left something: `模型` version `v1` would otherwise be called `v1`.
    let whole = [&wish.first, &wish.second].iter().all(|part| part.chars().any(|c| c.is_ascii_alphanumeric()));
    (whole && full.chars().count() <= MAX_NAME).then(|| name.to_string())
}

fn full_name(wish: &Wish) -> String {
    format!("{}-{}", wish.first.trim(), wish.second.trim())
}

/// A name as the Go bridge makes a key's half of it, where that is unambiguous.
fn go_segment(name: &str) -> Option<String> {
    let cleaned = go_cleaned(name);
    (!cleaned.is_empty() && cleaned.len() <= MAX_NAME && !cleaned.contains('_')).then_some(cleaned)
}

/// The Go bridge's rule, before it cuts: only `[a-zA-Z0-9_-]` stay, then runs of two and more of `-` and `_` go
/// altogether, then both are trimmed at the ends.
fn go_cleaned(name: &str) -> String {
    let kept: Vec<char> = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let separator = |index: usize| kept.get(index).is_some_and(|c| matches!(c, '-' | '_'));
    let in_run = |index: usize| separator(index) && (separator(index + 1) || (index > 0 && separator(index - 1)));
    let text: String = (0..kept.len()).filter(|index| !in_run(*index)).map(|index| kept[index]).collect();
    text.trim_matches(['-', '_']).to_owned()
}

/// What stands in for a half that the Go bridge's rule makes ambiguous: never empty, without `_`, at most 63 long.
fn fallback_segment(name: &str) -> String {
    let cleaned = EntityName::lossy(name).map(|name| name.as_str().replace(['_', '.'], "-")).unwrap_or_default();
    if cleaned.is_empty() { "model".to_owned() } else { cleaned }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn assign(wishes: &[Wish]) -> Vec<Option<Naming>> {
        super::assign(&wishes.iter().collect::<Vec<_>>())
    }

    fn wish(source: &str, ids: (&str, &str), names: (&str, &str)) -> Wish {
        Wish {
            identity: Identity { source: SourceId::registry(source), parent: ids.0.into(), child: ids.1.into() },
            first: names.0.into(),
            second: names.1.into(),
            further: Vec::new(),
        }
    }

    fn serving(ids: (&str, &str), names: (&str, &str), further: &[&str]) -> Wish {
        Wish { further: further.iter().map(|name| (*name).to_owned()).collect(), ..wish("r", ids, names) }
    }

    fn further(naming: Option<&Naming>) -> Vec<String> {
        naming.into_iter().flat_map(|naming| naming.further.values()).map(ToString::to_string).collect()
    }

    fn named(wishes: &[Wish]) -> Vec<(String, String)> {
        assign(wishes)
            .into_iter()
            .map(|naming| naming.map(|n| (n.key.to_string(), n.name.to_string())).unwrap())
            .collect()
    }

    #[rstest]
    #[case("granite-0-lab", "v1", "granite-0-lab_v1", "granite-0-lab-v1")]
    #[case("Granite 3.1", "Version 1.0", "Granite31_Version10", "granite-3.1-version-1.0")]
    #[case("ai-models", "mnist-v1", "ai-models_mnist-v1", "ai-models-mnist-v1")]
    #[case("a--b", "v1", "ab_v1", "a-b-v1")]
    fn unambiguous_names_keep_the_go_bridges_key(
        #[case] model: &str,
        #[case] version: &str,
        #[case] key: &str,
        #[case] name: &str,
    ) {
        assert_eq!(named(&[wish("r", ("1", "2"), (model, version))]), [(key.to_owned(), name.to_owned())]);
    }

    #[rstest]
    #[case::underscore("a_b", "v1")]
    #[case::no_latin_letter("模型", "v1")]
    #[case::empty_version("a", "..")]
    #[case::too_long("x-2345678-2345678-2345678-2345678-2345678-2345678-2345678-2345678-2345678", "v1")]
    fn ambiguous_names_get_a_key_of_their_own_with_one_underscore(#[case] model: &str, #[case] version: &str) {
        let [(key, name)] = &named(&[wish("r", ("1", "2"), (model, version))])[..] else { panic!("one") };
        assert_eq!(key.matches('_').count(), 1, "{key}");
        assert!(key.rsplit('-').next().is_some_and(|digest| digest.len() == 8), "{key}");
        assert!(name.len() <= 63);
    }

    #[test]
    fn the_same_model_in_two_registries_gets_two_keys_and_names_and_neither_keeps_the_shared_one() {
        let both = named(&[wish("r1", ("1", "2"), ("granite", "v1")), wish("r2", ("1", "2"), ("granite", "v1"))]);
        assert_ne!(both[0].0, both[1].0);
        assert_ne!(both[0].1, both[1].1);
        assert!(both.iter().all(|(key, name)| key != "granite_v1" && name != "granite-v1"), "{both:?}");
    }

    #[test]
    fn names_that_differ_in_removed_characters_or_case_are_told_apart() {
        let both = named(&[wish("r", ("1", "2"), ("Granite", "1.0")), wish("r", ("3", "4"), ("granite", "1.0"))]);
        assert_eq!([&both[0].0, &both[1].0], ["Granite_10", "granite_10"], "keys are case sensitive");
        assert_ne!(both[0].1, both[1].1, "entity names are not");
        let both = named(&[wish("r", ("1", "2"), ("m", "1.0")), wish("r", ("1", "3"), ("m", "10"))]);
        assert_ne!(both[0].0, both[1].0);
    }

    #[test]
    fn a_name_that_looks_like_another_entrys_digest_takes_nothing_from_it() {
        let shared = [wish("r1", ("1", "2"), ("m", "v1")), wish("r2", ("1", "2"), ("m", "v1"))];
        let stolen = named(&shared)[0].0.split_once('_').unwrap().1.to_owned();
        let all = named(&[shared[0].clone(), shared[1].clone(), wish("r3", ("9", "9"), ("m", &stolen))]);
        let keys: BTreeSet<_> = all.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), 3, "{all:?}");
    }

    #[test]
    fn further_models_are_called_after_their_entry() {
        let named = assign(&[serving(("n", "qwen"), ("n", "qwen"), &["legal", "org/Medical"])]);
        assert_eq!(further(named[0].as_ref()), ["n-qwen-legal", "n-qwen-org-medical"]);
    }

    #[test]
    fn a_further_model_gives_way_to_an_entry_and_takes_no_name_from_another() {
        let qwen = serving(("n", "qwen"), ("n", "qwen"), &["legal", "a b", "a-b", "模型", &"x".repeat(70)]);
        let same = serving(("n", "qwen-a"), ("n", "qwen-a"), &["b"]);
        let legal = wish("r", ("n", "qwen-legal"), ("n", "qwen-legal"));
        let named = assign(&[qwen, same, legal]);
        assert_eq!(named[2].as_ref().unwrap().name.as_str(), "n-qwen-legal");
        let mut all: Vec<String> = named.iter().flatten().map(|naming| naming.name.to_string()).collect();
        all.extend(named.iter().flat_map(|naming| further(naming.as_ref())));
        assert_eq!(all.len(), 9, "{all:?}");
        assert!(all.iter().all(|name| name.len() <= MAX_NAME), "{all:?}");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 9, "{all:?}");
    }

    proptest! {
        #[test]
        fn every_entry_gets_its_own_valid_key_and_name_in_any_order(
            raw in prop::collection::vec(
                (0..3u8, "[a-bA-B_.é-]{0,4}|.{0,90}", "[a-b1._-]{0,3}|.{0,20}", prop::collection::btree_set("[a-b1._-]{0,3}|.{0,70}", 0..3)),
                1..12,
            ),
            rotate in 0..12usize,
        ) {
            let wishes: Vec<Wish> = raw.iter().enumerate()
                .map(|(index, (source, model, version, further))| Wish {
                    further: further.iter().cloned().collect(),
                    ..wish(&format!("r{source}"), (&index.to_string(), "1"), (model, version))
                })
                .collect();
            let named = assign(&wishes);
            prop_assert!(named.iter().all(Option::is_some));
            let keys: BTreeSet<_> = named.iter().flatten().map(|n| n.key.to_string()).collect();
            let names = named.iter().flatten().flat_map(|n| n.further.values().chain([&n.name]));
            let names: BTreeSet<_> = names.map(|name| name.as_str().to_lowercase()).collect();
            prop_assert_eq!(keys.len(), wishes.len());
            prop_assert_eq!(names.len(), wishes.iter().map(|wish| wish.further.len() + 1).sum::<usize>());

            let mut other = wishes.clone();
            other.rotate_left(rotate % wishes.len());
            other.reverse();
            let renamed: BTreeMap<_, _> = other.iter().map(|w| w.identity.clone()).zip(assign(&other)).collect();
            for (wish, naming) in wishes.iter().zip(named) {
                prop_assert_eq!(&renamed[&wish.identity], &naming);
            }
        }
    }
}
