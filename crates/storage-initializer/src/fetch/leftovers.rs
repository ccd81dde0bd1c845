//! Files that a run before this one has put in place, and that are no longer listed: the model is what is listed, and no more.

use std::fs;

use super::disk;
use super::engine::length_if_right;
use super::plan::Names;
use super::work::Work;
use crate::failure::Failure;
use crate::relative::RelativePath;

/// Removes them, unless somebody has changed them.
pub(super) fn remove(work: &Work, listed: &Names) -> Result<(), Failure> {
    let mut removed = Ok(());
    let read = work.each_complete(|path, complete| {
        let Some(path) = RelativePath::new(&path).ok().filter(|path| !listed.may_have(path.as_str())) else { return };
        let place = work.place(&path);
        if removed.is_ok() && length_if_right(&place, None, complete.crc).is_some() {
            tracing::info!("{path} is no longer listed, and is removed");
            removed = fs::remove_file(&place).map_err(|error| disk::failed(&place, &error));
        }
    });
    read.map_err(|error| disk::failed(&work.place_of_journal(), &error)).and(removed)
}
