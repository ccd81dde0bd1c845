//! Archives: opened below the destination, and nowhere else; links that lead out, devices and more than was bargained for
//! are refused.
//!
//! Everything comes out into a directory of its own first, where nobody else writes, and is moved into place when the
//! whole archive was read to its end and found right. Archives in archives stay closed.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use crate::failure::Failure;

mod kind;
mod layers;
mod place;
mod sparse;
mod staging;
mod tally;
mod tarball;
#[cfg(test)]
mod tests;
mod trouble;
mod zipped;

pub use kind::{Archive, archive_in, kind_of};
pub use layers::{Blob, unpack_blobs};
use staging::Staging;
use tally::Tally;
pub use tarball::Placement;
use tarball::{Ending, Layer, unpack_tar};

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

/// Unpacks the file `archive` into `destination`: all of it, or nothing. Files of the same names are replaced, others
/// stay. The archive itself is removed before what it had takes its place, so that neither is in the other's way.
///
/// `work` is a directory of the same file system that only this process writes to. This blocks: it is not for an
/// asynchronous thread.
pub fn unpack(
    archive: &Path,
    kind: Archive,
    destination: &Path,
    work: &Path,
    bounds: Bounds,
) -> Result<Unpacked, Failure> {
    let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let about = |failure: Failure| Failure { what: format!("{name} cannot be unpacked: {}", failure.what), ..failure };
    staging::clean(work);
    let staging = Staging::new(work).map_err(about)?;
    let unpacked =
        open_and_unpack(archive, kind, Placement::Everything, Ending::Marked, &staging, &mut Tally::new(bounds))
            .and_then(|_| layers::not_empty(staging.inspect()?))
            .map_err(about)?;
    place::check(staging.path(), destination).map_err(about)?;
    fs::remove_file(archive).map_err(|error| trouble::cannot_write(archive, &error))?;
    place::merge(staging.path(), destination).map_err(about)?;
    Ok(unpacked)
}

fn open_and_unpack(
    archive: &Path,
    kind: Archive,
    placement: Placement,
    ending: Ending,
    staging: &Staging,
    tally: &mut Tally,
) -> Result<Layer, Failure> {
    let file = File::open(archive).map_err(|error| trouble::cannot_read(archive, &error))?;
    match kind {
        Archive::Zip => zipped::unpack_zip(file, staging, tally).map(|()| Layer::default()),
        Archive::Tar => unpack_tar(file, staging, tally, placement, ending),
        Archive::TarGz => {
            let content = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file));
            unpack_tar(content, staging, tally, placement, Ending::Open)
        }
        Archive::TarZst => {
            let content = zstd::Decoder::new(file).map_err(|error| trouble::cannot_read(archive, &error))?;
            unpack_tar(content, staging, tally, placement, Ending::Open)
        }
    }
}

/// How much is read or written at a time.
const BUFFER: usize = 256 << 10;
