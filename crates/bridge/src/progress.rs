//! How far long work has come, on standard error, while a terminal is there to see it. Elsewhere nothing is said.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it is drawn anew.
const TICK: Duration = Duration::from_millis(120);

/// Work of which it is known how much there is. It is wiped away at its end.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// `what` is done to `total` entries.
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(count(total)), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos} of {len} entries, {eta} left");
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(what))
    }

    /// So many more are done.
    pub(crate) fn add(&self, entries: usize) {
        self.0.inc(count(entries));
    }

    /// So many are done in all.
    pub(crate) fn set(&self, entries: usize) {
        self.0.set_position(count(entries));
    }

    /// Says something beside it.
    pub(crate) fn aside(&self, say: impl FnOnce()) {
        self.0.suspend(say);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Work of which nobody knows how much there is.
pub(crate) struct Waiting(ProgressBar);

impl Waiting {
    pub(crate) fn new(what: &'static str) -> Self {
        let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(what);
        spinner.enable_steady_tick(TICK);
        Self(spinner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn count(entries: usize) -> u64 {
    u64::try_from(entries).unwrap_or(u64::MAX)
}
