//! Downloads what a source lists: many files and ranges at a time under one bound of memory, resumed where an earlier run
//! ended, verified, and put in place whole.

mod disk;
mod ending;
mod engine;
mod follow;
mod id;
mod journal;
mod leftovers;
mod plan;
mod ranges;
mod read;
mod space;
mod work;
mod write;

use std::path::Path;
use std::sync::Arc;

use self::engine::Engine;
use self::plan::Plan;
use self::work::Work;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::source::SharedSource;

/// Below the destination, where partial files and what is known of them are kept until the end.
pub const WORK_DIRECTORY: &str = ".storage-initializer";

/// The bounds of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many requests for content run at a time.
    pub connections: usize,
    /// How long a range is, in bytes: longer objects are read in several.
    pub range: u64,
    /// How many times a stream that breaks is gone on with before its file fails.
    pub attempts: u32,
    /// What stays free on the file system, in bytes.
    pub reserve: u64,
    /// The most that may be downloaded in all, in bytes; none for no bound.
    pub total: Option<u64>,
}

/// What was downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Files that are in place.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, bytes that an earlier run had brought.
    pub bytes_kept: u64,
    /// Files whose source gave a checksum, which was right.
    pub files_verified: u64,
    /// The path of the file, where it is one file only: it may be an archive.
    pub single: Option<Single>,
}

/// The one file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Single {
    /// Its path below the destination.
    pub path: crate::relative::RelativePath,
    /// The type that the source declared.
    pub content_type: Option<String>,
}

/// Downloads everything that `source` lists to `destination`, which is made if it is not there. What is not listed stays as
/// it is. The future may be dropped at any time, and the process killed: the next call with the same source goes on.
///
/// What is known of the files stays below [`WORK_DIRECTORY`], so that a later step that fails does not cost the download:
/// the caller removes that directory when nothing is left to do.
pub async fn fetch(
    source: SharedSource,
    destination: &Path,
    limits: Limits,
    progress: &Progress,
) -> Result<Fetched, Failure> {
    fetch_with(source, destination, limits, progress, plan::KEPT_BYTES).await
}

async fn fetch_with(
    source: SharedSource,
    destination: &Path,
    limits: Limits,
    progress: &Progress,
    kept_bytes: usize,
) -> Result<Fetched, Failure> {
    let work = Work::open(destination, &source.name()).await?;
    let mut plan = Plan::of(&*source, &work, kept_bytes).await?;
    engine::check_total(&source.name(), plan.sums.bytes, limits)?;
    let (held, needs, stale) = (Arc::clone(&work), plan.needs, plan.stale.clone());
    let place = destination.to_path_buf();
    disk::run(move || {
        stale.iter().try_for_each(|id| held.discard(*id))?;
        space::check(needs, &place, limits)
    })
    .await?;
    progress.expect(plan.sums.files, plan.sums.bytes);
    let names = plan.names.take();
    let fetched = Engine::new(source, Arc::clone(&work), limits, progress, plan.sums).run(plan).await?;
    if let Some(names) = names {
        disk::run(move || leftovers::remove(&work, &names)).await?;
    }
    Ok(fetched)
}
