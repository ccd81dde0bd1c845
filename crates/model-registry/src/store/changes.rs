//! The ledger: who changed what, and when, in the order in which changes were committed.

use jiff::Timestamp;
use serde_json::json;

use super::columns::broken;
use super::{Actor, StoreError};
use crate::database::{Transaction, Type};
use crate::model::Record;

/// What was done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
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

    pub(super) async fn note(
        &mut self,
        transaction: &mut Transaction,
        actor: &Actor,
        action: Action,
        record: &Record,
    ) -> Result<(), StoreError> {
        let mut statement = transaction
            .statement("INSERT INTO change_log (seq, at, actor, action, kind, resource_id, detail) VALUES (");
        statement.bind_all([self.next, Timestamp::now().as_millisecond()]).push(", ").bind(actor.0.clone());
        statement.push(", ").bind_all([action.name(), record.kind.name()]).push(", ").bind(record.id.get());
        statement.push(", ").bind(detail(record)).push(")");
        transaction.execute(statement).await?;
        self.next += 1;
        Ok(())
    }
}

fn detail(record: &Record) -> String {
    json!({ "name": record.name }).to_string()
}
