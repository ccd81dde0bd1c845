//! What came of a run: for the summary file, the metrics, and the last line.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::fetch::Fetched;
use crate::progress::{Counts, Progress};
use crate::resolve::Resolved;
use crate::settings::{Settings, readable};
use crate::unpack::Unpacked;
use crate::uri::SourceUri;

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// The model is there.
    Succeeded,
    /// It is not.
    Failed(Failure),
    /// A signal of this name ended it.
    Stopped(&'static str),
}

impl Ending {
    /// The exit code. That of a signal is what shells say of it.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed(failure) => failure.kind.code(),
            Self::Stopped(signal) => match signal.as_bytes() {
                b"SIGINT" => 130,
                _ => 143,
            },
        }
    }

    /// What the last line says, if there is anything to say: one line.
    pub fn message(&self) -> Option<String> {
        let text = match self {
            Self::Succeeded => return None,
            Self::Failed(failure) => failure.to_string(),
            Self::Stopped(signal) => {
                format!("stopped by {signal}; what is there already is kept, and the next run goes on with it")
            }
        };
        Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    }

    fn json(&self) -> Value {
        match self {
            Self::Succeeded => json!({ "status": "succeeded", "exitCode": 0 }),
            Self::Failed(Failure { kind, what, advice, .. }) => json!({
                "status": "failed", "exitCode": kind.code(), "reason": kind.as_str(), "message": what, "advice": advice,
            }),
            Self::Stopped(signal) => json!({ "status": "stopped", "exitCode": self.code(), "reason": signal }),
        }
    }
}

/// What is known of a run so far. It is written to while the run goes on, so that it is there however the run ends.
#[derive(Debug)]
pub struct Report {
    began: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    source: Option<String>,
    resolved: Option<Value>,
    progress: Option<Arc<Progress>>,
    fetched: Option<Fetched>,
    unpacked: Option<Unpacked>,
}

impl Report {
    /// A run begins.
    #[allow(clippy::new_without_default, reason = "when it is made matters")]
    pub fn new() -> Self {
        Self { began: Instant::now(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked for.
    pub fn source(&self, uri: &SourceUri) {
        self.known().source = Some(uri.to_string());
    }

    /// Where it is.
    pub fn resolved(&self, resolved: &Resolved) {
        self.known().resolved = Some(resolved.json());
    }

    /// Where the counts of a download are found from now on.
    pub fn progress(&self, progress: Arc<Progress>) {
        self.known().progress = Some(progress);
    }

    /// What is in place.
    pub fn fetched(&self, fetched: &Fetched) {
        self.known().fetched = Some(fetched.clone());
    }

    /// All was there already: so much.
    pub fn complete(&self, files: u64, bytes: u64) {
        self.known().fetched = Some(Fetched { files, bytes, bytes_kept: bytes, ..Fetched::default() });
    }

    /// What came out of an archive.
    pub fn unpacked(&self, unpacked: Option<Unpacked>) {
        self.known().unpacked = unpacked;
    }

    /// How long it has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The counts as they are now.
    pub fn counts(&self) -> Counts {
        let known = self.known();
        known.progress.as_ref().map(|progress| progress.counts()).unwrap_or_default()
    }

    /// Says in the log that all is there.
    pub fn told(&self) {
        let counts = self.counts();
        let known = self.known();
        let Some(fetched) = &known.fetched else { return };
        let received = readable(counts.bytes_done);
        tracing::info!(
            verified = fetched.files_verified,
            "all is in place: {}, {}; {received} were fetched, {} were there",
            counted(fetched.files, "file"),
            readable(fetched.bytes),
            readable(fetched.bytes_kept),
        );
        if let Some(unpacked) = &known.unpacked {
            let files = counted(unpacked.files, "file");
            tracing::info!("unpacked: {files}, {}", readable(unpacked.bytes));
        }
    }

    /// The summary.
    pub fn json(&self, settings: &Settings, ending: &Ending) -> Value {
        let counts = self.counts();
        let known = self.known();
        let mut summary = ending.json();
        summary["version"] = env!("CARGO_PKG_VERSION").into();
        // What cannot be parsed may hold credentials in any place.
        summary["source"] = known.source.clone().into();
        summary["destination"] = settings.dest_path.as_ref().map(|path| path.to_string_lossy()).into();
        summary["resolved"] = known.resolved.clone().into();
        summary["seconds"] = self.began.elapsed().as_secs_f64().into();
        summary["files"] = known.fetched.as_ref().map_or(counts.files_done, |fetched| fetched.files).into();
        summary["filesVerified"] = known.fetched.as_ref().map_or(0, |fetched| fetched.files_verified).into();
        summary["bytesFetched"] = counts.bytes_done.into();
        let kept = known.fetched.as_ref().map_or(counts.bytes_kept, |fetched| fetched.bytes_kept);
        summary["bytesKept"] = kept.into();
        summary["unpacked"] = known.unpacked.as_ref().map(|it| json!({ "files": it.files, "bytes": it.bytes })).into();
        summary
    }

    /// Writes the summary to `file`, whole or not at all.
    pub fn write(&self, settings: &Settings, ending: &Ending, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(&self.json(settings, ending))?;
        text.push('\n');
        let name = file.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
        let mut partial = name.to_owned();
        partial.push(format!(".{}.part", std::process::id()));
        let partial = file.with_file_name(partial);
        let written = std::fs::File::create(&partial).and_then(|mut partial| {
            partial.write_all(text.as_bytes())?;
            partial.sync_all()
        });
        written.and_then(|()| std::fs::rename(&partial, file)).inspect_err(|_| {
            let _ = std::fs::remove_file(&partial);
        })
    }
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
