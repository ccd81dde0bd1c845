//! The file of an export: JSON Lines. The first line says what it is, then comes a line for each entry, and the last
//! says how many there were, so that a file that was cut off is noticed. docs/storage.md describes it for others.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, Write};

use anyhow::{Context as _, bail, ensure};
use bridge_api::{Digest, EntryKey, ReconcilerType, StorageBody};
use serde::{Deserialize, Serialize};
use storage_rest::store::StoredEntry;

const FORMAT: &str = "model-catalog-bridge storage";
const VERSION: u32 = 1;
/// How many entries are handed out together, at the most.
const TOGETHER: usize = 500;
/// About how many bytes of lines are handed out together.
const BYTES_TOGETHER: usize = 16 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    /// Whether it is all that there was, and not a storage that was still being filled for the first time.
    whole: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    entries: usize,
}

#[derive(Serialize, Deserialize)]
struct EntryLine {
    key: EntryKey,
    /// Of the content; where a line has none, nothing is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(flatten)]
    stored: StorageBody,
}

/// Writes an export.
pub(super) struct LineWriter<W> {
    out: W,
    entries: usize,
}

impl<W: Write> LineWriter<W> {
    pub(super) fn begin(out: W, whole: bool) -> io::Result<Self> {
        let mut writer = Self { out, entries: 0 };
        writer.line(&Header { format: FORMAT.to_owned(), version: VERSION, whole })?;
        Ok(writer)
    }

    pub(super) fn entry(&mut self, key: EntryKey, entry: StoredEntry) -> io::Result<()> {
        self.entries += 1;
        self.line(&EntryLine { key, digest: Some(entry.digest()), stored: entry.into() })
    }

    /// Says how many there were.
    pub(super) fn end(mut self) -> io::Result<(usize, W)> {
        self.line(&End { entries: self.entries })?;
        self.out.flush()?;
        Ok((self.entries, self.out))
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

/// An export to read: first to check all of it, then for its entries.
pub(super) struct ExportFile {
    file: File,
    name: String,
}

/// What is in an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) whole: bool,
    pub(super) entries: usize,
}

impl ExportFile {
    pub(super) fn new(file: File, name: String) -> Self {
        Self { file, name }
    }

    /// An export that can be read but once is kept aside.
    pub(super) fn spool(mut input: impl Read, name: &str) -> anyhow::Result<Self> {
        let mut file = tempfile::tempfile().context("cannot keep the input in a temporary file")?;
        io::copy(&mut input, &mut file).with_context(|| format!("cannot read {name}"))?;
        Ok(Self::new(file, name.to_owned()))
    }

    /// Reads it to the end; an error says which line is wrong, and how.
    pub(super) fn check(&mut self) -> anyhow::Result<Contents> {
        let mut keys: HashMap<EntryKey, usize> = HashMap::new();
        let mut lines = self.lines()?;
        let whole = lines.header()?;
        while let Some((key, _)) = lines.next_entry()? {
            if let Some(first) = keys.insert(key.clone(), lines.number) {
                bail!("{}the key {key} is in line {first} too", lines.place());
            }
        }
        Ok(Contents { whole, entries: keys.len() })
    }

    /// Its entries, some at a time.
    pub(super) fn entries(&mut self) -> anyhow::Result<Entries<'_>> {
        let mut lines = self.lines()?;
        lines.header()?;
        Ok(Entries { lines })
    }

    fn lines(&mut self) -> anyhow::Result<Lines<'_>> {
        self.file.rewind()?;
        Ok(Lines {
            input: BufReader::new(&self.file),
            name: &self.name,
            line: Vec::new(),
            number: 0,
            entries: 0,
            ended: false,
        })
    }
}

/// The entries of an export.
pub(super) struct Entries<'a> {
    lines: Lines<'a>,
}

impl Entries<'_> {
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Vec<(EntryKey, StoredEntry)>>> {
        let (mut some, mut bytes) = (Vec::new(), 0);
        while some.len() < TOGETHER && bytes < BYTES_TOGETHER {
            let Some(entry) = self.lines.next_entry()? else { break };
            bytes += self.lines.line.len();
            some.push(entry);
        }
        Ok(Some(some).filter(|some| !some.is_empty()))
    }
}

struct Lines<'a> {
    input: BufReader<&'a File>,
    name: &'a str,
    line: Vec<u8>,
    number: usize,
    entries: usize,
    ended: bool,
}

