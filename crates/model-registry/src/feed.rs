//! `GET .../changes`: what has changed since somebody last asked, for those who keep in step. It is ours, not of the existing
//! server's API.
//!
//! A reader asks without `since` for the number to begin with, reads what it wants to, and goes on with the number that each
//! answer gives for the next. Numbers are committed in order, so that none is missed. With `wait` an answer without changes
//! is held back until there are some; with `Accept: text/event-stream` they come one by one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use futures::stream::unfold;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use service::{Shutdown, openapi};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::lookout::Lookout;
use crate::api::Failure;
use crate::store::{Change, Store};

mod lookout;

const PATH: &str = "/api/model_registry/v1alpha3/changes";
const PATH_V1: &str = "/api/model_registry/v1/changes";
/// What an answer holds at most, and holds unless less is asked for.
const LIMIT: u32 = 1000;
/// How long an answer is held back at most, in seconds: less than what a request may take.
const LONGEST_WAIT: u64 = 25;
/// How long somebody may listen before they have to come again, and to show again that they may.
const LONGEST_STREAM: Duration = Duration::from_mins(10);
/// How many may wait or listen at a time.
const LISTENERS: usize = 256;

#[derive(Clone)]
struct Feed {
    store: Store,
    lookout: Lookout,
    places: Arc<Semaphore>,
}

/// The route, in both versions of the API. Whoever waits is let go at `shutdown`.
pub fn router(store: &Store, shutdown: Shutdown) -> OpenApiRouter {
    let lookout = Lookout::start(store, shutdown);
    let feed = Feed { store: store.clone(), lookout, places: Arc::new(Semaphore::new(LISTENERS)) };
    let mut routes = OpenApiRouter::new().routes(routes!(changes)).route(PATH_V1, get(changes));
    openapi::alias(routes.get_openapi_mut(), PATH, PATH_V1, "changes_v1");
    routes.with_state(feed)
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
struct Asked {
    /// After which number; without it only the number of the last change is answered
    since: Option<i64>,
    /// How many at most, up to 1000
    limit: Option<u32>,
    /// For how many seconds to wait if there are none, up to 25
    wait: Option<u64>,
}

/// Changes
#[derive(Debug, Serialize, ToSchema)]
struct Changes {
    items: Vec<Shown>,
    /// What to ask for `since` next
    next: String,
}

/// A change
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Change)]
struct Shown {
    /// Its number
    seq: String,
    /// When it was made, in milliseconds since 1970
    time_since_epoch: String,
    /// Who made it, if that is known
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// `created` or `updated`
    action: String,
    /// The kind of the resource
    kind: &'static str,
    /// Its id
    id: String,
    /// What was done, in detail
    #[schema(value_type = Object)]
    detail: Option<Box<RawValue>>,
}

impl From<Change> for Shown {
    fn from(change: Change) -> Self {
        Self {
            seq: change.seq.to_string(),
            time_since_epoch: change.at.to_string(),
            actor: change.actor,
            action: change.action,
            kind: change.kind.name(),
            id: change.id.to_string(),
            detail: RawValue::from_string(change.detail).ok(),
        }
    }
}

/// What has changed
#[utoipa::path(
    get, path = PATH, tag = "changes", params(Asked),
    responses((status = OK, description = "The changes, or the number to begin with", body = Changes))
)]
async fn changes(
    State(feed): State<Feed>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let listens = headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/event-stream"));
    let Some(since) = asked.since else {
        let next = feed.store.last_change().await?;
        if listens {
            return feed.listen(next);
        }
        return Ok(Json(Changes { items: Vec::new(), next: next.to_string() }).into_response());
    };
    if listens {
        return feed.listen(since);
    }
    let limit = asked.limit.unwrap_or(LIMIT).clamp(1, LIMIT);
    let patience = Duration::from_secs(asked.wait.unwrap_or(0).min(LONGEST_WAIT));
    let found = if patience.is_zero() {
        feed.store.changes(since, limit).await?
    } else {
        let _place = feed.place()?;
        feed.lookout.wait(since, limit, Instant::now() + patience).await?
    };
    let next = found.last().map_or(since, |change| change.seq);
    Ok(Json(Changes { items: found.into_iter().map(Shown::from).collect(), next: next.to_string() }).into_response())
}

impl Feed {
    fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let full =
            || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many wait for changes already: ask without wait");
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())
    }

    fn listen(self, since: i64) -> Result<Response, Failure> {
        let place = self.place()?;
        let listener = Listener {
            feed: self,
            since,
            waiting: VecDeque::new(),
            ends: Instant::now() + LONGEST_STREAM,
            _place: place,
        };
        let events = Sse::new(listener.events()).keep_alive(KeepAlive::default());
        // Proxies that collect answers before they pass them on would keep the events until the end.
        Ok(([(HeaderName::from_static("x-accel-buffering"), "no")], events).into_response())
    }
}

/// Somebody who is told of changes one by one.
struct Listener {
    feed: Feed,
    since: i64,
    waiting: VecDeque<Change>,
    ends: Instant,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, async |mut listener| {
            let change = listener.next().await?;
            let id = change.seq.to_string();
            let event = Event::default().event("change").id(id).json_data(Shown::from(change)).ok()?;
            Some((Ok(event), listener))
        })
    }

    async fn next(&mut self) -> Option<Change> {
        if self.waiting.is_empty() {
            // A database that fails ends the stream: the listener comes again.
            self.waiting = self.feed.lookout.wait(self.since, LIMIT, self.ends).await.ok()?.into();
        }
        let change = self.waiting.pop_front()?;
        self.since = change.seq;
        Some(change)
    }
}
