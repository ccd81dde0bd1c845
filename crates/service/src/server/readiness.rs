//! Whether a service can do its work, as `/readyz` says and as others in the process may wait for.

use std::sync::Arc;

use tokio::sync::watch;

/// A shared readiness. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Why the service is not ready; nothing when it is.
    reason: Arc<watch::Sender<Option<String>>>,
}

impl Readiness {
    /// Ready from the start.
    pub fn ready() -> Self {
        Self { reason: Arc::new(watch::Sender::new(None)) }
    }

    /// Not ready until [`Readiness::set_ready`].
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self { reason: Arc::new(watch::Sender::new(Some(reason.into()))) }
    }

    /// From now on the service is ready.
    pub fn set_ready(&self) {
        self.reason.send_replace(None);
    }

    /// From now on the service is not ready.
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.reason.send_replace(Some(reason.into()));
    }

    /// Whether the service is ready.
    pub fn is_ready(&self) -> bool {
        self.reason.borrow().is_none()
    }

    /// Why the service is not ready; nothing when it is.
    pub fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Waits until the service is ready.
    pub async fn until_ready(&self) {
        // An error says that no sender is left; this is one.
        let _ = self.reason.subscribe().wait_for(Option::is_none).await;
    }
}
