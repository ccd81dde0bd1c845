//! The registry itself: what it keeps, under which rules, in whichever database.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::database::Database;
use crate::filter::Filter;
use crate::model::{Draft, Id, Kind, Patch, Record, Value};

mod changes;
mod columns;
mod detail;
pub mod dump;
mod history;
mod intake;
mod list;
mod page;
mod read;
mod route;
mod write;
mod writer;

pub use changes::{Action, Change};
pub(crate) use columns::INDEXED;
pub(crate) use intake::Intake;
use write::Command;
pub(crate) use write::Stamp;
use writer::Writer;

/// A registry in a database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    writer: Writer,
}

impl Store {
    /// The registry in a database whose tables are up to date.
    pub fn new(database: Database) -> Self {
        Self { writer: Writer::start(database.clone()), database }
    }

    /// Makes a resource.
    pub async fn create(&self, draft: Draft, actor: &Actor) -> Result<Record, StoreError> {
        Ok(self.writer.run(Command::Create(draft), actor).await?.0)
    }

    /// Changes a resource of one of these kinds.
    pub async fn update(
        &self,
        kinds: &[Kind],
        id: Id,
        patch: Patch,
        expected: Expected,
        actor: &Actor,
    ) -> Result<Record, StoreError> {
        let command = Command::Update { kinds: kinds.to_vec(), id, patch, expected };
        Ok(self.writer.run(command, actor).await?.0)
    }

    /// Gives a version or a run an artifact: a new one, or one that is there and is changed and linked.
    pub async fn offer(
        &self,
        owner: (Kind, Id),
        offered: Offered,
        actor: &Actor,
    ) -> Result<(Record, Upserted), StoreError> {
        self.writer.run(Command::Offer { owner, offered }, actor).await
    }

    /// The version that an inference service serves: the one that it names, or else the newest of its model.
    pub async fn served_version(&self, inference_service: Id) -> Result<Record, StoreError> {
        let service = self.get(&[Kind::InferenceService], inference_service).await?;
        if let Some(version) = reference(&service, "modelVersionId") {
            return self.get(&[Kind::ModelVersion], version).await;
        }
        let newest =
            PageQuery { size: Some(1), order_by: OrderBy::CreateTime, sort_order: SortOrder::Descending, after: None };
        let model = reference(&service, "registeredModelId");
        let query = Query {
            kinds: vec![Kind::ModelVersion],
            of: model,
            name: None,
            external_id: None,
            filter: None,
            page: newest,
        };
        self.list(&query).await?.items.pop().ok_or_else(|| StoreError::NotFound {
            what: Kind::ModelVersion.title(),
            key: format!("inference service {inference_service}"),
        })
    }

    /// The registered model that an inference service serves.
    pub async fn served_model(&self, inference_service: Id) -> Result<Record, StoreError> {
        let service = self.get(&[Kind::InferenceService], inference_service).await?;
        let model = reference(&service, "registeredModelId").ok_or_else(|| StoreError::NotFound {
            what: Kind::RegisteredModel.title(),
            key: format!("inference service {inference_service}"),
        })?;
        self.get(&[Kind::RegisteredModel], model).await
    }
}

/// The resource that a field names.
fn reference(record: &Record, field: &str) -> Option<Id> {
    match record.fields.get(field) {
        Some(Value::Integer(id)) => Some(Id::kept(*id)),
        _ => None,
    }
}

/// By what a resource is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// By its name, beneath its parent where its kind has one.
    Name {
        /// Its name.
        name: String,
        /// What it belongs to, or, for an artifact, what it is linked to.
        parent: Option<Id>,
    },
    /// By what others call it.
    ExternalId(String),
}

/// Which resources are listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Of which kinds.
    pub kinds: Vec<Kind>,
    /// Of what: children of that, or artifacts that are linked to it.
    pub of: Option<Id>,
    /// Of that name only.
    pub name: Option<String>,
    /// Of that external id only.
    pub external_id: Option<String>,
    /// Of which that holds.
    pub filter: Option<Filter>,
    /// Which part of them, in which order.
    pub page: PageQuery,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PageQuery {
    /// How many at most; all, if `None`.
    pub size: Option<u32>,
    /// By what they are ordered.
    pub order_by: OrderBy,
    /// In which direction.
    pub sort_order: SortOrder,
    /// After which one the part begins.
    pub after: Option<Cursor>,
}

/// By what a list is ordered; the id decides between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// When it was made.
    CreateTime,
    /// When it was changed last.
    LastUpdateTime,
    /// Its id.
    #[default]
    Id,
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortOrder {
    /// The smallest first.
    #[default]
    Ascending,
    /// The greatest first.
    Descending,
}

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// What the list is ordered by, of the last one before; its id once more where that is what it is ordered by.
    pub key: i64,
    /// The id of the last one before.
    pub id: i64,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Its resources.
    pub items: Vec<Record>,
    /// Where the next part begins; `None` for the last.
    pub next: Option<Cursor>,
}

/// The metrics of runs over time.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryQuery {
    /// Of that run, or of all.
    pub run: Option<Id>,
    /// Of the metric of that name only.
    pub name: Option<String>,
    /// Of these steps only, if there are any.
    pub steps: BTreeSet<i64>,
    /// Of which that holds.
    pub filter: Option<Filter>,
    /// Which part of them.
    pub page: PageQuery,
}

/// An artifact that is given for a version or a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Offered {
    /// The artifact that is meant, if it is there already.
    pub id: Option<Id>,
    /// What it is to be.
    pub draft: Draft,
    /// What of it was said, for one that is there.
    pub patch: Patch,
}

/// What came of offering an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upserted {
    /// It is new.
    Created,
    /// One that was there was changed, or linked.
    Updated,
}

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actor {
    /// Their name, as far as that is known.
    pub name: Option<String>,
    /// What they may do.
    pub rank: Rank,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Rank {
    /// Everything but what is left to admins: to archive, and to take back from the archive.
    Editor,
    /// Everything, as everyone may where nobody has to say who they are.
    #[default]
    Admin,
}

impl Actor {
    /// The longest name, in characters.
    const LONGEST_NAME: usize = 255;

    /// Somebody of that name, of which the beginning is kept if it is very long.
    pub fn named(name: &str, rank: Rank) -> Self {
        Self { name: Some(name.chars().take(Self::LONGEST_NAME).collect()), rank }
    }
}

/// The state in which somebody saw a resource who wants to change it: its [`Record::updated`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Any.
    Any,
    /// The one that was current at that time.
    AsOf(i64),
}

/// The registry can't do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such resource.
    #[error("no {what} found for {key}")]
    NotFound {
        /// Of which kind.
        what: &'static str,
        /// What it was asked for by.
        key: String,
    },
    /// There is another one of that name, or external id.
    #[error("{0}")]
    Conflict(String),
    /// What was given can't be kept.
    #[error("{0}")]
    Invalid(String),
    /// Whoever asks may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// The resource was changed since the caller saw it.
    #[error("{what} {id} was changed since it was read: read it again")]
    Outdated {
        /// Of which kind.
        what: &'static str,
        /// Which one.
        id: Id,
    },
    /// The database does not answer now.
    #[error("the database can't be used now: {0}")]
    Unavailable(String),
    /// The database answered something that was not to be expected.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            other => Self::Database(other),
        }
    }
}
