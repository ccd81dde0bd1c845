//! Writing: what each change does, within a transaction that holds the lock of all changes.

use jiff::Timestamp;
use uuid::Uuid;

use super::changes::{Action, Ledger};
use super::columns::{ROOT, broken, param, property_params};
use super::detail;
use super::read::{find, get, known};
use super::{Actor, Expected, Offered, Rank, StoreError, Upserted, Whom};
use crate::database::{Param, Statement, Transaction};
use crate::model::{Draft, Fields, Form, Given, Id, Kind, OfRun, Parent, Patch, Properties, Property, Record, Value};

/// The longest name, with its parent's id before it where there is one, in characters.
const LONGEST_NAME: usize = 255;
/// The state of what is out of use.
const ARCHIVED: &str = "ARCHIVED";

/// A change that somebody wants.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Create(Draft),
    Update { kinds: Vec<Kind>, id: Id, patch: Patch, expected: Expected },
    Offer { owner: (Kind, Id), offered: Offered },
    Take { draft: Draft, stamp: Stamp },
}

/// What a resource is given that was made elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its id here.
    pub(crate) id: Id,
    /// When it was made.
    pub(crate) created: i64,
    /// When it was changed last.
    pub(crate) updated: i64,
}

/// What came of it.
pub(super) type Done = (Record, Upserted);

/// A transaction that makes changes.
pub(super) struct Writing<'t> {
    pub(super) transaction: &'t mut Transaction,
    pub(super) ledger: &'t mut Ledger,
    pub(super) actor: &'t Actor,
}

