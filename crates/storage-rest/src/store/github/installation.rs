//! The tokens of a GitHub App: one for this repository and its contents alone, replaced before it ends.

use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::auth::{App, Credentials, InstallationToken};
use super::client::{Call, GithubClient};
use super::error::GithubError;

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

impl GithubClient {
    /// The token to send.
    pub(super) async fn bearer(&self) -> Result<SecretString, GithubError> {
        let app = match &self.credentials {
            Credentials::Token(token) => return Ok(token.current()),
            Credentials::App(app) => app,
        };
        // Whoever comes while a token is on its way waits for it.
        let mut current = self.installation.lock().await;
        if let Some(fresh) = current.as_ref().filter(|token| token.is_fresh()) {
            return Ok(fresh.token.clone());
        }
        let token = self.installation_token(app).await?;
        Ok(current.insert(token).token.clone())
    }

    /// Whether there was one to forget.
    pub(super) async fn forget_installation_token(&self) -> bool {
        self.installation.lock().await.take().is_some()
    }

    async fn installation_token(&self, app: &App) -> Result<InstallationToken, GithubError> {
        let jwt = app.jwt().map_err(|error| self.refused(format!("STORAGE_GITHUB_APP_KEY_FILE: {error}")))?;
        let id = match app.installation {
            Some(id) => id,
            None => self.find_installation(&jwt).await?,
        };
        let mut call = Call::new(Method::POST, ["app", "installations", id.to_string().as_str(), "access_tokens"]);
        // No more than it takes.
        call.body = Some(json!({
            "repositories": [self.repository.name],
            "permissions": { "contents": "write" },
        }));
        let answer = self.send_as(&call, &jwt).await.map_err(|error| match error {
            GithubError::Status { status: 404, .. } => {
                self.refused(format!("the App has no installation {id}: check STORAGE_GITHUB_APP_INSTALLATION_ID"))
            }
            GithubError::Status { status: 422, message, .. } => self.refused(format!(
                "{message}; the App needs the permission `contents: write`, and its installation the repository"
            )),
            error => self.named(error),
        })?;
        answer.json()
    }

    async fn find_installation(&self, jwt: &SecretString) -> Result<u64, GithubError> {
        let call = self.call(Method::GET, ["installation"]);
        let answer = self.send_as(&call, jwt).await.map_err(|error| match error {
            GithubError::Status { status: 404, .. } => {
                self.refused("the App is not installed for this repository, or there is none".to_owned())
            }
            error => self.named(error),
        })?;
        Ok(answer.json::<Installation>()?.id)
    }

    fn named(&self, error: GithubError) -> GithubError {
        match error {
            GithubError::Denied { reason, .. } => {
                self.refused(format!("{reason}; check STORAGE_GITHUB_APP_ID, the App's private key, and the clock"))
            }
            other => other,
        }
    }

    fn refused(&self, reason: String) -> GithubError {
        GithubError::Denied { verb: "get", resource: format!("the App's token for {}", self.repository), reason }
    }
}
