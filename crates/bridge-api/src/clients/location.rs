//! The client of location.

use calls::Calls;
use http::StatusCode;
use reqwest::Client;
use secrecy::SecretString;
use url::Url;

use super::transport::Transport;
use super::{ClientError, Upserted};
use crate::key::EntryKey;
use crate::messages::{PostBody, UriList};
use bearer::{Token, TokenSource};

/// Talks to a location service, ours or the Go bridge's.
#[derive(Debug, Clone)]
pub struct LocationClient {
    transport: Transport,
}

impl LocationClient {
    /// A client of the location service at `base`.
    pub fn new(base: Url, http: Client) -> Self {
        Self { transport: Transport::new("location", base, http) }
    }

    /// Sends `token` with every request from now on.
    #[must_use]
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.transport.set_token(Token::fixed(token));
        self
    }

    /// Sends what `source` gives with every request from now on.
    #[must_use]
    pub fn with_token_source(mut self, source: TokenSource) -> Self {
        self.transport.set_token(Token::from_source(source));
        self
    }

    /// Tells of every request from now on, as `calls` does.
    #[must_use]
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.transport.set_calls(calls);
        self
    }

    /// Has an entry served.
    pub async fn upsert(&self, key: &EntryKey, body: &PostBody) -> Result<Upserted, ClientError> {
        let url = self.transport.url("upsert", &[("key", key.as_str())])?;
        let answer = self.transport.post(url, Some(body)).await?.successful()?;
        Ok(if answer.status == StatusCode::CREATED { Upserted::Created } else { Upserted::Existed })
    }

    /// Has an entry no longer served. One that was not there is as good as removed.
    pub async fn remove(&self, key: &EntryKey) -> Result<(), ClientError> {
        let url = self.transport.url("remove", &[("key", key.as_str())])?;
        let answer = self.transport.delete(url).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        answer.successful().map(drop)
    }

    /// What is served; with the digests of all entries, if the service is ours.
    pub async fn list(&self) -> Result<UriList, ClientError> {
        let url = self.transport.url("list", &[("details", "true")])?;
        self.transport.get(url).await?.json()
    }
}