impl Writing<'_> {
    /// Makes a change. What the registry itself refuses it refuses before it writes anything.
    pub(super) async fn run(&mut self, command: Command) -> Result<Done, StoreError> {
        match command {
            Command::Create(draft) => Ok((self.make(draft, None).await?, Upserted::Created)),
            Command::Update { kinds, id, patch, expected } => {
                let before = get(&mut *self.transaction, &kinds, id).await?;
                if matches!(expected, Expected::AsOf(updated) if updated != before.updated) {
                    return Err(StoreError::Outdated { what: before.kind.title(), id });
                }
                Ok((self.update(before, patch, None).await?, Upserted::Updated))
            }
            Command::Offer { owner, offered } => self.offer(owner, offered).await,
            Command::Take { draft, stamp } => Ok((self.make(draft, Some(stamp)).await?, Upserted::Created)),
        }
    }

    /// Makes a resource: a new one, or one that has its stamp from elsewhere.
    async fn make(&mut self, draft: Draft, stamp: Option<Stamp>) -> Result<Record, StoreError> {
        let run = self.check_parent(&draft).await?;
        self.insert(draft, run, stamp).await
    }

    /// Inserts a resource whose parent is there: that run, if it is one.
    async fn insert(
        &mut self,
        mut draft: Draft,
        run: Option<OfRun>,
        stamp: Option<Stamp>,
    ) -> Result<Record, StoreError> {
        let kind = draft.kind;
        let name = named(&mut draft)?;
        check_name(kind, draft.parent, &name)?;
        check_external_id(draft.external_id.as_deref())?;
        check_properties(&draft.properties)?;
        fill(kind, &mut draft.fields)?;
        self.check_archive(kind, &Fields::new(), &draft.fields)?;
        self.check_references(kind, &draft.fields).await?;
        let now = Timestamp::now().as_millisecond();
        let (created, updated) = stamp.map_or((now, now), |stamp| (stamp.created, stamp.updated));
        let mut statement = self.transaction.statement("INSERT INTO resource (");
        statement.push(if stamp.is_some() { "id, " } else { "" });
        statement.push("kind, scope, parent_id, name, external_id, description, created, updated) VALUES (");
        if let Some(stamp) = stamp {
            statement.bind(stamp.id.get()).push(", ");
        }
        let common: [Param; 8] = [
            kind.name().into(),
            kind.table().scope().into(),
            draft.parent.map_or(ROOT, Id::get).into(),
            name.as_str().into(),
            draft.external_id.clone().into(),
            draft.description.clone().into(),
            created.into(),
            updated.into(),
        ];
        statement.bind_all(common).push(")");
        let inserted = match stamp {
            None => self.transaction.insert(statement).await,
            Some(stamp) => self.transaction.execute(statement).await.map(|()| stamp.id.get()),
        };
        let id = inserted.map_err(|error| conflict(error, kind, &name, draft.external_id.as_deref()))?;
        let mut rest = vec![self.fields_inserted(kind, id, &draft.fields)];
        rest.extend(self.properties_inserted(kind, id, &draft.properties));
        // What is taken in has its links from where it was.
        if let (Parent::Linked, Some(owner), None) = (kind.parent(), draft.parent, stamp) {
            rest.push(self.link_inserted(owner, Id::kept(id)));
        }
        let record = Record {
            kind,
            id: Id::kept(id),
            parent: draft.parent,
            run,
            name,
            external_id: draft.external_id,
            description: draft.description,
            created,
            updated,
            fields: draft.fields,
            properties: draft.properties,
        };
        let detail = detail::of_new(&record);
        rest.push(self.ledger.note(self.transaction, self.actor, Action::Created, &record, detail));
        self.transaction.execute_all(rest).await?;
        Ok(record)
    }

    /// What a new resource belongs to has to be there; answers the run, if it is one.
    async fn check_parent(&mut self, draft: &Draft) -> Result<Option<OfRun>, StoreError> {
        let of: &[Kind] = match draft.kind.parent() {
            Parent::None => return Ok(None),
            Parent::Linked if draft.parent.is_none() => return Ok(None),
            Parent::Named(kind, _) | Parent::OfPath(kind) => &[kind],
            Parent::Linked => &[Kind::ModelVersion, Kind::ExperimentRun],
        };
        let Some(parent) = draft.parent else {
            return Err(StoreError::Invalid(format!("a {} needs a parent", draft.kind.title())));
        };
        let known = known(&mut *self.transaction, of, parent).await?;
        Ok(as_run(known, parent))
    }

    /// Admins alone put something out of use, and back into it.
    fn check_archive(&self, kind: Kind, before: &Fields, after: &Fields) -> Result<(), StoreError> {
        let is_archived = |fields: &Fields| fields.get("state") == Some(&Value::Text(ARCHIVED.to_owned()));
        if self.actor.rank == Rank::Admin || is_archived(before) == is_archived(after) {
            return Ok(());
        }
        let (who, what) = (self.actor.name.as_deref().unwrap_or("somebody"), kind.title());
        Err(StoreError::Forbidden(format!(
            "{who} may not archive a {what}, or take one back from the archive: this is left to admins of the registry"
        )))
    }

    /// What other resources the fields name, which have to be there.
    async fn check_references(&mut self, kind: Kind, fields: &Fields) -> Result<(), StoreError> {
        for (name, of) in [("registeredModelId", Kind::RegisteredModel), ("modelVersionId", Kind::ModelVersion)] {
            if kind.field(name).is_some()
                && let Some(Value::Integer(id)) = fields.get(name)
            {
                known(&mut *self.transaction, &[of], Id::kept(*id)).await?;
            }
        }
        Ok(())
    }

    fn fields_inserted(&self, kind: Kind, id: i64, fields: &Fields) -> Statement {
        let own = kind.fields().iter().map(|field| field.column);
        let columns = ["id"].into_iter().chain(own).collect::<Vec<_>>().join(", ");
        let mut statement =
            self.transaction.statement(&format!("INSERT INTO {} ({columns}) VALUES (", kind.table().name()));
        statement.bind(id);
        for field in kind.fields() {
            statement.push(", ").bind(param(field, fields.get(field.name)));
        }
        statement.push(")");
        statement
    }

    fn properties_inserted(&self, kind: Kind, id: i64, properties: &Properties) -> Vec<Statement> {
        // A statement may have some ten thousand places for values, of which a property takes seven.
        let all: Vec<_> = properties.iter().collect();
        let insert = |part: &[(&String, &Property)]| {
            let mut statement = self
                .transaction
                .statement("INSERT INTO property (resource_id, kind, name, form, text, key_text, number) VALUES ");
            for (index, (name, property)) in part.iter().enumerate() {
                statement.push(if index > 0 { ", (" } else { "(" });
                statement.bind(id).push(", ").bind(kind.name()).push(", ").bind(name.as_str()).push(", ");
                statement.bind_all(property_params(property)).push(")");
            }
            statement
        };
        all.chunks(1000).map(insert).collect()
    }

    /// Changes a resource, which was linked to that one if any.
    async fn update(&mut self, before: Record, patch: Patch, linked: Option<Id>) -> Result<Record, StoreError> {
        let mut after = before.clone();
        after.updated = Timestamp::now().as_millisecond().max(before.updated + 1);
        check_external_id(patch.external_id.as_deref())?;
        after.external_id = patch.external_id.or(after.external_id);
        after.description = patch.description.or(after.description);
        let changeable = |name: &str| after.kind.field(name).is_some_and(|field| field.given == Given::Always);
        let given: Fields = patch.fields.into_iter().filter(|(name, _)| changeable(name)).collect();
        self.check_references(after.kind, &given).await?;
        after.fields.extend(given);
        self.check_archive(after.kind, &before.fields, &after.fields)?;
        if let Some(properties) = patch.properties {
            check_properties(&properties)?;
            after.properties = properties;
        }
        self.write_common(&after).await?;
        let mut rest = Vec::new();
        if after.fields != before.fields {
            rest.push(self.fields_updated(&after));
        }
        if after.properties != before.properties {
            let mut statement = self.transaction.statement("DELETE FROM property WHERE resource_id = ");
            statement.bind(after.id.get());
            rest.push(statement);
            rest.extend(self.properties_inserted(after.kind, after.id.get(), &after.properties));
        }
        let detail = detail::of_change(&before, &after, linked);
        rest.push(self.ledger.note(self.transaction, self.actor, Action::Updated, &after, detail));
        self.transaction.execute_all(rest).await?;
        Ok(after)
    }

    async fn write_common(&mut self, after: &Record) -> Result<(), StoreError> {
        let mut statement = self.transaction.statement("UPDATE resource SET external_id = ");
        statement.bind(after.external_id.clone()).push(", description = ").bind(after.description.clone());
        statement.push(", updated = ").bind(after.updated).push(" WHERE id = ").bind(after.id.get());
        let written = self.transaction.execute(statement).await;
        written.map_err(|error| conflict(error, after.kind, &after.name, after.external_id.as_deref()))
    }

    fn fields_updated(&self, after: &Record) -> Statement {
        let mut statement = self.transaction.statement(&format!("UPDATE {} SET ", after.kind.table().name()));
        for (index, field) in after.kind.fields().iter().enumerate() {
            statement.push(if index > 0 { ", " } else { "" }).push(field.column).push(" = ");
            statement.bind(param(field, after.fields.get(field.name)));
        }
        statement.push(" WHERE id = ").bind(after.id.get());
        statement
    }

    /// Makes an artifact of a version or a run, or changes and links one that is there.
    async fn offer(&mut self, (kind, owner): (Kind, Id), offered: Offered) -> Result<Done, StoreError> {
        let run = as_run(known(&mut *self.transaction, &[kind], owner).await?, owner);
        let Offered { id, mut draft, patch } = offered;
        let known = match id {
            Some(id) => Some(get(&mut *self.transaction, &Kind::ARTIFACTS, id).await?),
            None => self.measured_before(owner, &draft).await?,
        };
        let done = if let Some(before) = known {
            if before.kind != draft.kind {
                return Err(StoreError::Invalid(format!(
                    "artifact {} is a {}, which does not become a {}",
                    before.id,
                    before.kind.title(),
                    draft.kind.title()
                )));
            }
            let link = (!self.is_linked(owner, before.id).await?).then_some(owner);
            let updated = self.update(before, patch, link).await?;
            if link.is_some() {
                self.transaction.execute(self.link_inserted(owner, updated.id)).await?;
            }
            (updated, Upserted::Updated)
        } else {
            draft.parent = Some(owner);
            (self.insert(draft, run, None).await?, Upserted::Created)
        };
        if kind == Kind::ExperimentRun && done.0.kind == Kind::Metric {
            self.remember_metric(owner, &done.0).await?;
        }
        Ok(done)
    }

    /// The metric or parameter of that name that the owner has already.
    async fn measured_before(&mut self, owner: Id, draft: &Draft) -> Result<Option<Record>, StoreError> {
        let (Kind::Metric | Kind::Parameter, Some(name)) = (draft.kind, draft.name.clone()) else { return Ok(None) };
        find(&mut *self.transaction, &[draft.kind], &Whom::Name { name, parent: Some(owner) }).await
    }

    /// Links an artifact to a version or a run; `false` if it was already.
    pub(super) async fn link(&mut self, owner: Id, artifact: Id) -> Result<bool, StoreError> {
        let is_new = !self.is_linked(owner, artifact).await?;
        if is_new {
            self.transaction.execute(self.link_inserted(owner, artifact)).await?;
        }
        Ok(is_new)
    }

    async fn is_linked(&mut self, owner: Id, artifact: Id) -> Result<bool, StoreError> {
        let mut statement = self.transaction.statement("SELECT owner_id FROM artifact_link WHERE owner_id = ");
        statement.bind(owner.get()).push(" AND artifact_id = ").bind(artifact.get());
        Ok(!self.transaction.fetch(statement, &[]).await?.is_empty())
    }

    fn link_inserted(&self, owner: Id, artifact: Id) -> Statement {
        let mut statement = self.transaction.statement("INSERT INTO artifact_link (owner_id, artifact_id) VALUES (");
        statement.bind_all([owner.get(), artifact.get()]).push(")");
        statement
    }

    pub(super) async fn remember_metric(&mut self, run: Id, metric: &Record) -> Result<(), StoreError> {
        let field =
            |name: &str| Kind::Metric.field(name).map_or(Param::NoText, |field| param(field, metric.fields.get(name)));
        let properties = serde_json::to_string(&metric.properties).map_err(|error| broken(&error.to_string()))?;
        let mut statement = self.transaction.statement(
            "INSERT INTO metric_history (run_id, metric_id, name, value, step, timestamp, state, properties, created) VALUES (",
        );
        statement.bind_all([run.get(), metric.id.get()]).push(", ").bind(metric.name.as_str());
        for name in ["value", "step", "timestamp", "state"] {
            statement.push(", ").bind(field(name));
        }
        statement.push(", ").bind(properties).push(", ").bind(metric.updated).push(")");
        Ok(self.transaction.execute(statement).await?)
    }
}

