//! Tokens that a cluster knows, of users who may do something to a Service: the registry's own, as a rule.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use service::auth::{AccessReviewer, Judge, ReviewError, ServiceAction, Verdict};

use crate::settings::AccessSettings;
use crate::store::{Actor, Rank};

/// The verb that makes a user of the registry, as the operator's roles grant it.
const USES: &str = "get";

/// Judges by what the cluster lets users do to a Service.
#[derive(Debug)]
pub(super) struct OnService {
    reviewer: Arc<dyn AccessReviewer>,
    audience: Option<String>,
    uses: ServiceAction,
    administers: ServiceAction,
}

impl OnService {
    /// As the settings say; `None` if they name no Service.
    pub(super) fn new(reviewer: Arc<dyn AccessReviewer>, settings: &AccessSettings) -> Option<Self> {
        let service = settings.auth_kubernetes_service.as_ref()?;
        let action = |verb: &str| ServiceAction {
            verb: verb.to_owned(),
            namespace: service.namespace.clone(),
            name: service.name.clone(),
        };
        Some(Self {
            reviewer,
            audience: settings.auth_kubernetes_audience.clone().filter(|audience| !audience.is_empty()),
            uses: action(USES),
            administers: action(&settings.auth_kubernetes_admin_verb),
        })
    }

    async fn find(&self, token: &SecretString) -> Result<Verdict<Actor>, ReviewError> {
        let Some(user) = self.reviewer.review(token, self.audience.as_deref()).await? else {
            return Ok(Verdict::Unknown);
        };
        if !self.reviewer.may(&user, &self.uses).await? {
            return Ok(Verdict::Forbidden { user: user.name });
        }
        let is_admin = self.reviewer.may(&user, &self.administers).await?;
        let rank = if is_admin { Rank::Admin } else { Rank::Editor };
        Ok(Verdict::Allowed(Actor::named(&user.name, rank)))
    }
}

#[async_trait]
impl Judge for OnService {
    type Grant = Actor;

    async fn judge(&self, token: &SecretString) -> Verdict<Actor> {
        self.find(token).await.unwrap_or_else(|error| Verdict::Failed { reason: error.to_string() })
    }
}
