//! Who we are to GitHub: a token, or an App that gets itself tokens for one repository.

mod jwt;

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use service::Secret;

pub(super) use jwt::JwtError;

/// Tokens of Apps live for an hour. So long before its end a token is replaced.
const MARGIN: Duration = Duration::from_mins(5);

/// What the bridge shows GitHub.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A token of a person or a machine user.
    Token(Secret),
    /// A GitHub App.
    App(App),
}

/// A GitHub App that is installed where the repository is.
#[derive(Debug, Clone)]
pub struct App {
    /// Its id or client id.
    pub id: String,
    /// The id of its installation; asked for when it is not given.
    pub installation: Option<u64>,
    /// Its private key, PEM.
    pub key: Secret,
}

impl App {
    /// What the App proves itself with, for the next minutes.
    pub(super) fn jwt(&self) -> Result<SecretString, JwtError> {
        jwt::sign(&self.id, &self.key.current(), SystemTime::now())
    }
}

/// A token for the repository, as GitHub sends it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct InstallationToken {
    pub(super) token: SecretString,
    expires_at: Timestamp,
}

impl InstallationToken {
    /// Whether it will do for a while.
    pub(super) fn is_fresh(&self) -> bool {
        SystemTime::now() + MARGIN < SystemTime::from(self.expires_at)
    }
}
