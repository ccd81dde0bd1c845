//! One download, and what it leaves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use storage_initializer::Failure;
use storage_initializer::checksum::Checksum;
use storage_initializer::fetch::{self, Fetched, Limits, WORK_DIRECTORY};
use storage_initializer::progress::Progress;
use storage_initializer::source::SharedSource;

use crate::support::scripted::Scripted;

/// Short ranges, and few of everything.
pub(crate) const LIMITS: Limits = Limits { connections: 4, range: 100, attempts: 3, reserve: 0, total: None };

/// One request at a time.
pub(crate) const IN_TURN: Limits = Limits { connections: 1, ..LIMITS };

/// A checksum of each kind, of whatever.
pub(crate) const ALL_KINDS: [Checksum; 8] = [
    Checksum::Sha256([0; 32]),
    Checksum::GitBlob([0; 20]),
    Checksum::Md5([0; 16]),
    Checksum::Md5OfParts { md5: [0; 16], parts: 1 },
    Checksum::Md5OfParts { md5: [0; 16], parts: 3 },
    Checksum::Crc32c(0),
    Checksum::Crc32(0),
    Checksum::Crc64Nvme(0),
];

/// The checksum of bytes, of the same kind as another.
pub(crate) fn checksum_of(kind: &Checksum, bytes: &[u8]) -> Checksum {
    let mut hasher = kind.hasher(Some(bytes.len() as u64)).unwrap();
    hasher.update(bytes);
    hasher.finish()
}

/// Downloads.
pub(crate) async fn run(source: &Arc<Scripted>, destination: &Path, limits: Limits) -> Result<Fetched, Failure> {
    let source: SharedSource = Arc::<Scripted>::clone(source);
    fetch::fetch(source, destination, limits, &Progress::default()).await
}

/// The files below a directory, without what is kept for later runs.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            let name = entry.path().strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            if entry.path().is_dir() {
                if name != WORK_DIRECTORY {
                    directories.push(entry.path());
                }
            } else {
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// What should be there.
pub(crate) fn expected(source: &Scripted) -> BTreeMap<String, Vec<u8>> {
    source.stored.iter().map(|stored| (stored.object.path.to_string(), stored.bytes.to_vec())).collect()
}

/// How many partial files there are.
pub(crate) fn partial_files(destination: &Path) -> usize {
    fs::read_dir(destination.join(WORK_DIRECTORY).join("parts")).unwrap().count()
}
