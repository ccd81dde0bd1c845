//! What came out of an archive so far, held against the bounds: counted, whatever the archive says of itself.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::rc::Rc;

use super::tarball::BLOCK;
use super::trouble::{beyond, unreadable};
use super::{BUFFER, Bounds};
use crate::failure::Failure;

/// Counts what comes out of archives.
#[derive(Debug)]
pub(super) struct Tally {
    bounds: Bounds,
    entries: u64,
    bytes: u64,
    /// What is copied goes through it: one for all entries.
    buffer: Vec<u8>,
}

impl Tally {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, entries: 0, bytes: 0, buffer: vec![0; BUFFER] }
    }

    /// One more entry.
    pub(super) fn entry(&mut self) -> Result<(), Failure> {
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(beyond(format!("it has more than {} entries", self.bounds.entries)));
        }
        Ok(())
    }

    /// More bytes, whether they are kept or not.
    pub(super) fn bytes(&mut self, count: u64) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > self.bounds.bytes {
            return Err(beyond(format!("more than {} bytes come out of it", self.bounds.bytes)));
        }
        Ok(())
    }

    /// Reads to the end, and hands on what comes, piece by piece.
    pub(super) fn copy(
        &mut self,
        content: &mut dyn Read,
        mut to: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let mut length = 0;
        loop {
            let count = fill(content, &mut self.buffer).map_err(unreadable)?;
            if count == 0 {
                return Ok(length);
            }
            self.bytes(count as u64)?;
            length += count as u64;
            to(self.buffer.get(..count).unwrap_or_default())?;
        }
    }

    pub(super) fn most_entries(&self) -> u64 {
        self.bounds.entries
    }
}

/// How much may still be read of what an archive says about its entries: libraries hold that in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance(Rc<Cell<Option<u64>>>);

impl Allowance {
    /// From now on, at most so many bytes.
    pub(super) fn limit(&self, bytes: u64) {
        self.0.set(Some(bytes));
    }

    /// From now on, anything.
    pub(super) fn lift(&self) {
        self.0.set(None);
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let Some(left) = self.0.get() else { return Ok(()) };
        let Some(left) = left.checked_sub(bytes as u64) else {
            return Err(io::Error::other(beyond("what it says about its entries has no end")));
        };
        self.0.set(Some(left));
        Ok(())
    }
}

/// A reader that keeps to an [`Allowance`], and knows how what was read last ended.
pub(super) struct Metered<R> {
    inner: R,
    allowance: Allowance,
    zeros: Rc<Cell<u64>>,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, allowance: Allowance::default(), zeros: Rc::default() }
    }

    pub(super) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    /// How many zero bytes were read last, in a row; it may be more than that once it is a block.
    pub(super) fn zeros(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.zeros)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.allowance.spend(count)?;
        let read = buffer.get(..count).unwrap_or_default();
        let zeros = if is_zero(read) {
            self.zeros.get() + count as u64
        } else {
            read.iter().rev().take(BLOCK).take_while(|byte| **byte == 0).count() as u64
        };
        self.zeros.set(zeros);
        Ok(count)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

/// Whether there is nothing but zeros in it.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.starts_with(chunk))
}

/// Reads until the buffer is full, or everything was read.
pub(super) fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match content.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
