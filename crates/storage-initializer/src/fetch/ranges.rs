//! A long file: its ranges are read in parallel, and each of them is kept when the run ends before the file does.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::spawn_blocking;

use super::disk;
use super::ending::Ending;
use super::engine::{Engine, Finished};
use super::follow::{Follower, read_at};
use super::id::Id;
use super::journal::{Piece, Record};
use super::read::{Agreed, Part, Stop, hasher_of};
use super::write::{Body, Sums, Writer};
use crate::checksum::crc32c_of_both;
use crate::failure::Failure;
use crate::source::Object;

/// The ranges of a file that are there: by where they begin, how long they are, and their CRC-32C. They do not overlap.
#[derive(Debug, Default)]
pub(super) struct Pieces(Mutex<BTreeMap<u64, (u64, u32)>>);

impl Pieces {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (u64, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a range, unless it is already there in part.
    fn add(&self, piece: Piece) {
        let mut pieces = self.lock();
        let end = piece.start.saturating_add(piece.length);
        let before = pieces.range(..end).next_back().map(|(start, (length, _))| start + length);
        if piece.length > 0 && before.is_none_or(|end| end <= piece.start) {
            pieces.insert(piece.start, (piece.length, piece.crc));
        }
    }

    /// Where the range ends that begins at `start`.
    pub(super) fn end_of(&self, start: u64) -> Option<u64> {
        self.lock().get(&start).map(|(length, _)| start + length)
    }

    fn bytes(&self) -> u64 {
        self.lock().values().map(|(length, _)| length).sum()
    }

    /// The CRC-32C of all of them, one after the other.
    fn crc(&self) -> u32 {
        self.lock().values().fold(0, |crc, (length, next)| crc32c_of_both(crc, *next, *length))
    }

    /// What is missing of `size` bytes, in ranges of at most `longest`.
    fn missing(&self, size: u64, longest: u64) -> Vec<Range<u64>> {
        let pieces = self.lock();
        let ends = pieces.iter().map(|(start, (length, _))| start + length);
        let gaps = std::iter::once(0).chain(ends).zip(pieces.keys().copied().chain(std::iter::once(size)));
        let longest = longest.max(1);
        gaps.flat_map(|(start, end)| {
            let begins = std::iter::successors(Some(start), move |begin| begin.checked_add(longest));
            begins.take_while(move |begin| *begin < end).map(move |begin| begin..end.min(begin.saturating_add(longest)))
        })
        .collect()
    }
}

/// Ends the follower, however its file ends.
struct Abandon(Arc<Follower>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Engine<'_> {
    /// Reads the ranges that are missing, and puts the file in place.
    pub(super) async fn in_ranges(
        &self,
        object: &Object,
        id: Id,
        size: u64,
        wrong_before: Option<u32>,
    ) -> Result<Finished, Stop> {
        let (file, pieces) = self.go_on(id, size).await?;
        let bytes_kept = pieces.bytes();
        self.progress.kept(bytes_kept);
        let agreed = Agreed::of(object);
        let follower = hasher_of(&agreed.terms())
            .map(|hasher| Arc::new(Follower::new(Arc::clone(&file), Arc::clone(&pieces), hasher)));
        let _abandon = follower.clone().map(Abandon);
        stream::iter(pieces.missing(size, self.limits.range))
            .map(|range| self.piece(object, id, range, &file, &agreed, &pieces, follower.as_ref()))
            .buffer_unordered(self.limits.connections.max(1))
            .try_collect::<()>()
            .await?;
        let computed = match follower {
            Some(follower) => {
                let partial = self.work.partial(id);
                disk::run(move || follower.finish().map_err(|error| disk::failed(&partial, &error))).await?
            }
            None => None,
        };
        let ending = Ending { id, path: object.path.clone(), size, checksum: agreed.terms().checksum, wrong_before };
        let (work, body) = (Arc::clone(&self.work), Body::Written(pieces.crc(), computed));
        let complete = disk::run(move || ending.place(&work, body)).await?;
        Ok(self.finished(id, size, bytes_kept, complete, &agreed))
    }

    #[expect(clippy::too_many_arguments, reason = "what the ranges of one file share")]
    async fn piece(
        &self,
        object: &Object,
        id: Id,
        range: Range<u64>,
        file: &Arc<File>,
        agreed: &Agreed,
        pieces: &Pieces,
        follower: Option<&Arc<Follower>>,
    ) -> Result<(), Stop> {
        let (start, length) = (range.start, range.end - range.start);
        let mut writer = Writer::of_range(Arc::clone(&self.work), id, Arc::clone(file), start);
        self.read(object, Part::Range(range), agreed, &mut writer).await?;
        let piece = Piece { start, length, crc: writer.finish_range().await? };
        let work = Arc::clone(&self.work);
        disk::run(move || work.record(&Record::Wrote(id, piece))).await?;
        pieces.add(piece);
        if let Some(follower) = follower.map(Arc::clone) {
            drop(spawn_blocking(move || follower.advance()));
        }
        Ok(())
    }

    /// The partial file, with the ranges in it that are what the journal says.
    async fn go_on(&self, id: Id, size: u64) -> Result<(Arc<File>, Arc<Pieces>), Failure> {
        let work = Arc::clone(&self.work);
        disk::run(move || {
            let pieces = Pieces::default();
            if work.known().pieces(id).is_empty() {
                return Ok((Arc::new(work.begin(id)?), Arc::new(pieces)));
            }
            let file = work.go_on(id)?;
            let known = work.known().pieces(id).iter();
            for piece in known.filter(|piece| piece.start.checked_add(piece.length).is_some_and(|end| end <= size)) {
                if is_there(&file, *piece) {
                    pieces.add(*piece);
                }
            }
            Ok((Arc::new(file), Arc::new(pieces)))
        })
        .await
    }
}

fn is_there(file: &File, piece: Piece) -> bool {
    let mut sums = Sums::new();
    let read = read_at(file, piece.start..piece.start + piece.length, |bytes| sums.update(bytes));
    read.is_ok() && sums.finish().0 == piece.crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::crc32c;

    fn piece(start: u64, length: u64, crc: u32) -> Piece {
        Piece { start, length, crc }
    }

    #[test]
    fn what_is_missing_is_between_what_is_there() {
        let pieces = Pieces::default();
        assert_eq!(pieces.missing(10, 4), [0..4, 4..8, 8..10]);
        pieces.add(piece(3, 2, 0));
        assert_eq!(pieces.missing(10, 4), [0..3, 5..9, 9..10]);
        pieces.add(piece(0, 3, 0));
        pieces.add(piece(5, 5, 0));
        assert_eq!(pieces.missing(10, 4), []);
        assert_eq!(pieces.missing(10, 0), []);
    }

    #[test]
    fn ranges_that_overlap_are_not_both_taken() {
        let pieces = Pieces::default();
        pieces.add(piece(4, 4, 0));
        for overlapping in
            [piece(4, 4, 1), piece(0, 5, 1), piece(7, 3, 1), piece(5, 1, 1), piece(0, 20, 1), piece(1, 0, 1)]
        {
            pieces.add(overlapping);
            assert_eq!(pieces.bytes(), 4, "{overlapping:?}");
        }
        pieces.add(piece(0, 4, 1));
        pieces.add(piece(8, 1, 1));
        assert_eq!(pieces.bytes(), 9);
    }

    #[test]
    fn the_crc_of_the_ranges_is_that_of_the_file() {
        let bytes = b"of a file that is in three ranges";
        let pieces = Pieces::default();
        for (start, end) in [(9, 20), (0, 9), (20, bytes.len())] {
            pieces.add(piece(start as u64, (end - start) as u64, crc32c(&bytes[start..end])));
        }
        assert_eq!(pieces.crc(), crc32c(bytes));
    }
}
