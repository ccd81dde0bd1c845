//! The three services as processes, wired to each other and to a test's sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use bridge_api::messages::{KeyList, UriList};
use model_catalog::render::Format;
use tempfile::TempDir;
use testkit::eventually;

use crate::{Process, Settings, Shown, Sources, http, port};

/// One of the three services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Reads the sources.
    Normalizer,
    /// Keeps the entries.
    Storage,
    /// Serves them.
    Location,
}

/// The name of a binary.
pub type Program = &'static str;

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Storage, Self::Location, Self::Normalizer];

    /// Its binary.
    pub const fn program(self) -> Program {
        match self {
            Self::Normalizer => "normalizer",
            Self::Storage => "storage-rest",
            Self::Location => "location",
        }
    }
}

/// Where entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In the ConfigMap of the test's cluster.
    InConfigMap,
    /// In a file.
    InSqlite,
}

/// A bridge: settings first, then processes.
#[derive(Debug)]
pub struct Bridge {
    /// The format of its entries.
    pub format: Format,
    settings: BTreeMap<Service, Settings>,
    ports: BTreeMap<Service, u16>,
    processes: BTreeMap<Service, Process>,
    /// What earlier processes of the same services logged.
    earlier: Vec<(Service, String)>,
    directory: TempDir,
    http: reqwest::Client,
}

