//! The one who writes: changes that come at the same time share a transaction, and each is answered once it is durable.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::changes::Ledger;
use super::write::{Command, Done, Writing};
use super::{Actor, StoreError};
use crate::database::{Database, Dialect, Transaction};

/// How many changes may wait; whoever brings another one waits to hand it over.
const WAITING: usize = 1024;
/// How many changes share a transaction at most: a failed commit fails them all.
const TOGETHER: usize = 64;

/// A change, by whom, and who waits for it.
struct Order {
    command: Command,
    actor: Actor,
    answer: oneshot::Sender<Result<Done, StoreError>>,
}

/// Hands changes to the one who writes, who stops when all of these are gone and everything is written.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
    commits: Arc<watch::Sender<u64>>,
}

impl Writer {
    pub(super) fn start(database: Database) -> Self {
        let (sender, mut orders) = mpsc::channel(WAITING);
        let commits = Arc::new(watch::Sender::new(0));
        let told = Arc::clone(&commits);
        tokio::spawn(async move {
            let mut together = Vec::with_capacity(TOGETHER);
            while orders.recv_many(&mut together, TOGETHER).await > 0 {
                write(&database, std::mem::take(&mut together)).await;
                told.send_modify(|commits| *commits += 1);
            }
        });
        Self { orders: sender, commits }
    }

    /// Changes whenever something may have been written.
    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Makes a change; answered when it is durable.
    pub(super) async fn run(&self, command: Command, actor: &Actor) -> Result<Done, StoreError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || StoreError::Unavailable("the registry stops".to_owned());
        self.orders.send(Order { command, actor: actor.clone(), answer }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

/// Writes all of them in one transaction, and answers each.
async fn write(database: &Database, mut orders: Vec<Order>) {
    // Nobody waits for these any more, and nothing of them was done.
    orders.retain(|order| !order.answer.is_closed());
    if orders.is_empty() {
        return;
    }
    let mut written = together(database, &orders, Care::Refusals).await;
    if matches!(written, Err(Failure::Torn(_))) && orders.len() > 1 {
        written = together(database, &orders, Care::Savepoints).await;
    }
    let results = match written {
        Ok(results) => results,
        // Nobody else was there.
        Err(Failure::Torn(error)) => vec![Err(error)],
        Err(Failure::Transaction(error)) => orders.iter().map(|_| Err(again(&error))).collect(),
    };
    for (order, result) in orders.into_iter().zip(results) {
        // Whoever waited may have gone.
        drop(order.answer.send(result));
    }
}

/// What keeps those changes of a transaction that can be made from those that can't.
#[derive(Debug, Clone, Copy)]
enum Care {
    /// That nearly all that can't be made are refused before they write anything. This costs nothing.
    Refusals,
    /// A savepoint each.
    Savepoints,
}

/// None of the changes was made.
enum Failure {
    /// The transaction was not begun, or not committed.
    Transaction(StoreError),
    /// One failed, and what it left behind could not be told from the rest.
    Torn(StoreError),
}

impl<E: Into<StoreError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Transaction(error.into())
    }
}

/// What came of each, once all that were made are durable.
async fn together(database: &Database, orders: &[Order], care: Care) -> Result<Vec<Result<Done, StoreError>>, Failure> {
    let mut transaction = database.begin().await?;
    let mut ledger = Ledger::open(&mut transaction, orders.len()).await?;
    let mut results = Vec::with_capacity(orders.len());
    for Order { command, actor, .. } in orders {
        let mut writing = Writing { transaction: &mut transaction, ledger: &mut ledger, actor };
        let result = match care {
            Care::Refusals => writing.run(command.clone()).await,
            Care::Savepoints => apart(&mut writing, command.clone()).await?,
        };
        match (result, care) {
            (Err(error), Care::Refusals) if !is_whole(&transaction, &error) => {
                // Whether it can be taken back or is gone already, nothing of it stays.
                drop(transaction.rollback().await);
                return Err(Failure::Torn(error));
            }
            (result, _) => results.push(result),
        }
    }
    if results.iter().any(Result::is_ok) {
        transaction.commit().await?;
    } else {
        drop(transaction.rollback().await);
    }
    Ok(results)
}

/// Whether the transaction holds nothing of a change that failed like this, and can go on.
fn is_whole(transaction: &Transaction, error: &StoreError) -> bool {
    match error {
        StoreError::NotFound { .. }
        | StoreError::Invalid(_)
        | StoreError::Forbidden(_)
        | StoreError::Outdated { .. } => true,
        // The database refused a row, after which PostgreSQL does nothing more.
        StoreError::Conflict(_) => transaction.dialect() != Dialect::Postgres,
        StoreError::Unavailable(_) | StoreError::Database(_) => false,
    }
}

/// Makes one change of several; if it fails, nothing of it stays and the others go on. The outer error means that none of
/// them can.
pub(super) async fn apart(writing: &mut Writing<'_>, command: Command) -> sqlx::Result<Result<Done, StoreError>> {
    writing.transaction.control("SAVEPOINT one_of_many").await?;
    let result = writing.run(command).await;
    let end = match &result {
        Ok(_) => "RELEASE SAVEPOINT one_of_many",
        Err(_) => "ROLLBACK TO SAVEPOINT one_of_many",
    };
    writing.transaction.control(end).await?;
    Ok(result)
}

/// What went wrong, for everyone whom it concerns.
fn again(error: &StoreError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
