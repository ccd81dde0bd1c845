//! Files that are in this container: copied, or linked where the model server has the same volume.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc;
use walkdir::{DirEntry, WalkDir};

use super::{Content, Object, Source};
use crate::fetch::WORK_DIRECTORY;
use crate::relative::RelativePath;
use crate::{Failure, Kind};

/// What is read at a time.
const CHUNK: usize = 256 << 10;
/// How far the list of files runs ahead of whoever reads it.
const AHEAD: usize = 256;

/// A file, or the files below a directory. Links are followed.
#[derive(Debug, Clone)]
pub struct Local {
    root: PathBuf,
    name: String,
}

impl Local {
    /// The files at `root`, which is called `name` in messages.
    pub fn new(root: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self { root: root.into(), name: name.into() }
    }

    fn failed(&self, path: &Path, error: &io::Error) -> Failure {
        let what = format!("{}: {} cannot be read: {error}", self.name, path.display());
        match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::new(Kind::NotFound, what, "see whether the volume is mounted here and has that path")
            }
            io::ErrorKind::PermissionDenied => {
                Failure::new(Kind::Permission, what, "let the user of this container read it (fsGroup, or its mode)")
            }
            _ => Failure::new(Kind::Unavailable, what, "see whether the volume is in order"),
        }
    }

    /// Goes through everything, until nobody listens any more.
    fn walk(&self, found: &mpsc::Sender<Result<Object, Failure>>) {
        let mut is_empty = true;
        for entry in WalkDir::new(&self.root).follow_links(true).into_iter().filter_entry(is_content) {
            let object = entry.map_err(|error| self.broken(&error)).and_then(|entry| self.object(&entry));
            let Some(object) = object.transpose() else { continue };
            is_empty = false;
            let failed = object.is_err();
            if found.blocking_send(object).is_err() || failed {
                return;
            }
        }
        if is_empty {
            let what = format!("{}: there is no file in {}", self.name, self.root.display());
            let _ = found.blocking_send(Err(Failure::new(Kind::NotFound, what, "see whether the path is right")));
        }
    }

    fn broken(&self, error: &walkdir::Error) -> Failure {
        let path = error.path().unwrap_or(&self.root);
        match (error.loop_ancestor(), error.io_error()) {
            (Some(_), _) => {
                let what = format!("{}: the link {} leads in a circle", self.name, path.display());
                Failure::new(Kind::Integrity, what, "remove it")
            }
            (None, Some(error)) => self.failed(path, error),
            (None, None) => Failure::new(Kind::Internal, error.to_string(), ""),
        }
    }

    fn object(&self, entry: &DirEntry) -> Result<Option<Object>, Failure> {
        if entry.file_type().is_dir() {
            return Ok(None);
        }
        let path = entry.path();
        if !entry.file_type().is_file() {
            tracing::warn!("{}: {} is left out: it is no regular file", self.name, path.display());
            return Ok(None);
        }
        let metadata = entry.metadata().map_err(|error| self.broken(&error))?;
        let below = path.strip_prefix(&self.root).ok().filter(|below| !below.as_os_str().is_empty());
        let name = below.or_else(|| path.file_name().map(Path::new)).and_then(Path::to_str);
        let unusable = |reason: String| Failure::new(Kind::Integrity, reason, "rename it");
        let name = name.ok_or_else(|| unusable(format!("{}: {} is not UTF-8", self.name, path.display())))?;
        Ok(Some(Object {
            path: RelativePath::new(name).map_err(|error| unusable(format!("{}: {error}", self.name)))?,
            locator: name.to_owned(),
            size: Some(metadata.len()),
            version: Some(version(&metadata)),
            checksum: None,
        }))
    }
}

fn is_content(entry: &DirEntry) -> bool {
    entry.depth() == 0 || is_content_name(entry.file_name())
}

/// Kubernetes puts what a ConfigMap or a Secret holds into directories that begin with `..`, and links to them. And what we
/// have put beside a model is no part of it.
fn is_content_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    !name.starts_with(b"..") && !name.starts_with(WORK_DIRECTORY.as_bytes())
}

