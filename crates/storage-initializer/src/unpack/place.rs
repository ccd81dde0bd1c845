//! Moves what was unpacked to where it belongs, without following links that are there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::trouble::{cannot_write, refused};
use crate::failure::Failure;

/// Whether everything in `from` has room in `to`: a directory that is there is never replaced by a file.
pub(super) fn check(from: &Path, to: &Path) -> Result<(), Failure> {
    each(from, to, &mut |new, old| match (is_directory(new), is_directory(old)) {
        (false, true) => Err(refused(format!("{} is a directory already, and a file in it", old.display()))),
        (is_new_directory, is_old_directory) => Ok(is_new_directory && is_old_directory),
    })
}

/// Moves everything in `from` to `to`, which is made if it is not there: directories are joined, anything else replaced.
pub(super) fn merge(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(|error| cannot_write(to, &error))?;
    each(from, to, &mut |new, old| {
        let (is_new_directory, is_old_directory) = (is_directory(new), is_directory(old));
        if is_new_directory && is_old_directory {
            return Ok(true);
        }
        let cleared = match (is_new_directory, is_old_directory) {
            (false, true) => fs::remove_dir_all(old),
            // A directory cannot be renamed over a file.
            (true, false) => absent(fs::remove_file(old)),
            _ => Ok(()),
        };
        cleared.and_then(|()| fs::rename(new, old)).map_err(|error| cannot_write(old, &error))?;
        Ok(false)
    })
}

/// Calls `visit` with what is in `from` and where it goes; it says whether to go on below.
fn each(from: &Path, to: &Path, visit: &mut dyn FnMut(&Path, &Path) -> Result<bool, Failure>) -> Result<(), Failure> {
    let mut directories: Vec<(PathBuf, PathBuf)> = vec![(from.to_path_buf(), to.to_path_buf())];
    while let Some((from, to)) = directories.pop() {
        for entry in fs::read_dir(&from).map_err(|error| cannot_write(&from, &error))? {
            let entry = entry.map_err(|error| cannot_write(&from, &error))?;
            let old = to.join(entry.file_name());
            if visit(&entry.path(), &old)? {
                directories.push((entry.path(), old));
            }
        }
    }
    Ok(())
}

/// Whether it is a directory itself, not a link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// What was to be removed may not be there.
pub(super) fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
