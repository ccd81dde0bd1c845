//! Who may write, and read: whoever has the shared token, or the token of an allowed service account; where neither is
//! set, whoever is on this machine.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use thiserror::Error;
use utoipa_axum::router::OpenApiRouter;

use crate::openapi::{self, LetThrough, TokenScheme};
use crate::secret::SecretError;
use crate::server::ApiError;

mod peer;
mod refusals;
mod review;
mod settings;
mod shared;
#[cfg(test)]
mod tests;

pub use refusals::Refusals;
pub use review::{AccessReviewer, Judge, Keep, ReviewError, Reviews, ServiceAction, TokenReviewer, User, Verdict};
pub use settings::{AccessSettings, BridgeTokenSettings, ServiceAccount, ServiceAccountError};
pub use shared::TokenHash;

use peer::{Foreign, OwnAddresses};
use review::Listed;
use shared::SharedToken;

/// The token, as OpenAPI documents tell of it.
const SCHEME: TokenScheme = TokenScheme {
    name: "bridgeToken",
    about: "BRIDGE_TOKEN, or the token of a service account in BRIDGE_ALLOWED_SERVICE_ACCOUNTS",
};

/// Who may write cannot be told from the settings.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The shared token is not to be had.
    #[error(transparent)]
    Token(#[from] SecretError),
    /// Nobody is there to review tokens.
    #[error(
        "--bridge-allowed-service-accounts / BRIDGE_ALLOWED_SERVICE_ACCOUNTS needs a cluster that reviews their tokens, and \
         none is configured: set KUBECONFIG, run in a cluster, or use BRIDGE_TOKEN"
    )]
    NoCluster,
    /// Readers would need what nobody can have.
    #[error(
        "--require-read-token / REQUIRE_READ_TOKEN is on, but there is no token to ask for: set BRIDGE_TOKEN, \
         BRIDGE_TOKEN_FILE or BRIDGE_ALLOWED_SERVICE_ACCOUNTS"
    )]
    NoToken,
}

/// What an [`Authorizer`] goes by besides the settings.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The pod's own address, where there is one.
    pub pod_ip: Option<IpAddr>,
    /// Where the service listens: from an address of its own only this machine can send.
    pub listen: Option<SocketAddr>,
    /// The cluster that knows service accounts.
    pub reviewer: Option<Arc<dyn TokenReviewer>>,
}

/// Decides who may write and read. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Authorizer {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    service: &'static str,
    shared: Option<SharedToken>,
    reviews: Option<Reviews<Listed>>,
    accounts: String,
    own: OwnAddresses,
    readers: Readers,
    refusals: Refusals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// Anyone.
    Anyone,
    /// Those who may write.
    Writers,
}

impl Authorizer {
    /// Who may write to and read from `service`. Says so in the log.
    pub fn new(
        service: &'static str,
        settings: &AccessSettings,
        surroundings: Surroundings,
    ) -> Result<Self, AccessError> {
        let accounts = &settings.bridge_allowed_service_accounts;
        let shared = settings.token.secret()?;
        let reviews = match (accounts.0.is_empty(), surroundings.reviewer) {
            (true, _) => None,
            (false, None) => return Err(AccessError::NoCluster),
            (false, Some(reviewer)) => {
                let audience = settings.bridge_token_audience.clone().filter(|audience| !audience.is_empty());
                Some(Reviews::new(Listed::new(reviewer, &accounts.0, audience), Keep::default()))
            }
        };
        let readers = if settings.require_read_token { Readers::Writers } else { Readers::Anyone };
        if readers == Readers::Writers && shared.is_none() && reviews.is_none() {
            return Err(AccessError::NoToken);
        }
        let rules = Rules {
            service,
            shared: shared.map(|secret| SharedToken::new(secret, settings.bridge_token_grace.into())),
            reviews,
            accounts: accounts.to_string(),
            own: OwnAddresses::new(surroundings.pod_ip.into_iter().chain(surroundings.listen.map(|at| at.ip()))),
            readers,
            refusals: Refusals::default(),
        };
        rules.announce();
        Ok(Self { rules: Arc::new(rules) })
    }

