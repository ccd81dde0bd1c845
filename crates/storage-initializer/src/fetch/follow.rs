//! Computes the checksum of a file whose ranges come in any order: it follows the ranges that are there, reading them back
//! while they are still in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::ranges::Pieces;
use crate::checksum::{Checksum, Hasher};

/// How much is read at a time.
const PORTION: usize = 128 << 10;

pub(super) struct Follower {
    file: Arc<File>,
    pieces: Arc<Pieces>,
    state: Mutex<State>,
    is_abandoned: AtomicBool,
}

struct State {
    hasher: Option<Hasher>,
    position: u64,
}

impl Follower {
    pub(super) fn new(file: Arc<File>, pieces: Arc<Pieces>, hasher: Hasher) -> Self {
        let state = Mutex::new(State { hasher: Some(hasher), position: 0 });
        Self { file, pieces, state, is_abandoned: AtomicBool::new(false) }
    }

    /// Goes as far as ranges are there, unless it is already on its way: whoever finishes looks again.
    pub(super) fn advance(&self) {
        let state = match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut state) = state {
            // An error shows again when the file is finished.
            let _ = self.go(&mut state);
        }
    }

    /// Goes to the end: the checksum, unless ranges are missing.
    pub(super) fn finish(&self) -> io::Result<Option<Checksum>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.go(&mut state)?;
        Ok(state.hasher.take().map(Hasher::finish))
    }

    /// Nobody wants to know any longer.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    fn go(&self, state: &mut State) -> io::Result<()> {
        let State { hasher: Some(hasher), position } = state else { return Ok(()) };
        while let Some(end) = self.pieces.end_of(*position) {
            while *position < end {
                if self.is_abandoned.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let portion = (end - *position).min(PORTION as u64);
                read_at(&self.file, *position..*position + portion, |bytes| hasher.update(bytes))?;
                *position += portion;
            }
        }
        Ok(())
    }
}

/// Reads a range of a file, a portion at a time.
pub(super) fn read_at(file: &File, range: std::ops::Range<u64>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut buffer = vec![0; length.min(PORTION)];
    let mut position = range.start;
    while position < range.end {
        let portion = usize::try_from(range.end - position).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..portion];
        file.read_exact_at(buffer, position)?;
        take(buffer);
        position += portion as u64;
    }
    Ok(())
}
