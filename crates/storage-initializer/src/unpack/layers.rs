//! Several archives that make one tree: the layers of an image, each of which may replace and take away what those before
//! it have.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::{self, absent, merge};
use super::staging::{self, Staging};
use super::tally::Tally;
use super::tarball::{Ending, Layer, Placement};
use super::trouble::{cannot_write, damaged};
use super::{Archive, Bounds, Unpacked, open_and_unpack};
use crate::failure::Failure;

/// An archive, and what of it goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Where it is.
    pub path: PathBuf,
    /// How it is called in messages.
    pub name: String,
    /// What it is.
    pub kind: Archive,
    /// What goes where.
    pub placement: Placement,
}

/// Unpacks archives on top of one another, and then moves everything to `destination`. Each is removed when what it has is
/// out of it, since there may not be room for both. That an archive is complete, its digest has said already.
pub fn unpack_blobs(blobs: &[Blob], destination: &Path, work: &Path, bounds: Bounds) -> Result<Unpacked, Failure> {
    staging::clean(work);
    let whole = Staging::new(work)?;
    let mut tally = Tally::new(bounds);
    for blob in blobs {
        let about = |failure: Failure| Failure {
            what: format!("{} cannot be unpacked: {}", blob.name, failure.what),
            ..failure
        };
        let upper = Staging::new(work)?;
        let layer =
            open_and_unpack(&blob.path, blob.kind, blob.placement, Ending::Open, &upper, &mut tally).map_err(about)?;
        take_away(&layer, &whole)?;
        merge(upper.path(), whole.path())?;
        absent(fs::remove_file(&blob.path)).map_err(|error| cannot_write(&blob.path, &error))?;
    }
    let unpacked = whole.inspect()?;
    place::check(whole.path(), destination)?;
    merge(whole.path(), destination)?;
    Ok(unpacked)
}

fn take_away(layer: &Layer, whole: &Staging) -> Result<(), Failure> {
    for path in &layer.removed {
        match path {
            Some(path) => whole.remove(path)?,
            None => whole.empty()?,
        }
    }
    Ok(())
}

/// An archive that is called one must have something in it.
pub(super) fn not_empty(unpacked: Unpacked) -> Result<Unpacked, Failure> {
    if unpacked.files == 0 { Err(damaged("there are no files in it")) } else { Ok(unpacked) }
}
