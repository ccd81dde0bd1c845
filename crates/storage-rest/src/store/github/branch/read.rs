//! Reading the branch: where it is, its tree, the index, and the contents of files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bridge_api::{Digest, EntryKey, content_digest};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::HeaderValue;

use super::super::contents::Sources;
use super::super::error::GithubError;
use super::super::files::{Files, Found, ShardFile};
use super::super::layout::Shard;
use super::super::records::{self, Records};
use super::super::routes::{Depth, Head, TreeItem};
use super::{Branch, CONCURRENCY, Snapshot, Tip};

impl Branch {
    /// Where the branch is now and what is there, of which only what is not known yet is asked for.
    pub(super) async fn read(&self) -> Result<Arc<Snapshot>, GithubError> {
        let known = self.lock().snapshot.clone();
        let as_of = Instant::now();
        let etag = known.as_ref().and_then(|known| known.etag.as_ref());
        let snapshot = match (self.client.head(&self.name, etag).await?, known) {
            (Head::Unchanged, Some(known)) => {
                self.still_true(as_of);
                return Ok(known);
            }
            // A copy of GitHub's that does not have our last commit yet.
            (Head::At { commit, .. }, Some(known)) if self.lock().was_left(&commit) => {
                self.still_true(as_of);
                return Ok(known);
            }
            (Head::At { commit, etag }, known) => self.load(commit, etag, known).await?,
            // What is gone while we look is no catalog that was emptied: all would be taken from those who read it.
            (Head::Missing | Head::EmptyRepository, Some(known)) if known.commit().is_some() => {
                return Err(self.gone());
            }
            (Head::Missing, _) => Snapshot::without_commit(Tip::NoBranch),
            (Head::EmptyRepository, _) => Snapshot::without_commit(Tip::EmptyRepository),
            (Head::Unchanged, None) => return Err(GithubError::Moved("nothing was known of it".to_owned())),
        };
        Ok(self.remember(snapshot, as_of))
    }

    fn gone(&self) -> GithubError {
        GithubError::Gone { branch: self.name.clone(), repository: self.client.repository.to_string() }
    }

    fn still_true(&self, as_of: Instant) {
        let mut state = self.lock();
        state.as_of = state.as_of.max(Some(as_of));
    }

    async fn load(
        &self,
        commit: String,
        etag: Option<HeaderValue>,
        known: Option<Arc<Snapshot>>,
    ) -> Result<Snapshot, GithubError> {
        if let Some(known) = known.as_ref().filter(|known| known.commit() == Some(&commit)) {
            let (tip, tree, files) = (known.tip.clone(), known.tree.clone(), known.files.clone());
            return Ok(Snapshot { tip, etag, tree, files });
        }
        let root = self.client.tree_of(&commit).await?;
        let tip = Tip::At { commit, tree: root.clone() };
        let Some(tree) = self.prefix_tree(&root).await? else {
            return Ok(Snapshot { tip, etag, tree: None, files: Files::default() });
        };
        let tree = match tree {
            PrefixTree::Directory(sha) => sha,
            PrefixTree::Obstacle => return Ok(Snapshot { tip, etag, tree: None, files: Files::blocked() }),
        };
        let files = match &known {
            // Others have written, but nothing here.
            Some(known) if known.tree.as_ref() == Some(&tree) => known.files.clone(),
            known => self.files(&tree, known.as_deref()).await?,
        };
        Ok(Snapshot { tip, etag, tree: Some(tree), files })
    }

    async fn prefix_tree(&self, root: &str) -> Result<Option<PrefixTree>, GithubError> {
        let mut sha = root.to_owned();
        for segment in self.prefix.segments() {
            let tree = self.client.tree(&sha, Depth::One).await?;
            match tree.tree.into_iter().find(|item| item.path == *segment) {
                Some(item) if item.is_directory() => sha = item.sha,
                Some(_) => return Ok(Some(PrefixTree::Obstacle)),
                None => return Ok(None),
            }
        }
        Ok(Some(PrefixTree::Directory(sha)))
    }