impl Bridge {
    /// A bridge over `sources` that is not started yet. Its waits are short; location learns of changes by pushes, as
    /// its own comparison with storage has its usual interval.
    pub fn new(format: Format, kept: Kept, sources: &Sources) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ports: BTreeMap<Service, u16> = Service::ALL.map(|service| (service, port())).into();
        let url = |service| format!("http://127.0.0.1:{}", ports[&service]);
        let address = |service| format!("127.0.0.1:{}", ports[&service]);
        let mut common = Settings::from([
            ("HOME".to_owned(), directory.path().display().to_string()),
            ("NORMALIZER_FORMAT".to_owned(), format.to_string()),
            ("STORAGE_URL".to_owned(), url(Service::Storage)),
        ]);
        if let Some(kube) = &sources.kube {
            let file = kube.write_kubeconfig(directory.path());
            common.insert("KUBECONFIG".to_owned(), file.display().to_string());
        }
        let with = |own: &[(&str, String)]| {
            let mut settings = common.clone();
            settings.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            settings
        };
        let sqlite = directory.path().join("storage.sqlite").display().to_string();
        let storage_type = match kept {
            Kept::InConfigMap => "ConfigMap",
            Kept::InSqlite => "Sqlite",
        };
        let settings = BTreeMap::from([
            (
                Service::Normalizer,
                with(&[
                    ("NORMALIZER_ADMIN_ADDRESS", address(Service::Normalizer)),
                    ("MR_URL", sources.named_registries()),
                    ("POLLING_INTERVAL", "300ms".to_owned()),
                    ("BRIDGE_PUBLIC_URL", "http://bridge.example.com".to_owned()),
                ]),
            ),
            (
                Service::Storage,
                with(&[
                    ("STORAGE_LISTEN_ADDRESS", address(Service::Storage)),
                    ("STORAGE_TYPE", storage_type.to_owned()),
                    ("SQLITE_PATH", sqlite),
                    ("LOCATION_URL", url(Service::Location)),
                    ("DELIVERY_RETRY_MIN", "50ms".to_owned()),
                    ("DELIVERY_RETRY_MAX", "500ms".to_owned()),
                ]),
            ),
            (Service::Location, with(&[("LOCATION_LISTEN_ADDRESS", address(Service::Location))])),
        ]);
        Self { format, settings, ports, processes: BTreeMap::new(), earlier: Vec::new(), directory, http: http() }
    }

    /// The same with one setting more, or another one.
    #[must_use]
    pub fn with(mut self, service: Service, name: &str, value: &str) -> Self {
        self.set(service, name, value);
        self
    }

    /// Changes a setting; it counts from the next start on.
    pub fn set(&mut self, service: Service, name: &str, value: &str) {
        self.settings.get_mut(&service).unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// The settings of a service.
    pub fn settings(&self, service: Service) -> &Settings {
        &self.settings[&service]
    }

    /// A directory that ends with the bridge.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The SQLite file.
    pub fn sqlite(&self) -> PathBuf {
        self.directory.path().join("storage.sqlite")
    }

    /// The base URL of a service; the normalizer's is that of its health page.
    pub fn url(&self, service: Service) -> String {
        format!("http://127.0.0.1:{}", self.ports[&service])
    }

    // --- Processes ---

    /// Starts all three.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.start_all();
        self
    }

    /// Starts all three.
    pub fn start_all(&mut self) {
        for service in Service::ALL {
            self.start(service);
        }
    }

    /// Starts a service that does not run.
    pub fn start(&mut self, service: Service) {
        assert!(!self.processes.contains_key(&service), "{service:?} runs already");
        let process = Process::start(service.program(), &[], &self.settings[&service]);
        self.processes.insert(service, process);
    }

    /// Ends a service with SIGKILL.
    pub fn kill(&mut self, service: Service) {
        self.process_mut(service).kill();
        self.bury(service);
    }

    /// Ends all three with SIGKILL, one right after the other.
    pub fn kill_all(&mut self) {
        for service in Service::ALL {
            self.kill(service);
        }
    }

    /// Ends a service with SIGTERM and waits for its end.
    pub async fn terminate(&mut self, service: Service) -> ExitStatus {
        self.process_mut(service).terminate();
        let status = self.process_mut(service).ended(Duration::from_secs(10)).await;
        self.bury(service);
        status
    }

    /// SIGKILL, and a start right after it.
    pub fn restart(&mut self, service: Service) {
        self.kill(service);
        self.start(service);
    }

    fn bury(&mut self, service: Service) {
        let process = self.processes.remove(&service).unwrap();
        self.earlier.extend(process.log().into_iter().map(|line| (service, line)));
    }

    /// The process of a service that runs.
    pub fn process_mut(&mut self, service: Service) -> &mut Process {
        self.processes.get_mut(&service).unwrap_or_else(|| panic!("{service:?} does not run"))
    }

    /// What a service has logged, by all of its processes.
    pub fn log(&self, service: Service) -> String {
        let earlier = self.earlier.iter().filter(|(of, _)| *of == service).map(|(_, line)| line.clone());
        let now = self.processes.get(&service).map(Process::log).unwrap_or_default();
        earlier.chain(now).collect::<Vec<_>>().join("\n")
    }

    /// Waits until the log of a service holds a text.
    pub async fn logs(&self, service: Service, text: &str) {
        let what = format!("{service:?} logs {text:?}");
        eventually(crate::SOON, &what, async || self.log(service).contains(text)).await;
    }

    // --- Readers ---

    /// A GET request to a service: status and body.
    pub async fn get(&self, service: Service, path: &str) -> Result<(u16, String), String> {
        let answer =
            self.http.get(format!("{}{path}", self.url(service))).send().await.map_err(|e| format!("{e:?}"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.map_err(|error| format!("{error:?}"))?))
    }

    async fn ok(&self, service: Service, path: &str) -> Result<String, String> {
        match self.get(service, path).await? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{path}: {status} {body}")),
        }
    }

    /// The URIs that location lists, sorted.
    pub async fn uris(&self) -> Result<Vec<String>, String> {
        let list: UriList = parse(&self.ok(Service::Location, "/list").await?)?;
        let mut uris = list.uris;
        uris.sort();
        Ok(uris)
    }

    /// The documents that location serves, as text.
    pub async fn documents(&self) -> Result<BTreeMap<String, String>, String> {
        let mut documents = BTreeMap::new();
        for uri in self.uris().await? {
            let body = self.ok(Service::Location, &uri).await?;
            documents.insert(uri, body);
        }
        Ok(documents)
    }

    /// What location serves.
    pub async fn served(&self) -> Result<BTreeMap<String, Shown>, String> {
        let read = |(uri, body): (String, String)| {
            let shown = Shown::read(self.format, &body).map_err(|error| format!("{uri}: {error}"))?;
            Ok((uri, shown))
        };
        self.documents().await?.into_iter().map(read).collect()
    }

    /// Storage's list.
    pub async fn stored(&self) -> Result<KeyList, String> {
        parse(&self.ok(Service::Storage, "/list?details=true").await?)
    }

    /// Waits until location serves exactly this.
    pub async fn serves(&self, truth: &BTreeMap<String, Shown>) {
        eventually(crate::SOON, "location serves the truth", async || {
            let served = self.served().await?;
            differences(truth, &served)
        })
        .await;
    }

    /// Waits until location serves exactly what the sources hold, now and as long as they do not change.
    pub async fn serves_truth_of(&self, sources: &Sources) {
        self.serves(&sources.truth(self.format)).await;
    }

    /// Waits until a service says that it is ready.
    pub async fn ready(&self, service: Service) {
        let what = format!("{service:?} is ready");
        eventually(crate::SOON, &what, async || self.ok(service, "/readyz").await).await;
    }

    /// The sum of a service's counters of that name that have all these labels.
    pub async fn counted(&self, service: Service, name: &str, labels: &[&str]) -> Result<u64, String> {
        let text = self.ok(service, "/metrics").await?;
        let meant = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        Ok(text.lines().filter(meant).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Waits until such counters have gone up by `count`.
    pub async fn counts(&self, service: Service, name: &str, labels: &[&str], count: u64) {
        let counted = async || self.counted(service, name, labels).await;
        let before = eventually(crate::SOON, "metrics are there", counted).await;
        let what = format!("{name} {labels:?} of {service:?} goes up by {count}");
        eventually(crate::SOON, &what, async || match counted().await? {
            now if now >= before + count => Ok(()),
            now => Err(format!("{before} -> {now}")),
        })
        .await;
    }

    /// Waits until the normalizer has compared storage with what it knows, a few times more.
    pub async fn compares(&self) {
        self.counts(Service::Normalizer, "normalizer_syncs_total", &["outcome=\"ok\""], 3).await;
    }

    /// Waits until the normalizer has failed to bring storage in step, once or more.
    pub async fn fails_to_store(&self) {
        self.counts(Service::Normalizer, "normalizer_syncs_total", &["outcome=\"failed\""], 1).await;
    }

    /// Waits until the normalizer has failed to read the registry `main`, a few times more.
    pub async fn fails_to_read(&self) {
        self.reads("failed").await;
    }

    /// Waits until the normalizer has read the registry `main`, a few times more.
    pub async fn reads_registries(&self) {
        self.reads("ok").await;
    }

    async fn reads(&self, outcome: &str) {
        let labels = ["source=\"registry/main\"", &format!("outcome=\"{outcome}\"")];
        self.counts(Service::Normalizer, "normalizer_source_reads_total", &labels, 2).await;
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}

/// What differs, for people; nothing when nothing does.
fn differences(truth: &BTreeMap<String, Shown>, served: &BTreeMap<String, Shown>) -> Result<(), String> {
    let missing = truth.keys().filter(|uri| !served.contains_key(*uri)).map(|uri| format!("missing {uri}"));
    let extra = served.keys().filter(|uri| !truth.contains_key(*uri)).map(|uri| format!("too many {uri}"));
    let other = truth.iter().filter_map(|(uri, expected)| {
        let shown = served.get(uri).filter(|shown| *shown != expected)?;
        Some(format!("{uri}:\n  expected {expected:?}\n  served   {shown:?}"))
    });
    let all: Vec<String> = missing.chain(extra).chain(other).collect();
    if all.is_empty() { Ok(()) } else { Err(all.join("\n")) }
}
