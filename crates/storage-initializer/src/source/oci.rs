//! `oci://`: what a container registry has, over the distribution API.
//!
//! An artifact is files: a layer with a title is one. An image is a tree, of which the part below `/models` is the model
//! (KServe calls such an image a ModelCar): its layers are downloaded as they are, and unpacked in the end. What a manifest
//! names has a digest, and is held against it.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::OnceCell;

use super::network::Network;
use super::wire;
use super::{Content, Object, Source};
use crate::environment::Environment;
use crate::unpack::{self, Bounds, Unpacked};
use crate::uri::OciUri;
use crate::{Failure, Kind};

mod client;
mod credentials;
mod manifest;
mod plan;

use client::RegistryClient;
pub use manifest::Platform;
use plan::{Plan, Step};

/// Below the destination, where layers are kept until they are unpacked.
pub const LAYERS: &str = ".storage-initializer-layers";

/// What is set for container registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OciOptions {
    /// A Docker configuration with credentials; by default that of the environment.
    pub auth_file: Option<std::path::PathBuf>,
    /// Registries (`host` or `host:port`) that are asked without TLS. Those on this very host always are.
    pub plain_http: Vec<String>,
    /// The platform of an image that is there for several. By default this one, and where it is missing, any: models are
    /// the same everywhere.
    pub platform: Option<Platform>,
}

/// An image or an artifact.
pub struct OciSource {
    name: String,
    uri: OciUri,
    platform: Option<Platform>,
    client: RegistryClient,
    plan: OnceCell<Plan>,
}

impl fmt::Debug for OciSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OciSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OciSource {
    /// What `uri` names. Nothing is asked of anybody yet.
    pub fn open(
        uri: &OciUri,
        environment: &Environment,
        network: &Network,
        options: &OciOptions,
    ) -> Result<Self, Failure> {
        let separator = if uri.reference.contains(':') { '@' } else { ':' };
        let name = format!("oci://{}/{}{separator}{}", uri.host, uri.repository, uri.reference);
        let client = RegistryClient::new(uri, environment, network, options, &name)?;
        Ok(Self { name, uri: uri.clone(), platform: options.platform.clone(), client, plan: OnceCell::new() })
    }

    async fn plan(&self) -> Result<&Plan, Failure> {
        self.plan
            .get_or_try_init(|| async {
                let manifest = manifest::find(&self.client, &self.uri.reference, self.platform.as_ref()).await?;
                plan::of(&manifest, &self.name)
            })
            .await
    }
}

#[async_trait]
impl Source for OciSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let steps = async move {
            let steps = match self.plan().await {
                Ok(plan) => plan.steps.iter().map(|step| Ok(step.object.clone())).collect(),
                Err(failure) => vec![Err(failure)],
            };
            stream::iter(steps)
        };
        stream::once(steps).flatten().boxed()
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        let response = self.client.blob(&object.locator, range.as_ref()).await?;
        wire::content(&format!("{} ({})", self.name, object.locator), response, object, range.as_ref())
    }

    async fn finish(&self, destination: &Path, bounds: Bounds) -> Result<Option<Unpacked>, Failure> {
        let plan = self.plan().await?;
        let (packed, plain): (Vec<&Step>, Vec<&Step>) = plan.steps.iter().partition(|step| step.placement.is_some());
        if packed.is_empty() {
            return Ok(None);
        }
        let blobs = packed.into_iter().map(|step| step.blob(destination)).collect::<Result<Vec<_>, _>>()?;
        let (destination, work) = (destination.to_owned(), destination.join(LAYERS));
        let unpacked = tokio::task::spawn_blocking(move || {
            let unpacked = unpack::unpack_blobs(&blobs, &destination, &work, bounds)?;
            let _ = std::fs::remove_dir_all(&work);
            Ok::<_, Failure>(unpacked)
        });
        let unpacked = unpacked.await.map_err(|error| Failure::new(Kind::Internal, error.to_string(), ""))??;
        if unpacked.files == 0 && plain.is_empty() {
            let what = format!("{} has no files below /{}", self.name, plan::MODELS);
            return Err(Failure::new(Kind::NotFound, what, "build the image with the model there"));
        }
        let bytes: u64 = plain.iter().filter_map(|step| step.object.size).sum();
        Ok(Some(Unpacked { files: unpacked.files + plain.len() as u64, bytes: unpacked.bytes + bytes }))
    }
}