    /// `routes`, for those who may write.
    pub fn guard_writes<S: Clone + Send + Sync + 'static>(&self, routes: Router<S>) -> Router<S> {
        routes.route_layer(from_fn_with_state(self.clone(), enforce))
    }

    /// `routes`, for those who may read.
    pub fn guard_reads<S: Clone + Send + Sync + 'static>(&self, routes: Router<S>) -> Router<S> {
        match self.rules.readers {
            Readers::Anyone => routes,
            Readers::Writers => self.guard_writes(routes),
        }
    }

    /// The same as [`Authorizer::guard_writes`], for routes that are described: the guard is, too, from then on.
    pub fn guard_described_writes<S: Clone + Send + Sync + 'static>(
        &self,
        routes: OpenApiRouter<S>,
    ) -> OpenApiRouter<S> {
        let has_token = self.rules.shared.is_some() || self.rules.reviews.is_some();
        let let_through = if has_token { LetThrough::TokenOnly(SCHEME) } else { LetThrough::OwnMachine };
        openapi::guarded(routes.route_layer(from_fn_with_state(self.clone(), enforce)), let_through)
    }

    /// The same as [`Authorizer::guard_reads`], for routes that are described.
    pub fn guard_described_reads<S: Clone + Send + Sync + 'static>(
        &self,
        routes: OpenApiRouter<S>,
    ) -> OpenApiRouter<S> {
        match self.rules.readers {
            Readers::Anyone => routes,
            Readers::Writers => self.guard_described_writes(routes),
        }
    }
}

/// Lets a request through if its sender may.
async fn enforce(State(authorizer): State<Authorizer>, request: Request, next: Next) -> Response {
    match authorizer.rules.judge(refusals::peer(&request), request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => authorizer.rules.refusals.answer(refusal, request).await,
    }
}

impl Rules {
    async fn judge(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.shared.is_none() && self.reviews.is_none() {
            return self.own.judge(peer, headers).map_err(|foreign| self.refuse_foreign(foreign));
        }
        let Some(token) = bearer_token(headers) else {
            return Err(unauthorized(format!("{} wants a bearer token here: {}", self.service, self.what_to_set())));
        };
        if self.shared.as_ref().is_some_and(|shared| shared.is(&TokenHash::of(&token))) {
            return Ok(());
        }
        let wrong = || unauthorized(format!("{} does not know this token: {}", self.service, self.what_to_set()));
        let Some(reviews) = &self.reviews else { return Err(wrong()) };
        match reviews.judge(&token).await {
            Verdict::Allowed(()) => Ok(()),
            Verdict::Forbidden { user } => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                format!("{user} may not do this: add it to BRIDGE_ALLOWED_SERVICE_ACCOUNTS of {}", self.service),
            )),
            Verdict::Unknown => Err(wrong()),
            Verdict::Failed { reason } => {
                Err(ApiError::unavailable(format!("the token cannot be reviewed at the moment: {reason}")))
            }
        }
    }

    fn what_to_set(&self) -> String {
        let secret =
            "set BRIDGE_TOKEN (or BRIDGE_TOKEN_FILE) to the same secret for normalizer, storage-rest and location";
        let account = "send the token of a service account that BRIDGE_ALLOWED_SERVICE_ACCOUNTS names (the services send \
                       what BRIDGE_TOKEN_FILE holds)";
        match (&self.shared, &self.reviews) {
            (_, None) => secret.to_owned(),
            (None, Some(_)) => account.to_owned(),
            (Some(_), Some(_)) => format!("{secret}, or {account}"),
        }
    }

    fn refuse_foreign(&self, foreign: Foreign) -> ApiError {
        let set = self.what_to_set();
        let service = self.service;
        match foreign {
            Foreign::Elsewhere => {
                unauthorized(format!("{service} has no token and is written only from its own machine: {set}"))
            }
            Foreign::Forwarded => unauthorized(format!(
                "{service} has no token and is written only from its own machine, and this comes through a proxy: {set}"
            )),
            Foreign::WebPage => {
                ApiError::new(StatusCode::FORBIDDEN, format!("{service} is not written by web pages: {set}"))
            }
        }
    }

    fn announce(&self) {
        let service = self.service;
        let writers = match (&self.shared, &self.reviews) {
            (None, None) => {
                tracing::warn!(
                    "{service} is written only from its own machine ({}): there is no token; {}",
                    self.own.shown(),
                    self.what_to_set()
                );
                return;
            }
            (Some(_), None) => "the token of BRIDGE_TOKEN".to_owned(),
            (None, Some(_)) => format!("a token of {}", self.accounts),
            (Some(_), Some(_)) => format!("the token of BRIDGE_TOKEN, or one of {}", self.accounts),
        };
        let readers = match self.readers {
            Readers::Anyone => "is read by anyone",
            Readers::Writers => "read by nobody else but for health, readiness and metrics",
        };
        tracing::info!("{service} is written by whoever has {writers}, and {readers}");
    }
}

fn unauthorized(message: String) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, message)
}

/// The bearer token of a request. With two it could be one for us and another for whoever looks on the way.
pub fn bearer_token(headers: &HeaderMap) -> Option<SecretString> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned().into())
}
