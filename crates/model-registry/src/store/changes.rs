//! The ledger: who changed what, and when, in the order in which changes were committed.

use jiff::Timestamp;
use tokio::sync::watch;

use super::columns::broken;
use super::{Actor, Store, StoreError};
use crate::database::{Statement, Transaction, Type};
use crate::model::{Id, Kind, Record};

/// What was done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number: greater than those of all changes that were committed before it.
    pub seq: i64,
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// Who made it, as far as that is known.
    pub actor: Option<String>,
    /// What was done: `created` or `updated`.
    pub action: String,
    /// To what.
    pub kind: Kind,
    /// To which.
    pub id: Id,
    /// What was done in detail, as JSON.
    pub detail: String,
}

const TYPES: [Type; 7] = [Type::Integer, Type::Integer, Type::Text, Type::Text, Type::Text, Type::Integer, Type::Text];

impl Store {
    /// The number of the last change.
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        let statement = self.database.statement("SELECT last FROM change_head");
        let rows = self.database.fetch(statement, &[Type::Integer]).await?;
        rows.first().and_then(|row| row.integer(0)).ok_or_else(|| broken("no head of changes"))
    }

    /// The first changes after that number, in their order.
    pub async fn changes(&self, since: i64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let mut statement = self
            .database
            .statement("SELECT seq, at, actor, action, kind, resource_id, detail FROM change_log WHERE seq > ");
        statement.bind(since).push(" ORDER BY seq LIMIT ").bind(i64::from(limit));
        let rows = self.database.fetch(statement, &TYPES).await?;
        let change = |mut row: crate::database::Row| {
            Some(Change {
                seq: row.integer(0)?,
                at: row.integer(1)?,
                actor: row.take_text(2),
                action: row.take_text(3)?,
                kind: row.text(4).and_then(Kind::named)?,
                id: Id::kept(row.integer(5)?),
                detail: row.take_text(6)?,
            })
        };
        rows.into_iter().map(|row| change(row).ok_or_else(|| broken("a change that is none"))).collect()
    }

    /// Tells when this process has made changes; others that write to the same database are not told of.
    pub fn own_changes(&self) -> watch::Receiver<u64> {
        self.writer.commits()
    }
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
        }
    }
}

/// Numbers for the changes of one transaction.
pub(super) struct Ledger {
    next: i64,
}

impl Ledger {
    /// Takes the lock of all changes, which the transaction holds to its end, and with it `count` numbers. Whoever comes
    /// later gets higher ones, and is committed later: a reader who has seen a number has seen all before it.
    pub(super) async fn open(transaction: &mut Transaction, count: usize) -> Result<Self, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut statement = transaction.statement("UPDATE change_head SET last = last + ");
        statement.bind(count);
        transaction.execute(statement).await?;
        let statement = transaction.statement("SELECT last FROM change_head");
        let rows = transaction.fetch(statement, &[Type::Integer]).await?;
        let last = rows.first().and_then(|row| row.integer(0)).ok_or_else(|| broken("no head of changes"))?;
        Ok(Self { next: last - count + 1 })
    }

    /// The last number that was given out.
    pub(super) const fn last(&self) -> i64 {
        self.next - 1
    }

    /// The statement that notes a change, which gets the next number.
    pub(super) fn note(
        &mut self,
        transaction: &Transaction,
        actor: &Actor,
        action: Action,
        record: &Record,
        detail: String,
    ) -> Statement {
        let mut statement = transaction
            .statement("INSERT INTO change_log (seq, at, actor, action, kind, resource_id, detail) VALUES (");
        statement.bind_all([self.next, Timestamp::now().as_millisecond()]).push(", ").bind(actor.name.clone());
        statement.push(", ").bind_all([action.name(), record.kind.name()]).push(", ").bind(record.id.get());
        statement.push(", ").bind(detail).push(")");
        self.next += 1;
        statement
    }
}
