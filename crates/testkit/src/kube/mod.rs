//! An in-memory Kubernetes API over HTTP that answers as a real API server does.
//!
//! It keeps objects as JSON, numbers every change, serves watches from a history that can be compacted, checks
//! tokens and RBAC, and goes wrong on demand. KServe and Routes are not installed unless asked for.
//!
//! Where it is simpler than the real one: a strategic merge patch replaces lists; field ownership is kept for
//! server-side apply only; custom objects are not pruned by a schema; nothing is garbage collected through owner
//! references; a namespace is gone at once, with all that is in it; HTTP/1.1 without TLS.

mod builder;
mod definition;
mod delete;
mod discovery;
mod dispatch;
mod failure;
pub(crate) mod faults;
mod fixtures;
mod object;
mod patch;
mod rbac;
mod read;
mod request;
mod reviews;
pub mod samples;
mod selectors;
pub(crate) mod server;
mod store;
mod types;
mod validate;
mod watch;
mod write;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

pub use builder::KubeApiBuilder;
pub use definition::Definition;
pub use faults::{Fault, FaultGuard, RecordedRequest};
pub use rbac::User;

use failure::Failure;
use server::{Shared, serve};
use store::Message;

/// How long a port that was in use a moment ago may take to be free again.
const REBIND_DEADLINE: Duration = Duration::from_secs(10);

/// The bearer token of the administrator, whom nothing is forbidden.
pub const ADMIN_TOKEN: &str = "testkit-admin-token";

/// A running Kubernetes API; it stops when dropped.
#[derive(Debug)]
pub struct KubeApi {
    pub(crate) shared: Arc<Shared>,
    address: SocketAddr,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl KubeApi {
    /// What to start with.
    pub fn builder() -> KubeApiBuilder {
        KubeApiBuilder::new()
    }

    fn serving(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) -> Self {
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { shared, address, task: Mutex::new(Some(task)) }
    }

    /// The address, which stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL.
    ///
    /// # Panics
    /// Never: a socket address makes a URL.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address makes a URL")
    }

