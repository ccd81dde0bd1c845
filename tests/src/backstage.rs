//! A real Backstage as a process: the Node.js app in `tests/backstage`, which `make test` installs where Node is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use testkit::eventually;

use crate::{Process, Settings, Shown, http, port};

/// How long anything may take in Backstage, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(2);
const TOKEN: &str = "token-of-the-bridge-tests";
/// What Backstage warns of because it is none that people use.
const OF_NO_INTEREST: &[&str] = &["backend.baseUrl is set to a localhost URL", "Event subscribe request failed"];

/// How Backstage learns of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Of locations that are registered with it.
    Plain,
    /// By RHDH's provider 1.1.0, which knows model servers only.
    Rhdh,
    /// By a provider that does as RHDH's of 0.7 to 0.9.
    Rhdh09,
}

impl Shape {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Rhdh => "rhdh",
            Self::Rhdh09 => "rhdh09",
        }
    }
}

/// A Backstage back end with its databases, which outlive restarts.
#[derive(Debug)]
pub struct Backstage {
    shape: Shape,
    port: u16,
    settings: Settings,
    process: Option<Process>,
    /// What earlier processes logged.
    earlier: Vec<String>,
    directory: TempDir,
    http: reqwest::Client,
}

impl Backstage {
    /// Whether there is one; a test that needs it ends where there is none.
    ///
    /// # Panics
    /// When there is none and `REQUIRE_BACKSTAGE=1` asks for it.
    pub fn is_installed() -> bool {
        is_there("node_modules", "Backstage")
    }

    /// Whether TechDocs can be built.
    ///
    /// # Panics
    /// When they cannot and `REQUIRE_BACKSTAGE=1` asks for it.
    pub fn builds_techdocs() -> bool {
        Self::is_installed() && is_there(".venv", "mkdocs")
    }

    /// One that is not started yet, and may read from `bridge_url` only.
    pub fn new(shape: Shape, bridge_url: &str) -> Self {
        let (directory, port) = (directory(), port());
        let mut settings = Settings::from(
            [
                ("BACKSTAGE_SHAPE", shape.name().to_owned()),
                ("BACKSTAGE_PORT", port.to_string()),
                ("BACKSTAGE_TOKEN", TOKEN.to_owned()),
                ("BACKSTAGE_DIRECTORY", directory.path().display().to_string()),
                ("BRIDGE_URL", bridge_url.to_owned()),
                ("HOME", directory.path().display().to_string()),
                // Its log is JSON then.
                ("NODE_ENV", "production".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        settings.insert("PATH".to_owned(), std::env::var("PATH").expect("a PATH with node"));
        Self { shape, port, settings, process: None, earlier: Vec::new(), directory, http: http() }
    }

    /// The same with TechDocs.
    #[must_use]
    pub fn with_techdocs(mut self) -> Self {
        let mkdocs = app().join(".venv/bin").display().to_string();
        self.settings.insert("BACKSTAGE_MKDOCS_DIRECTORY".to_owned(), mkdocs);
        self
    }

    /// How it learns of models.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A token that it accepts.
    pub const fn token(&self) -> &'static str {
        TOKEN
    }

    // --- The process ---

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        assert!(self.process.is_none(), "Backstage runs already");
        let mut command = Command::new("node");
        command.arg("src/index.js").current_dir(app());
        self.process = Some(Process::spawn("backstage", command, &self.settings));
        eventually(PATIENCE, "Backstage is ready", async || {
            let answer = self.http.get(format!("{}/.backstage/health/v1/readiness", self.url())).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("Backstage runs");
        process.kill();
        self.earlier.extend(process.output().lines().map(str::to_owned));
    }

    /// SIGKILL, and a start right after it.
    pub async fn restart(&mut self) {
        self.kill();
        self.start().await;
    }

    /// Forgets all that it knew while it is down.
    pub fn lose_databases(&self) {
        assert!(self.process.is_none(), "Backstage runs");
        std::fs::remove_dir_all(self.directory.path().join("databases")).unwrap();
    }

    // --- Its log ---

    /// What it logged, without the requests that it was sent.
    pub fn log(&self) -> Vec<String> {
        let now = self.process.as_ref().map(Process::output).unwrap_or_default();
        let all = self.earlier.iter().cloned().chain(now.lines().map(str::to_owned));
        all.filter(|line| !line.contains("\"type\":\"incomingRequest\"")).collect()
    }

    /// Warnings and errors, and whatever it said that is no log at all.
    pub fn complaints(&self) -> Vec<String> {
        let complains = |line: &String| match serde_json::from_str::<Value>(line) {
            Ok(entry) => entry["level"] == "error" || entry["level"] == "warn",
            Err(_) => line.contains("Error"),
        };
        let known = |line: &String| OF_NO_INTEREST.iter().any(|known| line.contains(known));
        self.log().into_iter().filter(|line| complains(line) && !known(line)).collect()
    }

    /// Waits until its log holds a text `count` times more.
    pub async fn logs_again(&self, text: &str, count: usize) {
        let counted = || self.log().iter().filter(|line| line.contains(text)).count();
        let before = counted();
        let what = format!("Backstage logs {text:?} {count} times more");
        eventually(PATIENCE, &what, async || counted() >= before + count).await;
    }

    // --- Its catalog ---

    /// A request to its API: status and body.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, String), String> {
        let request = self.http.request(method, format!("{}/api{path}", self.url())).bearer_auth(TOKEN);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(|error| format!("{error:?}"))?))
    }

