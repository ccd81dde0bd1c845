//! Archives: opened below the destination, and nowhere else; links, devices and more than was bargained for are refused.

use std::path::Path;

use crate::failure::Failure;

/// What kind of archive it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// `.zip`.
    Zip,
    /// `.tar`.
    Tar,
    /// `.tar.gz`, `.tgz`.
    TarGz,
    /// `.tar.zst`.
    TarZst,
}

/// The bounds of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most bytes that may come out of it.
    pub bytes: u64,
    /// The most entries.
    pub entries: u64,
}

/// What came out of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Archive {
    /// What a file is, by its declared type and its name.
    pub fn of(name: &str, content_type: Option<&str>) -> Option<Self> {
        let _ = (name, content_type);
        None
    }
}

/// Unpacks the file `archive` into `destination`: all of it, or nothing. `work` is a directory of the same file system.
pub fn unpack(
    archive: &Path,
    kind: Archive,
    destination: &Path,
    work: &Path,
    bounds: Bounds,
) -> Result<Unpacked, Failure> {
    let _ = (archive, kind, destination, work, bounds);
    Err(Failure::new(crate::Kind::Internal, "not there yet", ""))
}
