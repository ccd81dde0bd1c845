//! Runs the downloads: so many files at a time, and so many requests, until all of them are in place or one has failed.

use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backon::BackoffBuilder as _;
use futures::TryStreamExt as _;
use tokio::sync::Semaphore;

use super::disk;
use super::ending::Ending;
use super::follow::read_at;
use super::id::{Id, is_identifiable};
use super::journal::{Complete, Record};
use super::plan::{Plan, Sums as Listed};
use super::read::{Agreed, Part, Stop, waits};
use super::space::amount;
use super::work::Work;
use super::write::{Sums, Writer};
use super::{Fetched, Limits, Single};
use crate::failure::{Failure, Kind};
use crate::progress::Progress;
use crate::source::{Object, SharedSource};

/// How often a file is begun that changes while it is read, or comes in a wrong length.
const BEGINNINGS: u32 = 3;

/// How often a file is read whose checksum is wrong.
const READINGS: u32 = 2;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// In ranges, if it is long.
    InRanges,
    /// From its beginning to its end.
    InOne,
}

/// What the downloads share.
pub(super) struct Engine<'a> {
    pub(super) source: SharedSource,
    pub(super) work: Arc<Work>,
    pub(super) limits: Limits,
    pub(super) progress: &'a Progress,
    /// The turns of requests.
    pub(super) requests: Semaphore,
    /// Bytes of complete files whose length the list did not tell.
    unlisted: AtomicU64,
    is_type_noted: AtomicBool,
    listed: Listed,
}

