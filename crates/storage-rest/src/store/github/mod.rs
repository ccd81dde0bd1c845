//! Entries as files in a GitHub repository, for people to read and for Backstage's own GitHub provider.
//!
//! A document and a model card are files as they are ([`layout`]); what else is kept of an entry is in an index beside
//! them. The files are the truth: one that someone edits or deletes by hand is an entry that changed or is gone. Edits
//! that come while a commit is under way, or too soon after one, share the next; each is answered when the branch has it.

mod auth;
mod branch;
mod client;
mod contents;
mod draft;
mod error;
mod files;
mod git;
mod installation;
mod layout;
mod limits;
mod message;
mod patience;
mod plan;
mod records;
mod routes;

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bridge_api::EntryKey;
use futures::{StreamExt, TryStreamExt, stream};
use service::http_client::TlsSettings;
use tokio::time::Instant;
use url::Url;

use super::group::Group;
use super::{Filling, ImportedLocation, IndexEntry, Outcome, Store, StoreError, StoredEntry};
use branch::{Branch, Snapshot};
use client::GithubClient;
use error::GithubError;
use files::Found;
use patience::{GivenUp, Patience};
use plan::Edit;
use routes::RepositoryInfo;

pub use auth::{App, Credentials};
pub use client::Repository;
pub use layout::{Prefix, PrefixError};
pub use patience::Retries;
pub use routes::Author;

/// What is longer is neither taken nor read. GitHub's own limit is 100 MB, but such files do nobody good.
const LIMIT: usize = 24 << 20;
/// How long the first of several edits that come together waits for the others.
const GATHER: Duration = Duration::from_millis(50);

/// Where and how entries are kept.
#[derive(Debug, Clone)]
pub struct GithubOptions {
    /// The URL of the REST API.
    pub api: Url,
    /// How it proves who it is.
    pub tls: TlsSettings,
    /// The repository.
    pub repository: Repository,
    /// The branch; `None` for the default branch.
    pub branch: Option<String>,
    /// The directory.
    pub prefix: Prefix,
    /// What is shown to GitHub.
    pub credentials: Credentials,
    /// Who commits; `None` for whoever the token is of.
    pub author: Option<Author>,
    /// The least time from one commit to the next.
    pub commit_interval: Duration,
    /// How patient it is.
    pub retries: Retries,
}

impl GithubOptions {
    /// What it is, for logs.
    pub fn describe(&self) -> String {
        format!("the GitHub repository {}", self.repository)
    }
}

/// Keeps entries on one branch.
pub struct GithubStore {
    branch: Branch,
    retries: Retries,
    edits: Group<Edit, Result<Outcome, StoreError>>,
    commit_interval: Duration,
    committed: Mutex<Option<Instant>>,
}

/// Whether a commit would be taken, as far as GitHub tells without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushing {
    /// The token may push; a rule of the branch may still be against it.
    Allowed,
    /// It may only read.
    Refused,
    /// GitHub does not say for this kind of token.
    Unknown,
}

impl GithubOptions {
    /// A client of the repository, which is there and takes writes at all.
    async fn reach(&self) -> Result<(GithubClient, RepositoryInfo), StoreError> {
        let settings = |reason| StoreError::Settings { store: self.describe(), reason };
        let client = GithubClient::new(self.api.clone(), self.repository.clone(), self.credentials.clone(), &self.tls)
            .map_err(|error| settings(format!("STORAGE_GITHUB_CA: {error}")))?;
        let info = client.repository_info().await.map_err(|error| error.into_store_error(self.describe()))?;
        if info.archived {
            return Err(settings(format!("{} is archived, which makes it read-only", self.repository)));
        }
        Ok((client, info))
    }
}

impl GithubStore {
    /// Whether the repository can be seen and, as far as GitHub tells, written. Changes nothing.
    pub async fn rehearse(options: GithubOptions) -> Result<Pushing, StoreError> {
        let (_, info) = options.reach().await?;
        Ok(match info.permissions {
            Some(permissions) if permissions.push => Pushing::Allowed,
            Some(_) => Pushing::Refused,
            None => Pushing::Unknown,
        })
    }

