//! One branch as a set of files: read whole by its commit, kept until it moves, written a commit at a time.

mod read;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::HeaderValue;

use super::client::GithubClient;
use super::contents::Contents;
use super::draft::{Changes, Commit, READ_ME};
use super::error::GithubError;
use super::files::Files;
use super::git::blob_id;
use super::layout::{Place, Prefix};
use super::routes::{Author, TreeEdit};

/// How old the state may be for reads that need not be the newest. The writes of this process are always seen.
const RECENT: Duration = Duration::from_secs(1);
/// For how long GitHub may still tell where the branch was before a commit of ours.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
/// How many requests for the contents of files, or with them, are under way at once.
pub(super) const CONCURRENCY: usize = 8;
/// What is longer goes out as a blob of its own.
const INLINE: usize = 512 << 10;
/// GitHub gives up on a tree that takes it more than a few seconds.
const TREE_EDITS: usize = 250;
const TREE_BYTES: usize = 2 << 20;

/// The branch and what is known of it.
pub(super) struct Branch {
    client: GithubClient,
    name: String,
    prefix: Prefix,
    author: Option<Author>,
    contents: Contents,
    state: Mutex<State>,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    snapshot: Option<Arc<Snapshot>>,
    /// `None`: it may be anything by now.
    as_of: Option<Instant>,
    /// Where the branch was before commits of ours, and until when.
    left: VecDeque<(String, Instant)>,
}

/// What there is on the branch.
#[derive(Debug)]
pub(super) struct Snapshot {
    tip: Tip,
    etag: Option<HeaderValue>,
    /// The tree of the prefix, as it was read; our own commits leave it open.
    tree: Option<String>,
    pub(super) files: Files,
}

/// What the branch points to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tip {
    /// The repository has no commit at all.
    EmptyRepository,
    /// There is no such branch.
    NoBranch,
    /// A commit and its tree.
    At { commit: String, tree: String },
}

impl Snapshot {
    fn commit(&self) -> Option<&str> {
        match &self.tip {
            Tip::At { commit, .. } => Some(commit),
            _ => None,
        }
    }
}

