//! Taking in one resource: what it refers to has to be there, and gets the ids that it has here.

use std::io::Write;

use futures::future::BoxFuture;
use registry_client::{RawRecord, RecordError};
use serde_json::{Value as Json, json};

use super::ids::{Fate, Ids};
use super::source::{CONTEXTS, Whole, found};
use super::{ImportError, Imported, Progress, Source};
use crate::api::{Told, told};
use crate::model::{Fields, Form, Id, Kind, Parent, Table, Value};
use crate::store::{Intake, Stamp, StoreError};

/// What is under way.
pub(super) struct Taking<'a> {
    pub(super) source: Source,
    pub(super) intake: Intake,
    pub(super) ids: Ids,
    pub(super) done: Imported,
    pub(super) progress: Progress,
    id_map: Option<&'a mut (dyn Write + Send)>,
}

/// What a resource is called in messages.
pub(super) fn label(json: &Json) -> Json {
    json!({"id": json.get("id"), "name": json.get("name")})
}

/// A resource that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) id: Id,
}

impl<'a> Taking<'a> {
    pub(super) fn new(source: &Source, intake: Intake, id_map: Option<&'a mut (dyn Write + Send)>) -> Self {
        let ids = Ids::above(intake.greatest_id());
        let (done, progress) = (Imported::default(), Progress::new());
        Self { source: source.clone(), intake, ids, done, progress, id_map }
    }

    /// All of a list; `false` if the registry has no such list.
    pub(super) async fn list(&mut self, list: Whole) -> Result<bool, ImportError> {
        let mut pages = self.source.list(&[list.path]);
        let first = if self.source.has(list) { found(pages.next_page().await)? } else { None };
        let Some(mut page) = first else {
            tracing::info!("the registry has no list of {}", list.path);
            return Ok(false);
        };
        while let Some(records) = page {
            for record in records.records {
                self.record(record, list.kinds, None).await?;
            }
            self.progress.tell(self.done.total(), list.path);
            page = pages.next_page().await?;
        }
        Ok(true)
    }

    /// The serves of each inference service.
    pub(super) async fn serves(&mut self) -> Result<(), ImportError> {
        for (there, here) in self.ids.all(Table::InferenceService) {
            let mut pages = self.source.list(&["inference_services", &there.to_string(), "serves"]);
            let Some(mut page) = found(pages.next_page().await)? else {
                tracing::info!("the registry has no lists of serves");
                return Ok(());
            };
            while let Some(records) = page {
                for record in records.records {
                    self.record(record, &[Kind::ServeModel], Some(here)).await?;
                }
                self.progress.tell(self.done.total(), "serves");
                page = pages.next_page().await?;
            }
        }
        Ok(())
    }

    /// Takes in a record of a list, beneath `parent` if the list is of what is beneath it.
    pub(super) async fn record(
        &mut self,
        record: Result<RawRecord, RecordError>,
        kinds: &'static [Kind],
        parent: Option<Id>,
    ) -> Result<Option<Taken>, ImportError> {
        match self.readable(record, kinds) {
            Some(RawRecord(json)) => self.json(json, kinds, parent).await,
            None => Ok(None),
        }
    }

    /// A record unless it can't be read.
    pub(super) fn readable(&mut self, record: Result<RawRecord, RecordError>, kinds: &[Kind]) -> Option<RawRecord> {
        match record {
            Ok(record) => Some(record),
            Err(error) => {
                self.leave_out(kinds, &Json::Null, &error.reason);
                None
            }
        }
    }

    /// Takes in a resource unless that was done before; `None` if it is left out.
    async fn json(
        &mut self,
        json: Json,
        kinds: &'static [Kind],
        parent: Option<Id>,
    ) -> Result<Option<Taken>, ImportError> {
        let label = label(&json);
        let mut told = match told(json, kinds, self.source.version()) {
            Ok(told) => told,
            Err(reason) => {
                self.leave_out(kinds, &label, &reason);
                return Ok(None);
            }
        };
        let table = told.draft.kind.table();
        if let Some(fate) = self.ids.of(table, told.id) {
            let (kind, name) = (told.draft.kind, told.draft.name.unwrap_or_default());
            return Ok(match fate {
                Fate::Taken(id) => Some(Taken { kind, name, id }),
                Fate::LeftOut => None,
            });
        }
        let resolved = self.resolve(&mut told, parent).await?;
        let taken = match resolved {
            Ok(()) => self.take(&told).await?,
            Err(reason) => Err(reason),
        };
        self.ids.note(table, told.id, taken.as_ref().map_or(Fate::LeftOut, |taken| Fate::Taken(taken.id)));
        match taken {
            Ok(taken) => {
                self.note(&told, &taken)?;
                Ok(Some(taken))
            }
            Err(reason) => {
                self.leave_out(&[told.draft.kind], &label, &reason);
                Ok(None)
            }
        }
    }

