//! Artifacts do not say of what they are: that is known from the lists of each version and each run.

use std::collections::HashMap;

use futures::{StreamExt as _, stream};
use registry_client::{Page, Pages, RawRecord, RegistryError};
use serde_json::Value as Json;

use super::source::{Source, found};
use super::take::{Taken, Taking, label};
use super::{AHEAD, ImportError};
use crate::api::{Version, told};
use crate::model::{Id, Kind, Record, Table};

/// What artifacts belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owners {
    /// Model versions.
    Versions,
    /// Experiment runs.
    Runs,
}

impl Owners {
    const fn table(self) -> Table {
        match self {
            Self::Versions => Table::ModelVersion,
            Self::Runs => Table::ExperimentRun,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Versions => "model_versions",
            Self::Runs => "experiment_runs",
        }
    }
}

/// The beginning of a list, and the rest of it.
struct Begun {
    first: Option<Page<RawRecord>>,
    rest: Pages<RawRecord>,
}

async fn begin(source: Source, path: [String; 3]) -> Result<Begun, RegistryError> {
    let mut rest = source.list(&path.each_ref().map(String::as_str));
    Ok(Begun { first: rest.next_page().await?, rest })
}

impl Taking<'_> {
    /// The artifacts of all versions, or of all runs with what their metrics were over time.
    pub(super) async fn artifacts_of(&mut self, owners: Owners) -> Result<(), ImportError> {
        let source = self.source.clone();
        let lists = stream::iter(self.ids.all(owners.table())).map(move |(there, here)| {
            let path = [owners.path().to_owned(), there.to_string(), "artifacts".to_owned()];
            let begun = begin(source.clone(), path);
            async move { begun.await.map(|begun| (there, here, begun)) }
        });
        let mut lists = Box::pin(lists.buffered(AHEAD));
        while let Some(list) = lists.next().await {
            let (there, here, Begun { first, mut rest }) = list?;
            let mut metrics = HashMap::new();
            let mut page = first;
            while let Some(records) = page {
                for record in records.records {
                    if let Some(Taken { kind, name, id }) = self.record(record, &Kind::ARTIFACTS, Some(here)).await? {
                        self.done.links += usize::from(self.intake.link(here, id).await?);
                        if kind == Kind::Metric {
                            metrics.insert(name, id);
                        }
                    }
                }
                self.progress.tell(self.done.total(), owners.path());
                page = rest.next_page().await?;
            }
            if owners == Owners::Runs && !metrics.is_empty() {
                self.history(there, here, &metrics).await?;
            }
        }
        Ok(())
    }

    /// What the metrics of a run were over time.
    async fn history(&mut self, there: Id, run: Id, metrics: &HashMap<String, Id>) -> Result<(), ImportError> {
        let mut pages = self.source.list(&["experiment_runs", &there.to_string(), "metric_history"]);
        let Some(mut page) = found(pages.next_page().await)? else { return Ok(()) };
        while let Some(records) = page {
            for record in records.records {
                let Some(RawRecord(json)) = self.readable(record, &[Kind::Metric]) else { continue };
                let label = label(&json);
                match moment(json, self.source.version(), run, metrics) {
                    Ok(moment) => {
                        self.intake.remember(run, moment).await?;
                        self.done.history += 1;
                    }
                    Err(reason) => {
                        self.leave_out(&[Kind::Metric], &label, &format!("in the history of run {there}: {reason}"));
                    }
                }
            }
            self.progress.tell(self.done.total(), "metric_history");
            page = pages.next_page().await?;
        }
        Ok(())
    }
}

/// The metric as it was.
fn moment(json: Json, version: Version, run: Id, metrics: &HashMap<String, Id>) -> Result<Record, String> {
    let told = told(json, &[Kind::Metric], version)?;
    let name = told.draft.name.unwrap_or_default();
    let id = *metrics.get(&name).ok_or_else(|| format!("the run has no metric {name:?}"))?;
    let created = told.created.or(told.updated).unwrap_or_default();
    Ok(Record {
        kind: Kind::Metric,
        id,
        parent: Some(run),
        run: None,
        name,
        external_id: None,
        description: None,
        created,
        updated: created,
        fields: told.draft.fields,
        properties: told.draft.properties,
    })
}
