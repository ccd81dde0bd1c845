//! The one who looks for changes for all who wait for them. It looks when this process has written, and once a second for what
//! others wrote; while nobody waits it does not.

use std::sync::Arc;
use std::time::Duration;

use service::Shutdown;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::store::{Change, Store, StoreError};

/// How often the database is looked at for what others wrote.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many changes are read at a time.
const AT_ONCE: u32 = 1000;

/// Tells those who wait what has changed. Clones share the one who looks.
#[derive(Debug, Clone)]
pub(super) struct Lookout {
    store: Store,
    seen: Arc<watch::Sender<Seen>>,
    arrived: Arc<Notify>,
    shutdown: Shutdown,
}

/// What was seen last: all changes from one number to another.
#[derive(Debug, Clone, Default)]
struct Seen {
    after: i64,
    until: i64,
    changes: Arc<[Change]>,
}

/// Of what there was to see.
enum Looked {
    AtSome,
    AtAll,
}

impl Lookout {
    /// Looks until `shutdown`, at which those who wait are let go.
    pub(super) fn start(store: &Store, shutdown: Shutdown) -> Self {
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let lookout = Self { store: store.clone(), seen, arrived: Arc::default(), shutdown };
        let looking = lookout.clone();
        tokio::spawn(async move { looking.shutdown.unless(looking.look()).await });
        lookout
    }

    /// The changes after that number; none, if there were none until the deadline.
    pub(super) async fn wait(&self, since: i64, limit: u32, deadline: Instant) -> Result<Vec<Change>, StoreError> {
        // From now on, so that nothing is missed between what is read and what is told.
        let mut told = self.seen.subscribe();
        self.arrived.notify_one();
        let mut since = since;
        loop {
            let seen = told.borrow_and_update().clone();
            let found = if since < seen.after || Instant::now() >= deadline {
                self.store.changes(since, limit).await?
            } else {
                seen.later_than(since, limit)
            };
            if !found.is_empty() || Instant::now() >= deadline || self.shutdown.is_triggered() {
                return Ok(found);
            }
            since = since.max(seen.until);
            // Who is not told by then looks for themselves.
            let _ = self.shutdown.unless(timeout_at(deadline, told.changed())).await;
        }
    }

    async fn look(&self) {
        let mut own = self.store.own_changes();
        let mut is_begun = false;
        loop {
            if self.seen.receiver_count() == 0 {
                self.arrived.notified().await;
                is_begun = false;
            }
            own.mark_unchanged();
            let looked = if is_begun { self.go_on().await } else { self.begin().await };
            match looked {
                Ok(Looked::AtSome) => is_begun = true,
                // Nobody writes any more; others may.
                Ok(Looked::AtAll) => drop(timeout(LOOK_EVERY, own.changed()).await),
                Err(error) => {
                    tracing::warn!(%error, "the database can't be looked at for changes");
                    sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Whoever came before this saw for themselves what there was, and looks again.
    async fn begin(&self) -> Result<Looked, StoreError> {
        let last = self.store.last_change().await?;
        self.seen.send_replace(Seen { after: last, until: last, changes: Arc::default() });
        Ok(Looked::AtSome)
    }

    async fn go_on(&self) -> Result<Looked, StoreError> {
        let after = self.seen.borrow().until;
        let changes = self.store.changes(after, AT_ONCE).await?;
        let looked = if changes.len() < AT_ONCE as usize { Looked::AtAll } else { Looked::AtSome };
        if let Some(last) = changes.last() {
            self.seen.send_replace(Seen { after, until: last.seq, changes: changes.into() });
        }
        Ok(looked)
    }
}

impl Seen {
    fn later_than(&self, since: i64, limit: u32) -> Vec<Change> {
        self.changes.iter().filter(|change| change.seq > since).take(limit as usize).cloned().collect()
    }
}
