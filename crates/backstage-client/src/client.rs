//! The typed client.

use std::fmt;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::error::BackstageError;
use crate::model::{
    Created, CreatedLocation, EntityPage, ListedLocation, Location, NewLocation, QueryAnswer, RefreshRequest,
};

/// How much of an error's body is kept.
const MESSAGE_LIMIT: usize = 300;

/// Talks to the catalog of one Backstage.
#[derive(Clone)]
pub struct CatalogClient {
    catalog: Url,
    http: reqwest::Client,
    token: Option<SecretString>,
}

impl fmt::Debug for CatalogClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogClient").field("catalog", &self.catalog.as_str()).finish_non_exhaustive()
    }
}

impl CatalogClient {
    /// A client of the Backstage at `base` (its backend's URL, without `/api`), which sends `token` as the bearer.
    pub fn new(base: &Url, http: reqwest::Client, token: Option<SecretString>) -> Result<Self, BackstageError> {
        let mut catalog = base.clone();
        catalog.set_query(None);
        catalog.set_fragment(None);
        match (base.scheme(), catalog.path_segments_mut()) {
            ("http" | "https", Ok(mut path)) => {
                path.pop_if_empty().extend(["api", "catalog"]);
            }
            _ => return Err(BackstageError::BaseUrl { url: base.to_string() }),
        }
        Ok(Self { catalog, http, token })
    }

    /// All registered locations.
    pub async fn locations(&self) -> Result<Vec<Location>, BackstageError> {
        let call = self.call(Method::GET, &["locations"]);
        let listed: Vec<ListedLocation> = call.json().await?;
        Ok(listed.into_iter().map(|item| item.data).collect())
    }

    /// One location; `None` when Backstage has no such id.
    pub async fn location(&self, id: &str) -> Result<Option<Location>, BackstageError> {
        match self.call(Method::GET, &["locations", id]).json().await {
            Ok(location) => Ok(Some(location)),
            Err(error) if has_status(&error, StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Registers a location.
    pub async fn create_location(&self, kind: &str, target: &str) -> Result<Created, BackstageError> {
        let call = self.call(Method::POST, &["locations"]).with_body(&NewLocation { kind, target });
        match call.json::<CreatedLocation>().await {
            Ok(created) => Ok(Created::Created { id: created.location.id }),
            Err(error) if has_status(&error, StatusCode::CONFLICT) => Ok(Created::AlreadyExists),
            Err(error) => Err(error),
        }
    }

    /// Removes a location and the entities that came from it. One that is not there counts as removed.
    pub async fn delete_location(&self, id: &str) -> Result<(), BackstageError> {
        match self.call(Method::DELETE, &["locations", id]).send().await {
            Ok(_) => Ok(()),
            Err(error) if has_status(&error, StatusCode::NOT_FOUND) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks Backstage to process an entity again soon, such as that of [`crate::location_entity_ref`].
    pub async fn refresh(&self, entity_ref: &str) -> Result<(), BackstageError> {
        self.call(Method::POST, &["refresh"]).with_body(&RefreshRequest { entity_ref }).send().await?;
        Ok(())
    }

    /// One page of the entities that match `filter` (Backstage's syntax, such as `kind=location`; empty for all).
    pub async fn entities_by_query(&self, filter: &str, cursor: Option<&str>) -> Result<EntityPage, BackstageError> {
        let mut call = self.call(Method::GET, &["entities", "by-query"]);
        // A cursor carries the query that it continues; Backstage refuses both together.
        call.builder = match cursor {
            Some(cursor) => call.builder.query(&[("cursor", cursor)]),
            None if filter.is_empty() => call.builder,
            None => call.builder.query(&[("filter", filter)]),
        };
        let answer: QueryAnswer = call.json().await?;
        Ok(EntityPage { items: answer.items, next_cursor: answer.page_info.next_cursor })
    }

    /// Removes one entity, such as an orphaned one. One that is not there counts as removed.
    pub async fn delete_entity(&self, uid: &str) -> Result<(), BackstageError> {
        match self.call(Method::DELETE, &["entities", "by-uid", uid]).send().await {
            Ok(_) => Ok(()),
            Err(error) if has_status(&error, StatusCode::NOT_FOUND) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn call(&self, method: Method, path: &[&str]) -> Call {
        let mut url = self.catalog.clone();
        // `new` has checked that the URL carries paths.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        let name = format!("{method} {}", url.path());
        let mut builder = self.http.request(method, url);
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token.expose_secret());
        }
        Call { name, builder }
    }
}

/// One request, with the name that errors give it.
struct Call {
    name: String,
    builder: RequestBuilder,
}

impl Call {
    fn with_body<T: serde::Serialize>(self, body: &T) -> Self {
        Self { builder: self.builder.json(body), ..self }
    }

    async fn json<T: DeserializeOwned>(self) -> Result<T, BackstageError> {
        let name = self.name.clone();
        let response = self.send().await?;
        let bytes = response.bytes().await.map_err(|source| transport(&name, source))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| BackstageError::Unexpected { request: name, reason: error.to_string() })
    }

    async fn send(self) -> Result<Response, BackstageError> {
        let response = self.builder.send().await.map_err(|source| transport(&self.name, source))?;
        let status = response.status();
        tracing::debug!(request = %self.name, status = status.as_u16(), "asked Backstage");
        if status.is_success() {
            return Ok(response);
        }
        let message = message_of(response).await;
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                BackstageError::Unauthorized { request: self.name, status, message }
            }
            _ => BackstageError::Status { request: self.name, status, message },
        })
    }
}

fn transport(request: &str, source: reqwest::Error) -> BackstageError {
    BackstageError::Transport { request: request.to_owned(), source: source.without_url() }
}

fn has_status(error: &BackstageError, wanted: StatusCode) -> bool {
    matches!(error, BackstageError::Status { status, .. } if *status == wanted)
}

/// Backstage's errors are `{"error": {"name", "message"}}`; a proxy's may be anything.
async fn message_of(response: Response) -> String {
    let Ok(text) = response.text().await else { return String::new() };
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let message = value.pointer("/error/message").and_then(serde_json::Value::as_str).unwrap_or(text.trim());
    message.chars().take(MESSAGE_LIMIT).collect()
}
