//! Archives good and hostile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::failure::Kind;

mod bytes;
mod fuzz;
mod kinds;
mod layers;
mod real;
mod tars;
mod zips;

/// A directory with an archive in it, and what it is unpacked to.
struct Place {
    directory: TempDir,
    archive: PathBuf,
}

const BOUNDS: Bounds = Bounds { bytes: 64 << 20, entries: 1000 };

impl Place {
    fn with(archive: &[u8]) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("archive");
        fs::write(&path, archive).unwrap();
        Self { archive: path, directory }
    }

    fn destination(&self) -> PathBuf {
        self.directory.path().join("models")
    }

    fn unpack(&self, kind: Archive) -> Result<Unpacked, Failure> {
        self.unpack_within(kind, BOUNDS)
    }

    fn unpack_within(&self, kind: Archive, bounds: Bounds) -> Result<Unpacked, Failure> {
        let work = self.directory.path().join("work");
        let result = unpack(&self.archive, kind, &self.destination(), &work, bounds);
        assert_eq!(fs::read_dir(&work).unwrap().count(), 0, "nothing is left in the work directory");
        let beside: Vec<_> =
            fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(
            beside.iter().all(|name| ["archive", "models", "work"].iter().any(|known| name == known)),
            "nothing is written elsewhere: {beside:?}"
        );
        result
    }

    /// What it says when it is not unpacked; and then nothing of it is there.
    fn refusal(&self, kind: Archive) -> String {
        let failure = self.unpack(kind).unwrap_err();
        assert_eq!(failure.kind, Kind::Integrity, "{failure}");
        assert!(!self.destination().exists(), "all or nothing");
        failure.to_string()
    }

    /// All that is at the destination: files with their content, links with `-> ` and where they lead, directories with `/`.
    fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        collect(&self.destination(), "", &mut tree);
        tree
    }
}

fn collect(directory: &Path, prefix: &str, tree: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            tree.insert(format!("{name}/"), String::new());
            collect(&entry.path(), &format!("{name}/"), tree);
        } else if kind.is_symlink() {
            tree.insert(name, format!("-> {}", fs::read_link(entry.path()).unwrap().display()));
        } else {
            tree.insert(name, String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned());
        }
    }
}

fn tree(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}
