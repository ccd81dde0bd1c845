//! A long file: its ranges are read in parallel, and each of them is kept when the run ends before the file does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::spawn_blocking;

use super::disk;
use super::ending::Ending;
use super::engine::{Engine, Finished};
use super::follow::{Follower, read_at};
use super::id::Id;
use super::journal::{Piece, Record};
use super::read::{Agreed, Part, Stop, is_ours};
use super::write::{Body, Sums, Writer};
use crate::checksum::{Checksum, crc32c_of_both};
use crate::failure::Failure;
use crate::source::Object;

/// The ranges of a file that are there, by where they begin. They do not overlap.
#[derive(Debug, Default)]
pub(super) struct Pieces(Mutex<BTreeMap<u64, There>>);

#[derive(Debug)]
struct There {
    length: u64,
    crc: u32,
    /// The CRC that its source gives of the file, of this range: where it is another one than ours.
    sum: Option<Checksum>,
}

impl Pieces {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, There>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a range, unless it is already there in part.
    fn add(&self, piece: Piece, sum: Option<Checksum>) {
        let mut pieces = self.lock();
        let end = piece.start.saturating_add(piece.length);
        let before = pieces.range(..end).next_back().map(|(start, there)| start + there.length);
        if piece.length > 0 && before.is_none_or(|end| end <= piece.start) {
            pieces.insert(piece.start, There { length: piece.length, crc: piece.crc, sum });
        }
    }

    /// Where the range ends that begins at `start`.
    pub(super) fn end_of(&self, start: u64) -> Option<u64> {
        self.lock().get(&start).map(|there| start + there.length)
    }

    /// Where the last range ends.
    pub(super) fn end(&self) -> u64 {
        self.lock().last_key_value().map_or(0, |(start, there)| start + there.length)
    }

    /// Whether all of `range` is there.
    pub(super) fn cover(&self, range: &Range<u64>) -> bool {
        let pieces = self.lock();
        let mut position = range.start;
        while position < range.end {
            let end = pieces.range(..=position).next_back().map_or(0, |(start, there)| start + there.length);
            if end <= position {
                return false;
            }
            position = end;
        }
        true
    }

    fn bytes(&self) -> u64 {
        self.lock().values().map(|there| there.length).sum()
    }

    /// The CRC-32C of all of them, one after the other.
    fn crc(&self) -> u32 {
        self.lock().values().fold(0, |crc, there| crc32c_of_both(crc, there.crc, there.length))
    }

    /// The checksum of all of them that `wanted` is one of, if each has its own.
    fn sum(&self, wanted: &Checksum) -> Option<Checksum> {
        let pieces = self.lock();
        let mut sums = pieces.values();
        sums.try_fold(wanted.of_nothing()?, |sum, there| sum.followed_by(there.sum.as_ref()?, there.length))
    }

    /// What is missing of `size` bytes, in ranges of at most `longest`.
    fn missing(&self, size: u64, longest: u64) -> Vec<Range<u64>> {
        let pieces = self.lock();
        let ends = pieces.iter().map(|(start, there)| start + there.length);
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

/// What the ranges of one file share.
struct Long<'a> {
    object: &'a Object,
    id: Id,
    file: Arc<File>,
    pieces: Arc<Pieces>,
    agreed: Agreed,
    /// What the source gives, where that of the file is worked out from those of its ranges.
    combined: Option<Checksum>,
    /// Computes what the source gives, where it is not.
    follower: Option<Arc<Follower>>,
}

impl Long<'_> {
    /// Looks whether there is more to compute with.
    fn follow(&self) {
        if let Some(follower) = self.follower.clone() {
            drop(spawn_blocking(move || follower.advance()));
        }
    }

    /// The checksum of the kind that the source gives.
    async fn computed(&self, partial: PathBuf) -> Result<Option<Checksum>, Failure> {
        match (&self.combined, self.follower.clone()) {
            (Some(wanted), _) => Ok(self.pieces.sum(wanted)),
            (None, Some(follower)) => {
                disk::run(move || follower.finish().map_err(|error| disk::failed(&partial, &error))).await
            }
            (None, None) => Ok(None),
        }
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
        let long = self.begin(object, id, size).await?;
        let _abandon = long.follower.clone().map(Abandon);
        let bytes_kept = long.pieces.bytes();
        self.progress.kept(bytes_kept);
        if bytes_kept > 0 {
            long.follow();
        }
        stream::iter(long.pieces.missing(size, self.limits.range))
            .map(|range| self.piece(&long, range))
            .buffer_unordered(self.limits.connections.max(1))
            .try_collect::<()>()
            .await?;
        let computed = long.computed(self.work.partial(id)).await?;
        let checksum = long.agreed.terms().checksum;
        let ending = Ending { id, path: object.path.clone(), size, checksum, wrong_before };
        let (work, body) = (Arc::clone(&self.work), Body::Written(long.pieces.crc(), computed));
        let complete = disk::run(move || ending.place(&work, body)).await?;
        Ok(self.finished(id, size, bytes_kept, complete, &long.agreed))
    }

