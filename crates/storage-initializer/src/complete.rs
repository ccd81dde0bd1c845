//! What says that a destination is complete: a container that is started again, as it is after a restart of its node, then
//! fetches nothing.
//!
//! It holds for one list of objects, all of which have a version or a checksum: what says nothing of its content may be
//! another content each time.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::checksum::Checksum;
use crate::source::{Content, Object, SharedSource, Source};
use crate::unpack::{Bounds, Unpacked};
use crate::{Failure, Kind};

/// Below the destination.
pub const MARKER: &str = ".storage-initializer.json";
/// Nothing that we write is longer.
const MARKER_LIMIT: u64 = 64 << 10;

/// What a list says in all, in whatever order it says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marker {
    /// What was fetched.
    pub source: String,
    /// How many objects.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// A sum over all objects, in hexadecimal digits.
    pub objects: String,
    /// Whether the files are what came out of archives.
    pub is_unpacked: bool,
}

/// A list as far as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    files: u64,
    bytes: u64,
    objects: u128,
    is_vague: bool,
}

impl Tally {
    fn add(&mut self, object: &Object) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(object.size.unwrap_or(0));
        self.is_vague |= object.version.is_none() && object.checksum.is_none();
        let checksum = object.checksum.as_ref().map(ToString::to_string);
        let text = serde_json::json!([object.path.as_str(), object.size, object.version, checksum]).to_string();
        let digest: [u8; 32] = Sha256::digest(text).into();
        let (half, _) = digest.split_at(16);
        let number = half.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        self.objects = self.objects.wrapping_add(number);
    }

    fn marker(self, source: String, is_unpacked: bool) -> Option<Marker> {
        let objects = format!("{:032x}", self.objects);
        let Self { files, bytes, is_vague, .. } = self;
        (!is_vague && files > 0).then_some(Marker { source, files, bytes, objects, is_unpacked })
    }
}

/// A source whose last complete list is remembered in all.
pub struct Listed {
    source: SharedSource,
    last: Mutex<Option<Tally>>,
}

impl Listed {
    /// Listens to `source`.
    pub fn new(source: SharedSource) -> Self {
        Self { source, last: Mutex::default() }
    }

    fn last(&self) -> Option<Tally> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for Listed {
    fn name(&self) -> String {
        self.source.name()
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let end = futures::stream::once(async { None });
        let listed = self.source.objects().map(Some).chain(end);
        let told = listed.scan(Tally::default(), |tally, object| {
            match &object {
                Some(Ok(object)) => tally.add(object),
                Some(Err(_)) => {}
                None => *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(*tally),
            }
            std::future::ready(object)
        });
        told.boxed()
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        self.source.read(object, range).await
    }

    async fn checksum(&self, object: &Object) -> Option<Checksum> {
        self.source.checksum(object).await
    }

    fn has_ranges(&self) -> bool {
        self.source.has_ranges()
    }

    async fn finish(&self, destination: &Path, bounds: Bounds) -> Result<Option<Unpacked>, Failure> {
        self.source.finish(destination, bounds).await
    }
}

impl Marker {
    /// The marker for what was fetched from `source`, if it can have one.
    pub fn of(source: &Listed, is_unpacked: bool) -> Option<Self> {
        source.last()?.marker(source.name(), is_unpacked)
    }

    /// The marker in a destination; none where there is none that can be read.
    pub async fn read(destination: &Path) -> Option<Self> {
        let file = destination.join(MARKER);
        let metadata = tokio::fs::symlink_metadata(&file).await.ok()?;
        if !metadata.is_file() || metadata.len() > MARKER_LIMIT {
            return None;
        }
        serde_json::from_slice(&tokio::fs::read(&file).await.ok()?).ok()
    }

    /// Whether the destination has all that `source` lists now.
    pub async fn holds(&self, source: &Listed, destination: &Path) -> Result<bool, Failure> {
        if self.source != source.name() {
            return Ok(false);
        }
        let mut objects = source.objects();
        while let Some(object) = objects.try_next().await? {
            if !self.is_unpacked && !is_there(&object, destination).await {
                return Ok(false);
            }
        }
        Ok(Self::of(source, self.is_unpacked).as_ref() == Some(self))
    }

    /// Removes it, before anything in the destination becomes another: half of a change is no complete destination.
    pub async fn remove(destination: &Path) -> Result<(), Failure> {
        let file = destination.join(MARKER);
        match tokio::fs::remove_file(&file).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("{} cannot be removed: {error}", file.display());
                Err(Failure::new(Kind::DiskFull, what, "see whether the destination can be written"))
            }
            _ => Ok(()),
        }
    }

    /// Writes it. A destination without one is as good; it is only fetched again.
    pub async fn write(&self, destination: &Path) {
        let (file, partial) = (destination.join(MARKER), destination.join(format!("{MARKER}.part")));
        let text = serde_json::to_vec(self).unwrap_or_default();
        let written = async {
            tokio::fs::write(&partial, text).await?;
            tokio::fs::rename(&partial, &file).await
        };
        if let Err(error) = written.await {
            tracing::debug!("{} cannot be written: {error}", file.display());
        }
    }
}

