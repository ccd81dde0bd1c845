//! Where in the repository what is kept: paths below the prefix, and what each of them is.
//!
//! An entry is a directory `<model>/<version>` with its document and perhaps its model card, both as they are. What is
//! only ours lies below `.bridge`, where no provider of Backstage looks.

use std::fmt;
use std::str::FromStr;

use bridge_api::{Digest, EntryKey};
use model_catalog::render::Format;
use thiserror::Error;

/// The directory of what is only ours.
const OWN: &str = ".bridge";
const CARD: &str = "model-card.md";
/// Stands before a segment that begins with a dot: git takes no `.git`, and files that are hidden are no good for
/// people. No key has it in itself.
const ESCAPE: char = '=';

/// What the shards of the index are called, by the first digit of a hash of the key.
const SHARDS: &str = "0123456789abcdef";

/// One of the files that the index is spread over, so that a small change writes little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shard(char);

impl Shard {
    /// The one that has the record of an entry.
    pub(super) fn of(key: &EntryKey) -> Self {
        Self(Digest::of(key.as_str().as_bytes()).as_str().chars().next().unwrap_or('0'))
    }
}

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The document of an entry, in the format that its name says.
    Document(EntryKey, Format),
    /// The model card of an entry.
    Card(EntryKey),
    /// A part of the index.
    Index(Shard),
    /// Is there while the storage is being filled.
    Filling,
    /// Says what the directory of ours is.
    ReadMe,
}

impl Place {
    /// Its path below the prefix.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Document(key, format) => format!("{}/{}", directory(key), format.file_name()),
            Self::Card(key) => format!("{}/{CARD}", directory(key)),
            Self::Index(Shard(digit)) => format!("{OWN}/index/{digit}.jsonl"),
            Self::Filling => format!("{OWN}/filling"),
            Self::ReadMe => format!("{OWN}/README.md"),
        }
    }

    /// What a path below the prefix is; `None` for what is not ours.
    pub(super) fn at(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            [OWN, "filling"] => Some(Self::Filling),
            [OWN, "README.md"] => Some(Self::ReadMe),
            [OWN, "index", file] => {
                let digit = file.strip_suffix(".jsonl").filter(|digit| digit.len() == 1)?;
                digit.chars().next().filter(|digit| SHARDS.contains(*digit)).map(|digit| Self::Index(Shard(digit)))
            }
            [first, second, file] => {
                let key = EntryKey::from_segments(plain(first)?, plain(second)?).ok()?;
                match *file {
                    CARD => Some(Self::Card(key)),
                    file => format_named(file).map(|format| Self::Document(key, format)),
                }
            }
            _ => None,
        }
    }
}

/// The directory of an entry, and the one above it.
pub(super) fn directories(key: &EntryKey) -> [String; 2] {
    [escaped(key.segments().0), directory(key)]
}

fn directory(key: &EntryKey) -> String {
    let (first, second) = key.segments();
    format!("{}/{}", escaped(first), escaped(second))
}

fn escaped(segment: &str) -> String {
    if segment.starts_with('.') { format!("{ESCAPE}{segment}") } else { segment.to_owned() }
}

fn plain(segment: &str) -> Option<&str> {
    match segment.strip_prefix(ESCAPE) {
        Some(rest) => rest.starts_with('.').then_some(rest),
        None => (!segment.starts_with('.')).then_some(segment),
    }
}

/// Both formats, in the order of their weight.
pub(super) const FORMATS: [Format; 2] = [Format::CatalogInfoYaml, Format::ModelCatalogJson];

/// The other format.
pub(super) const fn other(format: Format) -> Format {
    match format {
        Format::CatalogInfoYaml => Format::ModelCatalogJson,
        Format::ModelCatalogJson => Format::CatalogInfoYaml,
    }
}

/// The format of a document, by which its file is named.
pub(super) fn format_of(body: &[u8]) -> Format {
    if Format::ModelCatalogJson.fits(body) { Format::ModelCatalogJson } else { Format::CatalogInfoYaml }
}

fn format_named(file: &str) -> Option<Format> {
    FORMATS.into_iter().find(|format| format.file_name() == file)
}

/// The directory in the repository that everything is kept in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(Vec<String>);

