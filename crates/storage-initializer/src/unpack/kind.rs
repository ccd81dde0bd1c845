//! Which files are archives: their names say so, or the type that was declared; their first bytes have the last word.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use super::BUFFER;
use super::tally::fill;
use super::tarball::{BLOCK, is_header};
use super::trouble::{cannot_read, damaged, unreadable};
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

const NAMES: [(&str, Archive); 8] = [
    (".zip", Archive::Zip),
    (".tar", Archive::Tar),
    (".tar.gz", Archive::TarGz),
    (".tgz", Archive::TarGz),
    (".tar.zst", Archive::TarZst),
    (".tar.zstd", Archive::TarZst),
    (".tzst", Archive::TarZst),
    (".taz", Archive::TarGz),
];

/// Formats of models that are archives inside, and are read as they are, whatever type a server declares.
const MODELS: [&str; 12] =
    [".bin", ".jar", ".keras", ".mar", ".nemo", ".npz", ".pt", ".pth", ".ptl", ".skops", ".war", ".whl"];

impl Archive {
    /// What a file should be, by its name, and where that says nothing, by its declared type.
    pub fn of(name: &str, content_type: Option<&str>) -> Option<Self> {
        Self::named(name).or_else(|| Self::declared(name, content_type?))
    }

    fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        NAMES.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, kind)| *kind)
    }

    fn declared(name: &str, content_type: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if MODELS.iter().any(|ending| name.ends_with(ending)) {
            return None;
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/zip" | "application/x-zip" | "application/x-zip-compressed" | "application/zip-compressed" => {
                Some(Self::Zip)
            }
            "application/tar" | "application/x-tar" | "application/x-gtar" => Some(Self::Tar),
            "application/gzip"
            | "application/x-gzip"
            | "application/x-tgz"
            | "application/x-gtar-compressed"
            | "application/x-compressed-tar"
            | "application/tar+gzip" => Some(Self::TarGz),
            "application/zstd"
            | "application/x-zstd"
            | "application/x-zstd-compressed-tar"
            | "application/tar+zstd" => Some(Self::TarZst),
            _ => None,
        }
    }
}

/// What archive the file at `path` is, if it is called one, or was declared one.
///
/// What its bytes are counts: `model.tar.gz` that a server has unpacked on the way is a tar. A file that is called an
/// archive and is none is a failure; one that was only declared to be an archive, such as a `.gz` of a single file, stays
/// as it is.
pub fn archive_in(path: &Path, name: &str, content_type: Option<&str>) -> Result<Option<Archive>, Failure> {
    if Archive::of(name, content_type).is_none() {
        return Ok(None);
    }
    let found = kind_of(path);
    if Archive::named(name).is_none() {
        return Ok(found.ok().flatten());
    }
    let about = |failure: Failure| Failure { what: format!("{name} cannot be unpacked: {}", failure.what), ..failure };
    match found.map_err(about)? {
        Some(kind) => Ok(Some(kind)),
        None => Err(no_archive(name, &beginning(&mut open(path)?, path)?)),
    }
}

/// What archive the file at `path` is, by its bytes alone.
pub fn kind_of(path: &Path) -> Result<Option<Archive>, Failure> {
    let mut file = open(path)?;
    let beginning = beginning(&mut file, path)?;
    file.rewind().map_err(|error| cannot_read(path, &error))?;
    match beginning.as_slice() {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Ok(Some(Archive::Zip)),
        [0x1f, 0x8b, ..] => {
            let content = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file));
            holds_tar(content).map(|is_tar| is_tar.then_some(Archive::TarGz))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let content = zstd::Decoder::new(file).map_err(unreadable)?;
            holds_tar(content).map(|is_tar| is_tar.then_some(Archive::TarZst))
        }
        beginning => Ok(is_header(beginning).then_some(Archive::Tar)),
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| cannot_read(path, &error))
}

fn beginning(file: &mut File, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut beginning = vec![0; BLOCK];
    let length = fill(file, &mut beginning).map_err(|error| cannot_read(path, &error))?;
    beginning.truncate(length);
    Ok(beginning)
}

fn holds_tar(mut content: impl Read) -> Result<bool, Failure> {
    let mut block = [0; BLOCK];
    let length = fill(&mut content, &mut block).map_err(unreadable)?;
    Ok(is_header(block.get(..length).unwrap_or_default()))
}

fn no_archive(name: &str, beginning: &[u8]) -> Failure {
    let is_page = beginning.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
    match (beginning.is_empty(), is_page) {
        (true, _) => damaged(format!("{name} is empty, and no archive")),
        (_, true) => Failure {
            advice: "open the address in a browser: a page may ask to log in".to_owned(),
            ..damaged(format!("{name} is a page of a web site, and no archive"))
        },
        _ => damaged(format!("{name} is neither a zip file nor a tar")),
    }
}
