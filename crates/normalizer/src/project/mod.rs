//! The projection: a pure function from what is known to what is published.
//!
//! `Inventory -> entries + diagnostics`, deterministic and sorted, without clock and I/O. Three steps: drafts of
//! registered versions ([`registered`]) and of services that no registry knows ([`served`]), joined by
//! [`matching`], as far as [`filter`] admits them; names for all of them at once ([`naming`]); documents.

mod cards;
mod described;
pub mod filter;
mod matching;
pub mod naming;
pub mod owners;
mod registered;
mod served;
mod server;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_api::key::EntryKey;
use bridge_api::messages::{Origin, ReconcilerType, ServedBy};
use model_catalog::document::Catalog;
use model_catalog::entities::Extra;
use model_catalog::names::{NonEmpty, Owner};
use serde::Serialize;
use url::Url;

use crate::inventory::{Inventory, SourceId};
use described::Described;
use filter::Filter;
use naming::{Identity, Wish};
use owners::Owners;

/// What the projection needs besides the inventory.
#[derive(Debug, Clone)]
pub struct ProjectionSettings {
    /// Owner of what names none (`DEFAULT_OWNER`).
    pub default_owner: Owner,
    /// Lifecycle of what names none (`DEFAULT_LIFECYCLE`).
    pub default_lifecycle: NonEmpty,
    /// Where readers reach location: the base of the model cards' addresses.
    pub location_base: Url,
    /// Which entries there are (`INCLUDE`, `EXCLUDE`).
    pub filter: Filter,
    /// Who owns what (`OWNER_KIND`, `NAMESPACE_OWNERS`).
    pub owners: Owners,
    /// What is written besides (`EMIT`).
    pub emit: BTreeSet<Extra>,
    /// What served APIs are asked (`FETCH_OPENAPI`, `PROBE_MODELS`).
    pub questions: BTreeSet<Question>,
}

/// What a served API is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Its OpenAPI document.
    OpenApi,
    /// The models that it serves.
    Models,
}

/// What served APIs are to be asked, by their URLs.
pub type Questions = BTreeMap<String, BTreeSet<Question>>;

/// An entry of the catalog, before it is written in a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In storage, and in location's URIs.
    pub key: EntryKey,
    /// What it is made from.
    pub origin: Origin,
    /// Whether a registry knows it.
    pub reconciler: ReconcilerType,
    /// What it says.
    pub catalog: Catalog,
    /// The model card that belongs to it.
    pub card: Option<Card>,
    /// The catalog that may have its model card could not be asked yet: not to be published over what is stored.
    pub card_pending: bool,
    /// Its served API was not asked yet: not to be published over what is stored.
    pub api_pending: bool,
    /// A registry that could not be read yet may know it: not to be published anew.
    pub unsettled: bool,
    /// When its records were last updated, in milliseconds since the epoch, as far as that is known.
    pub last_update: Option<i64>,
}

/// A model card, and the key under which location serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The `key` parameter of `/modelcard`.
    pub key: String,
    /// Markdown.
    pub text: Arc<str>,
}

/// Something that could not be published as it was given: what it is, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The registry or cluster.
    pub source: SourceId,
    /// The model and version, or the namespace and service.
    pub subject: String,
    /// What was left out or could not be shown, and the rule behind it.
    pub problem: String,
}

/// What the inventory comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    /// By key.
    pub entries: BTreeMap<EntryKey, Entry>,
    /// Sorted, without doubles.
    pub diagnostics: Vec<Diagnostic>,
    /// What the APIs that are shown are to be asked.
    pub questions: Questions,
    shown: BTreeSet<Identity>,
    filtered: BTreeSet<Identity>,
}

impl Projection {
    /// Whether an entry that is made from `origin`'s ids is shown.
    pub fn shows(&self, origin: &Origin) -> bool {
        self.shown.contains(&Identity::from(origin))
    }

    /// Whether what is made from `origin`'s ids is there, and is no entry because the settings say so.
    pub fn filters_out(&self, origin: &Origin) -> bool {
        self.filtered.contains(&Identity::from(origin))
    }
}

/// What all sources come to.
#[derive(Default)]
struct Drafts {
    all: Vec<Draft>,
    /// What the settings say are none.
    filtered: BTreeSet<Identity>,
}

/// A draft of an entry: everything but its names.
struct Draft {
    wish: Wish,
    reconciler: ReconcilerType,
    described: Described,
    server: Option<server::Server>,
    adapters: Vec<serving::Adapter>,
    card: Option<cards::Found>,
    card_pending: bool,
    unsettled: bool,
    served_by: Option<ServedBy>,
    last_update: Option<i64>,
}

