//! The directory that an archive comes out into: of this process alone, written without ever following a link.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Unpacked;
use super::place::absent;
use super::tally::{Tally, is_zero};
use super::trouble::{cannot_write, damaged, refused};
use crate::failure::Failure;
use crate::relative::RelativePath;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// What names of these directories begin with.
const PREFIX: &str = "unpack-";

/// A directory that is gone with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    root: PathBuf,
    /// The directory that was written to last: files come in the order of their directories.
    last: RefCell<String>,
}

impl Staging {
    /// A new one in `work`, which is made if it is not there.
    pub(super) fn new(work: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(work).map_err(|error| cannot_write(work, &error))?;
        let path = work.join(format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| cannot_write(&path, &error))?;
        Ok(Self { root: path, last: RefCell::default() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// Makes a directory, and those above it.
    pub(super) fn directory(&self, path: &RelativePath) -> Result<(), Failure> {
        let mut at = self.root.clone();
        for name in path.as_str().split('/') {
            at.push(name);
            match fs::create_dir(&at) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.must_be_directory(&at)?,
                Err(error) => return Err(cannot_write(&at, &error)),
            }
        }
        Ok(())
    }

    fn must_be_directory(&self, path: &Path) -> Result<(), Failure> {
        let metadata = fs::symlink_metadata(path).map_err(|error| cannot_write(path, &error))?;
        if metadata.is_dir() {
            return Ok(());
        }
        let what = if metadata.is_symlink() { "a symbolic link" } else { "a file" };
        Err(refused(format!("\"{}\" is {what} and has entries below it", self.within(path).display())))
    }

    fn within<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// Makes the directory that something new at `path` goes to. Once it is one, nothing makes it anything else.
    fn parent(&self, path: &RelativePath) -> Result<(), Failure> {
        let Some((parent, _)) = path.as_str().rsplit_once('/') else { return Ok(()) };
        if *self.last.borrow() != parent {
            self.directory(&RelativePath::new(parent).map_err(|bad| refused(bad.to_string()))?)?;
            parent.clone_into(&mut self.last.borrow_mut());
        }
        Ok(())
    }

    /// Makes room for something new at `path`: what an earlier entry of the same name left goes.
    fn clear(&self, path: &RelativePath) -> Result<PathBuf, Failure> {
        self.parent(path)?;
        let at = path.below(&self.root);
        match fs::remove_file(&at) {
            Ok(()) => Ok(at),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(at),
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                Err(refused(format!("\"{path}\" is both a directory and something else")))
            }
            Err(error) => Err(cannot_write(&at, &error)),
        }
    }

    /// Writes a file. Of its mode only counts whether it can be executed. What is zero is left as a hole.
    pub(super) fn file(
        &self,
        path: &RelativePath,
        mode: u32,
        content: &mut dyn Read,
        tally: &mut Tally,
    ) -> Result<u64, Failure> {
        self.parent(path)?;
        let at = path.below(&self.root);
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let create = || OpenOptions::new().write(true).create_new(true).mode(mode).open(&at);
        let created = match create() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.clear(path)?;
                create()
            }
            created => created,
        };
        let mut file = created.map_err(|error| cannot_write(&at, &error))?;
        let mut ends_in_hole = false;
        let length = tally.copy(content, |bytes| {
            ends_in_hole = is_zero(bytes);
            write_or_skip(&mut file, bytes).map_err(|error| cannot_write(&at, &error))
        })?;
        if ends_in_hole {
            file.set_len(length).map_err(|error| cannot_write(&at, &error))?;
        }
        Ok(length)
    }

    /// Makes a symbolic link. Where it leads is looked at when everything is there: [`Self::inspect`].
    pub(super) fn symbolic_link(&self, path: &RelativePath, target: &str) -> Result<(), Failure> {
        if target.starts_with('/') || target.is_empty() || target.contains('\0') {
            return Err(leads_out(path.as_str(), target));
        }
        let at = self.clear(path)?;
        symlink(target, &at).map_err(|error| cannot_write(&at, &error))
    }

    /// Gives a file that is there already a second name.
    pub(super) fn hard_link(&self, path: &RelativePath, target: &RelativePath) -> Result<(), Failure> {
        if path == target {
            return Ok(());
        }
        let original = target.below(&self.root);
        let is_file = self.is_reached_without_links(target)
            && fs::symlink_metadata(&original).is_ok_and(|metadata| metadata.is_file());
        if !is_file {
            return Err(refused(format!("\"{path}\" is a hard link to \"{target}\", which is no file before it")));
        }
        let at = self.clear(path)?;
        fs::hard_link(&original, &at).map_err(|error| cannot_write(&at, &error))
    }

    fn is_reached_without_links(&self, path: &RelativePath) -> bool {
        let parents = path.as_str().match_indices('/').filter_map(|(end, _)| path.as_str().get(..end));
        parents
            .into_iter()
            .all(|parent| fs::symlink_metadata(self.root.join(parent)).is_ok_and(|metadata| metadata.is_dir()))
    }

    /// Takes something away, if it is there and no link leads to it.
    pub(super) fn remove(&self, path: &RelativePath) -> Result<(), Failure> {
        self.last.borrow_mut().clear();
        if !self.is_reached_without_links(path) {
            return Ok(());
        }
        let at = path.below(&self.root);
        let is_directory = fs::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_directory { fs::remove_dir_all(&at) } else { absent(fs::remove_file(&at)) };
        removed.map_err(|error| cannot_write(&at, &error))
    }

    /// Takes everything away.
    pub(super) fn empty(&self) -> Result<(), Failure> {
        self.last.borrow_mut().clear();
        fs::remove_dir_all(&self.root)
            .and_then(|()| DirBuilder::new().mode(0o700).create(&self.root))
            .map_err(|error| cannot_write(&self.root, &error))
    }

    /// Counts the files, and holds all symbolic links against where they really lead: to something in here.
    pub(super) fn inspect(&self) -> Result<Unpacked, Failure> {
        let root = fs::canonicalize(&self.root).map_err(|error| cannot_write(&self.root, &error))?;
        let mut unpacked = Unpacked::default();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).map_err(|error| cannot_write(&directory, &error))? {
                let entry = entry.map_err(|error| cannot_write(&directory, &error))?;
                let metadata = entry.metadata().map_err(|error| cannot_write(&entry.path(), &error))?;
                if metadata.is_dir() {
                    directories.push(entry.path());
                } else if metadata.is_symlink() {
                    check_link(&root, &entry.path())?;
                } else {
                    unpacked.files += 1;
                    unpacked.bytes = unpacked.bytes.saturating_add(metadata.len());
                }
            }
        }
        Ok(unpacked)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Removes what a process that was killed has left in `work`.