    async fn files(&self, tree: &str, known: Option<&Snapshot>) -> Result<Files, GithubError> {
        let (mut files, shards) = Files::of(self.items(tree).await?);
        let known: BTreeMap<&str, &Arc<Records>> = known
            .iter()
            .flat_map(|known| known.files.shards.values())
            .map(|file| (file.sha.as_ref(), &file.records))
            .collect();
        let shards = shards.into_iter().map(|(shard, sha)| {
            let known = known.get(sha.as_ref()).map(|records| Arc::clone(records));
            self.shard(shard, sha, known)
        });
        let shards: Vec<_> = shards.collect();
        files.shards = stream::iter(shards).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(files)
    }

    async fn shard(
        &self,
        shard: Shard,
        sha: Arc<str>,
        known: Option<Arc<Records>>,
    ) -> Result<(Shard, ShardFile), GithubError> {
        let records = match known {
            Some(records) => records,
            None => Arc::new(records::read(&self.content(&sha).await?)),
        };
        Ok((shard, ShardFile { sha, records }))
    }

    /// All below a directory. GitHub sends only so much at once; then its directories are read one by one.
    async fn items(&self, tree: &str) -> Result<Vec<(String, TreeItem)>, GithubError> {
        let mut items = Vec::new();
        let mut directories = vec![(String::new(), tree.to_owned())];
        while let Some((path, sha)) = directories.pop() {
            let mut tree = self.client.tree(&sha, Depth::All).await?;
            let whole = !tree.truncated;
            if !whole {
                tree = self.client.tree(&sha, Depth::One).await?;
            }
            if tree.truncated {
                let request = format!("GET tree {sha}");
                let reason = format!("the directory `{path}` has more in it than GitHub shows");
                return Err(GithubError::Unexpected { request, reason });
            }
            for item in tree.tree {
                let path = if path.is_empty() { item.path.clone() } else { format!("{path}/{}", item.path) };
                if !whole && item.is_directory() {
                    directories.push((path.clone(), item.sha.clone()));
                }
                items.push((path, item));
            }
        }
        Ok(items)
    }

    /// The content of a file.
    pub(in super::super) async fn content(&self, sha: &Arc<str>) -> Result<Bytes, GithubError> {
        if let Some(bytes) = self.contents.get(sha) {
            return Ok(bytes);
        }
        let bytes = self.client.blob(sha).await?;
        self.contents.keep(sha, bytes.clone());
        Ok(bytes)
    }

    /// The digests of entries whose files are not those that were recorded, because someone else wrote them.
    pub(in super::super) async fn digests<'a>(
        &self,
        entries: impl IntoIterator<Item = Found<'a>>,
    ) -> Result<BTreeMap<EntryKey, Digest>, GithubError> {
        let unknown: Vec<_> = entries.into_iter().map(|entry| self.digest(entry)).collect();
        stream::iter(unknown).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn digest(&self, entry: Found<'_>) -> Result<(EntryKey, Digest), GithubError> {
        let card = entry.card.map(|card| Arc::clone(&card.sha));
        let sources: Sources = (Arc::clone(&entry.document.sha), card, entry.card_key().to_owned());
        if let Some(digest) = self.contents.digest(&sources) {
            return Ok((entry.key.clone(), digest));
        }
        let document = self.content(&sources.0).await?;
        let card = match &sources.1 {
            Some(card) => self.content(card).await?,
            None => Bytes::new(),
        };
        let digest = content_digest(&document, &sources.2, &String::from_utf8_lossy(&card));
        self.contents.keep_digest(sources, digest.clone());
        Ok((entry.key.clone(), digest))
    }
}

enum PrefixTree {
    Directory(String),
    /// Something else is where it should be.
    Obstacle,
}

impl Snapshot {
    fn without_commit(tip: Tip) -> Self {
        Self { tip, etag: None, tree: None, files: Files::default() }
    }
}
