//! A scripted model registry: the sample registry on a real port, with every request recorded and faults on demand.
//!
//! ```no_run
//! # async fn example() {
//! use testkit::registry::{Fault, ScriptedRegistry};
//! let registry = ScriptedRegistry::start().await;
//! let model = registry.edit().create_model("granite", serde_json::json!({}));
//! registry.fail("/model_versions", Fault::Status(500));
//! assert_eq!(registry.count("/registered_models"), 0);
//! # }
//! ```

mod connection;
mod fault;
mod script;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sample_registry::SampleRegistry;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use url::Url;

pub use fault::Fault;
use script::Script;
pub use script::{Matcher, RecordedRequest};

/// How long a port that was in use a moment ago may take to be free again.
const REBIND_DEADLINE: Duration = Duration::from_secs(5);

/// A model registry (and catalog) on 127.0.0.1 that records what it is asked and fails as told.
#[derive(Debug)]
pub struct ScriptedRegistry {
    address: SocketAddr,
    registry: SampleRegistry,
    script: Arc<Script>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl ScriptedRegistry {
    /// Starts an empty registry on a free port.
    pub async fn start() -> Self {
        Self::serving(SampleRegistry::new()).await
    }

    /// Starts on a free port with a registry that is there already.
    pub async fn serving(registry: SampleRegistry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let scripted = Self { address, registry, script: Arc::default(), running: Mutex::new(None) };
        scripted.run(listener);
        scripted
    }

    fn run(&self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let service = connection::Service { router: self.registry.router(), script: Arc::clone(&self.script) };
        let task = tokio::spawn(connection::accept(listener, service, stopped));
        *self.running() = Some(Running { stop, task });
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host root.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).expect("an address makes a URL")
    }

    /// The address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The registry behind it, to edit.
    pub const fn edit(&self) -> &SampleRegistry {
        &self.registry
    }

    /// Asks for this bearer token from now on; `None` asks for none.
    pub fn require_token(&self, token: Option<&str>) {
        self.registry.set_token(token);
    }

    /// Closes the port and cuts every connection. Does nothing when stopped already.
    pub async fn stop(&self) {
        let running = self.running().take();
        if let Some(Running { stop, task }) = running {
            drop(stop);
            task.await.expect("the accept loop does not panic");
        }
    }

    /// Opens the same port again, with the same state and faults. Does nothing when running.
    pub async fn restart(&self) {
        if self.running().is_some() {
            return;
        }
        let listener = tokio::time::timeout(REBIND_DEADLINE, async {
            loop {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        })
        .await
        .expect("the port is free again");
        self.run(listener);
    }

    /// Every matching request fails so until [`Self::clear_faults`].
    pub fn fail(&self, matcher: impl Into<Matcher>, fault: Fault) {
        self.script.add(matcher.into(), 0, None, fault);
    }

    /// The next `times` matching requests fail so.
    pub fn fail_next(&self, times: usize, matcher: impl Into<Matcher>, fault: Fault) {
        self.script.add(matcher.into(), 0, Some(times), fault);
    }

    /// Lets `skip` matching requests pass, then fails the next `times`: the second page, say.
    pub fn fail_after(&self, skip: usize, times: usize, matcher: impl Into<Matcher>, fault: Fault) {
        self.script.add(matcher.into(), skip, Some(times), fault);
    }

    /// Asks `choose` for a fault at every request that no other rule takes: for random faults.
    pub fn fail_by(&self, choose: impl FnMut(&RecordedRequest) -> Option<Fault> + Send + 'static) {
        self.script.set_chooser(Box::new(choose));
    }

    /// Ends all faults, `fail_by` included. Requests that hang go on hanging until their connection ends.
    pub fn clear_faults(&self) {
        self.script.clear_faults();
    }

    /// The requests since the start or the last [`Self::clear`], oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.script.requests()
    }

    /// How many recorded requests match.
    pub fn count(&self, matcher: impl Into<Matcher>) -> usize {
        let matcher = matcher.into();
        self.requests().iter().filter(|request| matcher.matches(request)).count()
    }

    /// How many requests were recorded.
    pub fn total(&self) -> usize {
        self.script.total()
    }

    /// Forgets the recorded requests.
    pub fn clear(&self) {
        self.script.clear_requests();
    }
}
