//! MLflow's registry on SQLite, on the same machine: registering, getting and searching.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use system_tests::{Process, Settings, port};
use url::form_urlencoded::byte_serialize;

use crate::client::{Client, Times, rate};
use crate::fill::VERSIONS;
use crate::place::await_ready;
use crate::sheet::Sheet;
use crate::{PAGE, TIME, thousands};

const API: &str = "/api/2.0/mlflow";

/// Below the workspace's root, where the tests' tools are.
fn installed() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let tools = root.join("target/tools");
    let is_there = tools.join("mlflow/.installed").is_file() && !tools.join("mlflow.skipped").is_file();
    is_there.then(|| tools.join("mlflow/environment/bin"))
}

pub(crate) fn measure(sheet: &mut Sheet, most: usize) {
    let Some(programs) = installed() else {
        eprintln!("*** NOT MEASURED: MLflow's model registry (tests/mlflow/setup.sh installs it)");
        return;
    };
    sheet.begin("MLflow, SQLite");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mlflow.db");
    creating(sheet, &programs, &file);
    let mut filled = 0;
    let mut sizes = vec![1_000, most];
    sizes.dedup();
    for size in sizes {
        fill(&programs, &file, filled, size);
        filled = size;
        let (_server, address, _) = start(&programs, &file);
        one(sheet, address, size);
        if size == most {
            search(sheet, address);
        }
    }
}

fn creating(sheet: &mut Sheet, programs: &Path, file: &Path) {
    let (_server, address, took) = start(programs, file);
    sheet.add("start to ready", "", format!("{} ms", took.as_millis()));
    for (clients, what) in [(1, "create, one client"), (32, "create, 32 clients")] {
        let rate = rate(address, clients, TIME, create);
        sheet.add(&format!("{what}: model, version, artifact"), "", format!("{rate:.0} a second"));
    }
}

/// A server with its workers, which outlive it and hold its output open unless they are ended with it.
struct Server(Process);

impl Drop for Server {
    fn drop(&mut self) {
        let command = format!("kill -KILL -{}", self.0.id());
        // Whoever has ended need not be told to.
        let _ = Command::new("/bin/sh").args(["-c", &command]).status();
    }
}

fn start(programs: &Path, file: &Path) -> (Server, SocketAddr, Duration) {
    let port = port();
    let mut command = Command::new(programs.join("mlflow"));
    command.process_group(0);
    command.args(["server", "--host", "127.0.0.1", "--workers", "2", "--port", &port.to_string()]);
    command.arg("--backend-store-uri").arg(format!("sqlite:///{}", file.display()));
    command.arg("--default-artifact-root").arg(file.with_extension("artifacts"));
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let settings = Settings::from(
        // Neither is it to tell its makers of this, nor to run what has nothing to do with the registry.
        [
            ("PATH", path.as_str()),
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let (process, started) = (Process::spawn("mlflow", command, &settings), Instant::now());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    await_ready(address, "/health");
    (Server(process), address, started.elapsed())
}

/// A model and a version of it, which says itself where its artifact is.
fn create(client: &mut Client, name: &str) -> usize {
    let model = format!(r#"{{"name": "made-{name}", "description": "Trained on tickets."}}"#);
    client.make(&format!("{API}/registered-models/create"), &model);
    let version = format!(
        r#"{{"name": "made-{name}", "source": "s3://models/granite-{name}", "tags": [
            {{"key": "stage", "value": "Made"}}, {{"key": "accuracy", "value": "0.93"}}]}}"#
    );
    client.make(&format!("{API}/model-versions/create"), &version);
    2
}

fn fill(programs: &Path, file: &Path, from: usize, to: usize) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mlflow/fill.py");
    let mut command = Command::new(programs.join("python3"));
    let done = command.arg(script).arg(file).args([from.to_string(), to.to_string()]).status().unwrap();
    assert!(done.success(), "MLflow's database can't be filled");
}

fn one(sheet: &mut Sheet, address: SocketAddr, versions: usize) {
    let get = |n: usize| format!("{API}/model-versions/get?name=granite-{}&version={}", n / VERSIONS, n % VERSIONS + 1);
    let paths: Vec<String> = (0..versions.min(20_000)).map(|n| get(n * 7_919 % versions)).collect();
    let times = Times::of(address, &paths, TIME);
    sheet.add(&format!("find by name, {} versions", thousands(versions)), "", times.shown());
}

/// It has no order by change of its own that an index could have; the one it has by default is taken.
fn search(sheet: &mut Sheet, address: SocketAddr) {
    for (what, query) in [
        ("ten in 100,000", "tags.ticket = 'T-77'"),
        ("one in 20", "tags.stage = 'Canary'"),
        ("one in four", "tags.stage = 'Production'"),
        ("all", "tags.license = 'apache-2.0'"),
    ] {
        let query: String = byte_serialize(query.as_bytes()).collect();
        let path = format!("{API}/model-versions/search?max_results={PAGE}&filter={query}");
        let times = Times::of(address, &[path], TIME);
        sheet.add(&format!("filterQuery, 100,000 versions: {what}, by LAST_UPDATE_TIME"), "", times.shown());
    }
}
