//! Who has the model: one trait, an implementation a kind of storage, one suite of tests that all of them pass.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::checksum::Checksum;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};
use crate::relative::RelativePath;
use crate::unpack::{Bounds, Unpacked};
use crate::uri::SourceUri;

pub mod credentials;
pub mod http;
pub mod hub;
pub mod local;
pub mod network;
pub mod object;
pub mod oci;
pub mod retry;
mod wire;

/// Something to be downloaded: one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where it goes below the destination.
    pub path: RelativePath,
    /// How the source calls it: a key, a URL, a digest. Also part of the name of its partial file, so it must not have
    /// credentials.
    pub locator: String,
    /// Its length in bytes, where the source says.
    pub size: Option<u64>,
    /// What changes when the object changes: an ETag, a generation, a digest. Parts of two versions are never mixed.
    pub version: Option<String>,
    /// The checksum that the list gives.
    pub checksum: Option<Checksum>,
}

/// The bytes of an object, or of a range of it.
pub struct Content {
    /// The bytes, in order. A stream that ends early, or is reset, is for the reader to notice.
    pub bytes: BoxStream<'static, Result<Bytes, Failure>>,
    /// The length of the whole object, where the answer says.
    pub size: Option<u64>,
    /// The version that the answer is of.
    pub version: Option<String>,
    /// The checksum of the whole object, where the answer says.
    pub checksum: Option<Checksum>,
    /// Whether the answer is the range that was asked for; a source that knows no ranges answers with everything.
    pub is_range: bool,
    /// The declared type, for sources that know one.
    pub content_type: Option<String>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("size", &self.size).field("version", &self.version).finish_non_exhaustive()
    }
}

/// Who has objects.
///
/// Retries of requests that got no answer, or 5xx and 429, are the source's own, with backoff and jitter and heeding
/// `Retry-After`; a stream of bytes that breaks is for [`crate::fetch`] to go on with.
#[async_trait]
pub trait Source: Send + Sync {
    /// What is downloaded, for messages: a URI without credentials.
    fn name(&self) -> String;

    /// All objects, as pages come: the list is never held as a whole. Nothing at all is for the source to report as
    /// [`crate::Kind::NotFound`].
    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>>;

    /// Reads an object, or a range of it, in the version that was listed. A version that is there no longer is
    /// [`crate::Kind::Integrity`].
    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure>;

    /// The checksum of an object as a whole, where neither the list tells it nor the answers about its ranges do, and it can
    /// be had for a request. What comes of the object tells what is wrong with it, if anything is.
    async fn checksum(&self, object: &Object) -> Option<Checksum> {
        let _ = object;
        None
    }

    /// Whether ranges can be asked for. Where they cannot, files are read whole and start anew when they break.
    fn has_ranges(&self) -> bool {
        true
    }

    /// What is left to do once everything that was listed is in place below `destination`: an image's layers are unpacked
    /// here. Called after [`crate::fetch`], before a single file is looked at for being an archive. Says what came of it,
    /// where that is not what was downloaded.
    async fn finish(&self, destination: &Path, bounds: Bounds) -> Result<Option<Unpacked>, Failure> {
        let _ = (destination, bounds);
        Ok(None)
    }
}

/// A source that tasks share.
pub type SharedSource = Arc<dyn Source>;

/// Who has what the URI names. Of a registry's URI nobody has anything, and of a volume's it is where that is mounted.
pub async fn open(
    uri: &SourceUri,
    environment: &Environment,
    network: &network::Network,
    images: &oci::OciOptions,
) -> Result<SharedSource, Failure> {
    let environment = &credentials::storage_spec::apply(environment)?;
    match uri {
        SourceUri::Object(uri) => Ok(Arc::new(object::open(uri, environment, network).await?)),
        SourceUri::Http(url) => Ok(Arc::new(http::HttpSource::open(url, environment, network)?)),
        SourceUri::Hub(uri) => Ok(Arc::new(hub::HubSource::open(uri, environment, network)?)),
        SourceUri::Oci(uri) => Ok(Arc::new(oci::OciSource::open(uri, environment, network, images)?)),
        SourceUri::File(path) => Ok(Arc::new(local::Local::new(path, uri.to_string()))),
        SourceUri::Registry(_) | SourceUri::Pvc { .. } => {
            let what = format!("{uri} names no place that can be read");
            Err(Failure::new(Kind::Usage, what, "resolve it first"))
        }
    }
}
