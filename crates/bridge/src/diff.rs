//! `diff`: what the next synchronisation would add, change and remove, against the storage that runs. Sends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use bridge_api::digest::content_digest;
use bridge_api::{EntryKey, KeyList, StorageClient};
use clap::Args;
use model_catalog::render::{Format, RenderOptions, render_with};
use normalizer::project::{Entry, Projection};
use service::http_client::{self, TlsSettings};
use service::secret::source_of;
use service::telemetry;
use similar::{ChangeTag, TextDiff};

use crate::color::{ColorChoice, Palette, Tone};
use crate::render::{Sources, read};

/// There are differences.
const DIFFERENT: u8 = 1;
/// How many lines around a change are shown.
const CONTEXT: usize = 3;

/// What to compare with storage: the registries and manifests that are named, else what the normalizer's settings name.
/// Ends with 0 when nothing differs, with 1 when something does, with 2 when one side can't be read.
#[derive(Debug, Clone, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    sources: Sources,

    /// The storage to compare with [default: STORAGE_URL, else http://localhost:7070]
    #[arg(long, value_name = "URL", value_parser = service::settings::http_url)]
    storage: Option<url::Url>,

    /// When to colour the differences
    #[arg(long, value_enum, default_value_t)]
    color: ColorChoice,

    /// Name the entries that differ, and not how
    #[arg(long)]
    name_only: bool,

    /// What to log
    #[arg(long, env = "LOG_LEVEL", default_value = "warn", value_name = "FILTER")]
    log_level: telemetry::LogLevel,
}

/// Compares, and prints what differs.
pub(crate) async fn run(args: DiffArgs) -> anyhow::Result<ExitCode> {
    telemetry::init(&telemetry::LogSettings { log_level: args.log_level.clone(), ..Default::default() });
    let settings = args.sources.settings()?;
    let storage = args.storage(&settings)?;
    // Storage first: it answers at once, or not at all.
    let stored = storage.list().await.context("storage can't be read")?;
    let projection = read(&settings).await?;
    let comparison = Comparison { format: settings.format, options: settings.render_options() };
    let changes = comparison.changes(&projection, &storage, &stored).await?;
    let detail = if args.name_only { Detail::Names } else { Detail::Lines };
    print!("{}", shown(&changes, detail, args.color.palette()));
    let removed = changes.iter().filter(|change| change.new.is_empty()).count();
    eprintln!("{}", summary(&changes, removed));
    for note in held(&changes, &stored, settings.mass_removal_share) {
        eprintln!("{note}");
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

impl DiffArgs {
    fn storage(&self, settings: &normalizer::Settings) -> anyhow::Result<StorageClient> {
        let url = match &self.storage {
            Some(url) => url.clone(),
            None => settings.storage().context("STORAGE_URL")?,
        };
        let tls = TlsSettings {
            ca_file: settings.storage_ca.clone(),
            insecure_skip_verify: settings.storage_insecure_skip_tls_verify,
            ..TlsSettings::default()
        };
        let http = http_client::client(&tls, "storage").context("--storage-ca / STORAGE_CA")?;
        Ok(StorageClient::new(url, http).with_token_source(source_of(settings.token.secret()?)))
    }
}

/// An entry that differs. What is new has no old text, what would be removed no new one.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    key: String,
    uri: String,
    old: String,
    new: String,
}

/// In which form entries are compared.
struct Comparison {
    format: Format,
    options: RenderOptions,
}

impl Comparison {
    async fn changes(
        &self,
        projection: &Projection,
        storage: &StorageClient,
        stored: &KeyList,
    ) -> anyhow::Result<Vec<Change>> {
        let digests: BTreeMap<&str, _> =
            stored.entries.iter().flatten().map(|entry| (entry.key.as_str(), &entry.digest)).collect();
        let mut changes = Vec::new();
        for (key, entry) in &projection.entries {
            let body = render_with(&entry.catalog, self.format, &self.options)?;
            let (card_key, card) = card(entry);
            let digest = content_digest(&body, card_key, card);
            if digests.get(key.as_str()) == Some(&&digest) {
                continue;
            }
            let held =
                if stored.keys.iter().any(|held| held == key.as_str()) { storage.fetch(key).await? } else { None };
            let (mut old, mut new) = (String::new(), text(&body, card));
            if let Some(held) = held {
                old = text(&held.body, &held.model_card);
                if old == new {
                    // A storage that tells no digests, or one that differs in what nobody reads.
                    continue;
                }
            }
            if !new.ends_with('\n') {
                new.push('\n');
            }
            changes.push(Change { key: key.to_string(), uri: key.uri(self.format), old, new });
        }
        let kept: BTreeSet<&str> = projection.entries.keys().map(EntryKey::as_str).collect();
        for key in stored.keys.iter().filter(|key| !kept.contains(key.as_str())) {
            let Ok(key) = key.parse::<EntryKey>() else { continue };
            let Some(held) = storage.fetch(&key).await? else { continue };
            changes.push(Change {
                key: key.to_string(),
                uri: key.uri(self.format),
                old: text(&held.body, &held.model_card),
                new: String::new(),
            });
        }
        changes.sort_by(|one, other| one.uri.cmp(&other.uri));
        Ok(changes)
    }
}

fn card(entry: &Entry) -> (&str, &str) {
    entry.card.as_ref().map_or(("", ""), |card| (card.key.as_str(), &*card.text))
}

/// A document as people read it, and its model card behind it.
fn text(body: &[u8], card: &str) -> String {
    let document = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default() + "\n",
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    if card.is_empty() { document } else { format!("{document}# model card\n{card}\n") }
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Names,
    Lines,
}

fn shown(changes: &[Change], detail: Detail, palette: Palette) -> String {
    let mut all = String::new();
    for change in changes {
        let _ = match detail {
            Detail::Names => {
                let sign = match (change.old.is_empty(), change.new.is_empty()) {
                    (true, _) => palette.paint(Tone::Good, "A"),
                    (_, true) => palette.paint(Tone::Bad, "D"),
                    _ => palette.paint(Tone::Doubtful, "M"),
                };
                writeln!(all, "{sign} {}", change.uri)
            }
            Detail::Lines => write!(all, "{}", unified(change, palette)),
        };
    }
    all
}

fn unified(change: &Change, palette: Palette) -> String {
    let side = |prefix: &str, text: &str| {
        if text.is_empty() { "/dev/null".to_owned() } else { format!("{prefix}{}", change.uri) }
    };
    let mut all = String::new();
    for (sign, name) in [("---", side("stored", &change.old)), ("+++", side("next", &change.new))] {
        let _ = writeln!(all, "{}", palette.paint(Tone::Heading, format!("{sign} {name}")));
    }
    let diff = TextDiff::from_lines(&change.old, &change.new);
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        let _ = writeln!(all, "{}", palette.paint(Tone::Faint, hunk.header()));
        for line in hunk.iter_changes() {
            let (sign, tone) = match line.tag() {
                ChangeTag::Delete => ("-", Some(Tone::Bad)),
                ChangeTag::Insert => ("+", Some(Tone::Good)),
                ChangeTag::Equal => (" ", None),
            };
            let text = format!("{sign}{}", line.value().trim_end_matches('\n'));
            let _ = writeln!(all, "{}", tone.map_or_else(|| text.clone(), |tone| palette.paint(tone, &text)));
        }
    }
    all
}

