//! Which registries and clusters there are: from the settings, or discovered in the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use calls::Calls;
use cluster::discovery::{Discovery, Endpoint, Problem, Subject};
use cluster::{Cluster, discover_registries, resolve_routes};
use registry_client::{CatalogClient, RegistryClient, TokenSource};
use secrecy::SecretString;
use service::guard::Guard;
use service::{Secret, Shutdown};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::inventory::{SourceId, Unread};
use crate::metrics::SourceMetrics;
use crate::observe::Board;
use crate::observe::cards::{CardReader, Catalog};
use crate::observe::reader::RegistryReader;
use crate::observe::registry::{Cadence, Poller};
use crate::settings::NamedUrl;
use crate::settings::foreign::{ForeignSettings, TokenNamespaces};

/// How often registries are searched for until all were found.
const IMPATIENT: Duration = Duration::from_secs(10);

/// How registries are read.
#[derive(Debug, Clone)]
pub struct Access {
    /// The HTTP client for registries and catalogs that the settings name.
    pub http: reqwest::Client,
    /// The one for those that were found.
    pub guarded: reqwest::Client,
    /// Where that one may go.
    pub guard: Guard,
    /// How requests to registries are seen.
    pub registry_calls: Calls,
    /// How requests to catalogs are seen.
    pub catalog_calls: Calls,
    /// What is done with addresses that were found.
    pub foreign: ForeignSettings,
    /// The token for registries.
    pub token: Token,
    /// Catalogs that were configured.
    pub catalogs: Vec<NamedUrl>,
    /// How many requests to one registry are under way at once.
    pub concurrency: usize,
    /// How often each is read.
    pub cadence: Cadence,
    /// How long a discovered registry must be gone.
    pub grace: Duration,
}

/// The token for registries.
#[derive(Debug, Clone)]
pub enum Token {
    /// None.
    None,
    /// A configured one.
    Given(Secret),
    /// That of the cluster, as it is now: tokens of service accounts rotate.
    OfCluster(Arc<Cluster>),
}

impl Token {
    fn source(&self) -> TokenSource {
        let token = self.clone();
        Arc::new(move || token.now())
    }

    fn now(&self) -> Option<SecretString> {
        match self {
            Self::None => None,
            Self::Given(token) => Some(token.current()),
            Self::OfCluster(cluster) => cluster.bearer_token().unwrap_or_else(|error| {
                tracing::warn!("no token for the registries: {error}");
                None
            }),
        }
    }
}

/// The way to an address.
#[derive(Clone)]
pub struct Line {
    /// The HTTP client.
    pub http: reqwest::Client,
    /// The token that is sent.
    pub token: TokenSource,
    /// Whether one may be sent at all.
    pub sends_token: bool,
}

impl Access {
    /// The way to what the settings name.
    pub fn to_named(&self) -> Line {
        Line { http: self.http.clone(), token: self.token.source(), sends_token: true }
    }

    /// The way to what was found, where the token goes to these namespaces.
    pub fn to_found(&self, endpoint: &Endpoint, namespaces: &TokenNamespaces) -> Line {
        let address = Address::found(endpoint, namespaces);
        let sends_token = address.trust != Trust::FoundElsewhere;
        let (http, token) = self.to(&address);
        Line { http, token, sends_token }
    }

    /// The client for an address, and the token that it is sent.
    fn to(&self, address: &Address) -> (reqwest::Client, TokenSource) {
        match address.trust {
            Trust::Named => (self.http.clone(), self.token.source()),
            Trust::Found => (self.guarded.clone(), self.token.source()),
            Trust::FoundElsewhere => (self.guarded.clone(), Token::None.source()),
        }
    }

    /// Takes out of a discovery what is not to be asked. That is a problem, not the absence of a registry.
    pub fn refuse(&self, discovery: &mut Discovery) {
        let Discovery { registries, catalogs, problems, .. } = discovery;
        for endpoints in [registries, catalogs] {
            endpoints.retain(|endpoint| {
                let Err(refused) = self.guard.check(&endpoint.url) else { return true };
                let Endpoint { namespace, name, kind, .. } = endpoint.clone();
                let subject = Subject::Endpoint { namespace, name, kind };
                problems.push(Problem { subject, message: format!("its address is not asked: {refused}") });
                false
            });
        }
    }
}