/// The run that somebody's parent is, of which that is known.
fn as_run(known: (Kind, Option<Id>), parent: Id) -> Option<OfRun> {
    match known {
        (Kind::ExperimentRun, Some(experiment)) => Some(OfRun { experiment, run: parent }),
        _ => None,
    }
}

/// The name of a new resource.
fn named(draft: &mut Draft) -> Result<String, StoreError> {
    match draft.name.take().filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None if draft.kind.must_be_named() => {
            Err(StoreError::Invalid(format!("a {} needs a name", draft.kind.title())))
        }
        None => Ok(Uuid::new_v4().to_string()),
    }
}

fn check_name(kind: Kind, parent: Option<Id>, name: &str) -> Result<(), StoreError> {
    // As the existing server stores it, so that every name goes from either server to the other.
    let before = parent.map_or(0, |id| id.to_string().len() + 1);
    if before + name.chars().count() > LONGEST_NAME {
        let longest = LONGEST_NAME - before;
        return Err(StoreError::Invalid(format!(
            "the name of this {} has more than {longest} characters",
            kind.title()
        )));
    }
    Ok(())
}

fn check_external_id(external_id: Option<&str>) -> Result<(), StoreError> {
    if external_id.is_some_and(|id| id.chars().count() > LONGEST_NAME) {
        return Err(StoreError::Invalid(format!("externalId has more than {LONGEST_NAME} characters")));
    }
    Ok(())
}

