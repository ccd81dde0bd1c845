//! Computes the checksum of a file whose ranges come in any order: it follows the ranges that are there, reading them back
//! while they are still in memory.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use md5::{Digest as _, Md5};

use super::ranges::Pieces;
use crate::checksum::{Checksum, Hasher, PartSum};

/// How much is read at a time.
const PORTION: usize = 128 << 10;

/// More than any upload has: S3 takes 10,000.
const MOST_PARTS: usize = 100_000;

/// Computes the checksum of a file while its ranges come.
pub(super) struct Follower {
    file: Arc<File>,
    pieces: Arc<Pieces>,
    way: Way,
    is_abandoned: AtomicBool,
}

enum Way {
    /// Byte after byte.
    InOrder(Box<Mutex<InOrder>>),
    /// The parts that it was uploaded in, each when it is there.
    Parts(Parts),
}

struct InOrder {
    hasher: Option<Hasher>,
    position: u64,
}

struct Parts {
    size: u64,
    part: u64,
    /// Held while it is computed.
    sums: Vec<Mutex<Option<PartSum>>>,
    /// All before it are computed.
    first: AtomicUsize,
    /// How many compute.
    workers: AtomicUsize,
}

impl Follower {
    /// What computes a checksum of this kind; none where that cannot be, or its parts are too many.
    pub(super) fn of(checksum: &Checksum, size: u64, file: Arc<File>, pieces: Arc<Pieces>) -> Option<Self> {
        let way = match checksum.part_size(size) {
            Some(part) => Way::Parts(Parts::new(size, part)?),
            None => {
                let hasher = Some(checksum.hasher(Some(size))?);
                Way::InOrder(Box::new(Mutex::new(InOrder { hasher, position: 0 })))
            }
        };
        Some(Self { file, pieces, way, is_abandoned: AtomicBool::new(false) })
    }

    /// Goes as far as ranges are there, unless as many as may are already on their way: whoever finishes looks again.
    pub(super) fn advance(&self) {
        // An error shows again when the file is finished.
        let _ = match &self.way {
            Way::InOrder(state) => try_lock(state).map(|mut state| self.go(&mut state)),
            Way::Parts(parts) => parts.as_worker(|| self.compute(parts)),
        };
    }

    /// Goes to the end: the checksum, unless ranges are missing.
    pub(super) fn finish(&self) -> io::Result<Option<Checksum>> {
        match &self.way {
            Way::InOrder(state) => {
                let mut state = lock(state);
                self.go(&mut state)?;
                Ok(state.hasher.take().map(Hasher::finish))
            }
            Way::Parts(parts) => {
                let sums = (0..parts.sums.len()).map(|index| {
                    let mut sum = lock(&parts.sums[index]);
                    if sum.is_none() {
                        *sum = self.sum_of(parts.range(index))?;
                    }
                    Ok(*sum)
                });
                Ok(sums.collect::<io::Result<Option<Vec<PartSum>>>>()?.map(Checksum::of_parts))
            }
        }
    }

    /// Nobody wants to know any longer.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    fn go(&self, state: &mut InOrder) -> io::Result<()> {
        let InOrder { hasher: Some(hasher), position } = state else { return Ok(()) };
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

    /// Computes the parts that are there, but for those that others are at.
    fn compute(&self, parts: &Parts) -> io::Result<()> {
        let begin = parts.first.load(Ordering::Relaxed);
        let mut all_before = true;
        for index in begin..parts.sums.len() {
            let range = parts.range(index);
            if range.start >= self.pieces.end() {
                break;
            }
            let mut sum = try_lock(&parts.sums[index]);
            if let Some(sum) = sum.as_mut().filter(|sum| sum.is_none() && self.pieces.cover(&range)) {
                **sum = self.sum_of(range)?;
            }
            all_before &= sum.is_some_and(|sum| sum.is_some());
            if all_before {
                parts.first.fetch_max(index + 1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The MD5 of a part; none where nobody wants to know any longer.
    fn sum_of(&self, range: Range<u64>) -> io::Result<Option<PartSum>> {
        let mut md5 = Md5::new();
        let mut position = range.start;
        while position < range.end {
            if self.is_abandoned.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let end = range.end.min(position + PORTION as u64);
            read_at(&self.file, position..end, |bytes| md5.update(bytes))?;
            position = end;
        }
        Ok(Some(md5.finalize().into()))
    }
}

impl Parts {
    fn new(size: u64, part: u64) -> Option<Self> {
        let count = usize::try_from(size.div_ceil(part.max(1))).ok().filter(|count| *count <= MOST_PARTS)?;
        let sums = (0..count).map(|_| Mutex::new(None)).collect();
        Some(Self { size, part, sums, first: AtomicUsize::new(0), workers: AtomicUsize::new(0) })
    }

    fn range(&self, index: usize) -> Range<u64> {
        let start = index as u64 * self.part;
        start..self.size.min(start + self.part)
    }

    /// Does the work, unless all cores have it already.
    fn as_worker<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let most = std::thread::available_parallelism().map_or(1, NonZero::get);
        let has_place = |workers: usize| (workers < most).then_some(workers + 1);
        self.workers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_place).ok()?;
        let done = work();
        self.workers.fetch_sub(1, Ordering::Relaxed);
        Some(done)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Reads a range of a file, a portion at a time.
pub(super) fn read_at(file: &File, range: Range<u64>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
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
