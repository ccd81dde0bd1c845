//! What lists and filters need to know of each entry, and no more of it: all of location's memory with 100,000 entries
//! has to stay below twice that of their documents. It is made when somebody looks at the page, of what changed since the
//! last look; everything else is read from the documents that are shown.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

use bridge_api::EntryKey;
use model_catalog::render::Format;

use super::query::{Filter, Served, Sort};
use super::view::{Shown, clipped};
use crate::snapshot::{Entry, Snapshot};

/// So much of a description can be found, in characters.
const SEARCHED: usize = 80;
const MAX_TITLE: usize = 200;
/// So many tags of an entry can be asked for.
const MAX_TAGS: usize = 40;
/// Each entry has tags of its own with the time of its last change: nobody asks for one, and they would fill the memory.
const TIMES: &str = "last-modified-time-";
/// Names that no entry has any more are forgotten when there are so many more than entries.
const STALE_NAMES: usize = 10_000;

/// A name in [`Names`]: its place there, from 1 on, so that a missing one takes up no room of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NameId(NonZeroU32);

impl NameId {
    fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Owners, tags and the like, each text once.
#[derive(Debug, Clone, Default)]
struct Names {
    ids: HashMap<Arc<str>, NameId>,
    texts: Vec<Arc<str>>,
}

/// What is known of an entry.
#[derive(Debug)]
struct Row {
    key: EntryKey,
    /// What it was made of. A weak one keeps no document in memory that is served no more.
    made_of: Weak<Entry>,
    /// The title, and the beginning of the description.
    text: Box<str>,
    title_end: u16,
    served: bool,
    owner: Option<NameId>,
    lifecycle: Option<NameId>,
    provider: Option<NameId>,
    tags: Box<[NameId]>,
}

/// The entries of a snapshot in the order of their titles.
#[derive(Debug, Default)]
pub(crate) struct Index {
    generation: u64,
    names: Names,
    rows: Vec<Arc<Row>>,
    choices: Choices,
}

/// What can be chosen in the filters, each with how many entries have it.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    pub(crate) owners: Vec<Choice>,
    pub(crate) lifecycles: Vec<Choice>,
    pub(crate) providers: Vec<Choice>,
    pub(crate) tags: Vec<Choice>,
    pub(crate) served: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) name: Arc<str>,
    pub(crate) entries: usize,
}

/// How many names of a kind can be chosen: those that most entries have.
pub(crate) const MAX_CHOICES: usize = 100;

impl Index {
    /// The index of `snapshot`; what did not change since `before` is taken from it.
    pub(crate) fn of(snapshot: &Snapshot, format: Format, before: &Index) -> Self {
        let is_full_of_stale = before.names.texts.len() > STALE_NAMES + 4 * before.rows.len();
        let nothing = Index::default();
        let before = if is_full_of_stale { &nothing } else { before };
        let known: HashMap<&str, &Arc<Row>> = before.rows.iter().map(|row| (row.key.as_str(), row)).collect();
        let mut names = before.names.clone();
        let row = |(key, entry): (&EntryKey, &Arc<Entry>)| match known.get(key.as_str()) {
            Some(row) if std::ptr::eq(row.made_of.as_ptr(), Arc::as_ptr(entry)) => Arc::clone(row),
            _ => Arc::new(Row::of(key, entry, format, &mut names)),
        };
        let mut rows: Vec<Arc<Row>> = snapshot.all().map(row).collect();
        rows.sort_by_cached_key(|row| (row.title().to_lowercase(), row.key.clone()));
        let choices = Choices::of(&rows, &names);
        Self { generation: snapshot.generation(), names, rows, choices }
    }

    /// Of which snapshot it is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How many entries there are.
    pub(crate) fn entries(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn choices(&self) -> &Choices {
        &self.choices
    }

    /// The keys of the entries that `filter` asks for, in the order that it asks for.
    pub(crate) fn find(&self, filter: &Filter) -> Vec<EntryKey> {
        let Some(wanted) = Wanted::of(filter, &self.names) else { return Vec::new() };
        let mut found: Vec<&Arc<Row>> = self.rows.iter().filter(|row| wanted.fits(row)).collect();
        match filter.sort {
            Sort::Name => {}
            Sort::NameDown => found.reverse(),
            Sort::Owner => found.sort_by_key(|row| self.names.text(row.owner)),
            Sort::Lifecycle => found.sort_by_key(|row| self.names.text(row.lifecycle)),
        }
        found.into_iter().map(|row| row.key.clone()).collect()
    }
}

impl Names {
    fn id(&mut self, text: &str) -> NameId {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        // There are never so many: each takes up more than a byte.
        let place = u32::try_from(self.texts.len()).ok().and_then(NonZeroU32::new);
        let id = NameId(place.unwrap_or(NonZeroU32::MAX));
        self.ids.insert(text, id);
        id
    }