async fn is_there(object: &Object, destination: &Path) -> bool {
    let metadata = tokio::fs::symlink_metadata(object.path.below(destination)).await;
    metadata.is_ok_and(|metadata| metadata.is_file() && object.size.is_none_or(|size| size == metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::source::local::Local;

    fn source(directory: &Path) -> Listed {
        Listed::new(Arc::new(Local::new(directory, "file:///models")))
    }

    /// A source, and a destination that has all of it.
    async fn complete() -> (tempfile::TempDir, tempfile::TempDir, Marker) {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for directory in [&from, &to] {
            fs::write(directory.path().join("a"), "weights").unwrap();
            fs::write(directory.path().join("b"), "more").unwrap();
        }
        let source = source(from.path());
        let _: Vec<Object> = source.objects().try_collect().await.unwrap();
        let marker = Marker::of(&source, false).unwrap();
        marker.write(to.path()).await;
        (from, to, marker)
    }

    async fn holds(from: &Path, to: &Path) -> bool {
        Marker::read(to).await.unwrap().holds(&source(from), to).await.unwrap()
    }

    /// A source that answers nothing as sources do by default.
    struct Peculiar;

    #[async_trait]
    impl Source for Peculiar {
        fn name(&self) -> String {
            "peculiar".to_owned()
        }

        fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
            futures::stream::empty().boxed()
        }

        async fn read(&self, _: &Object, _: Option<Range<u64>>) -> Result<Content, Failure> {
            Err(Failure::new(crate::Kind::NotFound, "read", ""))
        }

        async fn checksum(&self, _: &Object) -> Option<Checksum> {
            Some(Checksum::Crc32(7))
        }

        fn has_ranges(&self) -> bool {
            false
        }

        async fn finish(&self, _: &Path, _: Bounds) -> Result<Option<Unpacked>, Failure> {
            Err(Failure::new(crate::Kind::NotFound, "finish", ""))
        }
    }

    #[tokio::test]
    async fn who_is_listened_to_answers_everything_itself() {
        let listed = Listed::new(Arc::new(Peculiar));
        let path = crate::relative::RelativePath::new("a").unwrap();
        let object = Object { path, locator: "a".to_owned(), size: None, version: None, checksum: None };
        assert_eq!((listed.name(), listed.has_ranges()), ("peculiar".to_owned(), false));
        assert_eq!(listed.checksum(&object).await, Some(Checksum::Crc32(7)));
        assert_eq!(listed.read(&object, None).await.unwrap_err().what, "read");
        assert_eq!(listed.finish(Path::new("/"), Bounds { bytes: 1, entries: 1 }).await.unwrap_err().what, "finish");
        assert!(listed.objects().next().await.is_none());
    }

    #[tokio::test]
    async fn a_destination_with_all_that_is_listed_is_complete() {
        let (from, to, marker) = complete().await;
        assert_eq!((marker.files, marker.bytes), (2, 11));
        assert!(holds(from.path(), to.path()).await);
        assert!(!to.path().join(format!("{MARKER}.part")).exists());
    }

    #[tokio::test]
    async fn it_is_not_when_a_file_is_gone_or_has_another_length() {
        let (from, to, _) = complete().await;
        fs::write(to.path().join("b"), "less").unwrap();
        assert!(holds(from.path(), to.path()).await);
        fs::write(to.path().join("b"), "other length").unwrap();
        assert!(!holds(from.path(), to.path()).await);
        fs::remove_file(to.path().join("b")).unwrap();
        assert!(!holds(from.path(), to.path()).await);
    }

    #[tokio::test]
    async fn it_is_not_when_the_source_has_changed_or_is_another() {
        let (from, to, marker) = complete().await;
        let other = Marker { source: "file:///other".to_owned(), ..marker };
        assert!(!other.holds(&source(from.path()), to.path()).await.unwrap());
        fs::write(from.path().join("a"), "WEIGHTS").unwrap();
        assert!(!holds(from.path(), to.path()).await);
    }

    #[tokio::test]
    async fn a_marker_that_is_broken_is_none() {
        let (_, to, _) = complete().await;
        fs::write(to.path().join(MARKER), "{").unwrap();
        assert_eq!(Marker::read(to.path()).await, None);
    }

    #[test]
    fn what_says_nothing_of_its_content_has_no_marker() {
        let mut tally = Tally::default();
        let path = crate::relative::RelativePath::new("model.bin").unwrap();
        tally.add(&Object { path, locator: "x".to_owned(), size: Some(1), version: None, checksum: None });
        assert_eq!(tally.marker("x".to_owned(), false), None);
    }
}