    async fn begin<'a>(&self, object: &'a Object, id: Id, size: u64) -> Result<Long<'a>, Failure> {
        let agreed = Agreed::of(object);
        if object.checksum.is_none() {
            let _turn = self.requests.acquire().await;
            if let Some(checksum) = self.source.checksum(object).await {
                agreed.learn(checksum);
            }
        }
        let checksum = agreed.terms().checksum;
        let combined = checksum.clone().filter(|sum| sum.is_combined() && !is_ours(sum));
        let (file, pieces) = self.go_on(id, size, combined.clone()).await?;
        let follower = checksum
            .filter(|sum| !sum.is_combined())
            .and_then(|sum| Some(Arc::new(Follower::of(&sum, size, Arc::clone(&file), Arc::clone(&pieces))?)));
        Ok(Long { object, id, file, pieces, agreed, combined, follower })
    }

    async fn piece(&self, long: &Long<'_>, range: Range<u64>) -> Result<(), Stop> {
        let (start, length) = (range.start, range.end - range.start);
        let mut writer = Writer::of_range(Arc::clone(&self.work), long.id, Arc::clone(&long.file), start);
        writer.hash_with(long.combined.as_ref().and_then(|sum| sum.hasher(None)));
        self.read(long.object, Part::Range(range), &long.agreed, &mut writer).await?;
        let (crc, sum) = writer.finish_range().await?;
        let piece = Piece { start, length, crc };
        let (work, id) = (Arc::clone(&self.work), long.id);
        disk::run(move || work.record(&Record::Wrote(id, piece))).await?;
        long.pieces.add(piece, sum);
        long.follow();
        Ok(())
    }

    /// The partial file, with the ranges in it that are what the journal says.
    async fn go_on(&self, id: Id, size: u64, combined: Option<Checksum>) -> Result<(Arc<File>, Arc<Pieces>), Failure> {
        let work = Arc::clone(&self.work);
        disk::run(move || {
            let pieces = Pieces::default();
            if work.known().pieces(id).is_empty() {
                return Ok((Arc::new(work.begin(id)?), Arc::new(pieces)));
            }
            let file = work.go_on(id)?;
            let known = work.known().pieces(id).iter();
            for piece in known.filter(|piece| piece.start.checked_add(piece.length).is_some_and(|end| end <= size)) {
                // What cannot be read is not there.
                if let Ok((crc, sum)) = sums_of(&file, *piece, combined.as_ref())
                    && crc == piece.crc
                {
                    pieces.add(*piece, sum);
                }
            }
            Ok((Arc::new(file), Arc::new(pieces)))
        })
        .await
    }
}

/// The CRC-32C of what is there of a piece, and its share of `combined`.
fn sums_of(file: &File, piece: Piece, combined: Option<&Checksum>) -> io::Result<(u32, Option<Checksum>)> {
    let mut sums = Sums::new();
    sums.hash_with(combined.and_then(|sum| sum.hasher(None)));
    read_at(file, piece.start..piece.start + piece.length, |bytes| sums.update(bytes))?;
    Ok(sums.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::crc32c;

    fn add(pieces: &Pieces, start: u64, length: u64, crc: u32) {
        pieces.add(Piece { start, length, crc }, None);
    }

    fn sum(bytes: &[u8]) -> Checksum {
        let mut hasher = Checksum::Crc64Nvme(0).hasher(None).unwrap();
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn what_is_missing_is_between_what_is_there() {
        let pieces = Pieces::default();
        assert_eq!(pieces.missing(10, 4), [0..4, 4..8, 8..10]);
        add(&pieces, 3, 2, 0);
        assert_eq!(pieces.missing(10, 4), [0..3, 5..9, 9..10]);
        add(&pieces, 0, 3, 0);
        add(&pieces, 5, 5, 0);
        assert_eq!(pieces.missing(10, 4), []);
        assert_eq!(pieces.missing(10, 0), []);
    }

    #[test]
    fn ranges_that_overlap_are_not_both_taken() {
        let pieces = Pieces::default();
        add(&pieces, 4, 4, 0);
        for (start, length) in [(4, 4), (0, 5), (7, 3), (5, 1), (0, 20), (1, 0)] {
            add(&pieces, start, length, 1);
            assert_eq!(pieces.bytes(), 4, "{length} from {start}");
        }
        add(&pieces, 0, 4, 1);
        add(&pieces, 8, 1, 1);
        assert_eq!(pieces.bytes(), 9);
    }

    #[test]
    fn the_crc_of_the_ranges_is_that_of_the_file() {
        let bytes = b"of a file that is in three ranges";
        let pieces = Pieces::default();
        for (start, end) in [(9, 20), (0, 9), (20, bytes.len())] {
            let sum = sum(&bytes[start..end]);
            let piece = Piece { start: start as u64, length: (end - start) as u64, crc: crc32c(&bytes[start..end]) };
            pieces.add(piece, Some(sum));
        }
        assert_eq!(pieces.crc(), crc32c(bytes));
        assert_eq!(pieces.sum(&sum(b"")), Some(sum(bytes)));
        add(&pieces, bytes.len() as u64, 1, 0);
        assert_eq!(pieces.sum(&sum(b"")), None, "one has none");
    }

    #[test]
    fn what_is_covered_is_there_without_a_gap() {
        let pieces = Pieces::default();
        for (start, length) in [(0, 4), (4, 2), (8, 4)] {
            add(&pieces, start, length, 0);
        }
        for (range, is_covered) in
            [(0..6, true), (1..5, true), (0..7, false), (6..8, false), (9..12, true), (8..13, false)]
        {
            assert_eq!(pieces.cover(&range), is_covered, "{range:?}");
        }
        assert_eq!(pieces.end(), 12);
    }
}
