//! What goes wrong with archives, and whose fault it is: theirs, the bounds', or the file system's.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::failure::{Failure, Kind};

/// The archive is not what it should be.
pub(super) fn damaged(what: impl Into<String>) -> Failure {
    Failure::new(Kind::Integrity, what, "make the archive anew and upload it again")
}

/// The archive has something that is not unpacked on purpose.
pub(super) fn refused(what: impl Into<String>) -> Failure {
    Failure::new(Kind::Integrity, what, "make the archive without it")
}

/// More comes out of the archive than is allowed.
pub(super) fn beyond(what: impl Into<String>) -> Failure {
    Failure::new(Kind::Integrity, what, "raise the bound if the archive is to be trusted")
}

/// Reading an archive failed: the disk's fault, or that of the bytes.
pub(super) fn unreadable(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::UnexpectedEof => damaged("it ends too early"),
        ErrorKind::Other | ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Unsupported => {
            let text = error.to_string();
            match error.into_inner().map(<dyn std::error::Error + Send + Sync>::downcast::<Failure>) {
                Some(Ok(failure)) => *failure,
                _ => damaged(format!("it is damaged ({text})")),
            }
        }
        _ => Failure::new(Kind::Internal, format!("it cannot be read ({error})"), "look at the volume"),
    }
}

/// A file of ours cannot be read.
pub(super) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Internal, format!("{} cannot be read: {error}", path.display()), "look at the volume")
}

/// A file cannot be written below the destination.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let what = format!("{} cannot be written: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Failure::new(Kind::DiskFull, what, "give the volume more room")
        }
        ErrorKind::InvalidFilename => refused(format!("{} has a name that is too long", path.display())),
        _ => Failure::new(Kind::DiskFull, what, "the volume must be writable for this user"),
    }
}
