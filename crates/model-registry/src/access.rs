//! Who may use the registry: everyone who reaches it, or whoever has a token of a file, or one that a cluster knows as that of
//! somebody who may `get` a Service. Of those some are admins, who may archive.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use cluster::{ClusterReviewer, CredentialsError};
use http::{HeaderMap, HeaderName, StatusCode};
use service::auth::{Keep, Refusals, Reviews, Verdict, bearer_token};
use service::openapi::{self, LetThrough, TokenScheme};
use service::secret::{Secret, SecretError, SecretSetting};
use service::server::ApiError;
use thiserror::Error;
use utoipa_axum::router::OpenApiRouter;

use crate::settings::AccessSettings;
use crate::store::{Actor, Rank};

mod kubernetes;
mod tokens;

use kubernetes::OnService;
use tokens::TokenFile;
pub use tokens::TokensError;

/// The token, as the OpenAPI document tells of it.
const SCHEME: TokenScheme =
    TokenScheme { name: "Bearer", about: "A token that this registry was told of, or one of its cluster" };

/// Who may use the registry cannot be told from the settings.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The file of tokens is not to be had.
    #[error(transparent)]
    File(#[from] SecretError),
    /// It holds something else.
    #[error("--auth-token-file / MR_AUTH_TOKEN_FILE: {0}")]
    Tokens(#[from] TokensError),
    /// There are credentials of a cluster, which can't be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Nobody is there to review tokens.
    #[error(
        "--auth-kubernetes-service / MR_AUTH_KUBERNETES_SERVICE needs a cluster that reviews tokens, and none is configured: \
         set KUBECONFIG, or run in a cluster"
    )]
    NoCluster,
    /// Users would be known in two ways.
    #[error(
        "--trust-user-header / MR_TRUST_USER_HEADER is for registries that ask for no token: whoever has one is known by \
         it; leave out one of the two"
    )]
    HeaderBesidesTokens,
}

/// Decides who may use the registry, and knows them. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Access {
    rules: Arc<Rules>,
}

#[derive(Debug)]
enum Rules {
    Everyone,
    /// Everyone, and a proxy says in that header who they are.
    Told(HeaderName),
    Known(Box<Known>),
}

/// Those who have a token.
#[derive(Debug)]
struct Known {
    tokens: Option<TokenFile>,
    reviews: Option<Reviews<OnService>>,
    what_to_send: String,
    refusals: Refusals,
}

impl Access {
    /// What the settings say, and the log then.
    pub async fn new(settings: &AccessSettings) -> Result<Self, AccessError> {
        let setting = SecretSetting { value: "", file: "--auth-token-file / MR_AUTH_TOKEN_FILE" };
        let tokens = Secret::from_settings(None, settings.auth_token_file.as_deref(), setting)?
            .map(|secret| TokenFile::new(secret, settings.auth_token_grace.into()))
            .transpose()?;
        let reviews = match &settings.auth_kubernetes_service {
            Some(_) => {
                let reviewer = ClusterReviewer::connect(&settings.cluster).await?.ok_or(AccessError::NoCluster)?;
                OnService::new(Arc::new(reviewer), settings).map(|judge| Reviews::new(judge, Keep::default()))
            }
            None => None,
        };
        let is_known = tokens.is_some() || reviews.is_some();
        let rules = match (is_known, settings.trust_user_header.clone()) {
            (true, Some(_)) => return Err(AccessError::HeaderBesidesTokens),
            (true, None) => {
                let what_to_send = what_to_send(settings);
                Rules::Known(Box::new(Known { tokens, reviews, what_to_send, refusals: Refusals::default() }))
            }
            (false, Some(header)) => Rules::Told(header),
            (false, None) => Rules::Everyone,
        };
        rules.announce();
        Ok(Self { rules: Arc::new(rules) })
    }

    /// `routes`, for those who may use the registry. Their requests say, as an extension, whose they are.
    pub fn guard(&self, routes: OpenApiRouter) -> OpenApiRouter {
        match &*self.rules {
            Rules::Everyone => routes,
            Rules::Told(_) => routes.layer(from_fn_with_state(self.clone(), enforce)),
            Rules::Known(_) => {
                openapi::guarded(routes.layer(from_fn_with_state(self.clone(), enforce)), LetThrough::TokenOnly(SCHEME))
            }
        }
    }
}

/// Lets a request through if its sender may, and notes who that is.
async fn enforce(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let actor = match &*access.rules {
        Rules::Everyone => Actor::default(),
        Rules::Told(header) => told(request.headers(), header),
        Rules::Known(known) => match known.judge(request.headers()).await {
            Ok(actor) => actor,
            Err(refusal) => return known.refusals.answer(refusal, request).await,
        },
    };
    request.extensions_mut().insert(actor);
    next.run(request).await
}

/// Whom a proxy names. With two names one could be the user's own.
fn told(headers: &HeaderMap, header: &HeaderName) -> Actor {
    let mut values = headers.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Actor::default() };
    match value.to_str().map(str::trim) {
        Ok(name) if !name.is_empty() => Actor::named(name, Rank::Admin),
        _ => Actor::default(),
    }
}

impl Known {
    async fn judge(&self, headers: &HeaderMap) -> Result<Actor, ApiError> {
        let unauthorized =
            |what: &str| ApiError::new(StatusCode::UNAUTHORIZED, format!("{what}: send {}", self.what_to_send));
        let Some(token) = bearer_token(headers) else {
            return Err(unauthorized("the registry wants a bearer token"));
        };
        if let Some(owner) = self.tokens.as_ref().and_then(|tokens| tokens.owner(&token)) {
            return Ok(owner);
        }
        let Some(reviews) = &self.reviews else { return Err(unauthorized("the registry does not know this token")) };
        match reviews.judge(&token).await {
            Verdict::Allowed(actor) => Ok(actor),
            Verdict::Forbidden { user } => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                format!("{user} may not use this registry: send {}", self.what_to_send),
            )),
            Verdict::Unknown => Err(unauthorized("the registry does not know this token")),
            Verdict::Failed { reason } => {
                Err(ApiError::unavailable(format!("the token cannot be reviewed at the moment: {reason}")))
            }
        }
    }
}

impl Rules {
    fn announce(&self) {
        match self {
            Self::Everyone => tracing::info!("the registry is used by everyone who reaches it: it asks for no token"),
            Self::Told(header) => tracing::warn!(
                "the registry is used by everyone who reaches it, and believes what {header} says of who that is: let nobody \
                 reach it but the proxy that sets this header"
            ),
            Self::Known(known) => tracing::info!("the registry is used by whoever sends {}", known.what_to_send),
        }
    }
}

fn what_to_send(settings: &AccessSettings) -> String {
    let in_file = settings.auth_token_file.as_ref().map(|_| "a token that its administrator gave out".to_owned());
    let of_cluster = settings.auth_kubernetes_service.as_ref().map(|service| {
        format!("the token of a Kubernetes service account or user with the verb get on the Service {service}")
    });
    in_file.into_iter().chain(of_cluster).collect::<Vec<_>>().join(", or ")
}
