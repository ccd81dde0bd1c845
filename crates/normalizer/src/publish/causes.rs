//! Which trace belongs to what is published: that of the read which brought it.

use std::collections::BTreeMap;

use bridge_api::key::EntryKey;
use bridge_api::messages::Origin;
use service::telemetry::{Cause, TARGET};
use tracing::Span;

use crate::inventory::SourceId;

/// The reads whose changes were published.
#[derive(Debug, Default)]
pub(super) struct Causes(BTreeMap<SourceId, Cause>);

/// The reads whose changes were not published yet, by their sources. What nothing of this brought, such as what changed in
/// a cluster, begins a trace of its own when it is published.
#[derive(Debug, Default)]
pub(super) struct Fresh(BTreeMap<String, Cause>);

impl Causes {
    /// What is new among the reads that brought something last.
    pub(super) fn fresh(&self, causes: &BTreeMap<SourceId, Cause>) -> Fresh {
        let fresh = causes.iter().filter(|(source, cause)| self.0.get(source) != Some(cause));
        Fresh(fresh.map(|(source, cause)| (source.as_str().to_owned(), cause.clone())).collect())
    }

    /// What these brought was published.
    pub(super) fn published(&mut self, causes: &BTreeMap<SourceId, Cause>) {
        self.0.clone_from(causes);
    }
}

impl Fresh {
    /// The span in which an entry is sent.
    pub(super) fn upsert(&self, key: &EntryKey, origin: Option<&Origin>) -> Span {
        let source = origin.map(|origin| origin.source.as_str());
        let span = tracing::info_span!(target: TARGET, parent: None, "publish", %key, source);
        if let Some(cause) = source.and_then(|source| self.0.get(source)) {
            cause.adopt(&span);
        }
        span
    }

    /// The span in which it is said that so many entries of these sources are gone.
    pub(super) fn removal<'a>(&self, count: usize, mut sources: impl Iterator<Item = &'a str>) -> Span {
        if count == 0 {
            return Span::none();
        }
        let span = tracing::info_span!(target: TARGET, parent: None, "publish removals", removed = count);
        if let Some(cause) = sources.find_map(|source| self.0.get(source)) {
            cause.adopt(&span);
        }
        span
    }
}
