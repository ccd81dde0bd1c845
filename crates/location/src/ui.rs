//! The page for people: what is served, made readable, and where it comes from. It is rendered here, needs no JavaScript,
//! and no foreign text in it can become anything but text.
//!
//! Its routes have one segment or two: documents have three or more, so no entry is hidden by a page or hides one.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bridge_api::{Digest, EntryKey};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use maud::Markup;
use service::{ApiError, Authorizer, Readiness, Shutdown};
use tokio::time::timeout;
use url::form_urlencoded;

use crate::catalog::ServedCatalog;
use crate::representation::{Representation, Wanted};
use crate::snapshot::{Completeness, Snapshot};
use files::Files;
use index::Index;
use indexing::Indexing;
use pages::{Context, Place};
use query::Filter;

pub(crate) use normalizer::Normalizer;

mod card;
mod changes;
mod files;
mod index;
mod indexing;
mod normalizer;
mod pages;
mod query;
mod view;

const HTML: &str = "text/html; charset=utf-8";
/// Nothing is loaded but our own style, script and icon, and nothing is sent anywhere but to us.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);
/// Where people go from here need not know what they looked at.
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
/// When to look again whether the catalog is loaded, in seconds.
const LOOK_AGAIN: u64 = 3;
/// How long somebody waits for the entries to be listed before they are told to look again.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the pages share.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    catalog: Arc<ServedCatalog>,
    readiness: Readiness,
    indexing: Indexing,
    files: Arc<Files>,
    normalizer: Normalizer,
    watchers: changes::Watchers,
    shutdown: Shutdown,
}

/// Why there is nothing to show.
#[derive(Debug)]
enum Closed {
    /// Storage was not loaded yet.
    Loading { reason: String },
    /// There are very many entries, and nobody has looked before.
    Listing,
    /// We are wrong.
    Failed(ApiError),
}

/// The pages of `catalog`, for those whom `authorizer` lets read it. Whoever watches it is let go at `shutdown`.
pub(crate) fn router(
    catalog: Arc<ServedCatalog>,
    readiness: Readiness,
    normalizer: Normalizer,
    authorizer: &Authorizer,
    shutdown: Shutdown,
) -> Router {
    let ui = Ui {
        indexing: Indexing::new(Arc::clone(&catalog)),
        files: Arc::default(),
        watchers: changes::Watchers::default(),
        catalog,
        readiness,
        normalizer,
        shutdown,
    };
    let routes = Router::new()
        .route("/", get(list))
        .route("/ui/model", get(model))
        .route("/ui/sources", get(sources))
        .route("/ui/changes", get(changes::changes))
        .route("/ui/style.css", get(files::style))
        .route("/ui/script.js", get(files::script))
        .route("/ui/icon.svg", get(files::icon));
    authorizer.guard_reads(routes.layer(map_response(restrict))).with_state(ui)
}

async fn restrict(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    response
}

async fn list(State(ui): State<Ui>, RawQuery(query): RawQuery, wanted: Wanted) -> Response {
    let index = match ui.index().await {
        Ok(index) => index,
        Err(why) => return ui.closed(Place::Models, why),
    };
    let filter = Filter::parse(query.as_deref().unwrap_or_default());
    let render = move |ui: Ui| {
        let snapshot = ui.catalog.snapshot();
        pages::list(&ui.context(Place::Models), &snapshot, &index, &filter)
    };
    ui.answer(wanted, render).await
}

async fn model(State(ui): State<Ui>, RawQuery(query): RawQuery, wanted: Wanted) -> Response {
    let snapshot = match ui.readable() {
        Ok(snapshot) => snapshot,
        Err(why) => return ui.closed(Place::Model, why),
    };
    let query = query.unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "key");
    let key = named.and_then(|(_, text)| text.parse::<EntryKey>().ok());
    let found = key.and_then(|key| Some((snapshot.entry(&key).cloned()?, key)));
    let Some((entry, key)) = found else {
        return page(StatusCode::NOT_FOUND, &pages::no_model(&ui.context(Place::Model)));
    };
    ui.answer(wanted, move |ui| pages::model(&ui.context(Place::Model), &key, &entry)).await
}

/// Shown before anything is loaded, too: it says why nothing is.
async fn sources(State(ui): State<Ui>, wanted: Wanted) -> Response {
    let status = ui.normalizer.status().await;
    let render = move |ui: Ui| {
        let snapshot = ui.catalog.snapshot();
        let unready = ui.readiness.reason();
        pages::sources(&ui.context(Place::Sources), &snapshot, unready.as_deref(), &status, Timestamp::now())
    };
    ui.answer(wanted, render).await
}

impl Ui {
    fn context(&self, place: Place) -> Context {
        let generation = self.catalog.current().generation();
        Context { place, generation, format: self.catalog.format() }
    }

    /// The snapshot to read from, once storage was loaded.
    fn readable(&self) -> Result<Arc<Snapshot>, Closed> {
        let snapshot = self.catalog.snapshot();
        if snapshot.completeness() == Completeness::Loaded {
            return Ok(snapshot);
        }
        let reason = self.readiness.reason().unwrap_or_else(|| "nothing was loaded from storage yet".to_owned());
        Err(Closed::Loading { reason })
    }

    async fn index(&self) -> Result<Arc<Index>, Closed> {
        self.readable()?;
        let index = timeout(PATIENCE, self.indexing.current()).await;
        index.map_err(|_| Closed::Listing)?.map_err(Closed::Failed)
    }

    /// What is answered when there is nothing to show.
    fn closed(&self, place: Place, why: Closed) -> Response {
        match why {
            Closed::Failed(error) => error.into_response(),
            Closed::Loading { reason } => Self::wait(&pages::loading(&self.context(place), &reason, LOOK_AGAIN)),
            Closed::Listing => Self::wait(&pages::listing(&self.context(place), LOOK_AGAIN)),
        }
    }

    fn wait(markup: &Markup) -> Response {
        let mut response = page(StatusCode::SERVICE_UNAVAILABLE, markup);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(LOOK_AGAIN));
        response
    }

    /// Renders a page, which takes a while when there is much on it, and answers with it.
    async fn answer(self, wanted: Wanted, render: impl FnOnce(Self) -> Markup + Send + 'static) -> Response {
        let answer = tokio::task::spawn_blocking(move || {
            let html = render(self).into_string().into_bytes();
            let digest = Digest::of(&html);
            Representation::new(html, digest).answer(HTML, &wanted)
        });
        answer.await.unwrap_or_else(|_| internal("the page could not be made").into_response())
    }
}

fn page(status: StatusCode, markup: &Markup) -> Response {
    (status, [(CONTENT_TYPE, HTML)], markup.0.clone()).into_response()
}

fn internal(what: &str) -> ApiError {
    ApiError::internal(format!("{what}: see the log of location"))
}