/// A file that is in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) bytes: u64,
    pub(super) bytes_kept: u64,
    pub(super) is_verified: bool,
    pub(super) content_type: Option<String>,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        source: SharedSource,
        work: Arc<Work>,
        limits: Limits,
        progress: &'a Progress,
        listed: Listed,
    ) -> Self {
        let requests = Semaphore::new(limits.connections.max(1));
        let (unlisted, is_type_noted) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { source, work, limits, progress, requests, unlisted, is_type_noted, listed }
    }

    /// Downloads all objects of the plan.
    pub(super) async fn run(&self, plan: Plan) -> Result<Fetched, Failure> {
        let mut again = Listed::default();
        let mut fetched = Fetched::default();
        // While some files are written and verified, others are read.
        let files = self.limits.connections.max(1) * 2;
        let source = Arc::clone(&self.source);
        let mut finished = plan
            .objects(&*source)
            .inspect_ok(|object| again.add(object))
            .map_ok(|object| self.file(object))
            .try_buffer_unordered(files);
        while let Some((object, file)) = finished.try_next().await? {
            fetched.files += 1;
            fetched.bytes += file.bytes;
            fetched.bytes_kept += file.bytes_kept;
            fetched.files_verified += u64::from(file.is_verified);
            if self.listed.files == 1 {
                fetched.single = Some(Single { path: object.path, content_type: file.content_type });
            }
        }
        drop(finished);
        if again == self.listed && fetched.files == self.listed.files {
            return Ok(fetched);
        }
        let what = format!(
            "{} changed while it was downloaded: {} files of {} bytes were listed, then {} of {}",
            self.source.name(),
            self.listed.files,
            self.listed.bytes,
            again.files,
            again.bytes
        );
        Err(Failure::new(Kind::Integrity, what, "try again when nobody writes to it").transient())
    }

    /// One file, from the list to its place.
    async fn file(&self, object: Object) -> Result<(Object, Finished), Failure> {
        let id = Id::of(&object);
        let finished = match self.recognised(&object, id).await {
            Ok(Some(finished)) => Ok(finished),
            Ok(None) => self.download(&object, id).await,
            Err(failure) => Err(failure),
        };
        match finished {
            Ok(finished) => {
                self.progress.finished_file();
                Ok((object, finished))
            }
            Err(failure) => Err(about(&object, failure)),
        }
    }

    /// The file, if an earlier run has put it in place, and it is as it was.
    async fn recognised(&self, object: &Object, id: Id) -> Result<Option<Finished>, Failure> {
        let Some(complete) = self.work.known().complete(id).filter(|_| is_identifiable(object)) else {
            return Ok(None);
        };
        let place = self.work.place(&object.path);
        let size = object.size;
        let there = disk::run(move || Ok(length_if_right(&place, size, complete.crc))).await?;
        Ok(there.map(|bytes| {
            self.progress.kept(bytes);
            let content_type = self.work.known().content_type(id).map(str::to_owned);
            Finished { bytes, bytes_kept: bytes, is_verified: complete.is_verified, content_type }
        }))
    }

    /// Begins as often as it may help.
    async fn download(&self, object: &Object, id: Id) -> Result<Finished, Failure> {
        let (mut beginnings, mut readings, mut breaks) = (0, 0, 0);
        let mut manner = if self.source.has_ranges() { Manner::InRanges } else { Manner::InOne };
        let mut wrong_before = None;
        let mut waits = waits().build();
        loop {
            let attempt = match self.range_of(object, manner) {
                Some(size) => self.in_ranges(object, id, size, wrong_before).await,
                None => self.in_one(object, id, wrong_before).await,
            };
            let (failure, count, most) = match attempt {
                Ok(finished) => return Ok(finished),
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::NoRanges) => {
                    manner = Manner::InOne;
                    self.forget(id).await?;
                    continue;
                }
                Err(Stop::Broken(failure)) => (failure, &mut breaks, self.limits.attempts),
                Err(Stop::Changed(failure)) => (failure, &mut beginnings, BEGINNINGS),
                Err(Stop::Mismatch(failure, crc)) => {
                    wrong_before = Some(crc);
                    (failure, &mut readings, READINGS)
                }
            };
            tracing::debug!(object = %object.locator, %failure, "a file begins anew");
            self.forget(id).await?;
            *count += 1;
            if *count >= most {
                return Err(failure);
            }
            tokio::time::sleep(waits.next().unwrap_or_default()).await;
        }
    }

    /// The length of a file that is read in ranges.
    fn range_of(&self, object: &Object, manner: Manner) -> Option<u64> {
        object.size.filter(|size| manner == Manner::InRanges && *size > self.limits.range && is_identifiable(object))
    }

    async fn forget(&self, id: Id) -> Result<(), Failure> {
        let work = Arc::clone(&self.work);
        disk::run(move || work.discard(id)).await
    }

    /// Reads all of a file from its beginning, and puts it in place.
    async fn in_one(&self, object: &Object, id: Id, wrong_before: Option<u32>) -> Result<Finished, Stop> {
        let agreed = Agreed::of(object);
        let mut writer = Writer::of_file(Arc::clone(&self.work), id);
        self.read(object, Part::Whole, &agreed, &mut writer).await?;
        let size = writer.position();
        if object.size.is_none() {
            self.unlisted.fetch_add(size, Ordering::Relaxed);
        }
        let body = writer.finish_file().await?;
        let ending = Ending { id, path: object.path.clone(), size, checksum: agreed.terms().checksum, wrong_before };
        let work = Arc::clone(&self.work);
        let complete = disk::run(move || ending.place(&work, body)).await?;
        Ok(self.finished(id, size, 0, complete, &agreed))
    }

    pub(super) fn finished(
        &self,
        id: Id,
        bytes: u64,
        bytes_kept: u64,
        complete: Complete,
        agreed: &Agreed,
    ) -> Finished {
        let known = || self.work.known().content_type(id).map(str::to_owned);
        let content_type = agreed.terms().content_type.or_else(known);
        Finished { bytes, bytes_kept, is_verified: complete.is_verified, content_type }
    }

    /// Writes down the declared type of the one file there is: another run may find it complete, and ask nobody for it.
    pub(super) async fn note_type(&self, object: &Object, agreed: &Agreed) -> Result<(), Failure> {
        let Some(content_type) = agreed.terms().content_type.filter(|_| self.listed.files == 1) else { return Ok(()) };
        if self.is_type_noted.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (work, id) = (Arc::clone(&self.work), Id::of(object));
        disk::run(move || work.record(&Record::Typed(id, content_type))).await
    }

    /// Holds what comes of a file of unknown length against the bound.
    pub(super) fn check_total(&self, object: &Object, position: u64) -> Result<(), Failure> {
        let unlisted = if object.size.is_none() { position } else { 0 };
        let bytes = self.listed.bytes + self.unlisted.load(Ordering::Relaxed) + unlisted;
        check_total(&self.source.name(), bytes, self.limits)
    }
}

/// Holds the bytes that are to be downloaded in all against the bound.
pub(super) fn check_total(name: &str, bytes: u64, limits: Limits) -> Result<(), Failure> {
    match limits.total {
        Some(total) if bytes > total => Err(Failure::new(
            Kind::DiskFull,
            format!("{name} has {} at least, and no more than {} may be downloaded", amount(bytes), amount(total)),
            "raise the limit if it is to be that much",
        )),
        _ => Ok(()),
    }
}

/// How long the file is that an earlier run has put in place, if it is what it was.
pub(super) fn length_if_right(place: &Path, size: Option<u64>, crc: u32) -> Option<u64> {
    let file = File::open(place).ok()?;
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    if size.is_some_and(|size| size != metadata.len()) {
        return None;
    }
    let mut sums = Sums::new();
    read_at(&file, 0..metadata.len(), |bytes| sums.update(bytes)).ok()?;
    (sums.finish().0 == crc).then_some(metadata.len())
}

/// A failure that names its object.
fn about(object: &Object, failure: Failure) -> Failure {
    if failure.what.contains(object.path.as_str()) || failure.what.contains(&object.locator) {
        return failure;
    }
    Failure { what: format!("{}: {}", object.path, failure.what), ..failure }
}
