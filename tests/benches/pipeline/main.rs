//! What the whole bridge costs: the three binaries, built for release, against a scripted registry in this process (and
//! a Kubernetes API, where entries are kept in a ConfigMap). Prints one table with what `projection` measured beside it.
//!
//! All of it shares the machine: what the scripted peers need is part of each time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that is set up wrongly should stop at once"
)]

mod initializer;
mod load;
mod serving;
mod table;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model_catalog::render::Format;
use sample_registry::{Kind, SampleRegistry};
use serde_json::{Value, json};
use system_tests::{Bridge, Kept, Service, Sources};
use testkit::kube::KubeApi;
use testkit::registry::ScriptedRegistry;

use table::{Table, mebibytes, median, millis, seconds};

/// How many versions a model has.
const VERSIONS: usize = 4;
/// How often what is quick enough is measured.
const RUNS: usize = 3;
const POLLS: usize = 7;
const CHANGES: usize = 5;
/// The pause between two polls: long enough to tell them apart.
const POLLING: Duration = Duration::from_secs(1);
/// Longer than anything should take, however busy the machine.
const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut table = Table::default();
    if is_wanted("serving") {
        serving::measure(&mut table).await;
    }
    if is_wanted("pipeline") {
        pipeline(&mut table).await;
        projections(&mut table);
    }
    if is_wanted("initializer") {
        initializer::measure(&mut table).await;
    }
    println!("{}", table.shown());
}

/// Whether `-- --only PART` names this part, or is not there.
fn is_wanted(part: &str) -> bool {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--only").skip(1);
    arguments.next().is_none_or(|only| only == part)
}

async fn pipeline(table: &mut Table) {
    for (kept, name, aim) in [(Kept::InSqlite, "SQLite", "2 s"), (Kept::InConfigMap, "ConfigMap", "3 s")] {
        eprintln!("first sync of 1,000 versions, {name}");
        let mut times = Vec::new();
        let mut writes = 0;
        for _ in 0..RUNS {
            let run = Run::first_sync(1_000, kept).await;
            times.push(run.took);
            writes = run.writes_to_cluster();
        }
        table.add(&format!("first sync of 1,000 versions, registry to location, {name}"), aim, seconds(median(times)));
        if kept == Kept::InConfigMap {
            table.add("- writes of the ConfigMap for it", "", writes.to_string());
        }
    }
    ten_thousand(table).await;
}

async fn ten_thousand(table: &mut Table) {
    let mut times = Vec::new();
    let mut peaks = Vec::new();
    let mut last = None;
    for _ in 0..RUNS {
        eprintln!("first sync of 10,000 versions, SQLite");
        drop(last.take());
        let mut run = Run::first_sync(10_000, Kept::InSqlite).await;
        times.push(run.took);
        peaks.push(run.peaks());
        last = Some(run);
    }
    let mut run = last.expect("it was run");
    table.add("first sync of 10,000 versions, registry to location, SQLite", "15 s", seconds(median(times)));
    table.add("- requests to the registry for it", "1 a version, and pages", run.requests.to_string());
    run.idle().await;

    eprintln!("steady polls");
    let mut polls = Vec::new();
    let before = run.processor_time();
    let began = Instant::now();
    for _ in 0..POLLS {
        polls.push(run.poll().await);
    }
    let spent = run.processor_time().saturating_sub(before);
    let each = began.elapsed().as_secs_f64() / POLLING.as_secs_f64();
    table.add(
        "steady poll of 10,000 versions, first request to counted",
        "50 ms",
        millis(median(polls.iter().map(|p| p.took))),
    );
    table.add("- requests", "<= 5", polls.iter().map(|poll| poll.requests).max().unwrap().to_string());
    table.add(
        "- processor time of all three services, comparing with storage included",
        "",
        millis(spent.div_f64(each)),
    );

    eprintln!("single changes");
    let mut changes = Vec::new();
    for number in 0..CHANGES {
        changes.push(run.change(number).await);
    }
    table.add(
        "one change among 10,000 versions, first request to served",
        "",
        millis(median(changes.iter().map(|c| c.took))),
    );
    table.add("- requests", "<= 8", changes.iter().map(|change| change.requests).max().unwrap().to_string());

    let after_sync = peaks.iter().map(|peaks| peaks[0]).max().unwrap();
    table.add("peak memory of normalizer after the first sync of 10,000 versions", "120 MiB", mebibytes(after_sync));
    peaks.push(run.peaks());
    for (place, (service, aim)) in [("normalizer", ""), ("storage-rest", ""), ("location", "")].into_iter().enumerate()
    {
        let peak = peaks.iter().map(|peaks| peaks[place]).max().unwrap();
        table.add(&format!("- peak memory of {service} after all of the above"), aim, mebibytes(peak));
    }
}