    /// Gives it the id that it will have here, and those of what it refers to; or says why that can't be.
    async fn resolve(&mut self, told: &mut Told, parent: Option<Id>) -> Result<Result<(), String>, ImportError> {
        let said = match told.draft.kind.parent() {
            Parent::Named(kind, _) => told.draft.parent.map(|there| (kind, there)),
            Parent::Linked => told.run.map(|there| (Kind::ExperimentRun, there)),
            Parent::None | Parent::OfPath(_) => None,
        };
        told.draft.parent = match said {
            Some((kind, there)) => match self.reference(kind, there).await? {
                Ok(here) => Some(here),
                Err(reason) => return Ok(Err(reason)),
            },
            None => parent,
        };
        let mut fields = Fields::new();
        for field in told.draft.kind.fields().iter().filter(|field| field.form == Form::Id) {
            let of = if field.name == "modelVersionId" { Kind::ModelVersion } else { Kind::RegisteredModel };
            if let Some(Value::Integer(there)) = told.draft.fields.get(field.name) {
                match self.reference(of, Id::kept(*there)).await? {
                    Ok(here) => fields.insert(field.name, Value::Integer(here.get())),
                    Err(reason) => return Ok(Err(reason)),
                };
            }
        }
        told.draft.fields.extend(fields);
        Ok(Ok(()))
    }

    /// The id here of what another resource refers to. If it was not read, it was made since: it is read now.
    fn reference(&mut self, kind: Kind, there: Id) -> BoxFuture<'_, Result<Result<Id, String>, ImportError>> {
        Box::pin(async move {
            if self.ids.of(kind.table(), there).is_none()
                && let Some(list) = CONTEXTS.into_iter().find(|list| list.kinds == [kind])
                && let Some(json) = self.source.one(list, &there.to_string()).await?
            {
                self.json(json, list.kinds, None).await?;
            }
            let title = kind.title();
            Ok(match self.ids.of(kind.table(), there) {
                Some(Fate::Taken(here)) => Ok(here),
                Some(Fate::LeftOut) => Err(format!("the {title} {there} that it refers to is left out")),
                None => Err(format!("it refers to the {title} {there}, which is not there")),
            })
        })
    }

    /// Writes it. The outer error is not its own.
    async fn take(&mut self, told: &Told) -> Result<Result<Taken, String>, ImportError> {
        let Told { id: there, draft, .. } = told;
        let kind = draft.kind;
        let Some(id) = self.ids.next(*there) else {
            return Err(ImportError::NoId { kind: kind.title(), id: there.to_string() });
        };
        let created = told.created.or(told.updated).unwrap_or_default();
        let stamp = Stamp { id, created, updated: told.updated.unwrap_or(created) };
        let mut taken = self.intake.take(draft.clone(), stamp).await;
        // An artifact that was linked to another version since may have there the name of one that was made for that one.
        if matches!(taken, Err(StoreError::Conflict(_))) && kind.parent() == Parent::Linked && draft.parent.is_some() {
            let mut alone = draft.clone();
            alone.parent = None;
            if let Ok(record) = self.intake.take(alone, stamp).await {
                taken = Ok(record);
            }
        }
        match taken {
            Ok(record) => Ok(Ok(Taken { kind, name: record.name, id })),
            Err(error @ (StoreError::Conflict(_) | StoreError::Invalid(_) | StoreError::NotFound { .. })) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn note(&mut self, told: &Told, taken: &Taken) -> Result<(), ImportError> {
        *self.done.resources.entry(taken.kind).or_default() += 1;
        self.done.renumbered += usize::from(told.id != taken.id);
        for field in &told.unknown {
            *self.done.unknown.entry((taken.kind, field.clone())).or_default() += 1;
        }
        if let Some(map) = &mut self.id_map {
            let (from, to) = (told.id.to_string(), taken.id.to_string());
            writeln!(map, "{}", json!({"kind": taken.kind.name(), "from": from, "to": to}))?;
        }
        Ok(())
    }

    /// Says that something is left out.
    pub(super) fn leave_out(&mut self, kinds: &[Kind], label: &Json, reason: &str) {
        self.done.left_out += 1;
        let what = match kinds {
            [kind] => kind.title(),
            _ => "artifact",
        };
        tracing::error!(id = %label["id"], name = %label["name"], "this {what} can't be taken in: {reason}");
    }

    /// What was done, and the transaction that it waits in.
    pub(super) fn end(self) -> Result<(Intake, Imported), ImportError> {
        if let Some(map) = self.id_map {
            map.flush()?;
        }
        Ok((self.intake, self.done))
    }
}