/// Starts and stops the tasks that read registries.
#[derive(Debug, Clone)]
pub struct Registries {
    /// How they are read.
    pub access: Access,
    /// Where what they hold is put.
    pub board: Board,
    /// What is counted.
    pub metrics: SourceMetrics,
    /// The tasks.
    pub tasks: TaskTracker,
    /// Ends all of them.
    pub shutdown: Shutdown,
}

/// A registry to read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    address: Address,
    registry_name: Option<String>,
    catalogs: Vec<Address>,
}

/// Where a registry or a catalog is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    url: Url,
    trust: Trust,
}

/// How far an address is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// The settings name it.
    Named,
    /// It was found where only those write who may have the token.
    Found,
    /// It was found elsewhere: it is read, but is not sent the token.
    FoundElsewhere,
}

impl Address {
    fn named(url: &Url) -> Self {
        Self { url: url.clone(), trust: Trust::Named }
    }

    fn found(endpoint: &Endpoint, namespaces: &TokenNamespaces) -> Self {
        let trust = if namespaces.include(&endpoint.namespace) { Trust::Found } else { Trust::FoundElsewhere };
        Self { url: endpoint.url.clone(), trust }
    }
}

impl Registries {
    /// Reads registries that were named by URL.
    pub fn read_named(&self, registries: &[NamedUrl]) {
        for registry in registries {
            let wanted = Wanted {
                address: Address::named(&registry.url),
                registry_name: Some(registry.name.clone()),
                catalogs: Vec::new(),
            };
            self.start(&SourceId::registry(&registry.name), &wanted, self.shutdown.child());
        }
    }

    fn start(&self, id: &SourceId, wanted: &Wanted, shutdown: Shutdown) {
        self.board.expect_registry(id);
        let poller = Poller {
            id: id.clone(),
            reader: self.reader(wanted),
            cadence: self.access.cadence,
            board: self.board.clone(),
            metrics: self.metrics.clone(),
        };
        self.tasks.spawn(poller.run(shutdown));
    }

    fn reader(&self, wanted: &Wanted) -> RegistryReader {
        let named: Vec<Address> = self.access.catalogs.iter().map(|named| Address::named(&named.url)).collect();
        let catalog = |address: &Address, supposed| {
            let (http, token) = self.access.to(address);
            let client = CatalogClient::new(address.url.clone(), http, None)
                .with_token_source(token)
                .with_calls(self.access.catalog_calls.clone());
            Catalog { client, supposed }
        };
        let mut catalogs: Vec<Catalog> =
            named.iter().chain(&wanted.catalogs).map(|address| catalog(address, false)).collect();
        // Registries of other makes serve their catalog beside their API.
        catalogs.push(catalog(&wanted.address, true));
        let (http, token) = self.access.to(&wanted.address);
        RegistryReader {
            registry_name: wanted.registry_name.clone(),
            client: RegistryClient::new(wanted.address.url.clone(), http, None)
                .with_token_source(token)
                .with_calls(self.access.registry_calls.clone()),
            cards: CardReader::new(catalogs),
            concurrency: self.access.concurrency,
        }
    }

    /// The same with the token of `cluster`, unless one was given.
    #[must_use]
    pub fn of_cluster(&self, cluster: Arc<Cluster>) -> Self {
        let mut own = self.clone();
        if !matches!(own.access.token, Token::Given(_)) {
            own.access.token = Token::OfCluster(cluster);
        }
        own
    }

    /// Says that registries will be looked for in a cluster.
    pub fn expect_search(&self, context: &str) {
        self.board.discovering(context, Unread::Pending);
    }