// --- Runs ---

/// A bridge that is in step with a registry.
struct Run {
    bridge: Bridge,
    sources: Sources,
    /// Ids of versions and the URIs under which they are served.
    versions: Vec<(String, String)>,
    /// When which request came.
    seen: Arc<Mutex<Vec<Instant>>>,
    took: Duration,
    requests: usize,
}

/// What came of one thing that was waited for.
struct Took {
    took: Duration,
    requests: usize,
}

impl Run {
    /// Starts storage and location, then the normalizer, and waits until location serves everything.
    async fn first_sync(size: usize, kept: Kept) -> Self {
        let registry = SampleRegistry::new();
        let versions = fill(&registry, size);
        let kube = match kept {
            Kept::InSqlite => None,
            Kept::InConfigMap => Some(KubeApi::builder().with_kserve().start().await),
        };
        let sources =
            Sources { registries: vec![("main".to_owned(), ScriptedRegistry::serving(registry).await)], kube };
        let polling = format!("{}ms", POLLING.as_millis());
        let mut bridge = Bridge::new(Format::CatalogInfoYaml, kept, &sources)
            .with(Service::Normalizer, "POLLING_INTERVAL", &polling)
            .with(Service::Normalizer, "PROBE_INTERVAL", "0")
            .with(Service::Normalizer, "LOG_LEVEL", "warn")
            .with(Service::Storage, "LOG_LEVEL", "warn")
            .with(Service::Storage, "DELIVERY_RETRY_MIN", "250ms")
            .with(Service::Location, "LOG_LEVEL", "error");
        bridge.start(Service::Storage);
        bridge.start(Service::Location);
        until("storage is ready", async || {
            bridge.get(Service::Storage, "/readyz").await.is_ok_and(|(code, _)| code == 200)
        })
        .await;
        until("location listens", async || bridge.get(Service::Location, "/healthz").await.is_ok()).await;
        let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let log = Arc::clone(&seen);
        sources.registry().fail_by(move |_| {
            log.lock().unwrap().push(Instant::now());
            None
        });
        let start = Instant::now();
        bridge.start(Service::Normalizer);
        until("location is ready", async || {
            bridge.get(Service::Location, "/readyz").await.is_ok_and(|(code, _)| code == 200)
        })
        .await;
        until("location serves everything", async || bridge.uris().await.is_ok_and(|uris| uris.len() == size)).await;
        let took = start.elapsed();
        let requests = seen.lock().unwrap().len();
        let mut run = Self { bridge, sources, versions, seen, took, requests };
        let processor = Service::ALL.map(|service| {
            let used = Usage::of(run.bridge.process_mut(service).id()).processor;
            format!("{} {}", service.program(), seconds(used))
        });
        eprintln!("  {}, processor time: {}", seconds(took), processor.join(", "));
        run
    }

