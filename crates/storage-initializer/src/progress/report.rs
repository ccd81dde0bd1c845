//! Says how far the download is: a bar on a terminal, else a line every few seconds.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use super::{Counts, Progress};
use crate::settings::readable;

/// How often a bar moves.
const FRAME: Duration = Duration::from_millis(200);
const BAR: &str = "{bar:30} {msg}";

/// Whatever says it, until it is stopped.
#[derive(Debug)]
pub struct Reporter(Option<JoinHandle<()>>);

impl Reporter {
    /// Begins, with a line each `interval`; never where that is zero.
    pub fn start(progress: Arc<Progress>, interval: Duration) -> Self {
        if interval.is_zero() {
            return Self(None);
        }
        if std::io::stderr().is_terminal() {
            return Self(Some(tokio::spawn(draw(progress))));
        }
        Self(Some(tokio::spawn(tell(progress, interval))))
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

async fn tell(progress: Arc<Progress>, interval: Duration) {
    let mut pace = Pace::starting(progress.counts());
    loop {
        tokio::time::sleep(interval).await;
        tracing::info!("{}", pace.line(progress.counts(), Instant::now()));
    }
}

async fn draw(progress: Arc<Progress>) {
    let bar = Bar(ProgressBar::new(0));
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.0.set_style(style);
    }
    let mut pace = Pace::starting(progress.counts());
    loop {
        let counts = progress.counts();
        bar.0.set_length(counts.bytes_total);
        bar.0.set_position(counts.bytes_present());
        bar.0.set_message(pace.line(counts, Instant::now()));
        tokio::time::sleep(FRAME).await;
    }
}

/// A bar that is wiped when it ends, however it ends.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How fast it has been of late. Older seconds count for less and less.
struct Pace {
    seen: Counts,
    at: Instant,
    bytes_per_second: Option<f64>,
}

/// The share of the newest measure in the rate, for each second that it is long.
const WEIGHT: f64 = 0.2;

impl Pace {
    fn starting(seen: Counts) -> Self {
        Self { seen, at: Instant::now(), bytes_per_second: None }
    }

    fn line(&mut self, counts: Counts, now: Instant) -> String {
        self.measure(counts, now);
        let Counts { files_done, files_total, bytes_total, .. } = counts;
        let present = counts.bytes_present();
        let rate = self.bytes_per_second.unwrap_or(0.0);
        let mut line =
            format!("{files_done} of {files_total} files, {} of {}", readable(present), readable(bytes_total));
        if rate >= 1.0 {
            let _ = write!(line, ", {}/s", readable(whole(rate)));
            if let Some(left) = bytes_total.checked_sub(present).filter(|left| *left > 0) {
                let _ = write!(line, ", {} left", seconds(float(left) / rate));
            }
        }
        line
    }

    fn measure(&mut self, counts: Counts, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        if elapsed <= 0.0 {
            return;
        }
        let now_per_second = float(counts.bytes_done.saturating_sub(self.seen.bytes_done)) / elapsed;
        let weight = 1.0 - (1.0 - WEIGHT).powf(elapsed);
        let rate = self.bytes_per_second.map_or(now_per_second, |rate| rate + weight * (now_per_second - rate));
        (self.seen, self.at, self.bytes_per_second) = (counts, now, Some(rate));
    }
}

#[allow(clippy::cast_precision_loss, reason = "it is rounded when it is shown")]
fn float(value: u64) -> f64 {
    value as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
fn whole(value: f64) -> u64 {
    value as u64
}

fn seconds(value: f64) -> String {
    let total = whole(value.ceil());
    match (total / 3600, total / 60 % 60, total % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn counts(bytes_done: u64, bytes_kept: u64) -> Counts {
        Counts { files_total: 2, bytes_total: 10 << 20, files_done: 1, bytes_done, bytes_kept }
    }

    #[test]
    fn a_line_says_files_bytes_rate_and_what_is_left() {
        let mut pace = Pace::starting(counts(0, 0));
        let began = pace.at;
        assert_eq!(pace.line(counts(0, 0), began), "1 of 2 files, 0 B of 10.0 MiB");
        let line = pace.line(counts(4 << 20, 2 << 20), began + Duration::from_secs(4));
        assert_eq!(line, "1 of 2 files, 6.0 MiB of 10.0 MiB, 1.0 MiB/s, 4s left");
        let line = pace.line(counts(8 << 20, 2 << 20), began + Duration::from_secs(8));
        assert_eq!(line, "1 of 2 files, 10.0 MiB of 10.0 MiB, 1.0 MiB/s");
    }

    #[rstest]
    #[case(0.2, "1s")]
    #[case(61.0, "1m01s")]
    #[case(7260.0, "2h01m")]
    fn times_are_short(#[case] value: f64, #[case] shown: &str) {
        assert_eq!(seconds(value), shown);
    }
}