fn version(metadata: &std::fs::Metadata) -> String {
    format!("{}-{}.{:09}-{}", metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len())
}

#[async_trait]
impl Source for Local {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let (found, objects) = mpsc::channel(AHEAD);
        let walker = self.clone();
        tokio::task::spawn_blocking(move || walker.walk(&found));
        let next = |mut objects: mpsc::Receiver<_>| async { Some((objects.recv().await?, objects)) };
        stream::unfold(objects, next).boxed()
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        let is_single = self.root.is_file();
        let path = if is_single { self.root.clone() } else { self.root.join(&object.locator) };
        let failed = |error: io::Error| self.failed(&path, &error);
        let mut file = File::open(&path).await.map_err(failed)?;
        let metadata = file.metadata().await.map_err(failed)?;
        let version = version(&metadata);
        if object.version.as_ref().is_some_and(|listed| *listed != version) {
            let what = format!("{}: {} has changed since it was listed", self.name, path.display());
            return Err(Failure::new(Kind::Integrity, what, "start again when nobody writes to it"));
        }
        let range_asked = range.clone().unwrap_or(0..metadata.len());
        file.seek(io::SeekFrom::Start(range_asked.start)).await.map_err(failed)?;
        let source = self.clone();
        let left = range_asked.end.saturating_sub(range_asked.start);
        let bytes = stream::try_unfold((file, left), move |(mut file, left)| {
            let (source, path) = (source.clone(), path.clone());
            async move {
                let failed = |error: io::Error| source.failed(&path, &error);
                Ok(next_chunk(&mut file, left).await.map_err(failed)?.map(|chunk| {
                    let left = left - chunk.len() as u64;
                    (chunk, (file, left))
                }))
            }
        });
        Ok(Content {
            bytes: bytes.boxed(),
            size: Some(metadata.len()),
            version: Some(version),
            checksum: None,
            is_range: range.is_some(),
            content_type: None,
        })
    }
}

async fn next_chunk(file: &mut File, left: u64) -> io::Result<Option<Bytes>> {
    let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = vec![0; length];
    let read = file.read(&mut chunk).await?;
    chunk.truncate(read);
    Ok((read > 0).then(|| chunk.into()))
}

/// What was linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The names in the destination, in order.
    pub names: Vec<String>,
}