fn summary(changes: &[Change], removed: usize) -> String {
    let added = changes.iter().filter(|change| change.old.is_empty()).count();
    format!("{added} would be added, {} changed, {removed} removed", changes.len() - added - removed)
}

/// The normalizer believes a large removal from a source only when a second complete read agrees.
fn held(changes: &[Change], stored: &KeyList, share: f64) -> Vec<String> {
    const FEW: usize = 10;
    let removed: BTreeSet<&str> =
        changes.iter().filter(|change| change.new.is_empty()).map(|change| change.key.as_str()).collect();
    let mut sources: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for entry in stored.entries.iter().flatten() {
        let source = entry.origin.as_ref().map_or("an unknown source", |origin| origin.source.as_str());
        let (all, gone) = sources.entry(source).or_default();
        *all += 1;
        *gone += usize::from(removed.contains(entry.key.as_str()));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of entries are far below what a float can hold")]
    let is_large = |all: usize, gone: usize| gone > FEW && gone as f64 > share * all as f64;
    let large = sources.into_iter().filter(|(_, (all, gone))| is_large(*all, *gone));
    let note = |(source, (all, gone)): (&str, (usize, usize))| {
        format!(
            "{gone} of {all} entries of {source} would be removed, which the normalizer holds until a second complete read \
             agrees (MASS_REMOVAL_SHARE)"
        )
    };
    large.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(old: &str, new: &str) -> Change {
        Change {
            key: "a_v1".to_owned(),
            uri: "/a/v1/catalog-info.yaml".to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

    #[test]
    fn differences_are_shown_as_diff_shows_them() {
        let text = unified(&change("a\nb\nc\n", "a\nx\nc\n"), Palette::Plain);
        let expected =
            "--- stored/a/v1/catalog-info.yaml\n+++ next/a/v1/catalog-info.yaml\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n";
        assert_eq!(text, expected);
        let added = unified(&change("", "a\n"), Palette::Plain);
        assert!(added.starts_with("--- /dev/null\n+++ next/a/v1"), "{added}");
        assert!(unified(&change("a\n", ""), Palette::Colored).contains("\u{1b}[1m\u{1b}[31m-a"));
    }

    #[test]
    fn names_alone_say_what_becomes_of_each() {
        let changes = [change("", "a\n"), change("a\n", ""), change("a\n", "b\n")];
        let text = shown(&changes, Detail::Names, Palette::Plain);
        let signs: Vec<&str> = text.lines().map(|line| &line[..1]).collect();
        assert_eq!(signs, ["A", "D", "M"]);
        assert_eq!(summary(&changes, 1), "1 would be added, 1 changed, 1 removed");
    }

    #[test]
    fn a_large_removal_from_one_source_is_said_to_be_held() {
        let entry = |number: usize| {
            let source = if number < 20 { "one" } else { "two" };
            let origin =
                serde_json::json!({"source": source, "parent": "1", "child": "1", "first": "m", "second": "v1"});
            serde_json::json!({"key": format!("m{number}_v1"), "digest": "0".repeat(64), "origin": origin})
        };
        let entries: Vec<_> = (0..200).map(entry).collect();
        let stored: KeyList = serde_json::from_value(serde_json::json!({"keys": [], "entries": entries})).unwrap();
        let removed = |count: usize| -> Vec<Change> {
            (0..count).map(|number| Change { key: format!("m{number}_v1"), ..change("a\n", "") }).collect()
        };
        let notes = held(&removed(11), &stored, 0.5);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("11 of 20 entries of one would be removed"), "{notes:?}");
        assert_eq!(held(&removed(10), &stored, 0.5), Vec::<String>::new());
    }
}
