//! The binary, and what it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// How long a run may take before the test fails.
const DEADLINE: Duration = Duration::from_mins(2);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The last line of the log.
    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().next_back().unwrap_or_default()
    }
}

/// The binary with these arguments and nothing else in its environment.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storage-initializer"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

pub(crate) async fn run(command: &mut Command) -> Ran {
    ended(command.spawn().unwrap()).await
}

pub(crate) async fn ended(child: Child) -> Ran {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("it ends in time").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Directories for a model and its destination.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// A model of two files, and no destination yet.
    pub(crate) fn with_model() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.model().join("1")).unwrap();
        fs::write(place.model().join("1/model.onnx"), "weights").unwrap();
        fs::write(place.model().join("config"), "name").unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.path("model")
    }

    /// The URI of something in here.
    pub(crate) fn uri(&self, name: &str) -> String {
        format!("file://{}", self.text(name))
    }

    /// The files of the destination that are a model's, by path.
    pub(crate) fn fetched(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        collect(&self.path("dest"), &self.path("dest"), &mut files);
        files
    }
}

fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            collect(root, &path, files);
        } else if name != ".storage-initializer.json" {
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The two files of the model.
pub(crate) fn model() -> BTreeMap<String, String> {
    [("1/model.onnx", "weights"), ("config", "name")].map(|(path, text)| (path.to_owned(), text.to_owned())).into()
}