    fn text(&self, id: Option<NameId>) -> &str {
        id.and_then(|id| self.texts.get(id.place())).map_or("", AsRef::as_ref)
    }
}

impl Row {
    fn of(key: &EntryKey, entry: &Arc<Entry>, format: Format, names: &mut Names) -> Self {
        // An entry that cannot be read is found by its key.
        let shown = Shown::read(format, entry.document().bytes()).unwrap_or_default();
        let title = clipped(&title_of(key, &shown), MAX_TITLE);
        let description = shown.models.first().map(|model| clipped(&model.description, SEARCHED)).unwrap_or_default();
        let owner = shown.first(|model| model.owner.as_ref(), |server| server.owner.as_ref());
        let lifecycle = shown.first(|model| model.lifecycle.as_ref(), |server| server.lifecycle.as_ref());
        let provider = shown.first(|model| model.provider.as_ref(), |_| None);
        let tags = shown.tags().into_iter().filter(|tag| !tag.starts_with(TIMES)).take(MAX_TAGS);
        Self {
            key: key.clone(),
            made_of: Arc::downgrade(entry),
            title_end: u16::try_from(title.len()).unwrap_or(0),
            text: (title + "\n" + &description).into(),
            served: shown.server.is_some(),
            owner: owner.map(|owner| names.id(owner)),
            lifecycle: lifecycle.map(|lifecycle| names.id(lifecycle)),
            provider: provider.map(|provider| names.id(provider)),
            tags: tags.map(|tag| names.id(tag)).collect(),
        }
    }

    fn title(&self) -> &str {
        self.text.get(..usize::from(self.title_end)).unwrap_or_default()
    }
}

/// What an entry is called: as its model, if it says how.
pub(crate) fn title_of(key: &EntryKey, shown: &Shown) -> String {
    let model = shown.models.first();
    let own = model.and_then(|model| model.model_name.as_ref());
    own.cloned().unwrap_or_else(|| {
        let (first, second) = key.segments();
        format!("{first} {second}")
    })
}

/// A filter in the terms of an index.
struct Wanted {
    words: Vec<Word>,
    served: Option<Served>,
    owner: Option<NameId>,
    lifecycle: Option<NameId>,
    provider: Option<NameId>,
    tags: Vec<NameId>,
}

/// A word that is looked for, and in which names it is.
struct Word {
    text: String,
    named: Vec<bool>,
}

impl Wanted {
    /// `None` when nothing can be of it, because it asks for a name that no entry has.
    fn of(filter: &Filter, names: &Names) -> Option<Self> {
        let id = |name: &Option<String>| match name {
            None => Some(None),
            Some(name) => names.ids.get(name.as_str()).copied().map(Some),
        };
        let words = filter.words().map(|text| Word {
            named: names.texts.iter().map(|name| name.to_lowercase().contains(&text)).collect(),
            text,
        });
        Some(Self {
            words: words.collect(),
            served: filter.served,
            owner: id(&filter.owner)?,
            lifecycle: id(&filter.lifecycle)?,
            provider: id(&filter.provider)?,
            tags: filter.tags.iter().map(|tag| names.ids.get(tag.as_str()).copied()).collect::<Option<_>>()?,
        })
    }

    fn fits(&self, row: &Row) -> bool {
        let is = |wanted: Option<NameId>, own: Option<NameId>| wanted.is_none() || wanted == own;
        is(self.owner, row.owner)
            && is(self.lifecycle, row.lifecycle)
            && is(self.provider, row.provider)
            && self.served.is_none_or(|served| (served == Served::Yes) == row.served)
            && self.tags.iter().all(|tag| row.tags.contains(tag))
            && self.has_words(row)
    }

    fn has_words(&self, row: &Row) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let text = format!("{}\n{}", row.text, row.key).to_lowercase();
        let named = |word: &Word| {
            let mut names = row.tags.iter().chain(row.owner.iter()).chain(row.provider.iter());
            names.any(|name| word.named.get(name.place()).copied().unwrap_or(false))
        };
        self.words.iter().all(|word| text.contains(&word.text) || named(word))
    }
}