/// A text is no directory of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("write a path such as catalog/models, of letters, digits, `-`, `_` and `.`, or `/` for the whole repository")]
pub struct PrefixError;

impl Prefix {
    /// Its segments; none for the whole repository.
    pub(super) fn segments(&self) -> &[String] {
        &self.0
    }

    /// The path in the repository of a path below it.
    pub(super) fn join(&self, path: &str) -> String {
        if self.0.is_empty() { path.to_owned() } else { format!("{self}/{path}") }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().trim_matches('/');
        if text.is_empty() {
            return Ok(Self::default());
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_segment = |segment: &str| {
            let special = matches!(segment, "" | "." | "..") || segment.eq_ignore_ascii_case(".git");
            !special && segment.bytes().all(allowed)
        };
        let segments: Vec<String> = text.split('/').map(str::to_owned).collect();
        if segments.iter().all(|segment| is_segment(segment)) { Ok(Self(segments)) } else { Err(PrefixError) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> EntryKey {
        text.parse().unwrap()
    }

    #[test]
    fn fuzz() {
        let seeds: [&[u8]; 5] = [
            b"granite/v1/catalog-info.yaml",
            b"=.git/v1_x/model-catalog.json",
            b"a/b/model-card.md",
            b".bridge/index/a.jsonl",
            b".bridge/filling",
        ];
        testkit::fuzz::fuzz_seeds("github-paths", &seeds, |input| {
            let Some(place) = Place::at(&String::from_utf8_lossy(input)) else { return };
            assert_eq!(Place::at(&place.path()), Some(place));
        });
    }

    #[test]
    fn an_entry_lies_where_people_and_backstage_look_for_it() {
        let document = Place::Document(key("granite_v1"), Format::CatalogInfoYaml);
        assert_eq!(document.path(), "granite/v1/catalog-info.yaml");
        assert_eq!(
            Place::Document(key("granite_v1_x"), Format::ModelCatalogJson).path(),
            "granite/v1_x/model-catalog.json"
        );
        assert_eq!(Place::Card(key("granite_v1")).path(), "granite/v1/model-card.md");
    }

    #[test]
    fn what_a_path_means_is_what_was_put_there() {
        let keys = ["granite_v1", "a.b-c_1_2__3", ".git_.github", ".bridge_index", "-_-", "a_..b", "..._x"];
        for key in keys.iter().filter_map(|text| text.parse::<EntryKey>().ok()) {
            let places = [
                Place::Document(key.clone(), Format::CatalogInfoYaml),
                Place::Document(key.clone(), Format::ModelCatalogJson),
                Place::Card(key.clone()),
                Place::Index(Shard::of(&key)),
            ];
            for place in places {
                assert_eq!(Place::at(&place.path()), Some(place.clone()), "{}", place.path());
            }
        }
        for place in [Place::Filling, Place::ReadMe] {
            assert_eq!(Place::at(&place.path()), Some(place));
        }
    }

    #[test]
    fn no_segment_is_one_that_git_refuses_or_that_hides_our_own() {
        for (text, path) in [(".git_.git", "=.git/=.git"), (".bridge_filling", "=.bridge/filling")] {
            assert_eq!(directories(&key(text))[1], path);
        }
    }

    #[test]
    fn what_others_put_there_is_nothing_to_us() {
        let others = [
            "README.md",
            "granite/README.md",
            "granite/v1/notes.md",
            "a_b/c/catalog-info.yaml",
            ".hidden/v1/catalog-info.yaml",
            "=x/v1/catalog-info.yaml",
            "a b/v1/catalog-info.yaml",
            "a/b/c/catalog-info.yaml",
            "catalog-info.yaml",
            ".bridge/index/g.jsonl",
            ".bridge/index/00.jsonl",
            "",
        ];
        for path in others {
            assert_eq!(Place::at(path), None, "{path}");
        }
    }

    #[test]
    fn a_prefix_is_a_path_in_the_repository() {
        for (text, path) in [("a/b", "a/b/x"), ("/a/", "a/x"), ("/", "x"), ("", "x"), (".catalog", ".catalog/x")] {
            assert_eq!(text.parse::<Prefix>().unwrap().join("x"), path);
        }
        for text in ["a//b", "..", "a/../b", "a b", "a/.GIT", "./a", "ä", "a\\b"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError), "{text}");
        }
    }
}
