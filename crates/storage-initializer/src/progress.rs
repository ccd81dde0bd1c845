//! How far the download is: counted by whoever moves bytes, told every few seconds, or as a bar on a terminal.

use std::sync::atomic::{AtomicU64, Ordering};

pub mod report;

/// What was done so far, and what is to be done as far as that is known.
#[derive(Debug, Default)]
pub struct Progress {
    files_total: AtomicU64,
    bytes_total: AtomicU64,
    files_done: AtomicU64,
    bytes_done: AtomicU64,
    bytes_kept: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files that are to be there in the end.
    pub files_total: u64,
    /// Their bytes, as far as known.
    pub bytes_total: u64,
    /// Files that are complete.
    pub files_done: u64,
    /// Bytes that came over the network.
    pub bytes_done: u64,
    /// Bytes that were there from an earlier run, and are right.
    pub bytes_kept: u64,
}

impl Counts {
    /// Bytes that are there, wherever they came from.
    pub const fn bytes_present(&self) -> u64 {
        self.bytes_done.saturating_add(self.bytes_kept)
    }
}

impl Progress {
    /// More is to be done.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.files_total.fetch_add(files, Ordering::Relaxed);
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes came.
    pub fn received(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes were there already.
    pub fn kept(&self, bytes: u64) {
        self.bytes_kept.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A file is complete.
    pub fn finished_file(&self) {
        self.files_done.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        Counts {
            files_total: read(&self.files_total),
            bytes_total: read(&self.bytes_total),
            files_done: read(&self.files_done),
            bytes_done: read(&self.bytes_done),
            bytes_kept: read(&self.bytes_kept),
        }
    }
}
