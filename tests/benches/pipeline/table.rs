//! Figures, and the table that they are shown in.

use std::time::Duration;

pub(crate) fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort();
    times[times.len() / 2]
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub(crate) fn mebibytes(kibibytes: u64) -> String {
    format!("{} MiB", kibibytes.div_ceil(1024))
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// What was measured, in rows.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 3]>);

impl Table {
    pub(crate) fn add(&mut self, what: &str, aim: &str, measured: String) {
        eprintln!("  {what}: {measured}");
        self.0.push([what.to_owned(), aim.to_owned(), measured]);
    }

    /// As Markdown, for `docs/performance.md`.
    pub(crate) fn shown(&self) -> String {
        let head = ["what", "aim", "measured"].map(str::to_owned);
        let rows: Vec<&[String; 3]> = std::iter::once(&head).chain(&self.0).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let [what, aim, measured] = [0, 1, 2].map(width);
        let line = |row: &[String; 3]| format!("| {:<what$} | {:<aim$} | {:>measured$} |\n", row[0], row[1], row[2]);
        let rule = format!("|{}|{}|{}:|\n", "-".repeat(what + 2), "-".repeat(aim + 2), "-".repeat(measured + 1));
        let body: String = self.0.iter().map(line).collect();
        format!("{}{rule}{body}", line(&head))
    }
}