/// Links what is at `root` into `destination`, as KServe does with volumes: the model server has the volume at the same place.
/// What is linked already stays.
pub fn link(root: &Path, destination: &Path, name: &str) -> Result<Linked, Failure> {
    let source = Local::new(root, name);
    let failed = |path: &Path| {
        let path = path.to_owned();
        let source = &source;
        move |error: io::Error| source.failed(&path, &error)
    };
    let root = root.canonicalize().map_err(failed(root))?;
    let entries: Vec<PathBuf> = if root.is_dir() {
        let entries: io::Result<Vec<_>> = root.read_dir().map_err(failed(&root))?.collect();
        entries.map_err(failed(&root))?.iter().map(std::fs::DirEntry::path).collect()
    } else {
        vec![root.clone()]
    };
    std::fs::create_dir_all(destination).map_err(|error| unwritable(destination, &error))?;
    let mut names = Vec::new();
    for entry in entries {
        let Some(name) = entry.file_name().filter(|name| is_content_name(name)) else { continue };
        let link = destination.join(name);
        match std::os::unix::fs::symlink(&entry, &link) {
            Ok(()) => {}
            Err(_) if std::fs::read_link(&link).is_ok_and(|linked| linked == entry) => {}
            Err(error) => return Err(unwritable(&link, &error)),
        }
        names.push(name.to_string_lossy().into_owned());
    }
    if names.is_empty() {
        let what = format!("{}: there is nothing in {}", source.name, root.display());
        return Err(Failure::new(Kind::NotFound, what, "see whether the path is right"));
    }
    names.sort_unstable();
    Ok(Linked { names })
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let what = format!("{} cannot be made: {error}", path.display());
    Failure::new(Kind::DiskFull, what, "see whether the destination can be written, and is empty")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use futures::TryStreamExt as _;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    async fn listed(source: &Local) -> Result<Vec<(String, Option<u64>)>, Failure> {
        let mut objects: Vec<Object> = source.objects().try_collect().await?;
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(objects.into_iter().map(|object| (object.path.to_string(), object.size)).collect())
    }

    async fn text(source: &Local, object: &Object, range: Option<Range<u64>>) -> Result<String, Failure> {
        let chunks: Vec<Bytes> = source.read(object, range).await?.bytes.try_collect().await?;
        Ok(String::from_utf8(chunks.concat()).unwrap())
    }

    async fn first(source: &Local) -> Object {
        source.objects().try_next().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_directory_is_all_files_below_it_and_a_file_is_itself() {
        let directory = tree(&[("config.pbtxt", "name"), ("1/model.onnx", "weights")]);
        let all = listed(&Local::new(directory.path(), "file:///models")).await.unwrap();
        assert_eq!(all, [("1/model.onnx".to_owned(), Some(7)), ("config.pbtxt".to_owned(), Some(4))]);
        let single = Local::new(directory.path().join("1/model.onnx"), "file:///models/1/model.onnx");
        assert_eq!(listed(&single).await.unwrap(), [("model.onnx".to_owned(), Some(7))]);
        let object = first(&single).await;
        assert_eq!(text(&single, &object, None).await.unwrap(), "weights");
        assert_eq!(text(&single, &object, Some(2..5)).await.unwrap(), "igh");
    }

    #[tokio::test]
    async fn links_are_followed_as_config_maps_need_it_and_seen_once() {
        let directory = tree(&[("..2026/model.bin", "weights")]);
        symlink("..2026", directory.path().join("..data")).unwrap();
        symlink("..data/model.bin", directory.path().join("model.bin")).unwrap();
        let source = Local::new(directory.path(), "file:///models");
        assert_eq!(listed(&source).await.unwrap(), [("model.bin".to_owned(), Some(7))]);
        assert_eq!(text(&source, &first(&source).await, None).await.unwrap(), "weights");
    }

    #[tokio::test]
    async fn what_is_not_there_empty_or_endless_is_said() {
        let directory = tree(&[]);
        let kind = async |path: &Path| listed(&Local::new(path, "file:///models")).await.unwrap_err().kind;
        assert_eq!(kind(&directory.path().join("missing")).await, Kind::NotFound);
        assert_eq!(kind(directory.path()).await, Kind::NotFound);
        symlink(directory.path(), directory.path().join("again")).unwrap();
        assert_eq!(kind(directory.path()).await, Kind::Integrity);
    }

    #[tokio::test]
    async fn a_file_that_changed_is_not_read() {
        let directory = tree(&[("model.bin", "weights")]);
        let source = Local::new(directory.path(), "file:///models");
        let object = first(&source).await;
        fs::write(directory.path().join("model.bin"), "other weights").unwrap();
        assert_eq!(text(&source, &object, None).await.unwrap_err().kind, Kind::Integrity);
    }

    #[test]
    fn a_volume_is_linked_entry_by_entry_and_again_without_harm() {
        let (volume, destination) = (tree(&[("1/model.onnx", "weights"), ("config", "x")]), tree(&[]));
        for _ in 0..2 {
            let linked = link(volume.path(), destination.path(), "pvc://models").unwrap();
            assert_eq!(linked.names, ["1", "config"]);
        }
        assert_eq!(fs::read_to_string(destination.path().join("1/model.onnx")).unwrap(), "weights");
        assert!(destination.path().join("1").is_symlink());
    }

    #[test]
    fn what_is_in_the_way_of_a_link_is_left_alone() {
        let (volume, destination) = (tree(&[("model.bin", "new")]), tree(&[("model.bin", "old")]));
        let failure = link(volume.path(), destination.path(), "pvc://models").unwrap_err();
        assert_eq!(failure.kind, Kind::DiskFull);
        assert_eq!(fs::read_to_string(destination.path().join("model.bin")).unwrap(), "old");
        let missing = link(&volume.path().join("missing"), destination.path(), "pvc://models").unwrap_err();
        assert_eq!(missing.kind, Kind::NotFound);
    }
}
