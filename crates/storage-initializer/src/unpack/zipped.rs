//! Zip files.

use std::fs::File;
use std::io::{BufReader, Read};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::staging::{Staging, entry_path, text};
use super::tally::{Metered, Tally};
use super::trouble::{beyond, damaged, refused, unreadable};
use crate::failure::Failure;
use crate::relative::RelativePath;

/// The most that the directory at the end of a zip may be, which is held in memory: some 300,000 entries.
const DIRECTORY_LIMIT: u64 = 32 << 20;

/// The longest target of a symbolic link.
const LINK_LIMIT: u64 = 4096;

/// Where a Unix mode has the kind of file.
const KIND_OF_FILE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMBOLIC_LINK: u32 = 0o120_000;

pub(super) fn unpack_zip(file: File, staging: &Staging, tally: &mut Tally) -> Result<(), Failure> {
    // What is sought is read anew each time: the buffer is a small one.
    let metered = Metered::new(BufReader::new(file));
    let allowance = metered.allowance();
    allowance.limit(DIRECTORY_LIMIT);
    let mut archive = ZipArchive::new(metered).map_err(zip_failure)?;
    allowance.lift();
    if archive.len() as u64 > tally.most_entries() {
        return Err(beyond(format!("it has more than {} entries", tally.most_entries())));
    }
    if archive.has_duplicate_names() {
        return Err(refused("it has two entries of the same name"));
    }
    if archive.has_overlapping_entries().map_err(zip_failure)? {
        return Err(damaged("entries in it overlap"));
    }
    for index in 0..archive.len() {
        tally.entry()?;
        let entry = archive.by_index(index).map_err(zip_failure)?;
        unpack_entry(entry, staging, tally)?;
    }
    Ok(())
}

fn unpack_entry<R: Read>(mut entry: ZipFile<'_, R>, staging: &Staging, tally: &mut Tally) -> Result<(), Failure> {
    let Some(path) = path_of(entry.name_raw())? else { return Ok(()) };
    let mode = entry.unix_mode().unwrap_or(REGULAR | 0o644);
    if entry.is_dir() {
        return staging.directory(&path);
    }
    match mode & KIND_OF_FILE {
        0 | REGULAR => {}
        DIRECTORY => return staging.directory(&path),
        SYMBOLIC_LINK => return unpack_link(entry, &path, staging, tally),
        _ => return Err(refused(format!("\"{path}\" is a device, a pipe or a socket"))),
    }
    let declared = entry.size();
    let length = staging.file(&path, mode, &mut entry, tally).map_err(|failure| within(&path, failure))?;
    if length != declared {
        return Err(damaged(format!("\"{path}\" has {length} bytes where {declared} are declared")));
    }
    Ok(())
}

fn unpack_link<R: Read>(
    entry: ZipFile<'_, R>,
    path: &RelativePath,
    staging: &Staging,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut target = Vec::new();
    let length = entry.take(LINK_LIMIT + 1).read_to_end(&mut target).map_err(unreadable)?;
    tally.bytes(length as u64)?;
    if length as u64 > LINK_LIMIT {
        return Err(refused(format!("\"{path}\" is a symbolic link of more than {LINK_LIMIT} bytes")));
    }
    staging.symbolic_link(path, text(&target)?)
}

/// Backslashes separate names, as in archives that Windows makes; names with a drive are not taken.
fn path_of(name: &[u8]) -> Result<Option<RelativePath>, Failure> {
    let name = text(name)?.replace('\\', "/");
    if let [drive, b':', ..] = name.as_bytes()
        && drive.is_ascii_alphabetic()
    {
        return Err(refused(format!("{name:?} begins with a drive")));
    }
    entry_path(&name)
}

fn within(path: &RelativePath, failure: Failure) -> Failure {
    Failure { what: format!("{} at \"{path}\"", failure.what), ..failure }
}

fn zip_failure(error: ZipError) -> Failure {
    match error {
        ZipError::Io(error) => unreadable(error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            refused("it is encrypted, and nothing here has its password")
        }
        ZipError::UnsupportedArchive(what) => refused(format!("it needs what is not known here: {what}")),
        ZipError::CompressionMethodNotSupported(method) => refused(format!(
            "it has entries that are compressed with method {method}; stored, Deflate, Deflate64 and Zstandard are known"
        )),
        other => damaged(format!("it is damaged ({other})")),
    }
}
