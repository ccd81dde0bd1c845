//! `hf://`: the Hugging Face Hub, or what speaks its API.
//!
//! A revision is looked up once, and everything is read at the commit that it was then: nobody gets half of an old model
//! and half of a new one. Large files come from other hosts, which never see the token.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;

use super::network::Network;
use super::wire;
use super::{Content, Object, Source};
use crate::checksum::Checksum;
use crate::environment::Environment;
use crate::relative::RelativePath;
use crate::uri::HubUri;
use crate::{Failure, Kind};

mod api;
mod token;

use api::{Entry, HubApi};

/// A repository of models.
pub struct HubSource {
    name: String,
    api: HubApi,
    revision: String,
    path: String,
    commit: OnceCell<String>,
}

impl fmt::Debug for HubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl HubSource {
    /// What `uri` names, at the Hub that `HF_ENDPOINT` names. Nothing is asked of anybody yet.
    pub fn open(uri: &HubUri, environment: &Environment, network: &Network) -> Result<Self, Failure> {
        let revision = uri.revision.clone().unwrap_or_else(|| "main".to_owned());
        let name = format!("hf://{}:{revision}", uri.repository);
        let api = HubApi::new(&uri.repository, &name, environment, network)?;
        Ok(Self { name, api, revision, path: uri.path.trim_matches('/').to_owned(), commit: OnceCell::new() })
    }

    async fn commit(&self) -> Result<&str, Failure> {
        self.commit.get_or_try_init(|| self.api.commit(&self.revision)).await.map(String::as_str)
    }

    /// The pages of the list, at the commit.
    fn entries(&self) -> BoxStream<'_, Result<Entry, Failure>> {
        let first = async move {
            let commit = self.commit().await?;
            if let Some(file) = self.api.file(commit, &self.path).await? {
                return Ok(stream::iter([Ok(file)]).boxed());
            }
            self.api.tree(commit, &self.path)
        };
        stream::once(first).try_flatten().boxed()
    }

    fn object(&self, entry: &Entry) -> Result<Object, Failure> {
        let bad = |reason: String| {
            Failure::new(Kind::Integrity, format!("{}: {reason}", self.name), "see to what the endpoint lists")
        };
        let checksum = match &entry.lfs {
            Some(lfs) => wire::hex(&lfs.oid).map(Checksum::Sha256),
            None => entry.oid.as_deref().and_then(wire::hex).map(Checksum::GitBlob),
        };
        let below = entry.path.strip_prefix(&self.path).unwrap_or(&entry.path);
        let file = if below.is_empty() { entry.path.rsplit('/').next().unwrap_or_default() } else { below };
        let version = entry.lfs.as_ref().map(|lfs| lfs.oid.clone()).or_else(|| entry.oid.clone());
        Ok(Object {
            path: RelativePath::new(file).map_err(|error| bad(error.to_string()))?,
            locator: entry.path.clone(),
            size: Some(entry.lfs.as_ref().map_or(entry.size, |lfs| lfs.size)),
            version,
            checksum,
        })
    }
}

#[async_trait]
impl Source for HubSource {
    fn name(&self) -> String {
        if self.path.is_empty() { self.name.clone() } else { format!("{}/{}", self.name, self.path) }
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let objects = self
            .entries()
            .try_filter(|entry| futures::future::ready(entry.is_file()))
            .map(|entry| self.object(&entry?));
        let none = || {
            let what = format!("{} has no files", self.name());
            Failure::new(Kind::NotFound, what, "see whether the revision and the path are right")
        };
        wire::or_failure(objects.boxed(), none)
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        let commit = self.commit().await?;
        let response = self.api.content(commit, &object.locator, range.as_ref()).await?;
        wire::content(&format!("{} ({})", self.name, object.locator), response, object, range.as_ref())
    }
}
