//! Long work says now and then how far it is.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(5);

/// When something was said last.
#[derive(Debug)]
pub(super) struct Progress {
    said: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { said: Instant::now() }
    }

    /// Says, if it is time, that so many resources were taken in and what is read now.
    pub(super) fn tell(&mut self, resources: usize, reading: &str) {
        if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            tracing::info!(resources, reading, "importing");
        }
    }
}
