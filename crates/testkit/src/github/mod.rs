//! A scripted GitHub: one repository behind the REST routes that keep files in it, with GitHub's statuses, words and
//! limits, and with git's own object ids.
//!
//! Tests look at the branches as a person would, edit them as one, count requests and commits, and let it go wrong.
//! Where it is simpler than the real one: one repository, branches only, no signatures, HTTP/1.1 without TLS.

mod access;
mod objects;
mod person;
mod repository;
mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use crate::kube::faults::Journal;
use repository::Repository;
use server::{REQUESTS_AN_HOUR, SecondaryLimit, Shared, State, serve};

pub use crate::kube::{Fault, FaultGuard, RecordedRequest};
pub use access::{APP_ID, INSTALLATION_ID, Permission, app_key};
pub use person::{LoggedCommit, Person};

/// The owner of the repository.
pub const OWNER: &str = "example";
/// Its name.
pub const NAME: &str = "models";
/// A token that may write.
pub const TOKEN: &str = "github_pat_testkit";

/// A running scripted GitHub; it stops when dropped.
#[derive(Debug)]
pub struct ScriptedGithub {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for ScriptedGithub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedGithub {
    /// A repository with a branch `main` and one file `README.md`.
    pub async fn start() -> Self {
        let github = Self::start_empty().await;
        github.person().commit("main", "Initial commit", &[("README.md", Some("# Models\n"))]);
        github
    }

    /// A repository without a commit.
    pub async fn start_empty() -> Self {
        let mut state = State {
            owner: OWNER.to_owned(),
            name: NAME.to_owned(),
            repository: Repository::new(),
            access: access::Access::default(),
            remaining: REQUESTS_AN_HOUR,
            reset_in: Duration::from_mins(30),
            secondary: None,
            lagging: None,
        };
        state.access.set(TOKEN, Permission::Write);
        let shared = Arc::new(Shared { state: Mutex::new(state), journal: Arc::new(Mutex::new(Journal::default())) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// The URL of its API.
    pub fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Someone who works on the repository besides.
    pub fn person(&self) -> Person<'_> {
        Person { shared: &self.shared }
    }

    /// Lets a token do this from now on.
    pub fn set_token(&self, token: &str, permission: Permission) {
        self.shared.state().access.set(token, permission);
    }

    /// A token is no longer one.
    pub fn revoke_token(&self, token: &str) {
        self.shared.state().access.revoke(token);
    }

    /// What the App may do where it is installed.
    pub fn set_app_permission(&self, permission: Permission) {
        self.shared.state().access.app_permission = permission;
    }

    /// Takes the App away.
    pub fn uninstall_app(&self) {
        self.shared.state().access.is_installed = false;
    }

    /// How long the App's tokens live that are given out from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.shared.state().access.token_life = life;
    }

    /// Ends the App's tokens before their time.
    pub fn revoke_installation_tokens(&self) {
        self.shared.state().access.revoke_installation_tokens();
    }

    /// How many tokens the App was given.
    pub fn issued_tokens(&self) -> usize {
        self.shared.state().access.issued()
    }

    /// Nobody but persons may push to a branch.
    pub fn protect(&self, branch: &str) {
        self.shared.state().repository.protected.insert(branch.to_owned());
    }

    /// Makes the repository read-only.
    pub fn archive(&self) {
        self.shared.state().repository.archived = true;
    }

    /// Recursive trees show no more items than this.
    pub fn truncate_trees(&self, limit: usize) {
        self.shared.state().repository.tree_limit = limit;
    }

    /// How many requests are left in this hour, and when it ends.
    pub fn set_remaining(&self, remaining: u64, reset_in: Duration) {
        let mut state = self.shared.state();
        (state.remaining, state.reset_in) = (remaining, reset_in);
    }

    /// How many requests are left in this hour.
    pub fn remaining(&self) -> u64 {
        self.shared.state().remaining
    }

    /// After so many writes the next ones, so often, are too much at once.
    pub fn limit_writes(&self, writes: usize, strikes: usize, retry_after: Option<u64>) {
        let limit = SecondaryLimit { writes_left: writes, retry_after, strikes_left: strikes };
        self.shared.state().secondary = Some(limit);
    }

    /// So many times a branch is said to be where it is now, wherever it goes.
    pub fn lag(&self, branch: &str, times: usize) {
        let mut state = self.shared.state();
        let answer = state.repository.get_ref(branch).unwrap();
        state.lagging = Some((branch.to_owned(), answer, times));
    }

    /// The requests that came, in order.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.journal().requests()
    }

    /// How many recorded requests are `wanted`.
    pub fn count(&self, wanted: impl Fn(&RecordedRequest) -> bool) -> usize {
        self.shared.journal().count(wanted)
    }

    /// Forgets the recorded requests.
    pub fn clear_requests(&self) {
        self.shared.journal().clear_requests();
    }

    /// The next requests that `matcher` takes, so many, go wrong. The matcher must not call back into this API.
    pub fn fail_times(&self, times: usize, matcher: impl Fn(&RecordedRequest) -> bool + Send + 'static, fault: Fault) {
        self.shared.journal().arm(Box::new(matcher), fault, Some(times));
    }

    /// Every request that `matcher` takes goes wrong until the guard is dropped.
    pub fn fail_while(&self, matcher: impl Fn(&RecordedRequest) -> bool + Send + 'static, fault: Fault) -> FaultGuard {
        let id = self.shared.journal().arm(Box::new(matcher), fault, None);
        FaultGuard { journal: Arc::clone(&self.shared.journal), id }
    }
}