impl Branch {
    pub(super) fn new(client: GithubClient, name: String, prefix: Prefix, author: Option<Author>) -> Self {
        Self {
            client,
            name,
            prefix,
            author,
            contents: Contents::default(),
            state: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn describe(&self) -> String {
        let place = if self.prefix.segments().is_empty() { String::new() } else { format!("{} on ", self.prefix) };
        format!("{place}branch {} of the GitHub repository {}", self.name, self.client.repository)
    }

    /// The state at the time of the call, or newer.
    pub(super) async fn read_now(&self) -> Result<Arc<Snapshot>, GithubError> {
        self.read_since(Instant::now()).await
    }

    /// A state that is at most a second older than the call, and that has all writes of this process.
    pub(super) async fn read_recent(&self) -> Result<Arc<Snapshot>, GithubError> {
        let now = Instant::now();
        self.read_since(now.checked_sub(RECENT).unwrap_or(now)).await
    }

    async fn read_since(&self, oldest: Instant) -> Result<Arc<Snapshot>, GithubError> {
        if let Some(snapshot) = self.known_since(oldest) {
            return Ok(snapshot);
        }
        let _reading = self.reading.lock().await;
        // Whoever was reading may have brought what is wanted.
        match self.known_since(oldest) {
            Some(snapshot) => Ok(snapshot),
            None => self.read().await,
        }
    }

    fn known_since(&self, oldest: Instant) -> Option<Arc<Snapshot>> {
        let state = self.lock();
        state.snapshot.clone().filter(|_| state.as_of.is_some_and(|as_of| as_of >= oldest))
    }

    /// What was known is to be asked for anew: a write has failed, and may have been done all the same.
    pub(super) fn doubt(&self) {
        self.lock().as_of = None;
    }

    /// GitHub has judged by the newest state: what it tells from now on is no older.
    pub(super) fn trust_github(&self) {
        self.lock().left.clear();
    }

    fn remember(&self, snapshot: Snapshot, as_of: Instant) -> Arc<Snapshot> {
        let mut state = self.lock();
        if let Some(current) = &state.snapshot
            && snapshot.commit().is_some_and(|commit| state.was_left(commit))
        {
            // It was read before a commit of ours, or from a copy that does not have it yet.
            let current = Arc::clone(current);
            state.as_of = state.as_of.max(Some(as_of));
            return current;
        }
        let snapshot = Arc::new(snapshot);
        state.snapshot = Some(Arc::clone(&snapshot));
        state.as_of = Some(as_of);
        snapshot
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a commit on top of `base`, which must be where the branch is.
    pub(super) async fn commit(&self, base: &Snapshot, commit: Commit) -> Result<(), GithubError> {
        if base.tip == Tip::EmptyRepository {
            return Err(self.begin().await);
        }
        let as_of = Instant::now();
        let edits = self.tree_edits(&commit.changes).await?;
        let (parent, before) = match &base.tip {
            Tip::At { commit, tree } => (Some(commit.as_str()), Some(tree.as_str())),
            _ => (None, None),
        };
        let tree = self.create_tree(before, &edits).await?;
        if before != Some(&tree) {
            let made = self.client.create_commit(&commit.message, &tree, parent, self.author.as_ref()).await?;
            match parent {
                Some(_) => self.client.move_branch(&self.name, &made).await?,
                None => self.client.create_branch(&self.name, &made).await?,
            }
            tracing::info!(commit = made, "{}", commit.message.lines().next().unwrap_or_default());
            self.leave(parent, base, Tip::At { commit: made, tree }, commit.files, as_of);
        }
        self.keep_contents(commit.changes);
        Ok(())
    }

    fn leave(&self, parent: Option<&str>, base: &Snapshot, tip: Tip, files: Files, as_of: Instant) {
        let now = Instant::now();
        {
            let mut state = self.lock();
            state.left.retain(|(_, until)| *until > now);
            state.left.extend(parent.map(|parent| (parent.to_owned(), now + SETTLES_WITHIN)));
        }
        self.remember(Snapshot { tip, etag: base.etag.clone(), tree: None, files }, as_of);
    }

    /// Gives an empty repository its first commit, which has none of the entries yet.
    async fn begin(&self) -> GithubError {
        let path = self.prefix.join(&Place::ReadMe.path());
        let message = "Begin a model catalog";
        let content = READ_ME.as_bytes();
        let author = self.author.as_ref();
        match self.client.create_first_file(&self.name, &path, message, content, author).await {
            Ok(()) => GithubError::Moved("the repository has got its first commit".to_owned()),
            Err(error) => error,
        }
    }

    async fn tree_edits(&self, changes: &Changes) -> Result<Vec<TreeEdit>, GithubError> {
        let edits = changes.iter().map(|(path, content)| async {
            let path = self.prefix.join(path);
            Ok(match content {
                None => TreeEdit::deletion(path),
                Some(bytes) => match inline(bytes) {
                    Some(text) => TreeEdit::text(path, text.to_owned()),
                    None => TreeEdit::blob(path, self.client.create_blob(bytes).await?),
                },
            })
        });
        let edits: Vec<_> = edits.collect();
        stream::iter(edits).buffered(CONCURRENCY).try_collect().await
    }

    /// One tree after another, each with some of the edits; the last has them all.
    async fn create_tree(&self, base: Option<&str>, edits: &[TreeEdit]) -> Result<String, GithubError> {
        let mut tree = base.map(str::to_owned);
        for batch in batches(edits) {
            tree = Some(self.client.create_tree(tree.as_deref(), batch).await?);
        }
        tree.ok_or_else(|| GithubError::Moved("there is nothing to write".to_owned()))
    }

    fn keep_contents(&self, changes: Changes) {
        for bytes in changes.into_values().flatten() {
            self.contents.keep(&Arc::from(blob_id(&bytes)), bytes);
        }
    }

    /// Whether the branch can be reached now. An unmoved branch costs nothing of GitHub's limit.
    pub(super) async fn ping(&self) -> Result<(), GithubError> {
        let etag = self.lock().snapshot.as_ref().and_then(|snapshot| snapshot.etag.clone());
        self.client.head(&self.name, etag.as_ref()).await.map(|_| ())
    }
}

impl State {
    fn was_left(&self, commit: &str) -> bool {
        let now = Instant::now();
        self.left.iter().any(|(left, until)| left == commit && *until > now)
    }
}

/// Bytes that may travel as text in a tree and stay what they are.
fn inline(bytes: &Bytes) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= INLINE)?;
    let plain = |c: char| matches!(c, '\n' | '\r' | '\t') || !c.is_control();
    text.chars().all(plain).then_some(text)
}

fn batches(edits: &[TreeEdit]) -> Vec<&[TreeEdit]> {
    let mut batches = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, edit) in edits.iter().enumerate() {
        if index > start && (index - start >= TREE_EDITS || size + edit.size() > TREE_BYTES) {
            batches.push(&edits[start..index]);
            (start, size) = (index, 0);
        }
        size += edit.size();
    }
    if start < edits.len() {
        batches.push(&edits[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_text_travels_in_a_tree() {
        for (bytes, travels) in [
            (b"a: \xc3\xbc\r\n\tb\n".as_slice(), true),
            (b"", true),
            (b"a\0b", false),
            (b"\x1b[0m", false),
            (b"\xff", false),
        ] {
            assert_eq!(inline(&Bytes::from_static(bytes)).is_some(), travels, "{bytes:?}");
        }
        assert!(inline(&Bytes::from(vec![b'x'; INLINE + 1])).is_none());
    }

    #[test]
    fn edits_go_out_in_batches_that_github_can_take() {
        let small = |number: usize| TreeEdit::text(format!("{number}"), "x".to_owned());
        let sizes = |edits: &[TreeEdit]| batches(edits).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&(0..600).map(small).collect::<Vec<_>>()), [250, 250, 100]);
        let large = |number: usize| TreeEdit::text(format!("{number}"), "x".repeat(INLINE));
        assert_eq!(sizes(&(0..9).map(large).collect::<Vec<_>>()), [3, 3, 3]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
