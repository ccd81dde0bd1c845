//! Moto's S3 server, of which it is known how it differs from Amazon's: on a port of the loopback, with nothing of it left when
//! the process has ended, however it ended.
//!
//! It comes from the environment that the tests with the registry's Python client use (`tests/python-client/check.sh
//! --install` makes it). Where there is none, tests that want it are skipped, which is said once on standard error;
//! `REQUIRE_STORAGE_SERVERS=1` makes that an error.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use url::Url;

use crate::free_port;
use crate::janitor::Janitor;

const START_WITHIN: Duration = Duration::from_mins(1);
const PID_FILE: &str = "pid";
/// Below the root of the workspace.
const PROGRAM: &str = "target/tools/python-client/environment/bin/moto_server";

/// A server.
#[derive(Debug)]
pub struct MotoServer {
    port: u16,
    process: Child,
    janitor: Janitor,
}

impl MotoServer {
    /// A server without buckets, which lets everybody in; `None` where there is none to be had, after saying so.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// A server that knows nobody.
    pub fn start_closed() -> Option<Self> {
        Self::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")])
    }

    fn start_with(variables: &[(&str, &str)]) -> Option<Self> {
        let Some(program) = program() else {
            let missing = format!("there is no {PROGRAM}");
            let script = "tests/python-client/check.sh --install";
            crate::skipped::without_server("moto", "REQUIRE_STORAGE_SERVERS", script, &missing);
            return None;
        };
        let directory = TempDir::with_prefix("bridge-moto-").expect("a temporary directory").keep();
        let janitor = Janitor::of(&directory, PID_FILE);
        let port = free_port();
        let log = fs::File::create(directory.join("log")).expect("a log file");
        let mut command = Command::new(program);
        command.arg("--host=127.0.0.1").arg(format!("--port={port}")).envs(variables.iter().copied());
        let streams = command.current_dir(&directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = streams.process_group(0).spawn().expect("moto_server can be started");
        fs::write(directory.join(PID_FILE), process.id().to_string()).expect("a file");
        let mut server = Self { port, process, janitor };
        server.await_start(&directory);
        Some(server)
    }

    fn await_start(&mut self, directory: &Path) {
        let deadline = Instant::now() + START_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let has_ended = !matches!(self.process.try_wait(), Ok(None));
            let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
            assert!(!has_ended && Instant::now() < deadline, "moto does not come up: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What clients take as the endpoint.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}", self.port)).expect("an address makes a URL")
    }
}

impl Drop for MotoServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.janitor.finish();
    }
}

/// Tests run in the directories of their crates.
fn program() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|directory| directory.join(PROGRAM)).find(|path| path.is_file())
}