fn check_properties(properties: &Properties) -> Result<(), StoreError> {
    match properties.keys().find(|name| name.chars().count() > LONGEST_NAME) {
        None => Ok(()),
        Some(name) => {
            let beginning: String = name.chars().take(30).collect();
            Err(StoreError::Invalid(format!(
                "the name of the custom property `{beginning}...` has more than {LONGEST_NAME} characters"
            )))
        }
    }
}

/// Puts the defaults where nothing was given, and asks for what has to be.
pub(super) fn fill(kind: Kind, fields: &mut Fields) -> Result<(), StoreError> {
    for field in kind.fields() {
        if fields.contains_key(field.name) {
            continue;
        }
        match field.form {
            Form::Word(words) if words.default.is_some() => {
                fields.insert(field.name, Value::Text(words.default.unwrap_or_default().to_owned()));
            }
            _ if field.given == Given::Required => {
                return Err(StoreError::Invalid(format!("a {} needs a {}", kind.title(), field.name)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a refused row means.
fn conflict(error: sqlx::Error, kind: Kind, name: &str, external_id: Option<&str>) -> StoreError {
    match error.as_database_error() {
        Some(refused) if refused.is_unique_violation() => {
            let told = refused.constraint().map_or_else(|| refused.message().to_owned(), str::to_owned);
            StoreError::Conflict(match external_id {
                Some(external_id) if told.contains("external_id") => {
                    format!("externalId {external_id} is taken by another resource")
                }
                _ => format!("there is a {} named {name} already", kind.title()),
            })
        }
        _ => error.into(),
    }
}