    /// Finds registries in `cluster`, by the Routes named or all that there are, again and again until the end. What they
    /// are remembered under begins with `prefix`.
    pub async fn follow(self, cluster: Arc<Cluster>, context: String, prefix: String, routes: Vec<String>) {
        let mut running: BTreeMap<SourceId, Found> = BTreeMap::new();
        let mut problem = None;
        let namespaces = if routes.is_empty() {
            self.access.foreign.token_namespaces(&cluster.namespace)
        } else {
            TokenNamespaces::all()
        };
        loop {
            let found = if routes.is_empty() {
                discover_registries(&cluster).await
            } else {
                resolve_routes(&cluster, &routes).await
            };
            let text = match found {
                Ok(mut discovery) => {
                    self.access.refuse(&mut discovery);
                    self.adopt(&mut running, &prefix, &namespaces, &discovery);
                    let problems: Vec<String> = discovery.problems.iter().map(ToString::to_string).collect();
                    problems.join("; ")
                }
                Err(error) => error.to_string(),
            };
            if text.is_empty() {
                self.board.discovered(&context);
            } else {
                self.board.discovering(&context, Unread::Failed);
            }
            say(&mut problem, text, running.len());
            let pause = if problem.is_some() {
                IMPATIENT.min(self.access.cadence.polling)
            } else {
                self.access.cadence.polling
            };
            if self.shutdown.unless(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Starts to read what was found, reads what moved at its new address, and gives up what is gone for long enough.
    fn adopt(
        &self,
        running: &mut BTreeMap<SourceId, Found>,
        prefix: &str,
        namespaces: &TokenNamespaces,
        discovery: &Discovery,
    ) {
        let address = |endpoint| Address::found(endpoint, namespaces);
        let catalogs: Vec<Address> = discovery.catalogs.iter().map(address).collect();
        for endpoint in &discovery.registries {
            let id = SourceId::registry(&format!("{prefix}{}/{}", endpoint.namespace, endpoint.name));
            let wanted = Wanted {
                address: address(endpoint),
                registry_name: Some(endpoint.name.clone()),
                catalogs: catalogs.clone(),
            };
            match running.get_mut(&id) {
                Some(found) if found.wanted == wanted => found.missing_since = None,
                Some(found) => {
                    tracing::info!(source = %id, url = %wanted.address.url, "the registry or its catalog moved");
                    found.shutdown.trigger();
                    *found = self.found(&id, endpoint, wanted);
                }
                None => {
                    tracing::info!(source = %id, url = %wanted.address.url, "a registry was found");
                    let found = self.found(&id, endpoint, wanted);
                    running.insert(id, found);
                }
            }
        }
        running.retain(|id, found| {
            if !discovery.proves_absent(&found.endpoint) {
                return true;
            }
            let since = *found.missing_since.get_or_insert_with(|| {
                tracing::warn!(source = %id, "the registry is gone; its entries stay for a while");
                Instant::now()
            });
            let keep = since.elapsed() < self.access.grace;
            if !keep {
                tracing::warn!(source = %id, "the registry stays gone: its entries are removed");
                found.shutdown.trigger();
                self.metrics.forget(id);
                self.board.forget_registry(id);
            }
            keep
        });
    }

    fn found(&self, id: &SourceId, endpoint: &Endpoint, wanted: Wanted) -> Found {
        let shutdown = self.shutdown.child();
        if wanted.address.trust == Trust::FoundElsewhere {
            tracing::warn!(
                source = %id,
                "the registry is not sent the token, because anyone may have written its address: if it is to have it, \
                 name its namespace with --registry-token-namespaces / REGISTRY_TOKEN_NAMESPACES"
            );
        }
        self.start(id, &wanted, shutdown.clone());
        Found { endpoint: endpoint.clone(), wanted, shutdown, missing_since: None }
    }
}

/// A registry that was discovered and is being read.
#[derive(Debug)]
struct Found {
    endpoint: Endpoint,
    wanted: Wanted,
    shutdown: Shutdown,
    missing_since: Option<Instant>,
}

/// Logs what keeps the search from being complete, when that changes.
fn say(before: &mut Option<String>, problem: String, registries: usize) {
    let problem = Some(problem).filter(|text| !text.is_empty());
    if *before == problem {
        return;
    }
    match &problem {
        Some(text) => tracing::warn!("registries cannot be found for certain, nothing is removed: {text}"),
        None => tracing::info!(registries, "all registries were found"),
    }
    *before = problem;
}