    /// Stops serving: connections break, the port is free, the state stays.
    pub async fn stop(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // It ends by being aborted, which is no error here.
            let _ = task.await;
        }
    }

    /// Serves again on the same port with the same objects; a running server is stopped first. As with a real server,
    /// whose caches start empty, a watch cannot go on from a resource version older than the newest change.
    ///
    /// # Panics
    /// When somebody else took the port meanwhile, and keeps it.
    pub async fn restart(&self) {
        self.stop().await;
        let listener = self.bind_again().await;
        self.shared.state().forget_history();
        let task = tokio::spawn(serve(listener, Arc::clone(&self.shared)));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// A client that keeps trying may have taken the port for its own end of a connection: that passes.
    async fn bind_again(&self) -> TcpListener {
        let end = tokio::time::Instant::now() + REBIND_DEADLINE;
        loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => return listener,
                Err(problem) => {
                    let is_over = tokio::time::Instant::now() > end;
                    assert!(!is_over, "{} cannot be bound again: {problem}", self.address);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    /// Holds back every answer and every watch event until `resume`; requests are still recorded.
    pub fn pause(&self) {
        self.shared.paused.send_replace(true);
    }

    /// Ends `pause`.
    pub fn resume(&self) {
        self.shared.paused.send_replace(false);
    }

    // --- Access ---

    /// A kubeconfig of the administrator in the namespace `default`.
    pub fn kubeconfig(&self) -> serde_yaml::Value {
        self.kubeconfig_for(ADMIN_TOKEN, "default")
    }

    /// A kubeconfig with this token, its context in this namespace.
    ///
    /// # Panics
    /// Never: JSON is YAML.
    pub fn kubeconfig_for(&self, token: &str, namespace: &str) -> serde_yaml::Value {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "testkit",
            "clusters": [{"name": "testkit", "cluster": {"server": self.url().as_str().trim_end_matches('/')}}],
            "users": [{"name": "testkit", "user": {"token": token}}],
            "contexts": [{"name": "testkit", "context": {"cluster": "testkit", "user": "testkit", "namespace": namespace}}],
        });
        serde_yaml::to_value(config).expect("JSON is YAML")
    }

    /// Writes the administrator's kubeconfig into a directory and returns the file.
    pub fn write_kubeconfig(&self, directory: impl AsRef<Path>) -> PathBuf {
        self.write_kubeconfig_for(directory, ADMIN_TOKEN, "default")
    }

    /// Writes a kubeconfig as `kubeconfig_for` into a directory and returns the file.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write_kubeconfig_for(&self, directory: impl AsRef<Path>, token: &str, namespace: &str) -> PathBuf {
        let path = directory.as_ref().join("kubeconfig");
        let text = serde_yaml::to_string(&self.kubeconfig_for(token, namespace)).expect("YAML can be written");
        std::fs::write(&path, text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        path
    }

    /// The administrator's client configuration.
    pub fn config(&self) -> kube::Config {
        self.config_for(ADMIN_TOKEN)
    }

    /// A client configuration with this token. It does not retry by itself: kube would otherwise repeat requests
    /// answered 429, 503 and 504 for minutes, and a test could not see them.
    ///
    /// # Panics
    /// Never: the fields are those of kube.
    pub fn config_for(&self, token: &str) -> kube::Config {
        let url = self.url().as_str().parse().expect("a URL is a URI");
        let mut config = kube::Config::new(url);
        config.default_retry = false;
        config.auth_info = serde_json::from_value(json!({"token": token})).expect("a user entry");
        config
    }

    /// The administrator's client.
    pub fn client(&self) -> kube::Client {
        self.client_for(ADMIN_TOKEN)
    }

    /// A client with this token.
    ///
    /// # Panics
    /// When kube cannot build a client.
    pub fn client_for(&self, token: &str) -> kube::Client {
        kube::Client::try_from(self.config_for(token)).expect("a client")
    }

    /// Makes a token known, as the builder's `token` does.
    pub fn add_token(&self, token: &str, user: &str) {
        self.shared.tokens().insert(token.to_owned(), User::named(user));
    }

    /// Knows a token that is not meant for this server but for `audience`: it is only good for reviews.
    pub fn add_token_for(&self, audience: &str, token: &str, user: &str) {
        let user = User { audience: Some(audience.to_owned()), ..User::named(user) };
        self.shared.tokens().insert(token.to_owned(), user);
    }

    /// Makes a token unknown: it is answered 401 from now on.
    pub fn revoke_token(&self, token: &str) {
        self.shared.tokens().remove(token);
    }

    // --- Watches and history ---

    /// Closes every open watch, as a restarting server would.
    pub fn drop_watches(&self) {
        self.shared.state().watchers.clear();
    }

    /// Sends every open watch the 410 error that makes its client list again.
    pub fn expire_watches(&self) {
        let status = Failure::expired("too old resource version").object();
        for watcher in std::mem::take(&mut self.shared.state().watchers) {
            // A client that is gone needs no error.
            let _ = watcher.sender.send(Message::Error(status.clone()));
        }
    }

    /// The number of open watches.
    pub fn open_watches(&self) -> usize {
        let state = self.shared.state();
        state.watchers.iter().filter(|watcher| !watcher.sender.is_closed()).count()
    }

    /// Forgets all changes so far: a watch, a page or an exact list at an older resource version is answered 410.
    /// Watches that are open go on.
    pub fn compact(&self) {
        self.shared.state().compact();
    }

    /// The resource version of the newest change.
    pub fn resource_version(&self) -> String {
        self.shared.state().revision.to_string()
    }

    // --- Requests and faults ---

    /// What was asked since the start or `clear_requests`, in order of arrival.
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

    /// The next request that `matcher` takes goes wrong. The matcher must not call back into this API.
    pub fn fail_next(&self, matcher: impl Fn(&RecordedRequest) -> bool + Send + 'static, fault: Fault) {
        self.fail_times(1, matcher, fault);
    }

    /// As `fail_next`, for so many requests.
    pub fn fail_times(&self, times: usize, matcher: impl Fn(&RecordedRequest) -> bool + Send + 'static, fault: Fault) {
        self.shared.journal().arm(Box::new(matcher), fault, Some(times));
    }

    /// Every request that `matcher` takes goes wrong until the guard is dropped.
    pub fn fail_while(&self, matcher: impl Fn(&RecordedRequest) -> bool + Send + 'static, fault: Fault) -> FaultGuard {
        let id = self.shared.journal().arm(Box::new(matcher), fault, None);
        FaultGuard { journal: Arc::clone(&self.shared.journal), id }
    }

    /// Disarms every fault.
    pub fn clear_faults(&self) {
        self.shared.journal().clear_faults();
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}
