//! Taking in what another registry holds: all of it or nothing, in one transaction, under the lock of all changes.

use super::changes::Ledger;
use super::dump::{go_on_after, greatest_id};
use super::write::{Command, Stamp, Writing, fill};
use super::writer::apart;
use super::{Actor, StoreError};
use crate::database::{Database, Transaction};
use crate::model::{Draft, Id, Kind, Record};

/// A transaction that takes in resources. Dropped, nothing of them stays.
pub(crate) struct Intake {
    transaction: Transaction,
    ledger: Ledger,
    actor: Actor,
    greatest: i64,
}

impl Intake {
    /// Begins to take in, on behalf of `actor`. Nobody else writes until the end.
    pub(crate) async fn begin(database: &Database, actor: Actor) -> Result<Self, StoreError> {
        let mut transaction = database.begin().await?;
        let ledger = Ledger::open(&mut transaction, 0).await?;
        let greatest = greatest_id(&mut transaction).await?;
        Ok(Self { transaction, ledger, actor, greatest })
    }

    /// The greatest id that there was at the beginning; 0 if the registry was empty.
    pub(crate) const fn greatest_id(&self) -> i64 {
        self.greatest
    }

    /// Takes in a resource. If that fails for a reason that is its own, the others are none the worse for it.
    pub(crate) async fn take(&mut self, draft: Draft, stamp: Stamp) -> Result<Record, StoreError> {
        let mut writing = self.writing();
        Ok(apart(&mut writing, Command::Take { draft, stamp }).await??.0)
    }

    /// Links an artifact to a version or a run; `false` if it was already.
    pub(crate) async fn link(&mut self, owner: Id, artifact: Id) -> Result<bool, StoreError> {
        self.writing().link(owner, artifact).await
    }

    /// Takes in what a metric of a run was at some time.
    pub(crate) async fn remember(&mut self, run: Id, mut metric: Record) -> Result<(), StoreError> {
        fill(Kind::Metric, &mut metric.fields)?;
        self.writing().remember_metric(run, &metric).await
    }

    /// Makes everything durable.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        go_on_after(&mut self.transaction, self.ledger.last()).await?;
        Ok(self.transaction.commit().await?)
    }

    /// Takes everything back.
    pub(crate) async fn roll_back(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }

    const fn writing(&mut self) -> Writing<'_> {
        Writing { transaction: &mut self.transaction, ledger: &mut self.ledger, actor: &self.actor }
    }
}
