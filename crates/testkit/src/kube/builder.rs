//! What a Kubernetes API starts with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;

use super::definition::Definition;
use super::faults::Journal;
use super::fixtures::make_namespace;
use super::rbac::User;
use super::server::Shared;
use super::store::State;
use super::{ADMIN_TOKEN, KubeApi};

const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

/// Collects what a [`KubeApi`] starts with.
#[derive(Debug)]
#[must_use = "nothing runs until `start`"]
pub struct KubeApiBuilder {
    definitions: Vec<Definition>,
    namespaces: Vec<String>,
    tokens: HashMap<String, User>,
    manifests: Vec<String>,
    bookmark_interval: Duration,
}

impl KubeApiBuilder {
    pub(crate) fn new() -> Self {
        Self {
            definitions: Vec::new(),
            namespaces: NAMESPACES.iter().map(|name| (*name).to_owned()).collect(),
            tokens: HashMap::from([(ADMIN_TOKEN.to_owned(), User::admin())]),
            manifests: Vec::new(),
            bookmark_interval: Duration::from_millis(500),
        }
    }

    /// KServe's InferenceService is installed.
    pub fn with_kserve(self) -> Self {
        self.with_crd(Definition::inference_services())
    }

    /// OpenShift's Route is installed.
    pub fn with_routes(self) -> Self {
        self.with_crd(Definition::routes())
    }

    /// KServe's LLMInferenceService is installed in these versions.
    pub fn with_llm(self, versions: &[&str]) -> Self {
        self.with_crd(Definition::llm_inference_services(versions))
    }

    /// A custom kind is installed.
    pub fn with_crd(mut self, definition: Definition) -> Self {
        self.definitions.push(definition);
        self
    }

    /// A namespace besides `default` and the `kube-` ones.
    pub fn namespace(mut self, name: &str) -> Self {
        self.namespaces.push(name.to_owned());
        self
    }

    /// A bearer token and the user it stands for, who may do nothing until a binding allows it.
    pub fn token(mut self, token: &str, user: &str) -> Self {
        self.tokens.insert(token.to_owned(), User::named(user));
        self
    }

    /// Objects to start with, such as Roles and bindings, as multi-document YAML.
    pub fn manifests(mut self, yaml: impl Into<String>) -> Self {
        self.manifests.push(yaml.into());
        self
    }

    /// How often a watch that wants bookmarks gets one.
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.bookmark_interval = interval;
        self
    }

    /// Starts serving on a free port of the loopback interface.
    ///
    /// # Panics
    /// When no port can be bound or a manifest is refused.
    pub async fn start(self) -> KubeApi {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address: SocketAddr = listener.local_addr().expect("the bound address");
        let mut state = State::new();
        for name in &self.namespaces {
            make_namespace(&mut state, name);
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            tokens: Mutex::new(self.tokens),
            journal: Arc::new(Mutex::new(Journal::default())),
            paused: tokio::sync::watch::Sender::new(false),
            bookmark_interval: self.bookmark_interval,
        });
        let api = KubeApi::serving(listener, address, shared);
        for definition in &self.definitions {
            api.install_crd(definition);
        }
        for yaml in &self.manifests {
            api.apply_yaml(yaml);
        }
        api
    }
}