    /// Looks at the repository. Neither an empty one nor a missing branch is an error: the first commit makes them.
    pub async fn open(options: GithubOptions) -> Result<Self, StoreError> {
        let (client, info) = options.reach().await?;
        let name = options.branch.unwrap_or(info.default_branch);
        Ok(Self {
            branch: Branch::new(client, name, options.prefix, options.author),
            retries: options.retries,
            edits: Group::default(),
            commit_interval: options.commit_interval,
            committed: Mutex::default(),
        })
    }

    async fn edit(&self, edit: Edit) -> Result<Outcome, StoreError> {
        let done = self.edits.write_after(|| self.pause(), edit, |edits| self.edit_all(edits)).await;
        done.unwrap_or_else(|| Err(StoreError::given_up(self.describe())))
    }

    /// Waits for the time of the next commit. What comes meanwhile goes along.
    async fn pause(&self) {
        let gathered = Instant::now() + GATHER.min(self.commit_interval);
        let committed = *self.committed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = committed.map_or(gathered, |committed| gathered.max(committed + self.commit_interval));
        tokio::time::sleep_until(due).await;
    }

    /// Does all edits of a group with one commit. When GitHub does not take that, halves are tried, so that what can't
    /// be done fails alone.
    async fn edit_all(&self, edits: Vec<Edit>) -> Vec<Result<Outcome, StoreError>> {
        let mut results = Vec::with_capacity(edits.len());
        let mut rest = vec![edits.as_slice()];
        while let Some(part) = rest.pop() {
            match self.write_edits(part).await {
                Ok(done) => results.extend(done),
                Err(refused) if refused.may_be_split && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    rest.extend([second, first]);
                }
                Err(refused) => results.extend(part.iter().map(|_| Err(refused.error.clone()))),
            }
        }
        results
    }

    async fn write_edits(&self, edits: &[Edit]) -> Result<Vec<Result<Outcome, StoreError>>, Refused> {
        // What an attempt whose answer was lost has done, perhaps: the entry may then be there by our own hand.
        let mut tried: Vec<Option<Outcome>> = vec![None; edits.len()];
        let mut patience = Patience::new(&self.retries);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let attempt = self.attempt(edits, &mut tried);
            let error = match tokio::time::timeout_at(patience.deadline(), attempt).await {
                Ok(Ok(results)) => return Ok(results),
                Ok(Err(error)) => error,
                Err(_) => GithubError::Transport {
                    request: Edit::describe(edits),
                    reason: format!("it took more than {} s", self.retries.write_within.as_secs()),
                },
            };
            // Whatever went wrong, the state is no longer known: the write may even have been done.
            self.branch.doubt();
            if matches!(error, GithubError::Moved(_)) {
                self.branch.trust_github();
            }
            let may_be_split = error.may_be_one_s_fault();
            if let Err(given_up) = patience.wait_after(error).await {
                let store = self.describe();
                let error = match (given_up, edits) {
                    (GivenUp::Failed(GithubError::TooLarge(_)), [Edit::Upsert(key, entry)]) => {
                        let size = size_of(entry);
                        StoreError::TooLarge { store, key: key.clone(), size, limit: LIMIT.min(size) }
                    }
                    (GivenUp::Failed(error), _) => error.into_store_error(store),
                    (GivenUp::Conflict, _) => StoreError::Conflict { store, what: Edit::describe(edits), attempts },
                };
                return Err(Refused { error, may_be_split });
            }
        }
    }

    async fn attempt(
        &self,
        edits: &[Edit],
        tried: &mut [Option<Outcome>],
    ) -> Result<Vec<Result<Outcome, StoreError>>, GithubError> {
        let snapshot = self.branch.read_recent().await?;
        let stored = edits.iter().filter_map(Edit::upserted).filter_map(|key| snapshot.files.find(key));
        let digests = self.branch.digests(stored.filter(is_readable).filter(is_unrecorded)).await?;
        let (results, commit) = plan::plan(&snapshot.files, &digests, edits, tried, &self.describe());
        if let Some(commit) = commit {
            self.branch.commit(&snapshot, commit).await?;
            *self.committed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(results)
    }

    /// Reads, and reads again when GitHub is not well.
    async fn reading<T, F>(&self, read: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, GithubError>>,
    {
        let mut patience = Patience::new(&self.retries);
        loop {
            let error = match read().await {
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            let store = self.describe();
            patience.wait_after(error).await.map_err(|given_up| match given_up {
                GivenUp::Failed(error) => error.into_store_error(store),
                GivenUp::Conflict => {
                    StoreError::Conflict { store, what: "nothing, but to read".to_owned(), attempts: 1 }
                }
            })?;
        }
    }

    async fn entry(&self, snapshot: &Snapshot, key: &EntryKey) -> Result<Option<StoredEntry>, GithubError> {
        let Some(found) = snapshot.files.find(key) else { return Ok(None) };
        let body = self.branch.content(&found.document.sha).await?.to_vec();
        let model_card = match found.card {
            Some(card) => String::from_utf8_lossy(&self.branch.content(&card.sha).await?).into_owned(),
            None => String::new(),
        };
        Ok(Some(plan::stored(&found, body, model_card)))
    }

    fn too_long(&self, key: &EntryKey) -> StoreError {
        let reason = format!("its files are longer than {LIMIT} bytes");
        StoreError::Corrupt { store: self.describe(), key: key.clone(), reason }
    }
}

/// A group that was not written.
struct Refused {
    error: StoreError,
    /// Others of the group may have nothing to do with it.
    may_be_split: bool,
}

fn size_of(entry: &StoredEntry) -> usize {
    entry.body.len() + entry.model_card.len()
}

fn is_unrecorded(entry: &Found<'_>) -> bool {
    entry.digest().is_none()
}

/// Someone else may put files there that are longer than any of ours.
fn is_readable(entry: &Found<'_>) -> bool {
    entry.document.size + entry.card.map_or(0, |card| card.size) <= LIMIT as u64
}

#[async_trait]
impl Store for GithubStore {
    fn describe(&self) -> String {
        self.branch.describe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.branch.ping().await.map_err(|error| error.into_store_error(self.describe()))
    }

    async fn index(&self) -> Result<Vec<IndexEntry>, StoreError> {
        self.reading(|| async {
            let snapshot = self.branch.read_now().await?;
            let unrecorded = snapshot.files.all().filter(is_readable).filter(is_unrecorded);
            let mut digests = self.branch.digests(unrecorded).await?;
            let entries = snapshot.files.all().filter(is_readable).filter_map(|found| {
                let digest = found.digest().or_else(|| digests.remove(found.key))?;
                Some(plan::index_entry(&found, digest))
            });
            Ok(entries.collect())
        })
        .await
    }

    async fn fetch(&self, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError> {
        let snapshot = self.reading(|| self.branch.read_recent()).await?;
        if snapshot.files.find(key).is_some_and(|found| !is_readable(&found)) {
            return Err(self.too_long(key));
        }
        self.reading(|| self.entry(&snapshot, key)).await
    }

    async fn fetch_many(&self, keys: &[EntryKey]) -> Result<Vec<(EntryKey, StoredEntry)>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let snapshot = self.reading(|| self.branch.read_recent()).await?;
        let readable = |key: &&EntryKey| snapshot.files.find(key).is_some_and(|found| is_readable(&found));
        let fetches: Vec<_> = keys
            .iter()
            .filter(readable)
            .map(|key| async {
                let entry = self.reading(|| self.entry(&snapshot, key)).await?;
                Ok(entry.map(|entry| (key.clone(), entry)))
            })
            .collect();
        let found: Vec<Option<_>> = stream::iter(fetches).buffered(branch::CONCURRENCY).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn upsert(&self, key: &EntryKey, entry: StoredEntry) -> Result<Outcome, StoreError> {
        let size = size_of(&entry);
        if size > LIMIT {
            return Err(StoreError::TooLarge { store: self.describe(), key: key.clone(), size, limit: LIMIT });
        }
        self.edit(Edit::Upsert(key.clone(), Box::new(entry))).await
    }

    async fn remove(&self, keys: &[EntryKey]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.edit(Edit::Remove(keys.to_vec())).await.map(|_| ())
    }

    async fn filling(&self) -> Result<Filling, StoreError> {
        let snapshot = self.reading(|| self.branch.read_now()).await?;
        Ok(if snapshot.files.filling { Filling::UnderWay } else { Filling::Over })
    }

    async fn set_filling(&self, filling: Filling) -> Result<(), StoreError> {
        self.edit(Edit::Fill(filling)).await.map(|_| ())
    }

    async fn set_location(&self, key: &EntryKey, location: Option<ImportedLocation>) -> Result<(), StoreError> {
        self.edit(Edit::Locate(key.clone(), location)).await.map(|_| ())
    }
}
