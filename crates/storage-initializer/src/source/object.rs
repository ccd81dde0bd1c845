//! Objects of S3, Google Cloud Storage and Azure.
//!
//! A key names an object, if there is one with exactly that key, and else all objects below it: `iris` takes `iris/1` and
//! never `iris-old`. An empty object does not stand in the way of those below it; some tools write one for a directory.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Attribute, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore};

use super::{Content, Object, Source};
use crate::checksum::Checksum;
use crate::relative::{BadPath, RelativePath};
use crate::{Failure, Kind};

mod checksums;
mod failures;
mod open;
mod refusal;
mod transport;

pub use open::open;

use checksums::{Dialect, version};
use failures::translated;
use transport::AnswerHeaders;

/// How many empty objects of a page are looked at at a time.
const LOOKS: usize = 16;

/// An object, or all objects below a prefix.
pub struct ObjectSource {
    store: Box<dyn ObjectStore>,
    dialect: Dialect,
    /// `s3://bucket`
    bucket: String,
    key: String,
}

impl fmt::Debug for ObjectSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectSource").field("bucket", &self.bucket).field("key", &self.key).finish_non_exhaustive()
    }
}

/// What is at exactly the key.
enum Exact {
    Object(Object),
    /// An object without content.
    Empty(Object),
    /// Nothing, or we may not know: then why.
    Missing(Option<Failure>),
}

#[async_trait]
impl Source for ObjectSource {
    fn name(&self) -> String {
        self.locator(&self.key)
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        stream::once(self.listed()).try_flatten().boxed()
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        let path = self.path(&object.locator)?;
        let is_range = range.is_some();
        let options = GetOptions {
            if_match: object.version.clone(),
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let result = self.store.get_opts(&path, options).await.map_err(|error| translated(&object.locator, error))?;
        let content = self.content(&object.locator, result, is_range);
        // For servers that heed no `If-Match`.
        if object.version.is_some() && content.version.is_some() && object.version != content.version {
            return Err(changed(&object.locator));
        }
        Ok(content)
    }

    async fn checksum(&self, object: &Object) -> Option<Checksum> {
        if !self.dialect.tells_of_whole_objects_only() {
            return None;
        }
        let told = self.head(&self.path(&object.locator).ok()?).await;
        let told = told.inspect_err(|failure| tracing::debug!(%failure, "the checksum is not told"));
        let result = told.ok()??;
        self.checksum_of(&result).filter(|_| object.version == version(result.meta.e_tag.clone()))
    }
}

impl ObjectSource {
    async fn listed(&self) -> Result<BoxStream<'_, Result<Object, Failure>>, Failure> {
        let exact = match self.exact().await? {
            Exact::Object(object) => return Ok(stream::once(ready(Ok(object))).boxed()),
            exact => exact,
        };
        let mut below = self.below()?;
        match (below.next().await, exact) {
            (Some(first), _) => Ok(stream::once(ready(first)).chain(below).boxed()),
            (None, Exact::Object(object) | Exact::Empty(object)) => Ok(stream::once(ready(Ok(object))).boxed()),
            (None, Exact::Missing(Some(failure))) => Err(failure),
            (None, Exact::Missing(None)) => Err(self.nothing()),
        }
    }

    async fn exact(&self) -> Result<Exact, Failure> {
        if self.key.is_empty() || self.key.ends_with('/') {
            return Ok(Exact::Missing(None));
        }
        let locator = self.name();
        match self.head(&self.path(&locator)?).await {
            Ok(Some(result)) => {
                let name = self.key.rsplit('/').next().unwrap_or_default();
                let object = Object {
                    path: RelativePath::new(name).map_err(|bad| unfit(&locator, &bad))?,
                    size: Some(result.meta.size),
                    version: version(result.meta.e_tag.clone()),
                    checksum: self.checksum_of(&result),
                    locator,
                };
                Ok(if result.meta.size == 0 { Exact::Empty(object) } else { Exact::Object(object) })
            }
            Ok(None) => Ok(Exact::Missing(None)),
            // The answer to HEAD hardly says why. A list does, and may be allowed where this is not.
            Err(failure) if !failure.is_transient => Ok(Exact::Missing(Some(failure))),
            Err(failure) => Err(failure),
        }
    }

