//! Group commit: a write takes along whatever came while the one before it was under way. With one caller it is a write
//! each, as soon as it comes; with many it is a few large ones, and nobody waits for a timer.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// What one write takes along at most, so that the first of many callers is not kept for long.
const MOST: usize = 1_000;

/// Jobs that wait to be written, and the right to write.
pub(super) struct Group<J, R> {
    waiting: Mutex<VecDeque<Waiting<J, R>>>,
    turn: tokio::sync::Mutex<()>,
}

struct Waiting<J, R> {
    job: J,
    done: oneshot::Sender<R>,
}

impl<J, R> Default for Group<J, R> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<J, R> Group<J, R> {
    /// Has `job` written, alone or among others, by this caller or another one. `write` answers each of the jobs that it
    /// is given, in their order. `None`: the caller who was writing has been cancelled, and what came of it is not known.
    pub(super) async fn write<F>(&self, job: J, write: impl Fn(Vec<J>) -> F) -> Option<R>
    where
        F: Future<Output = Vec<R>>,
    {
        self.write_after(|| std::future::ready(()), job, write).await
    }

    /// The same with a wait before each write; what comes during it goes along.
    pub(super) async fn write_after<W, F>(&self, wait: impl Fn() -> W, job: J, write: impl Fn(Vec<J>) -> F) -> Option<R>
    where
        W: Future<Output = ()>,
        F: Future<Output = Vec<R>>,
    {
        let (done, mut result) = oneshot::channel();
        self.lock().push_back(Waiting { job, done });
        let _turn = tokio::select! {
            biased;
            result = &mut result => return result.ok(),
            turn = self.turn.lock() => turn,
        };
        loop {
            match result.try_recv() {
                Ok(result) => return Some(result),
                Err(oneshot::error::TryRecvError::Closed) => return None,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            wait().await;
            let (jobs, done): (Vec<J>, Vec<_>) = self.take().into_iter().map(|next| (next.job, next.done)).unzip();
            for (done, result) in done.into_iter().zip(write(jobs).await) {
                // Whoever does not wait any more need not know.
                let _ = done.send(result);
            }
        }
    }

    fn take(&self) -> Vec<Waiting<J, R>> {
        let mut waiting = self.lock();
        let count = waiting.len().min(MOST);
        waiting.drain(..count).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting<J, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<Vec<u32>>>);

    impl Log {
        fn groups(&self) -> Vec<Vec<u32>> {
            self.0.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn what_comes_during_a_write_is_the_next_write_and_each_gets_its_own_answer() {
        let (group, log, gate) = (&Group::<u32, u32>::default(), &Log::default(), &Semaphore::new(0));
        let write = |jobs: Vec<u32>| {
            log.0.lock().unwrap().push(jobs.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                jobs.into_iter().map(|job| job * 10).collect()
            }
        };
        let all = join_all((0..2_500).map(|job| group.write(job, write)));
        let open = async { gate.add_permits(4) };
        let (answers, ()) = tokio::join!(all, open);
        assert_eq!(answers, (0..2_500).map(|job| Some(job * 10)).collect::<Vec<_>>());
        let sizes: Vec<usize> = log.groups().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 1_000, 1_000, 499]);
    }

    #[tokio::test]
    async fn one_who_gives_up_neither_blocks_the_others_nor_lets_them_wait_for_ever() {
        let group = Arc::new(Group::<u32, u32>::default());
        let never = |_: Vec<u32>| std::future::pending::<Vec<u32>>();
        let at_once = |jobs: Vec<u32>| std::future::ready(jobs);
        let leader = tokio::spawn({
            let group = Arc::clone(&group);
            async move { group.write(1, never).await }
        });
        tokio::task::yield_now().await;
        let behind = tokio::time::timeout(Duration::ZERO, group.write(2, at_once)).await;
        assert!(behind.is_err(), "it is not its turn");
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        assert_eq!(group.write(3, at_once).await, Some(3));
    }
}
