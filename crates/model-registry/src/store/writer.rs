//! The one who writes: changes that come at the same time share a transaction, and each is answered once it is durable.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::changes::Ledger;
use super::write::{Command, Done, Writing};
use super::{Actor, StoreError};
use crate::database::Database;

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

/// Writes all of them in one transaction, in which each that fails is taken back alone.
async fn write(database: &Database, orders: Vec<Order>) {
    let begun = async {
        let mut transaction = database.begin().await?;
        let ledger = Ledger::open(&mut transaction, orders.len()).await?;
        Ok::<_, StoreError>((transaction, ledger))
    };
    let (mut transaction, mut ledger) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return refuse(orders, &error),
    };
    let alone = orders.len() == 1;
    let mut orders = orders.into_iter();
    let mut done = Vec::with_capacity(orders.len());
    while let Some(Order { command, actor, answer }) = orders.next() {
        // Nobody waits for it any more, and nothing of it was done.
        if answer.is_closed() {
            continue;
        }
        let mut writing = Writing { transaction: &mut transaction, ledger: &mut ledger, actor: &actor };
        if alone {
            match writing.run(command).await {
                Ok(record) => done.push((answer, record)),
                Err(error) => return answer_one(answer, Err(error)),
            }
            continue;
        }
        match apart(&mut writing, command).await {
            Ok(Ok(record)) => done.push((answer, record)),
            Ok(Err(error)) => answer_one(answer, Err(error)),
            Err(broken) => {
                let error = StoreError::from(broken);
                answer_one(answer, Err(again(&error)));
                for (answer, _) in done {
                    answer_one(answer, Err(again(&error)));
                }
                return refuse(orders.collect(), &error);
            }
        }
    }
    match transaction.commit().await {
        Ok(()) => {
            for (answer, record) in done {
                answer_one(answer, Ok(record));
            }
        }
        Err(error) => {
            let error = StoreError::from(error);
            for (answer, _) in done {
                answer_one(answer, Err(again(&error)));
            }
        }
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

fn refuse(orders: Vec<Order>, error: &StoreError) {
    for order in orders {
        answer_one(order.answer, Err(again(error)));
    }
}

/// Whoever waited may have gone.
fn answer_one(answer: oneshot::Sender<Result<Done, StoreError>>, result: Result<Done, StoreError>) {
    drop(answer.send(result));
}

/// What went wrong, for everyone whom it concerns.
fn again(error: &StoreError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
