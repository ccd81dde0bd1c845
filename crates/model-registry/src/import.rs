//! Moving in from another registry, Kubeflow's or one of ours, by reading it through its REST API.
//!
//! Everything is read page by page and written in one transaction, which is committed at the end or not at all. Only ids
//! are remembered. An id is kept unless something else has it already: in Kubeflow's registry an artifact and a model may
//! have the same one, which here they may not. Models, versions, environments, experiments, runs, services and serves go
//! first, and artifacts, whose ids nobody else writes down, last.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use registry_client::RegistryError;
use thiserror::Error;

use crate::database::Database;
use crate::model::Kind;
use crate::store::{Actor, Intake, Rank, StoreError};

mod artifacts;
mod ids;
mod progress;
mod source;
mod take;

use artifacts::Owners;
use progress::Progress;
pub use source::Source;
use source::{ARTIFACTS, CONTEXTS, Marks};
use take::Taking;

/// How many lists are asked for ahead of the one that is taken in.
const AHEAD: usize = 8;

/// What is all right with whoever imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// What the registry that is written to may hold.
    pub target: Target,
    /// What to do about what can't be taken in.
    pub invalid: Invalid,
    /// What to do when the registry that is read changes meanwhile.
    pub changes: Changes,
}

/// What a registry that is written to may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// Nothing.
    #[default]
    Empty,
    /// Anything; what comes gets new ids.
    Any,
}

/// What to do about what can't be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Invalid {
    /// To name all of it, and to write nothing.
    #[default]
    Refuse,
    /// To name it, and to leave it out.
    Skip,
}

/// What to do when the registry that is read changes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Changes {
    /// To write nothing.
    #[default]
    Refuse,
    /// To say so; some of it is as it was, and some as it is now.
    Take,
}

/// What was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// How many resources, by kind.
    pub resources: BTreeMap<Kind, usize>,
    /// How many of them have another id than before.
    pub renumbered: usize,
    /// How many artifacts are linked to a version or a run, each time that they are.
    pub links: usize,
    /// How many values of metrics over time.
    pub history: usize,
    /// How many resources and values were left out.
    pub left_out: usize,
    /// Fields that the resources had and that are not kept here, with how many had them.
    pub unknown: BTreeMap<(Kind, String), usize>,
}

impl Imported {
    /// How many resources of all kinds.
    pub fn total(&self) -> usize {
        self.resources.values().sum()
    }
}

/// Nothing was taken in.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The registry can't be read.
    #[error(transparent)]
    Source(#[from] RegistryError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is something in it already.
    #[error("the database holds resources already: --add / MR_ADD imports beside them, with new ids")]
    NotEmpty,
    /// Some of it can't be taken in.
    #[error(
        "{0} of the resources can't be taken in, as said above: correct them there, or leave them out with --skip-invalid / MR_SKIP_INVALID"
    )]
    Invalid(usize),
    /// What was read does not fit together.
    #[error(
        "the registry was changed while it was read ({0}): import when nobody writes to it, or take it as it was read with --live / MR_LIVE"
    )]
    Changed(String),
    /// There are more resources than ids.
    #[error("there is no id of nine digits left for the {kind} that has the id {id} there")]
    NoId {
        /// Of which kind.
        kind: &'static str,
        /// Its id there.
        id: String,
    },
    /// The ids can't be written down.
    #[error("--id-map / MR_ID_MAP: {0}")]
    IdMap(#[from] std::io::Error),
}

/// Takes in all that `source` holds. Into `id_map`, if there is one, goes a line of JSON for each resource: what it is, its
/// id there and its id here.
pub async fn import(
    source: &Source,
    database: &Database,
    rules: Rules,
    id_map: Option<&mut (dyn Write + Send)>,
) -> Result<Imported, ImportError> {
    let before = source.marks().await?;
    let actor = Actor::named(&format!("import from {}", source.url()), Rank::Admin);
    let intake = Intake::begin(database, actor).await?;
    if rules.target == Target::Empty && intake.greatest_id() > 0 {
        return Err(ImportError::NotEmpty);
    }
    let mut taking = Taking::new(source, intake, id_map);
    taking.everything().await?;
    let changed = changed(&before, &source.marks().await?);
    let (intake, imported) = taking.end()?;
    match (imported.left_out, rules.invalid) {
        (1.., Invalid::Refuse) => {
            intake.roll_back().await?;
            return Err(ImportError::Invalid(imported.left_out));
        }
        _ if !changed.is_empty() && rules.changes == Changes::Refuse => {
            intake.roll_back().await?;
            return Err(ImportError::Changed(changed));
        }
        _ => {}
    }
    if !changed.is_empty() {
        tracing::warn!(
            lists = changed,
            "the registry was changed while it was read: some of it may be as it was before"
        );
    }
    intake.commit().await?;
    Ok(imported)
}

/// The lists of which something else was changed last than before.
fn changed(before: &Marks, after: &Marks) -> String {
    let differ = before.iter().zip(after).filter(|(before, after)| before != after);
    differ.map(|((list, _), _)| *list).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

impl Taking<'_> {
    async fn everything(&mut self) -> Result<(), ImportError> {
        for list in CONTEXTS {
            self.list(list).await?;
        }
        self.serves().await?;
        self.artifacts_of(Owners::Versions).await?;
        self.artifacts_of(Owners::Runs).await?;
        for list in ARTIFACTS {
            if self.list(list).await? {
                break;
            }
        }
        Ok(())
    }
}
