//! Files with holes as POSIX tars have them: the list of what is there stands before the content. (Those of GNU tars are
//! known to the library.)

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};

use tar::Entry;

use super::tarball::BLOCK;
use super::trouble::{damaged, refused};
use crate::failure::Failure;

/// The most pieces of a file with holes.
const PIECES_LIMIT: u64 = 100_000;

/// What an entry's extended header says of holes.
#[derive(Debug, Default)]
pub(super) struct SparseRecords {
    name: Option<String>,
    real_size: Option<u64>,
}

impl SparseRecords {
    /// Reads the records. One that cannot be read may hide a size or a name: then nothing is believed.
    pub(super) fn of<R: Read>(entry: &mut Entry<'_, R>) -> Result<Self, Failure> {
        let unreadable = || damaged("an extended header in it cannot be read");
        let Some(records) = entry.pax_extensions().map_err(|_| unreadable())? else { return Ok(Self::default()) };
        let (mut holes, mut version) = (Self::default(), [None, None]);
        let mut is_sparse = false;
        for record in records {
            let record = record.map_err(|_| unreadable())?;
            let key = record.key_bytes();
            is_sparse |= key.starts_with(b"GNU.sparse.");
            let value = || record.value().map_err(|_| unreadable());
            match key {
                b"GNU.sparse.major" => version[0] = Some(value()?.to_owned()),
                b"GNU.sparse.minor" => version[1] = Some(value()?.to_owned()),
                b"GNU.sparse.name" => holes.name = Some(value()?.to_owned()),
                b"GNU.sparse.realsize" => holes.real_size = Some(value()?.parse().map_err(|_| unreadable())?),
                _ => {}
            }
        }
        let is_known = version.iter().map(Option::as_deref).eq([Some("1"), Some("0")]) && holes.real_size.is_some();
        if is_sparse && !is_known {
            return Err(refused("it has files with holes in an old format (before GNU.sparse 1.0)"));
        }
        Ok(holes)
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn real_size(&self) -> Option<u64> {
        self.real_size
    }
}

/// The file with its holes filled with zeros.
pub(super) struct Expanded<'a> {
    content: &'a mut dyn Read,
    pieces: VecDeque<(u64, u64)>,
    at: u64,
    size: u64,
}

impl<'a> Expanded<'a> {
    pub(super) fn new(content: &'a mut dyn Read, size: u64) -> io::Result<Self> {
        let mut list = List { content, read: 0 };
        let count = list.number()?;
        if count > PIECES_LIMIT {
            return Err(invalid("it has a file with too many holes"));
        }
        let mut pieces = VecDeque::new();
        let mut end = 0;
        for _ in 0..count {
            let (offset, length) = (list.number()?, list.number()?);
            if offset < end {
                return Err(invalid("pieces of a file with holes overlap"));
            }
            end = offset.checked_add(length).ok_or_else(|| invalid("a piece of a file with holes has no end"))?;
            pieces.push_back((offset, length));
        }
        if end > size {
            return Err(invalid("a file with holes is longer than it says"));
        }
        list.skip_padding()?;
        Ok(Self { content: list.content, pieces, at: 0, size })
    }
}

impl Read for Expanded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pieces.front().is_some_and(|(offset, length)| offset + length <= self.at) {
            self.pieces.pop_front();
        }
        let (start, end) =
            self.pieces.front().map_or((self.size, self.size), |(offset, length)| (*offset, offset + length));
        let is_hole = self.at < start;
        let left = if is_hole { start - self.at } else { end.saturating_sub(self.at) };
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..count) else { return Ok(0) };
        let count = if is_hole {
            part.fill(0);
            count
        } else {
            self.content.read(part)?
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// Decimal numbers, a line each, up to the end of a block.
struct List<'a> {
    content: &'a mut dyn Read,
    read: usize,
}

impl List<'_> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.content.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0_u64;
        loop {
            match self.byte()? {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => {
                    number = number
                        .checked_mul(10)
                        .and_then(|number| number.checked_add(u64::from(digit - b'0')))
                        .ok_or_else(|| invalid("the list of a file's holes has too large a number"))?;
                }
                _ => return Err(invalid("the list of a file's holes cannot be read")),
            }
        }
    }

    fn skip_padding(&mut self) -> io::Result<()> {
        while !self.read.is_multiple_of(BLOCK) {
            self.byte()?;
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