    async fn list(&self, path: &str) -> Result<Vec<Value>, String> {
        match self.ask(Method::GET, path, None).await? {
            (200, body) => serde_json::from_str(&body).map_err(|error| format!("{error}: {body}")),
            (status, body) => Err(format!("{path}: {status} {body}")),
        }
    }

    /// All entities, but for those that stand for locations; sorted by name.
    pub async fn entities(&self) -> Result<Vec<Value>, String> {
        let mut entities = self.list("/catalog/entities").await?;
        entities.retain(|entity| entity["kind"] != "Location");
        entities.sort_by_key(|entity| (text(&entity["metadata"]["name"]), text(&entity["kind"])));
        Ok(entities)
    }

    /// How many they are: for when they are many, and are asked for again and again.
    pub async fn count(&self) -> Result<usize, String> {
        let path = "/catalog/entity-facets?facet=kind";
        let (status, body) = self.ask(Method::GET, path, None).await?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{status} {error}: {body}"))?;
        let kinds = answer["facets"]["kind"].as_array().ok_or_else(|| format!("{status} {body}"))?;
        let counts = kinds.iter().filter(|kind| kind["value"] != "Location").filter_map(|kind| kind["count"].as_u64());
        Ok(usize::try_from(counts.sum::<u64>()).expect("a count that fits"))
    }

    /// The ids of entities: one that was removed and added again has another one.
    pub async fn uids(&self) -> Result<BTreeSet<String>, String> {
        Ok(self.entities().await?.iter().map(|entity| text(&entity["metadata"]["uid"])).collect())
    }

    /// Targets and ids of the locations that are registered.
    pub async fn locations(&self) -> Result<BTreeMap<String, String>, String> {
        let locations = self.list("/catalog/locations").await?;
        let pair = |location: &Value| (text(&location["data"]["target"]), text(&location["data"]["id"]));
        Ok(locations.iter().map(pair).collect())
    }

    /// What it shows of each entity, by kind and name.
    pub async fn shows(&self) -> Result<BTreeMap<String, String>, String> {
        Ok(self.entities().await?.iter().map(shown).collect())
    }

    /// Waits until it shows exactly that.
    pub async fn comes_to_show(&self, expected: &BTreeMap<String, String>) {
        eventually(PATIENCE, "Backstage shows the truth", async || {
            let shown = self.shows().await?;
            if shown == *expected { Ok(()) } else { Err(format!("{shown:#?} in place of {expected:#?}")) }
        })
        .await;
    }
}

/// What is looked at of an entity: what people would miss first.
fn shown(entity: &Value) -> (String, String) {
    let key = format!("{}:{}", text(&entity["kind"]), text(&entity["metadata"]["name"]));
    let value = match entity["kind"].as_str() {
        Some("AiModelServerAPI") => text(&entity["spec"]["serverUrl"]),
        Some("API") => text(&entity["metadata"]["links"][0]["url"]),
        Some("Resource") => text(&entity["metadata"]["description"]),
        _ => String::new(),
    };
    (key, value)
}

/// What a Backstage of that shape should show of what location serves, in the words of [`Backstage::shows`].
pub fn shown_by(shape: Shape, truth: &BTreeMap<String, Shown>) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    for entry in truth.values() {
        let url = entry.server.as_ref().and_then(|server| server.url.clone());
        if shape == Shape::Rhdh {
            shown.extend(url.map(|url| (format!("AiModelServerAPI:{}", entry.name), url)));
            continue;
        }
        shown.insert(format!("Resource:{}", entry.name), entry.description.clone());
        if entry.server.is_some() {
            shown.insert(format!("Component:{}", entry.name), String::new());
        }
        shown.extend(url.map(|url| (format!("API:{}", entry.name), url)));
    }
    shown
}

/// In memory where that can be had: Backstage waits for the disk with each entity.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn app() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("backstage")
}

fn is_there(part: &str, name: &str) -> bool {
    let is = |variable: &str| std::env::var(variable).is_ok_and(|value| value == "1");
    if is("SKIP_BACKSTAGE") {
        return false;
    }
    let installed = app().join(part).join(".installed").is_file();
    assert!(installed || !is("REQUIRE_BACKSTAGE"), "{name} is not installed: run tests/backstage/setup.sh");
    if !installed {
        eprintln!("skipped: {name} is not installed (tests/backstage/setup.sh)");
    }
    installed
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