    /// What is below the key, as pages come.
    fn below(&self) -> Result<BoxStream<'_, Result<Object, Failure>>, Failure> {
        let prefix = self.path(&self.name())?;
        let listed = self.store.list(Some(&prefix));
        let objects = listed.map_err(|error| translated(&self.name(), error)).map_ok(move |meta| {
            let prefix = prefix.clone();
            async move { self.object(&prefix, meta).await }
        });
        Ok(objects.try_buffered(LOOKS).try_filter_map(|object| ready(Ok(object))).boxed())
    }

    /// An object of a list; none where it stands for a directory.
    async fn object(&self, prefix: &Path, meta: ObjectMeta) -> Result<Option<Object>, Failure> {
        let key = meta.location.as_ref();
        let locator = self.locator(key);
        if meta.size == 0 && self.is_directory(prefix, &meta.location).await? {
            return Ok(None);
        }
        let inner = key.strip_prefix(prefix.as_ref()).unwrap_or(key);
        let path = RelativePath::new(inner).map_err(|bad| unfit(&locator, &bad))?;
        Ok(Some(Object { path, size: Some(meta.size), version: version(meta.e_tag), checksum: None, locator }))
    }

    /// `object_store` drops the `/` at a key's end, so `sub/` comes as `sub`, which is not there. Azure marks with metadata.
    async fn is_directory(&self, prefix: &Path, location: &Path) -> Result<bool, Failure> {
        if location == prefix {
            return Ok(true);
        }
        let Some(found) = self.head(location).await? else { return Ok(true) };
        let mark = found.attributes.get(&Attribute::Metadata("hdi_isfolder".into()));
        Ok(mark.is_some_and(|mark| mark.eq_ignore_ascii_case("true")))
    }

    async fn head(&self, path: &Path) -> Result<Option<GetResult>, Failure> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(path, options).await {
            Ok(result) => Ok(Some(result)),
            Err(error) => match translated(&self.locator(path.as_ref()), error) {
                failure if failure.kind == Kind::NotFound => Ok(None),
                failure => Err(failure),
            },
        }
    }

    fn content(&self, locator: &str, result: GetResult, is_range: bool) -> Content {
        let locator = locator.to_owned();
        Content {
            size: Some(result.meta.size),
            version: version(result.meta.e_tag.clone()),
            checksum: self.checksum_of(&result),
            is_range,
            content_type: result.attributes.get(&Attribute::ContentType).map(|kind| kind.to_string()),
            bytes: result.into_stream().map_err(move |error| translated(&locator, error)).boxed(),
        }
    }

    fn checksum_of(&self, result: &GetResult) -> Option<Checksum> {
        let AnswerHeaders(headers) = result.extensions.get()?;
        self.dialect.checksum(headers)
    }

    fn locator(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket)
    }

    fn path(&self, locator: &str) -> Result<Path, Failure> {
        let key = locator.strip_prefix(&self.bucket).unwrap_or(locator);
        Path::parse(key).map_err(|error| translated(locator, error.into()))
    }

    fn nothing(&self) -> Failure {
        let name = self.name();
        let what = format!("{name}: there is no object with this key, and none below it");
        Failure::new(Kind::NotFound, what, "see whether the bucket and the key are right")
    }
}

fn changed(locator: &str) -> Failure {
    let what = format!("{locator} has changed since it was listed");
    Failure::new(Kind::Integrity, what, "start again, when nobody writes it")
}

fn unfit(locator: &str, bad: &BadPath) -> Failure {
    Failure::new(Kind::Integrity, format!("{locator}: {bad}"), "copy it to a key that makes a path")
}
