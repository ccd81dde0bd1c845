//! What is known of partial and complete files, written line by line, so that a run that was killed loses nothing but its
//! last line. Each line ends with its own checksum.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, PoisonError};

use super::id::Id;
use crate::checksum::crc32c;

/// The form of the lines: another form is another journal.
const FORM: &str = "storage-initializer journal 1";

/// A range of a partial file that was written, and its CRC-32C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
}

/// A complete file: its CRC-32C, and whether it was held against a checksum of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Complete {
    pub(super) crc: u32,
    pub(super) is_verified: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// A range was written.
    Wrote(Id, Piece),
    /// All of the file is at its place, which is this path below the destination.
    Completed(Id, Complete, String),
    /// What was written of it is not to be used.
    Dropped(Id),
    /// The declared type of it, which decides whether it is unpacked.
    Typed(Id, String),
}

/// What a journal says in all.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By identity, in order: this may be a million.
    complete: Vec<(Id, Complete)>,
    pieces: HashMap<Id, Vec<Piece>>,
    content_type: Option<(Id, String)>,
}

/// A journal that is written to.
#[derive(Debug)]
pub(super) struct Journal(Mutex<File>);

impl Journal {
    /// Goes on with the journal of `source`, or begins one: then nothing is known.
    pub(super) fn open(mut file: File, source: &str) -> io::Result<(Self, Option<Known>)> {
        let head = format!("{FORM} {source:?}");
        let known = replay(&mut file, &head)?;
        if known.is_none() {
            file.set_len(0)?;
            file.write_all(line(&head).as_bytes())?;
        } else if !ends_with_line(&mut file)? {
            // The next line must not become part of the torn one.
            file.write_all(b"\n")?;
        }
        Ok((Self(Mutex::new(file)), known))
    }

    /// Appends a line. It is not forced to the disk: what is on it is verified before it is used.
    pub(super) fn append(&self, record: &Record) -> io::Result<()> {
        let line = line(&record.to_string());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }
}

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        self.complete.is_empty() && self.pieces.is_empty()
    }

    pub(super) fn complete(&self, id: Id) -> Option<Complete> {
        let found = self.complete.binary_search_by_key(&id, |(complete, _)| *complete).ok()?;
        self.complete.get(found).map(|(_, complete)| *complete)
    }

    /// The ranges that were written of a file that is not complete.
    pub(super) fn pieces(&self, id: Id) -> &[Piece] {
        self.pieces.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn partial(&self) -> impl Iterator<Item = Id> {
        self.pieces.keys().copied()
    }

    pub(super) fn content_type(&self, id: Id) -> Option<&str> {
        self.content_type.as_ref().filter(|(typed, _)| *typed == id).map(|(_, content_type)| content_type.as_str())
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Wrote(id, piece) => self.pieces.entry(id).or_default().push(piece),
            Record::Completed(id, complete, _) => {
                self.pieces.remove(&id);
                self.complete.push((id, complete));
            }
            Record::Dropped(id) => {
                self.pieces.remove(&id);
            }
            Record::Typed(id, content_type) => self.content_type = Some((id, content_type)),
        }
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrote(id, Piece { start, length, crc }) => write!(f, "wrote {id} {start} {length} {crc:08x}"),
            Self::Completed(id, Complete { crc, is_verified }, path) => {
                let verb = if *is_verified { "verified" } else { "completed" };
                write!(f, "{verb} {id} {crc:08x} {}", serde_json::Value::from(path.as_str()))
            }
            Self::Dropped(id) => write!(f, "dropped {id}"),
            Self::Typed(id, content_type) => write!(f, "typed {id} {}", content_type.replace(char::is_control, " ")),
        }
    }
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let (verb, id) = (words.next()?, Id::parse(words.next()?)?);
        let hex = |word: Option<&str>| u32::from_str_radix(word?, 16).ok();
        let number = |word: Option<&str>| word?.parse().ok();
        Some(match verb {
            "wrote" => {
                let start = number(words.next())?;
                let (length, crc) = words.next()?.split_once(' ')?;
                Self::Wrote(id, Piece { start, length: number(Some(length))?, crc: hex(Some(crc))? })
            }
            "verified" | "completed" => {
                let complete = Complete { crc: hex(words.next())?, is_verified: verb == "verified" };
                Self::Completed(id, complete, serde_json::from_str(words.next()?).ok()?)
            }
            "dropped" => Self::Dropped(id),
            "typed" => Self::Typed(id, text.splitn(3, ' ').nth(2)?.to_owned()),
            _ => return None,
        })
    }
}

fn line(text: &str) -> String {
    format!("{text} {:08x}\n", crc32c(text.as_bytes()))
}

/// What a line says, if it is whole.
fn text_of(line: &str) -> Option<&str> {
    let (text, crc) = line.trim_end_matches('\n').rsplit_once(' ')?;
    (crc.len() == 8 && u32::from_str_radix(crc, 16).ok()? == crc32c(text.as_bytes())).then_some(text)
}