impl Choices {
    fn of(rows: &[Arc<Row>], names: &Names) -> Self {
        let count = |ids: &dyn Fn(&Row) -> Vec<NameId>| {
            let mut counts = vec![0_usize; names.texts.len()];
            for id in rows.iter().flat_map(|row| ids(row)) {
                if let Some(count) = counts.get_mut(id.place()) {
                    *count += 1;
                }
            }
            most_common(&counts, names)
        };
        Self {
            owners: count(&|row| row.owner.into_iter().collect()),
            lifecycles: count(&|row| row.lifecycle.into_iter().collect()),
            providers: count(&|row| row.provider.into_iter().collect()),
            tags: count(&|row| row.tags.to_vec()),
            served: rows.iter().filter(|row| row.served).count(),
        }
    }
}

fn most_common(counts: &[usize], names: &Names) -> Vec<Choice> {
    let counted = counts.iter().zip(&names.texts).filter(|(count, _)| **count > 0);
    let mut choices: Vec<Choice> =
        counted.map(|(entries, name)| Choice { name: Arc::clone(name), entries: *entries }).collect();
    choices.sort_by(|one, other| other.entries.cmp(&one.entries).then_with(|| one.name.cmp(&other.name)));
    choices.truncate(MAX_CHOICES);
    choices.sort_by(|one, other| one.name.cmp(&other.name));
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format::ModelCatalogJson;

    fn entry(name: &str, owner: &str, tags: &str) -> Entry {
        let document = format!(
            r#"{{"models":[{{"name":"{name}","owner":"{owner}","tags":[{tags}],"description":"About {name}.",
            "annotations":{{"rhdh.modelcatalog.io/model-name":"{name}"}}}}]}}"#
        );
        Entry::new(FORMAT, document.into_bytes(), "", String::new()).unwrap()
    }

    fn key(text: &str) -> EntryKey {
        text.parse().unwrap()
    }

    fn found(index: &Index, query: &str) -> Vec<String> {
        index.find(&Filter::parse(query)).iter().map(ToString::to_string).collect()
    }

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.insert(key("b_1"), entry("Beta", "ml", r#""chat""#));
        snapshot.insert(key("a_1"), entry("alpha", "ml", r#""chat","small","last-modified-time-2025""#));
        snapshot.insert(key("c_1"), entry("Gamma", "ops", ""));
        snapshot
    }

    #[test]
    fn entries_are_found_by_what_they_say() {
        let index = Index::of(&snapshot(), FORMAT, &Index::default());
        for (query, expected) in [
            ("", &["a_1", "b_1", "c_1"][..]),
            ("sort=-name", &["c_1", "b_1", "a_1"]),
            ("sort=owner", &["a_1", "b_1", "c_1"]),
            ("q=ABOUT+beta", &["b_1"]),
            ("q=smal", &["a_1"]),
            ("q=c_1", &["c_1"]),
            ("q=alpha+ops", &[]),
            ("owner=ml", &["a_1", "b_1"]),
            ("owner=nobody", &[]),
            ("tag=chat", &["a_1", "b_1"]),
            ("tag=chat&tag=small", &["a_1"]),
            ("served=yes", &[]),
            ("served=no&owner=ops", &["c_1"]),
        ] {
            assert_eq!(found(&index, query), expected, "{query}");
        }
    }

    #[test]
    fn choices_are_counted_and_times_are_none() {
        let index = Index::of(&snapshot(), FORMAT, &Index::default());
        let named = |choices: &[Choice]| {
            choices.iter().map(|choice| format!("{} {}", choice.name, choice.entries)).collect::<Vec<_>>()
        };
        assert_eq!(named(&index.choices().owners), ["ml 2", "ops 1"]);
        assert_eq!(named(&index.choices().tags), ["chat 2", "small 1"]);
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let first = snapshot();
        let before = Index::of(&first, FORMAT, &Index::default());
        let mut second = first.to_edit();
        second.insert(key("a_1"), entry("alpha", "new", ""));
        second.remove(&key("c_1"));
        let after = Index::of(&second, FORMAT, &before);
        assert_eq!(found(&after, ""), ["a_1", "b_1"]);
        assert_eq!(found(&after, "owner=new"), ["a_1"]);
        assert_eq!(found(&after, "tag=small"), [""; 0]);
        let row = |index: &Index, key: &str| index.rows.iter().find(|row| row.key.as_str() == key).map(Arc::as_ptr);
        assert_eq!(row(&before, "b_1"), row(&after, "b_1"));
        assert_ne!(row(&before, "a_1"), row(&after, "a_1"));
    }

    #[test]
    fn an_index_keeps_no_document_that_is_served_no_more() {
        let first = snapshot();
        let index = Index::of(&first, FORMAT, &Index::default());
        drop(first);
        assert!(index.rows.iter().all(|row| row.made_of.upgrade().is_none()));
    }
}
