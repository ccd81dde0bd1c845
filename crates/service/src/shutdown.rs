//! One stop signal for all tasks of a process, from SIGTERM, SIGINT or from whoever holds a clone.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells tasks to stop. Clones share the signal.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// A signal that was not given yet, and that nobody gives but [`Shutdown::trigger`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Has SIGTERM and SIGINT give the signal, too. Must be called within a tokio runtime; a second signal of either
    /// kind while tasks are stopping changes nothing.
    #[must_use]
    pub fn on_signals(self) -> Self {
        for (name, kind) in [("SIGTERM", SignalKind::terminate()), ("SIGINT", SignalKind::interrupt())] {
            let mut signals = match signal(kind) {
                Ok(signals) => signals,
                Err(error) => {
                    tracing::warn!(%error, "{name} will end the process at once: it cannot be listened for");
                    continue;
                }
            };
            let shutdown = self.clone();
            tokio::spawn(async move {
                tokio::select! {
                    received = signals.recv() => if received.is_some() {
                        tracing::info!("stopping: received {name}");
                        shutdown.trigger();
                    },
                    () = shutdown.cancelled() => {}
                }
            });
        }
        self
    }

    /// A signal that is given when this one is, or on its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token() }
    }

    /// Gives the signal.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Whether the signal was given.
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for the signal.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Runs `work` until it ends or the signal is given; then nothing is returned and `work` is dropped.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.token.run_until_cancelled(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_and_child_hears_the_signal() {
        let shutdown = Shutdown::new();
        let (clone, child) = (shutdown.clone(), shutdown.child());
        assert!(!clone.is_triggered());
        assert_eq!(clone.unless(async { 1 }).await, Some(1));
        shutdown.trigger();
        clone.cancelled().await;
        child.cancelled().await;
        assert_eq!(clone.unless(std::future::pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_child_does_not_stop_its_parent() {
        let shutdown = Shutdown::new();
        shutdown.child().trigger();
        assert!(!shutdown.is_triggered());
    }
}
