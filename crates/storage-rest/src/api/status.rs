//! `GET /status`: what storage keeps, and how far it is delivered, as JSON.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use model_catalog::render::Format;
use serde::Serialize;

use super::Api;
use crate::metrics::Target;

/// What is told and never changes.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The format by which location names its files.
    pub format: Format,
    /// Whether entries are registered in Backstage.
    pub push_to_backstage: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    format: Format,
    /// Which store it is, once it is open.
    store: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ready: Option<&'static str>,
    /// Whether what is kept may be taken for the whole.
    settled: bool,
    entries: i64,
    push_to_backstage: bool,
    /// By target: entries of which it does not hold the current state.
    undelivered: BTreeMap<&'static str, i64>,
}

/// What storage keeps, and how far it is delivered
#[utoipa::path(
    get, path = "/status", tag = "state",
    responses((status = OK, description = "The store, its entries, and what waits", body = serde_json::Value))
)]
pub(super) async fn status(State(api): State<Api>) -> Json<Status> {
    let store = api.store.get();
    let targets = [Target::Location, Target::Backstage];
    let targets = targets.into_iter().filter(|target| *target != Target::Backstage || api.facts.push_to_backstage);
    Json(Status {
        format: api.facts.format,
        store: store.map(|store| store.describe()),
        not_ready: store.is_none().then_some("the store can't be reached yet"),
        settled: api.settled.is_settled(),
        entries: api.metrics.entries_listed(),
        push_to_backstage: api.facts.push_to_backstage,
        undelivered: targets.map(|target| (target.as_str(), api.metrics.undelivered_to(target))).collect(),
    })
}