    /// Waits until storage and location have nothing left to do.
    async fn idle(&self) {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    async fn reads(&self) -> u64 {
        let counted = self.bridge.counted(
            Service::Normalizer,
            "normalizer_source_reads_total",
            &["kind=\"increment\"", "outcome=\"ok\""],
        );
        counted.await.unwrap()
    }

    /// The first request after `from`.
    async fn first_request(&self, from: Instant) -> Instant {
        loop {
            let first = self.seen.lock().unwrap().iter().find(|time| **time > from).copied();
            if let Some(first) = first {
                return first;
            }
            assert!(from.elapsed() < DEADLINE, "no request came");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The next poll, from its first request until its end was counted.
    async fn poll(&self) -> Took {
        let before = self.reads().await;
        let from = Instant::now();
        let first = self.first_request(from).await;
        until("the poll is over", async || self.reads().await > before).await;
        let took = first.elapsed();
        Took { took, requests: self.requests_since(first) }
    }

    /// Describes a version otherwise; from the request that finds it until location serves it.
    async fn change(&self, number: usize) -> Took {
        // Between two polls.
        self.poll().await;
        let (id, uri) = &self.versions[number * 997 % self.versions.len()];
        let text = format!("Described for the time number {number}.");
        self.sources.registry().edit().update_version(id, json!({"description": text})).unwrap();
        let reads = self.reads().await;
        let first = self.first_request(Instant::now()).await;
        until("the change is read", async || self.reads().await > reads).await;
        let requests = self.requests_since(first);
        until("the change is served", async || {
            self.bridge.get(Service::Location, uri).await.is_ok_and(|(_, body)| body.contains(&text))
        })
        .await;
        let took = first.elapsed();
        Took { took, requests }
    }

    fn requests_since(&self, first: Instant) -> usize {
        self.seen.lock().unwrap().iter().filter(|time| **time >= first).count()
    }

    fn writes_to_cluster(&self) -> usize {
        let kube = self.sources.kube.as_ref();
        kube.map(|kube| kube.count(|request| request.method == "PATCH" && request.path.contains("/configmaps")))
            .unwrap_or_default()
    }

    /// The most memory that normalizer, storage-rest and location ever had, in KiB.
    fn peaks(&mut self) -> [u64; 3] {
        [Service::Normalizer, Service::Storage, Service::Location]
            .map(|service| Usage::of(self.bridge.process_mut(service).id()).peak)
    }

    /// The processor time that the three services had so far.
    fn processor_time(&mut self) -> Duration {
        Service::ALL.map(|service| Usage::of(self.bridge.process_mut(service).id()).processor).iter().sum()
    }
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
struct Usage {
    /// The memory that it has, in KiB.
    memory: u64,
    /// The most that it ever had, in KiB.
    peak: u64,
    processor: Duration,
}

impl Usage {
    fn of(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
        let line = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel counts it");
            value.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let of_task = |task: std::io::Result<std::fs::DirEntry>| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let processor = Duration::from_nanos(tasks.filter_map(of_task).sum());
        Self { memory: line("VmRSS:"), peak: line("VmHWM:"), processor }
    }
}

/// Fills a registry with so many versions; their ids and URIs. A thousand of them just fit into one ConfigMap.
fn fill(registry: &SampleRegistry, size: usize) -> Vec<(String, String)> {
    let mut versions = Vec::new();
    let mut model = String::new();
    for number in 0..size {
        let (parent, name) = (format!("granite-{}-lab", number / VERSIONS), format!("v{}", number % VERSIONS + 1));
        if number % VERSIONS == 0 {
            model = registry.create_model(
                &parent,
                json!({
                    "description": format!("The model number {}.", number / VERSIONS),
                    "owner": format!("team-{}", number / VERSIONS % 50),
                    "properties": {"License": "apache-2.0", "Provider": "Example", "granite": "", "chat": ""},
                }),
            );
        }
        let version = registry.create_version(
            &model,
            &name,
            json!({
                "description": "Trained again on newer tickets.",
                "properties": {"accuracy": "0.93"},
            }),
        );
        registry.create_artifact(
            &version,
            "weights",
            json!({"uri": format!("oci://registry.example.com/models/{parent}:{name}")}),
        );
        versions.push((version, format!("/{parent}/{name}/catalog-info.yaml")));
    }
    assert_eq!(registry.count(Kind::ModelVersion), size);
    versions
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

// --- Figures ---

/// What criterion made of `projection`, where that was run.
fn projections(table: &mut Table) {
    for (what, place, aim) in [
        ("projection of 1,000 versions", "project/1000", ""),
        ("projection of 10,000 versions", "project/10000", "100 ms"),
        ("projection of 100,000 versions", "project/100000", "linear"),
        ("- 10,000 versions: contents copied with one change, projected", "one change/10000", ""),
        ("- 10,000 documents and digests, YAML", "render/catalog-info.yaml/10000", ""),
        ("- 10,000 documents and digests, JSON", "render/model-catalog.json/10000", ""),
    ] {
        let file = target().join("criterion").join(place).join("new/estimates.json");
        let estimates: Option<Value> = std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let nanos = estimates.and_then(|estimates| estimates["median"]["point_estimate"].as_f64());
        table.add(
            what,
            aim,
            nanos.map_or_else(|| "not run".to_owned(), |nanos| millis(Duration::from_secs_f64(nanos / 1e9))),
        );
    }
}

/// `target/<profile>/deps/<this>` is three levels below it.
fn target() -> PathBuf {
    let this = std::env::current_exe().expect("a process knows its executable");
    this.ancestors().nth(3).expect("cargo's directories").to_owned()
}
