//! Container registries and a Hub, in this process: what they hand out, and how they fail.

mod hub;
mod images;
mod oci;
mod server;
mod tars;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use storage_initializer::Failure;
use storage_initializer::fetch::{Limits, fetch};
use storage_initializer::progress::Progress;
use storage_initializer::source::network::Network;
use storage_initializer::source::retry::Retries;
use storage_initializer::source::{Object, SharedSource, Source};
use storage_initializer::unpack::{Bounds, Unpacked};

/// Waits that do not keep tests waiting.
fn network() -> Network {
    let retries = Retries {
        attempts: 8,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
        longest_retry_after: Duration::from_secs(5),
    };
    Network { retries, ..Network::default() }
}

const LIMITS: Limits = Limits { connections: 4, range: 1 << 20, attempts: 2, reserve: 0, total: None };
const BOUNDS: Bounds = Bounds { bytes: 16 << 20, entries: 1000 };

/// Downloads everything to `destination`, and does what is left to do.
async fn bring(source: SharedSource, destination: &Path) -> Result<Option<Unpacked>, Failure> {
    fetch(Arc::clone(&source), destination, LIMITS, &Progress::default()).await?;
    source.finish(destination, BOUNDS).await
}

async fn listed(source: &dyn Source) -> Result<Vec<Object>, Failure> {
    futures::TryStreamExt::try_collect(source.objects()).await
}

/// All files below a directory, with their content.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            if name.starts_with(".storage-initializer") && !name.contains("layers") {
                // What is known of files stays until everything is done.
            } else if path.is_dir() {
                directories.push(path);
            } else {
                files.insert(name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned());
            }
        }
    }
    files
}

fn tree(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}