/// None where it is the journal of something else, or none at all.
fn replay(file: &mut File, head: &str) -> io::Result<Option<Known>> {
    file.seek(SeekFrom::Start(0))?;
    let mut lines = BufReader::new(file);
    let mut buffer = Vec::new();
    lines.read_until(b'\n', &mut buffer)?;
    let mut known = (std::str::from_utf8(&buffer).ok().and_then(text_of) == Some(head)).then(Known::default);
    if let Some(known) = &mut known {
        read(lines, |record| known.take(record))?;
    }
    if let Some(known) = &mut known {
        // What was said last of a file holds: the sort keeps the order of what is equal.
        known.complete.reverse();
        known.complete.sort_by_key(|(id, _)| *id);
        known.complete.dedup_by_key(|(id, _)| *id);
    }
    Ok(known)
}

/// What the whole lines say, one after the other.
pub(super) fn read(mut lines: impl BufRead, mut take: impl FnMut(Record)) -> io::Result<()> {
    let mut buffer = Vec::new();
    while lines.read_until(b'\n', &mut buffer)? > 0 {
        let text = std::str::from_utf8(&buffer).ok().and_then(text_of);
        if let Some(record) = text.and_then(Record::parse) {
            take(record);
        }
        buffer.clear();
    }
    Ok(())
}

fn ends_with_line(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::path::Path;

    use super::*;

    fn open(path: &Path, source: &str) -> (Journal, Option<Known>) {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).unwrap();
        Journal::open(file, source).unwrap()
    }

    fn id(number: u8) -> Id {
        Id::parse(&format!("{number:032x}")).unwrap()
    }

    fn piece(start: u64) -> Piece {
        Piece { start, length: 10, crc: 7 }
    }

    #[test]
    fn a_journal_says_later_what_was_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("journal");
        let (journal, known) = open(&file, "s3://a/b");
        assert!(known.is_none());
        let complete = Complete { crc: 0xffff_fff0, is_verified: true };
        journal.append(&Record::Wrote(id(1), piece(0))).unwrap();
        journal.append(&Record::Wrote(id(1), piece(10))).unwrap();
        journal.append(&Record::Wrote(id(2), piece(0))).unwrap();
        journal.append(&Record::Dropped(id(2))).unwrap();
        let path = || "a\n \"b\"".to_owned();
        journal.append(&Record::Completed(id(3), Complete { crc: 1, is_verified: false }, path())).unwrap();
        journal.append(&Record::Completed(id(3), complete, path())).unwrap();
        journal.append(&Record::Typed(id(3), "a/b; c=d".to_owned())).unwrap();
        drop(journal);

        let known = open(&file, "s3://a/b").1.unwrap();
        assert_eq!(known.pieces(id(1)), [piece(0), piece(10)]);
        assert_eq!(known.pieces(id(2)), []);
        assert_eq!((known.complete(id(3)), known.complete(id(1))), (Some(complete), None));
        assert_eq!(known.content_type(id(3)), Some("a/b; c=d"));
        let mut paths = Vec::new();
        let lines = BufReader::new(File::open(&file).unwrap());
        super::read(lines, |record| {
            if let Record::Completed(_, _, path) = record {
                paths.push(path);
            }
        })
        .unwrap();
        assert_eq!(paths, [path(), path()]);
    }

    #[test]
    fn the_journal_of_another_source_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        open(&path, "s3://a/b").0.append(&Record::Wrote(id(1), piece(0))).unwrap();
        assert!(open(&path, "s3://a/c").1.is_none());
        assert!(open(&path, "s3://a/c").1.unwrap().is_empty());
    }

    #[test]
    fn a_journal_that_is_torn_anywhere_says_what_its_whole_lines_say_and_is_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (journal, _) = open(&path, "s");
        journal.append(&Record::Wrote(id(1), piece(0))).unwrap();
        let whole = std::fs::read(&path).unwrap();
        journal.append(&Record::Wrote(id(1), piece(10))).unwrap();
        let both = std::fs::read(&path).unwrap();
        for length in whole.len()..both.len() - 1 {
            std::fs::write(&path, &both[..length]).unwrap();
            let (journal, known) = open(&path, "s");
            assert_eq!(known.unwrap().pieces(id(1)), [piece(0)], "torn after {length}");
            journal.append(&Record::Wrote(id(1), piece(20))).unwrap();
            assert_eq!(open(&path, "s").1.unwrap().pieces(id(1)), [piece(0), piece(20)], "torn after {length}");
        }
        for length in 0..whole.len() - 1 {
            std::fs::write(&path, &both[..length]).unwrap();
            let known = open(&path, "s").1;
            assert!(known.is_none_or(|known| known.is_empty()), "torn after {length}");
        }
    }
}
