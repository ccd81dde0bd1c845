//! The directory of work: partial files, the journal, and the way of a file from there to its place.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::mem;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::WORK_DIRECTORY;
use super::disk;
use super::id::Id;
use super::journal::{self, Complete, Journal, Known, Record};
use crate::failure::Failure;
use crate::relative::RelativePath;

/// How long to wait before asking again whether another run has ended.
const PAUSE: Duration = Duration::from_millis(100);

/// One run's hold on the directory: no other run writes there until this, and the last write that it has begun, has ended.
#[derive(Debug)]
pub(super) struct Work {
    destination: PathBuf,
    directory: PathBuf,
    journal: Journal,
    known: Known,
}

impl Work {
    /// Makes the directories, waits until no other run is at work there, and reads what is known. Partial files of another
    /// source are removed.
    pub(super) async fn open(destination: &Path, source: &str) -> Result<Arc<Self>, Failure> {
        let mut is_told = false;
        loop {
            let (place, source) = (destination.to_path_buf(), source.to_owned());
            let opened = disk::run(move || {
                Self::try_open(&place, &source).map_err(|error| disk::failed(&place.join(WORK_DIRECTORY), &error))
            });
            if let Some(work) = opened.await? {
                return Ok(Arc::new(work));
            }
            if !mem::replace(&mut is_told, true) {
                tracing::info!("waiting for another run, which writes to {} too", destination.display());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn try_open(destination: &Path, source: &str) -> io::Result<Option<Self>> {
        let directory = destination.join(WORK_DIRECTORY);
        fs::create_dir_all(parts_of(&directory))?;
        let path = journal_of(&directory);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        // Some network file systems have no locks: any other error is no reason to wait.
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            return Ok(None);
        }
        // The other run may have removed the journal that it had, which is the one that we waited for.
        if fs::metadata(&path).map_or(0, |now| now.ino()) != file.metadata()?.ino() {
            return Ok(None);
        }
        let (journal, known) = Journal::open(file, source)?;
        let known = known.unwrap_or_default();
        let used: HashSet<String> = known.partial().map(|id| id.to_string()).collect();
        for entry in fs::read_dir(parts_of(&directory))? {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(|name| !used.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Some(Self { destination: destination.to_path_buf(), directory, journal, known }))
    }

    pub(super) const fn known(&self) -> &Known {
        &self.known
    }

    /// Where the file is in the end.
    pub(super) fn place(&self, path: &RelativePath) -> PathBuf {
        path.below(&self.destination)
    }

    /// Where the file is until then.
    pub(super) fn partial(&self, id: Id) -> PathBuf {
        parts_of(&self.directory).join(id.to_string())
    }

    pub(super) fn record(&self, record: &Record) -> Result<(), Failure> {
        self.journal.append(record).map_err(|error| disk::failed(&journal_of(&self.directory), &error))
    }

    pub(super) fn place_of_journal(&self) -> PathBuf {
        journal_of(&self.directory)
    }

    /// Each file that was put in place, in this run and in those before: its path, and what it was.
    pub(super) fn each_complete(&self, mut take: impl FnMut(String, Complete)) -> io::Result<()> {
        let lines = BufReader::new(File::open(journal_of(&self.directory))?);
        journal::read(lines, |record| {
            if let Record::Completed(_, complete, path) = record {
                take(path, complete);
            }
        })
    }

    /// An empty partial file.
    pub(super) fn begin(&self, id: Id) -> Result<File, Failure> {
        let path = self.partial(id);
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(|error| disk::failed(&path, &error))
    }

    /// The partial file with what it has.
    pub(super) fn go_on(&self, id: Id) -> Result<File, Failure> {
        let path = self.partial(id);
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| disk::failed(&path, &error))
    }

    /// Removes the partial file: nothing that was written of it is used.
    pub(super) fn discard(&self, id: Id) -> Result<(), Failure> {
        self.record(&Record::Dropped(id))?;
        let path = self.partial(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk::failed(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Puts the partial file, which is whole and right, at its place.
    pub(super) fn finish(&self, id: Id, path: &RelativePath, complete: Complete) -> Result<(), Failure> {
        let (partial, place) = (self.partial(id), self.place(path));
        let moved = match fs::rename(&partial, &place) {
            // Most files are in a directory that is there: to make it first would cost each of them a call.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                place.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::rename(&partial, &place))
            }
            moved => moved,
        };
        moved.map_err(|error| disk::failed(&in_the_way(&self.destination, &place), &error))?;
        self.record(&Record::Completed(id, complete, path.to_string()))
    }
}

fn parts_of(directory: &Path) -> PathBuf {
    directory.join("parts")
}

fn journal_of(directory: &Path) -> PathBuf {
    directory.join("journal")
}

/// The file that is where a directory has to be, if that is what stands in the way of `place`.
fn in_the_way(destination: &Path, place: &Path) -> PathBuf {
    place
        .ancestors()
        .skip(1)
        .take_while(|above| *above != destination)
        .find(|above| above.is_file())
        .unwrap_or(place)
        .to_path_buf()
}