impl Lines<'_> {
    fn place(&self) -> String {
        format!("{}, line {}: ", self.name, self.number)
    }

    /// Reads a line; `false` at the end.
    fn advance(&mut self) -> anyhow::Result<bool> {
        self.line.clear();
        self.number += 1;
        let read =
            self.input.read_until(b'\n', &mut self.line).with_context(|| format!("cannot read {}", self.name))?;
        Ok(read > 0)
    }

    fn header(&mut self) -> anyhow::Result<bool> {
        let is_there = self.advance()?;
        let header: Option<Header> = serde_json::from_slice(&self.line).ok();
        let Some(header) = header.filter(|header| is_there && header.format == FORMAT) else {
            bail!(
                "{}this is no export of a storage: it does not begin with {{\"format\":\"{FORMAT}\",...}}",
                self.place()
            )
        };
        let Header { version, whole, .. } = header;
        ensure!(version == VERSION, "{}version {version} is not known here, only {VERSION}", self.place());
        Ok(whole)
    }

    /// The next entry; `None` after the last line.
    fn next_entry(&mut self) -> anyhow::Result<Option<(EntryKey, StoredEntry)>> {
        if self.ended {
            return Ok(None);
        }
        if !self.advance()? {
            bail!("{}the export is cut off: its last line, {{\"entries\":...}}, is missing", self.place());
        }
        if let Ok(End { entries }) = serde_json::from_slice(&self.line) {
            ensure!(
                entries == self.entries,
                "{}{} entries were to come, but there are {}",
                self.place(),
                entries,
                self.entries
            );
            ensure!(!self.advance()?, "{}there is something after the last line", self.place());
            self.ended = true;
            return Ok(None);
        }
        self.entries += 1;
        let entry = entry(&self.line).map_err(|problem| anyhow::anyhow!("{}{problem:#}", self.place()))?;
        Ok(Some(entry))
    }
}

fn entry(line: &[u8]) -> anyhow::Result<(EntryKey, StoredEntry)> {
    let EntryLine { key, digest, stored } = bridge_api::from_json(line)?;
    // What stores take for the oldest bridges' entries would hide a mistake here.
    stored.reconciler_type.parse::<ReconcilerType>().with_context(|| format!("reconcilerType of {key}"))?;
    let entry = StoredEntry::from(stored);
    let actual = entry.digest();
    ensure!(
        digest.is_none_or(|said| said == actual),
        "the content of {key} was changed: its digest is {}",
        actual.as_str()
    );
    Ok((key, entry))
}

#[cfg(test)]
mod tests {
    use bridge_api::PostBody;

    use super::*;

    fn entry_of(body: &[u8]) -> StoredEntry {
        let post = PostBody { body: body.to_vec(), model_card: "# Card\n\u{0}".to_owned(), ..PostBody::default() };
        StoredEntry::new(ReconcilerType::Kserve, post)
    }

    fn written(entries: &[(&str, StoredEntry)]) -> String {
        let mut lines = LineWriter::begin(Vec::new(), true).unwrap();
        for (key, entry) in entries {
            lines.entry(key.parse().unwrap(), entry.clone()).unwrap();
        }
        let (count, bytes) = lines.end().unwrap();
        assert_eq!(count, entries.len());
        String::from_utf8(bytes).unwrap()
    }

    fn export(text: &str) -> ExportFile {
        ExportFile::spool(text.as_bytes(), "a.jsonl").unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let entries = [("a_1", entry_of(b"one\n")), ("b_1", entry_of(&[0, 255, 10]))];
        let text = written(&entries);
        assert_eq!(text.lines().count(), 4);
        let mut export = export(&text);
        assert_eq!(export.check().unwrap(), Contents { whole: true, entries: 2 });
        let mut read = export.entries().unwrap();
        let some = read.next().unwrap().unwrap();
        assert!(read.next().unwrap().is_none());
        assert!(
            some.iter().map(|(key, entry)| (key.as_str(), entry)).eq(entries.iter().map(|(key, entry)| (*key, entry)))
        );
    }

    #[test]
    fn fuzz() {
        let seed = written(&[("a_1", entry_of(b"one")), ("b_1", entry_of(&[0, 255, 10]))]);
        testkit::fuzz::fuzz_seeds("exports", &[seed.as_bytes()], |input| {
            let mut export = ExportFile::spool(input, "a.jsonl").unwrap();
            let Ok(contents) = export.check() else { return };
            let (mut read, mut entries) = (0, export.entries().unwrap());
            while let Some(some) = entries.next().unwrap() {
                read += some.len();
            }
            assert_eq!(read, contents.entries);
        });
    }

    #[test]
    fn a_line_that_is_wrong_is_named_with_the_reason() {
        let text = written(&[("a_1", entry_of(b"one")), ("b_1", entry_of(b"two"))]);
        let lines: Vec<&str> = text.lines().collect();
        let with = |number: usize, line: &str| {
            let mut changed = lines.clone();
            changed[number - 1] = line;
            changed.join("\n")
        };
        let cases = [
            (String::new(), "line 1", "no export"),
            (with(1, r#"{"keys":[]}"#), "line 1", "no export"),
            (with(1, &lines[0].replace(":1,", ":2,")), "line 1", "version 2"),
            (with(2, "{"), "line 2", "EOF"),
            (with(2, "[]"), "line 2", "object"),
            (with(3, &lines[2].replace("b_1", "b/1")), "line 3", "is not a key"),
            (with(3, &lines[2].replace("b_1", "a_1")), "line 3", "line 2 too"),
            (with(3, &lines[2].replace("kserve", "ks")), "line 3", "reconcilerType"),
            (with(3, &lines[2].replace("Card", "Cart")), "line 3", "was changed"),
            (with(4, r#"{"entries":3}"#), "line 4", "3 entries"),
            (lines[..3].join("\n"), "line 4", "cut off"),
            (format!("{text}{}", lines[1]), "line 5", "after the last line"),
        ];
        for (text, line, reason) in cases {
            let error = export(&text).check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("a.jsonl, {line}: ")) && error.contains(reason), "{error}");
        }
    }
}
