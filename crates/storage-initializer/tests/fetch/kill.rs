//! Processes that are killed, and the next ones.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{env, fs};

use storage_initializer::fetch::{self, Limits, WORK_DIRECTORY};
use storage_initializer::progress::Progress;
use testkit::eventually;

use crate::support::http::{Files, Server, Shape};

const ADDRESS: &str = "FETCH_TEST_ADDRESS";
const DESTINATION: &str = "FETCH_TEST_DESTINATION";
const SHAPE: Shape = Shape { size: RANGE * 20 + 1, count: 2 };
const RANGE: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_mins(1);

/// The process that is killed: this very program, with nothing but this test to run.
#[tokio::test]
#[ignore = "is run by the tests of kills, in a process of its own"]
async fn child() {
    let (Ok(address), Ok(destination)) = (env::var(ADDRESS), env::var(DESTINATION)) else { return };
    let limits = Limits { connections: 4, range: RANGE, attempts: 1, reserve: 0, total: None };
    let source = Arc::new(Files::new(&address, SHAPE));
    let fetched = fetch::fetch(source, destination.as_ref(), limits, &Progress::default()).await.unwrap();
    assert_eq!(fetched.files, SHAPE.count);
}

fn start(address: &str, destination: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--quiet"])
        .env(ADDRESS, address)
        .env(DESTINATION, destination)
        .spawn()
        .unwrap()
}

async fn succeeds(mut child: Child) {
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How many ranges are written down.
fn written(destination: &Path) -> usize {
    let journal = fs::read_to_string(destination.join(WORK_DIRECTORY).join("journal")).unwrap_or_default();
    journal.lines().filter(|line| line.starts_with("wrote ")).count()
}

fn assert_exact(server: &Server, destination: &Path) {
    for number in 0..SHAPE.count {
        let bytes = fs::read(destination.join("0").join(number.to_string())).unwrap();
        assert_eq!(bytes.len() as u64, SHAPE.size);
        let mut position = 0;
        while position < SHAPE.size {
            let expected = server.bytes(position, SHAPE.size - position);
            let start = usize::try_from(position).unwrap();
            assert!(bytes[start..start + expected.len()] == expected, "file {number} after {position}");
            position += expected.len() as u64;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_only_the_missing_ranges_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::new(SHAPE.size);
    let address = Arc::clone(&server).listen().await;
    server.hangs_from.store(RANGE * 13, Ordering::SeqCst);
    let child = start(&address, directory.path());
    // Thirteen of each of the two files, if hanging ones leave connections for them; of the first in any case.
    eventually(PATIENCE, "thirteen ranges are written", async || written(directory.path()) >= 13).await;
    kill(child);
    let kept = written(directory.path()) as u64;

    server.hangs_from.store(u64::MAX, Ordering::SeqCst);
    server.requests.lock().unwrap().clear();
    succeeds(start(&address, directory.path())).await;
    assert_exact(&server, directory.path());
    let asked = server.requests.lock().unwrap().clone();
    assert_eq!(asked.len() as u64, 21 * SHAPE.count - kept, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_time_leave_no_wrong_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::new(SHAPE.size);
    let address = Arc::clone(&server).listen().await;
    for hangs_from in [0, 1, 3, 6, 10, 15, 19] {
        server.hangs_from.store(RANGE * hangs_from, Ordering::SeqCst);
        let asked = server.requests.lock().unwrap().len();
        let child = start(&address, directory.path());
        eventually(PATIENCE, "something is asked for", async || server.requests.lock().unwrap().len() > asked).await;
        kill(child);
    }
    server.hangs_from.store(u64::MAX, Ordering::SeqCst);
    succeeds(start(&address, directory.path())).await;
    assert_exact(&server, directory.path());
}