/// Collects diagnostics of one source.
struct Notes<'a> {
    source: &'a SourceId,
    all: &'a mut Vec<Diagnostic>,
}

impl Notes<'_> {
    fn add(&mut self, subject: &str, problem: impl Into<String>) {
        let (subject, problem) = (subject.to_owned(), problem.into());
        self.all.push(Diagnostic { source: self.source.clone(), subject, problem });
    }

    /// One for all of a source: whoever filters knows why.
    fn add_filtered(&mut self, count: usize, what: &str) {
        if count > 0 {
            self.add("INCLUDE, EXCLUDE", format!("{count} {what} left out, as these settings say"));
        }
    }
}

/// Projects `inventory`: the same result for the same inventory, on every run.
pub fn project(inventory: &Inventory, settings: &ProjectionSettings) -> Projection {
    let mut diagnostics = Vec::new();
    let matches = matching::match_services(inventory, settings, &mut diagnostics);
    let mut drafts = Drafts::default();
    for (source, contents) in &inventory.registries {
        let mut notes = Notes { source, all: &mut diagnostics };
        registered::drafts(source, contents, &matches, settings, &mut notes, &mut drafts);
    }
    for (source, contents) in &inventory.clusters {
        let mut notes = Notes { source, all: &mut diagnostics };
        served::drafts(source, contents, &matches, inventory, settings, &mut notes, &mut drafts);
    }
    let Drafts { all, filtered } = drafts;
    let (entries, questions) = finish(all, &filtered, inventory, settings, &mut diagnostics);
    diagnostics.sort();
    diagnostics.dedup();
    let shown = entries.values().map(|entry| Identity::from(&entry.origin)).collect();
    Projection { entries, diagnostics, questions, shown, filtered }
}

/// Names the drafts and makes entries of them.
fn finish(
    drafts: Vec<Draft>,
    filtered: &BTreeSet<Identity>,
    inventory: &Inventory,
    settings: &ProjectionSettings,
    diagnostics: &mut Vec<Diagnostic>,
) -> (BTreeMap<EntryKey, Entry>, Questions) {
    // What is only remembered takes part in the naming behind the drafts, and is not published anew.
    let drafted: BTreeSet<&Identity> = drafts.iter().map(|draft| &draft.wish.identity).collect();
    let is_there = |identity: &Identity| drafted.contains(identity) || filtered.contains(identity);
    let remembered: Vec<Wish> =
        inventory.remembered.iter().map(Wish::from).filter(|wish| !is_there(&wish.identity)).collect();
    let wishes: Vec<&Wish> = drafts.iter().map(|draft| &draft.wish).chain(&remembered).collect();
    let namings = naming::assign(&wishes);
    let card_keys = cards::keys(drafts.iter().filter_map(|draft| draft.card.as_ref()));
    let (mut entries, mut all_questions) = (BTreeMap::new(), Questions::new());
    for (draft, naming) in drafts.into_iter().zip(namings) {
        let Some(naming) = naming else {
            diagnostics.push(Diagnostic {
                source: draft.wish.identity.source.clone(),
                subject: format!("{} {}", draft.wish.first, draft.wish.second),
                problem: "left out: its source lists another entry with the same ids".to_owned(),
            });
            continue;
        };
        let card = draft.card.and_then(|found| {
            let key = card_keys.get(&found)?.clone();
            Some(Card { key, text: found.text })
        });
        let card_url = card.as_ref().map(|card| cards::url(&settings.location_base, &card.key));
        let asked = draft.server.as_ref().and_then(|server| {
            let questions = questions(server, settings);
            Some((server.url.as_ref()?.to_string(), questions)).filter(|(_, questions)| !questions.is_empty())
        });
        let served = asked.as_ref().and_then(|(url, _)| inventory.served_apis.get(url));
        let api_pending = asked.is_some() && served.is_none();
        let catalog = draft.described.into_catalog(&naming, draft.server, &draft.adapters, card_url, served);
        let entry = Entry {
            key: naming.key.clone(),
            origin: draft.wish.into_origin(draft.served_by),
            reconciler: draft.reconciler,
            catalog,
            card,
            card_pending: draft.card_pending,
            api_pending,
            unsettled: draft.unsettled,
            last_update: draft.last_update,
        };
        entries.insert(naming.key, entry);
        if let Some((url, questions)) = asked {
            all_questions.entry(url).or_default().extend(questions);
        }
    }
    (entries, all_questions)
}

/// What a server can be asked, and is to be.
fn questions(server: &server::Server, settings: &ProjectionSettings) -> BTreeSet<Question> {
    let applies = |question: &Question| *question == Question::OpenApi || server.lists_models;
    settings.questions.iter().copied().filter(applies).collect()
}
