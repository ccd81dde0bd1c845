//! The HTTP server of a service: bound before anything is served, bounded in all that a request may take, with health,
//! readiness and metrics beside the service's own routes, and stopped gracefully.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use thiserror::Error;
use tokio::task::JoinHandle;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::metrics::Metrics;
use crate::openapi;
use crate::server::connections::{Impatient, Turns};
use crate::shutdown::Shutdown;
use crate::tls::ServerTls;

mod admin;
mod answers;
mod connections;
mod headers;
mod limits;
mod observe;
mod readiness;
mod transport;

pub use answers::{ApiError, ErrorShape};
pub(crate) use limits::drain;
pub use readiness::Readiness;
use transport::Transport;

/// How long a stop waits for requests in flight.
const GRACE: Duration = Duration::from_secs(8);
const MAX_HEADERS: usize = 100;
/// The longest head of a request. Keys of a whole storage may come in a URL, which has at most 64 KiB.
const MAX_HEAD_BYTES: usize = 128 << 10;

/// Where to listen, and which setting says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address and port; port 0 means any free one.
    pub address: SocketAddr,
    /// The setting's names, for messages.
    pub setting: &'static str,
}

/// What a request may take, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// How many requests are worked on at a time.
    pub concurrent_requests: usize,
    /// How many more may wait for their turn.
    pub waiting_requests: usize,
    /// How long a request may take, with its turn and its body.
    pub request_timeout: Duration,
    /// How many connections there may be; more wait to be taken.
    pub connections: usize,
    /// How long a client may take for the head of a request, and how long it may keep an idle connection.
    pub head_timeout: Duration,
    /// How long a client may read nothing of what it is answered.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            concurrent_requests: 256,
            waiting_requests: 1024,
            request_timeout: Duration::from_secs(30),
            connections: 8192,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// Listening failed.
#[derive(Debug, Error)]
#[error("cannot listen on {address} ({source}): choose another address with {setting}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The setting that gave it.
    pub setting: &'static str,
    /// Why not.
    pub source: io::Error,
}

/// A service that was started.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Ends when the service has stopped.
    pub task: JoinHandle<anyhow::Result<()>>,
}

/// Collects what a server consists of.
pub struct ServerBuilder {
    name: &'static str,
    router: Router,
    document: OpenApi,
    readiness: Readiness,
    metrics: Metrics,
    limits: Limits,
    errors: ErrorShape,
    tls: Option<ServerTls>,
}

impl ServerBuilder {
    /// A server for the service called `name`: no routes of its own, ready, with metrics that begin with its name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            router: Router::new(),
            document: OpenApi::default(),
            readiness: Readiness::ready(),
            metrics: Metrics::new(name),
            limits: Limits::default(),
            errors: ErrorShape::default(),
            tls: None,
        }
    }

    /// More routes of the service, of which its OpenAPI document says nothing.
    #[must_use]
    pub fn router(mut self, router: Router) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// More routes of the service, with what its OpenAPI document says of them.
    #[must_use]
    pub fn described(self, routes: OpenApiRouter) -> Self {
        let (router, document) = routes.split_for_parts();
        let mut builder = self.router(router);
        builder.document.merge(document);
        builder
    }

    /// What `/readyz` answers.
    #[must_use]
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// What `/metrics` answers; the metrics of requests are added to it.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// What a request may take.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What answers look like that report an error.
    #[must_use]
    pub fn errors(mut self, errors: ErrorShape) -> Self {
        self.errors = errors;
        self
    }

    /// The certificate to serve HTTPS with; HTTP without one.
    #[must_use]
    pub fn tls(mut self, tls: Option<ServerTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Takes the address. Connections wait until [`BoundServer::serve`].
    pub async fn bind(mut self, listen: Listen) -> Result<BoundServer, BindError> {
        let Listen { address, setting } = listen;
        let failed = |source| BindError { address, setting, source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let local_address = listener.local_addr().map_err(failed)?;
        let listener = listener.into_std().map_err(failed)?;
        let (name, limits, tls) = (self.name, self.limits, self.tls.take());
        if let Some(tls) = &tls {
            let help = "When the certificate that is served expires, in seconds since 1970";
            self.metrics.register("tls_certificate_expiry_timestamp_seconds", help, tls.expiry.clone());
        }
        Ok(BoundServer { name, listener, local_address, limits, tls, app: self.app() })
    }

    /// All routes with everything around them, for tests that need no socket.
    pub fn app(self) -> Router {
        let gate = limits::Gate::new(self.limits);
        // Layers that are given together, outermost first: each call of `layer` is one more box around each request.
        let api = self.router.layer((
            from_fn_with_state(gate, limits::pass),
            // The gate limits bodies, of handlers that read them by other ways than extractors, too.
            DefaultBodyLimit::disable(),
            CatchPanicLayer::custom(limits::answer_panic),
        ));
        let observer = observe::Observer::new(&self.metrics);
        let mut document = self.document;
        openapi::limited(&mut document);
        let (admin, common) = admin::router(self.readiness, self.metrics).split_for_parts();
        admin
            .merge(openapi::route(self.name, (self.errors.schema)(), document, common))
            .merge(api)
            .fallback(answers::not_found)
            .method_not_allowed_fallback(answers::method_not_allowed)
            .layer((
                map_response(headers::protect),
                from_fn_with_state(observer, observe::observe),
                from_fn_with_state(self.errors, answers::errors_as_json),
            ))
    }
}

/// A server that has its address.
#[derive(Debug)]
pub struct BoundServer {
    name: &'static str,
    listener: std::net::TcpListener,
    local_address: SocketAddr,
    limits: Limits,
    tls: Option<ServerTls>,
    app: Router,
}

impl BoundServer {
    /// The address, with the port that was chosen when any was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_address
    }

    /// Serves until `shutdown`, then finishes the requests in flight, for at most 8 seconds. Handlers can take the
    /// peer's address as `ConnectInfo<SocketAddr>`.
    pub async fn serve(self, shutdown: Shutdown) -> io::Result<()> {
        let Self { name, listener, local_address, limits, tls, app } = self;
        let handle = Handle::new();
        let transport = tls.as_ref().map_or(Transport::Plain, |tls| Transport::Encrypted(tls.acceptor()));
        let accept = Impatient::new(transport, limits.write_timeout);
        // HTTP/2 would bring nothing to our readers, and its own ways to ask for much with little. It is set last: another
        // acceptor would make the server wait for the first bytes, without any limit, to see which version is spoken.
        let mut server = axum_server::from_tcp(listener)?.acceptor(accept).handle(handle.clone()).http1_only();
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!(address = %local_address, scheme, "{name} listens");
        let stop = async {
            shutdown.cancelled().await;
            handle.graceful_shutdown(Some(GRACE));
            std::future::pending::<io::Result<()>>().await
        };
        let service = Turns::new(app.into_make_service_with_connect_info::<SocketAddr>(), limits.connections);
        let served = tokio::select! {
            result = server.serve(service) => result,
            never = stop => never,
            never = keep_current(tls) => never,
        };
        tracing::info!("{name} no longer serves");
        served
    }
}

async fn keep_current(tls: Option<ServerTls>) -> io::Result<()> {
    if let Some(tls) = tls {
        tls.follow().await;
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests;