pub(super) fn clean(work: &Path) {
    for entry in fs::read_dir(work).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn check_link(root: &Path, link: &Path) -> Result<(), Failure> {
    let name = link.strip_prefix(root).unwrap_or(link).display().to_string();
    let target = fs::read_link(link).map(|target| target.display().to_string()).unwrap_or_default();
    match fs::canonicalize(link) {
        Ok(real) if real.starts_with(root) => Ok(()),
        Ok(_) => Err(leads_out(&name, &target)),
        Err(_) => Err(refused(format!("\"{name}\" is a symbolic link to \"{target}\", which is not in it"))),
    }
}

fn leads_out(link: &str, target: &str) -> Failure {
    refused(format!("\"{link}\" is a symbolic link to \"{target}\", which leads out of the destination"))
}

fn write_or_skip(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if is_zero(bytes) {
        return file.seek(SeekFrom::Current(i64::try_from(bytes.len()).unwrap_or(i64::MAX))).map(drop);
    }
    file.write_all(bytes)
}

/// The text of a name; archives may have any bytes.
pub(super) fn text(name: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(name).map_err(|_| {
        let shown: String = String::from_utf8_lossy(name).chars().take(200).collect();
        refused(format!("the name {shown:?} in it is not UTF-8"))
    })
}

/// The path of an entry; none for that of the archive's own directory, `./`.
pub(super) fn entry_path(name: &str) -> Result<Option<RelativePath>, Failure> {
    if !name.is_empty() && name.split('/').all(|part| matches!(part, "" | ".")) {
        return Ok(None);
    }
    let path = RelativePath::new(name).map_err(|bad| refused(bad.to_string()))?;
    let first = path.as_str().split('/').next().unwrap_or_default();
    if first.starts_with(crate::fetch::WORK_DIRECTORY) {
        return Err(damaged(format!("\"{path}\" is where unfinished files are kept")));
    }
    Ok(Some(path))
}
