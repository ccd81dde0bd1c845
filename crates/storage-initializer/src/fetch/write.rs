//! Writes bytes as they come: the disk is busy with some while others come, and no more than these two portions are held.

use std::fs::File;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use tokio::task::{JoinHandle, spawn_blocking};

use super::disk;
use super::id::Id;
use super::work::Work;
use crate::checksum::{Checksum, Hasher};
use crate::failure::Failure;

/// How many bytes are written at a time. Files up to this length are held until they are whole.
const PORTION: usize = 256 << 10;

/// What is computed of bytes on their way.
pub(super) struct Sums {
    crc: crc_fast::Digest,
    hasher: Option<Hasher>,
}

/// Bytes on their way to one partial file.
pub(super) struct Writer {
    work: Arc<Work>,
    id: Id,
    file: Option<Arc<File>>,
    /// Where the next byte goes.
    position: u64,
    portion: Vec<Bytes>,
    held: usize,
    /// With the write that goes on, if one does.
    sums: Option<Sums>,
    writing: Option<JoinHandle<Result<Sums, Failure>>>,
}

/// All bytes of a file.
pub(super) enum Body {
    /// So few that none of them was written.
    Held(Vec<Bytes>),
    /// In its partial file: the CRC-32C, and the checksum, if it was computed on the way.
    Written(u32, Option<Checksum>),
}

impl Sums {
    pub(super) fn new() -> Self {
        Self { crc: crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi), hasher: None }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }

    pub(super) fn hash_with(&mut self, hasher: Option<Hasher>) {
        self.hasher = hasher;
    }

    /// The CRC-32C, and the checksum that was asked for.
    pub(super) fn finish(self) -> (u32, Option<Checksum>) {
        let crc = u32::try_from(self.crc.finalize() & u64::from(u32::MAX)).unwrap_or_default();
        (crc, self.hasher.map(Hasher::finish))
    }
}

impl Writer {
    /// For a file that is read from its beginning.
    pub(super) fn of_file(work: Arc<Work>, id: Id) -> Self {
        Self::new(work, id, None, 0)
    }

    /// For a range of a file.
    pub(super) fn of_range(work: Arc<Work>, id: Id, file: Arc<File>, start: u64) -> Self {
        Self::new(work, id, Some(file), start)
    }

    fn new(work: Arc<Work>, id: Id, file: Option<Arc<File>>, position: u64) -> Self {
        Self { work, id, file, position, portion: Vec::new(), held: 0, sums: Some(Sums::new()), writing: None }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Computes a checksum, too: to be said before the first byte.
    pub(super) fn hash_with(&mut self, hasher: Option<Hasher>) {
        if let Some(sums) = &mut self.sums {
            sums.hash_with(hasher);
        }
    }

    /// Takes more bytes.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.position += bytes.len() as u64;
        self.held += bytes.len();
        self.portion.push(bytes);
        if self.held > PORTION { self.write().await } else { Ok(()) }
    }

    /// Ends a file.
    pub(super) async fn finish_file(mut self) -> Result<Body, Failure> {
        if self.file.is_none() {
            return Ok(Body::Held(mem::take(&mut self.portion)));
        }
        self.write().await?;
        let (crc, computed) = self.written().await?.finish();
        Ok(Body::Written(crc, computed))
    }

    /// Ends a range: its CRC-32C, and the checksum that was asked for.
    pub(super) async fn finish_range(mut self) -> Result<(u32, Option<Checksum>), Failure> {
        self.write().await?;
        Ok(self.written().await?.finish())
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let mut sums = self.written().await?;
        let file = self.file().await?;
        let (work, path) = (Arc::clone(&self.work), self.path());
        let portion = mem::take(&mut self.portion);
        let mut position = self.position - mem::take(&mut self.held) as u64;
        self.writing = Some(spawn_blocking(move || {
            for bytes in portion {
                file.write_all_at(&bytes, position).map_err(|error| disk::failed(&path, &error))?;
                position += bytes.len() as u64;
                sums.update(&bytes);
            }
            // The hold on the directory ends after the last write.
            drop(work);
            Ok(sums)
        }));
        Ok(())
    }

    /// Waits for the write that goes on.
    async fn written(&mut self) -> Result<Sums, Failure> {
        if let Some(writing) = &mut self.writing {
            let written = writing.await.unwrap_or_else(|stopped| Err(disk::stopped_short(&stopped)));
            self.writing = None;
            return written;
        }
        Ok(self.sums.take().unwrap_or_else(Sums::new))
    }

    async fn file(&mut self) -> Result<Arc<File>, Failure> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let (work, id) = (Arc::clone(&self.work), self.id);
        let file = Arc::new(disk::run(move || work.begin(id)).await?);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.work.partial(self.id)
    }
}
