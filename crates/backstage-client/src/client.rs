//! The typed client.

use std::collections::HashSet;
use std::fmt;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::entity::{ENTITY_FIELDS, Entity, QueryAnswer};
use crate::error::BackstageError;
use crate::model::{
    Created, CreatedLocation, ListedLocation, Location, NewLocation, RefreshRequest, location_entity_name,
};
use bearer::{Token, TokenSource};
use calls::Calls;

/// How much of an error's body is kept.
const MESSAGE_LIMIT: usize = 300;
/// How much of it is read.
const ERROR_LIMIT: usize = 64 << 10;
/// No answer of a catalog that is asked for so much at once is larger.
const ANSWER_LIMIT: usize = 64 << 20;
/// How many entities are asked for at once.
const PAGE_SIZE: &str = "500";

/// Talks to the catalog of one Backstage.
#[derive(Clone)]
pub struct CatalogClient {
    catalog: Url,
    http: reqwest::Client,
    token: Token,
    calls: Calls,
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
        Ok(Self { catalog, http, token: Token::from(token), calls: Calls::default() })
    }

    /// The same, sending what `source` gives at each request as the bearer.
    #[must_use]
    pub fn with_token_source(self, source: TokenSource) -> Self {
        Self { token: Token::from_source(source), ..self }
    }

    /// The same, telling of each request as `calls` does.
    #[must_use]
    pub fn with_calls(self, calls: Calls) -> Self {
        Self { calls, ..self }
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

    /// The registered location of this type and target, found by the entity that Backstage makes for it; `None` when
    /// there is none, or its entity is not there yet.
    pub async fn location_of(&self, kind: &str, target: &str) -> Result<Option<Location>, BackstageError> {
        let entity = location_entity_name(kind, target);
        let path = ["locations", "by-entity", "location", "default", &entity];
        match self.call(Method::GET, &path).json().await {
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

    /// Has Backstage read a location as if it were registered, which it is not. What is wrong with the type, the target or
    /// what is read there is a [`BackstageError::Status`] of 400.
    pub async fn try_location(&self, kind: &str, target: &str) -> Result<(), BackstageError> {
        let mut call = self.call(Method::POST, &["locations"]).with_body(&NewLocation { kind, target });
        call.builder = call.builder.query(&[("dryRun", "true")]);
        call.send().await.map(drop)
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

    /// All entities that match one of the filters (Backstage's syntax, such as `kind=location`), page by page; with no
    /// filter, all that there are.
    pub async fn entities(&self, filters: &[&str]) -> Result<Vec<Entity>, BackstageError> {
        let (mut entities, mut cursor, mut seen) = (Vec::new(), None, HashSet::new());
        loop {
            let page = self.entity_page(filters, cursor.as_deref()).await?;
            entities.extend(page.items);
            let Some(next) = page.page_info.next_cursor else { return Ok(entities) };
            if !seen.insert(next.clone()) {
                let reason = "the same page is announced again and again".to_owned();
                return Err(BackstageError::Unexpected { request: "GET entities/by-query".to_owned(), reason });
            }
            cursor = Some(next);
        }
    }

    async fn entity_page(&self, filters: &[&str], cursor: Option<&str>) -> Result<QueryAnswer, BackstageError> {
        let mut call = self.call(Method::GET, &["entities", "by-query"]);
        let mut query = vec![("fields", ENTITY_FIELDS), ("limit", PAGE_SIZE)];
        // A cursor carries the query that it continues; Backstage refuses both together.
        match cursor {
            Some(cursor) => query.push(("cursor", cursor)),
            None => query.extend(filters.iter().map(|filter| ("filter", *filter))),
        }
        call.builder = call.builder.query(&query);
        call.json().await
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
        if let Some(token) = self.token.now() {
            builder = builder.bearer_auth(token.expose_secret());
        }
        Call { name, builder, calls: self.calls.clone() }
    }
}

/// One request, with the name that errors give it.
struct Call {
    name: String,
    builder: RequestBuilder,
    calls: Calls,
}

impl Call {
    fn with_body<T: serde::Serialize>(self, body: &T) -> Self {
        Self { builder: self.builder.json(body), ..self }
    }

    async fn json<T: DeserializeOwned>(self) -> Result<T, BackstageError> {
        let name = self.name.clone();
        let mut response = self.send().await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| transport(&name, source))? {
            if bytes.len() + chunk.len() > ANSWER_LIMIT {
                let reason = format!("it is longer than {ANSWER_LIMIT} bytes");
                return Err(BackstageError::Unexpected { request: name, reason });
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| BackstageError::Unexpected { request: name, reason: error.to_string() })
    }

    async fn send(self) -> Result<Response, BackstageError> {
        let response = self.calls.send(self.builder).await.map_err(|source| transport(&self.name, source))?;
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
    error.status() == Some(wanted)
}

/// Backstage's errors are `{"error": {"name", "message"}}`; a proxy's may be anything.
async fn message_of(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ERROR_LIMIT {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let message = value.pointer("/error/message").and_then(serde_json::Value::as_str).unwrap_or(text.trim());
    message.chars().take(MESSAGE_LIMIT).collect()
}
