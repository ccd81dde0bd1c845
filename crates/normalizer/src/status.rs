//! `GET /status`: what the normalizer knows and what it waits for, as JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use model_catalog::render::Format;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::hold::HeldRemoval;
use crate::inventory::SourceId;
use crate::observe::{Board, SourceStatus};
use crate::project::Diagnostic;

/// What the engine last did; shared with the page that shows it.
#[derive(Debug, Clone, Default)]
pub struct EngineStatus(Arc<Mutex<Progress>>);

/// What the engine last did.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// When storage was last brought in step.
    pub last_sync: Option<Timestamp>,
    /// Why it could not be since.
    pub failure: Option<String>,
    /// Entries of the last projection.
    pub entries: usize,
    /// The same, by source.
    pub entries_by_source: BTreeMap<String, usize>,
    /// Removals that wait for a second complete read.
    pub held_removals: Vec<HeldRemoval>,
    /// Entries that storage refused, and why.
    pub refused: Vec<String>,
    /// What could not be shown as it was given, and why.
    pub diagnostics: Vec<Diagnostic>,
}

impl EngineStatus {
    /// Changes what is shown.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is shown.
    pub fn current(&self) -> Progress {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, Serialize)]
struct Status {
    format: Format,
    sources: BTreeMap<SourceId, ShownSource>,
    #[serde(flatten)]
    progress: Progress,
}

#[derive(Debug, Serialize)]
struct ShownSource {
    /// Whether what is known may be older than it should be.
    stale: bool,
    #[serde(flatten)]
    status: SourceStatus,
}

/// The route.
pub fn router(board: Board, engine: EngineStatus, format: Format) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(status)).with_state((board, engine, format))
}

/// What the normalizer knows and what it waits for
#[utoipa::path(
    get, path = "/status", tag = "state",
    responses((status = OK, description = "Sources and progress", body = serde_json::Value))
)]
async fn status(State((board, engine, format)): State<(Board, EngineStatus, Format)>) -> Json<Status> {
    let shown = |status: SourceStatus| ShownSource { stale: status.failure.is_some(), status };
    let sources = board.statuses().into_iter().map(|(id, status)| (id, shown(status))).collect();
    Json(Status { format, sources, progress: engine.current() })
}
