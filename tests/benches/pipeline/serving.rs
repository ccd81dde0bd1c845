//! What location costs: its answers to many readers, its memory, and its start from full storages.

use std::time::{Duration, Instant};

use bridge_api::messages::Origin;
use bridge_api::{EntryKey, PostBody, ReconcilerType};
use futures::future::join_all;
use model_catalog::render::Format;
use storage_rest::store::backend::Backend;
use storage_rest::store::{StoreError, StoredEntry};
use system_tests::{Bridge, Kept, Service, Sources};
use testkit::kube::KubeApi;
use testkit::postgres::{Database, PostgresServer};

use crate::load::{Answered, Load};
use crate::table::{Table, mebibytes, median, millis, seconds};
use crate::{RUNS, Usage, until};

const CONNECTIONS: usize = 64;
const READING: Duration = Duration::from_secs(4);
/// How many entries are written at once.
const WRITTEN: usize = 1_000;

pub(crate) async fn measure(table: &mut Table) {
    reading(table).await;
    let mut stored = Stored::in_sqlite(100_000).await;
    memory(table, &mut stored).await;
    stored.measure(table, "3 s").await;
    drop(stored);
    match PostgresServer::start() {
        Some(server) => Stored::in_postgres(100_000, &server.database()).await.measure(table, "3 s").await,
        None => table.add("start of location from 100,000 entries in PostgreSQL", "3 s", "not run".to_owned()),
    }
    Stored::in_config_maps(5_000).await.measure(table, "").await;
}

// --- Answers ---

async fn reading(table: &mut Table) {
    const ENTRIES: usize = 10_000;
    let mut stored = Stored::in_sqlite(ENTRIES).await;
    stored.start_location().await;
    let plain = |number: usize| request(number, "");
    let packed = |number: usize| request(number, "accept-encoding: gzip, deflate\r\n");
    let one = stored.bridge.get(Service::Location, &uri(0)).await.unwrap().1.len();
    eprintln!("readers of {ENTRIES} documents of {one} bytes");
    for (what, aim, requests) in [
        ("documents, 64 connections, 10,000 entries", "50,000 a second", (0..ENTRIES).map(plain).collect()),
        ("documents with gzip", "", (0..ENTRIES).map(packed).collect::<Vec<_>>()),
    ] {
        stored.read(table, what, aim, requests, b"HTTP/1.1 200 OK\r\n").await;
    }
    let unchanged = |number: usize| request(number, "if-none-match: *\r\n");
    let requests = (0..ENTRIES).map(unchanged).collect();
    stored.read(table, "documents that the reader has (304)", "", requests, b"HTTP/1.1 304 ").await;
}

fn request(number: usize, headers: &str) -> Vec<u8> {
    format!("GET {} HTTP/1.1\r\nhost: location\r\n{headers}\r\n", uri(number)).into_bytes()
}

impl Stored {
    async fn read(
        &mut self,
        table: &mut Table,
        what: &str,
        aim: &str,
        requests: Vec<Vec<u8>>,
        expected: &'static [u8],
    ) {
        let address = self.bridge.url(Service::Location).trim_start_matches("http://").parse().unwrap();
        let load = Load { address, requests: requests.into(), expected, connections: CONNECTIONS, time: READING };
        // What is asked for first may have to be made first.
        Load { time: READING / 4, ..load.clone() }.run().await;
        let usage = |stored: &mut Self| {
            [stored.bridge.process_mut(Service::Location).id(), std::process::id()].map(|id| Usage::of(id).processor)
        };
        let before = usage(self);
        let answered = load.run().await;
        let after = usage(self);
        let [server, readers] = [0, 1].map(|place: usize| after[place].saturating_sub(before[place]));
        let took = answered.took.as_secs_f64();
        let rate = |time: f64| thousands(answered.count(), time);
        table.add(what, aim, format!("{} a second", rate(took)));
        table.add("- time to answer, p50 and p99", "", latencies(&answered));
        table.add(
            "- cores that location and the readers had",
            "",
            format!("{:.2} and {:.2}", server.as_secs_f64() / took, readers.as_secs_f64() / took),
        );
        table.add("- a second of one core of location's", "", rate(server.as_secs_f64()));
    }
}

fn latencies(answered: &Answered) -> String {
    format!("{} and {}", millis(answered.percentile(50)), millis(answered.percentile(99)))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
fn thousands(count: usize, seconds: f64) -> String {
    let rate = (count as f64 / seconds) as u64;
    format!("{},{:03}", rate / 1_000, rate % 1_000)
}

// --- Memory ---

async fn memory(table: &mut Table, stored: &mut Stored) {
    let mut nothing = Stored::in_sqlite(0).await;
    nothing.bridge.start(Service::Location);
    until("location listens", async || nothing.bridge.get(Service::Location, "/healthz").await.is_ok()).await;
    let empty = Usage::of(nothing.bridge.process_mut(Service::Location).id()).memory;
    drop(nothing);
    stored.start_location().await;
    let usage = Usage::of(stored.bridge.process_mut(Service::Location).id());
    let entries = stored.entries as u64;
    let each = |kib: u64| (kib.saturating_sub(empty) << 10) / entries;
    let body = stored.bytes / stored.entries;
    table.add(
        "memory of location for an entry, of 100,000",
        &format!("2 x {body} bytes"),
        format!("{} bytes", each(usage.memory)),
    );
    table.add("- at most, while it starts", "", format!("{} bytes", each(usage.peak)));
    table.add("- all of location, without any entry", "", mebibytes(empty));
    stored.bridge.kill(Service::Location);
}

// --- Starts ---

/// A storage-rest that serves what was put into its store.
struct Stored {
    bridge: Bridge,
    name: &'static str,
    entries: usize,
    /// The bytes of all documents.
    bytes: usize,
    /// Serves the ConfigMaps.
    _sources: Sources,
}

impl Stored {
    async fn in_sqlite(entries: usize) -> Self {
        let sources = Sources { registries: Vec::new(), kube: None };
        let bridge = Bridge::new(Format::CatalogInfoYaml, Kept::InSqlite, &sources);
        Self::fill("SQLite", bridge, sources, entries).await
    }

    async fn in_config_maps(entries: usize) -> Self {
        let kube = Some(KubeApi::builder().start().await);
        let sources = Sources { registries: Vec::new(), kube };
        let bridge = Bridge::new(Format::CatalogInfoYaml, Kept::InConfigMap, &sources);
        Self::fill("ConfigMaps", bridge, sources, entries).await
    }

    async fn in_postgres(entries: usize, database: &Database<'_>) -> Self {
        let sources = Sources { registries: Vec::new(), kube: None };
        let bridge = Bridge::new(Format::CatalogInfoYaml, Kept::InSqlite, &sources)
            .with(Service::Storage, "STORAGE_TYPE", "Sql")
            .with(Service::Storage, "DATABASE_URL", &database.url());
        Self::fill("PostgreSQL", bridge, sources, entries).await
    }

    async fn fill(name: &'static str, bridge: Bridge, sources: Sources, entries: usize) -> Self {
        eprintln!("{entries} entries in {name}");
        let mut bridge = bridge
            .with(Service::Storage, "LOG_LEVEL", "warn")
            // Location loads; whether it is pushed to does not matter here.
            .with(Service::Storage, "LOCATION_URL", "http://127.0.0.1:9")
            .with(Service::Location, "LOG_LEVEL", "error");
        let settings = bridge.settings(Service::Storage);
        let flags = ["STORAGE_TYPE", "SQLITE_PATH", "DATABASE_URL", "KUBECONFIG"]
            .into_iter()
            .filter_map(|name| Some(format!("--{}={}", name.to_lowercase().replace('_', "-"), settings.get(name)?)));
        let arguments = std::iter::once("storage-rest".to_owned()).chain(flags);
        let settings: storage_rest::Settings = service::settings::try_parse_from(arguments, |_| None).unwrap();
        let store = Backend::choose(&settings.storage, &settings.cluster).await.unwrap().open().await.unwrap();
        let (mut bytes, mut fitted) = (0, 0);
        let numbers: Vec<usize> = (0..entries).collect();
        for some in numbers.chunks(WRITTEN) {
            let written = some.iter().map(async |number| {
                let (key, entry) = entry(*number);
                let length = entry.body.len();
                match store.upsert(&key, entry).await {
                    Ok(_) => Some(length),
                    Err(StoreError::TooLarge { .. }) => None,
                    Err(error) => panic!("{error}"),
                }
            });
            let lengths: Vec<usize> = join_all(written).await.into_iter().flatten().collect();
            bytes += lengths.iter().sum::<usize>();
            fitted += lengths.len();
            if lengths.len() < some.len() {
                break;
            }
        }
        store.close().await;
        bridge.start(Service::Storage);
        until("storage is ready", async || {
            bridge.get(Service::Storage, "/readyz").await.is_ok_and(|(code, _)| code == 200)
        })
        .await;
        Self { bridge, name, entries: fitted, bytes, _sources: sources }
    }

    async fn start_location(&mut self) -> Duration {
        let start = Instant::now();
        self.bridge.start(Service::Location);
        until("location is ready", async || {
            self.bridge.get(Service::Location, "/readyz").await.is_ok_and(|(code, _)| code == 200)
        })
        .await;
        let took = start.elapsed();
        assert_eq!(self.bridge.uris().await.unwrap().len(), self.entries);
        took
    }

    async fn measure(&mut self, table: &mut Table, aim: &str) {
        let mut starts = Vec::new();
        for _ in 0..RUNS {
            starts.push(self.start_location().await);
            self.bridge.kill(Service::Location);
        }
        let peak = Usage::of(self.bridge.process_mut(Service::Storage).id()).peak;
        let (entries, name) = (thousands(self.entries, 1.0), self.name);
        table.add(&format!("start of location from {entries} entries in {name}"), aim, seconds(median(starts)));
        for (what, path) in [
            ("- list of storage with digests, as location reads it", "/list?details=true&origins=false"),
            ("- list of storage with origins, too, as the normalizer reads it", "/list?details=true"),
        ] {
            let mut took = Vec::new();
            let mut length = 0;
            for _ in 0..RUNS {
                let start = Instant::now();
                length = self.bridge.get(Service::Storage, path).await.unwrap().1.len() as u64;
                took.push(start.elapsed());
            }
            table.add(what, "", format!("{}, {}", millis(median(took)), mebibytes(length >> 10)));
        }
        table.add("- peak memory of storage-rest", "", mebibytes(peak));
    }
}

fn uri(number: usize) -> String {
    format!("/granite-{}-lab/v{}/catalog-info.yaml", number / 4, number % 4 + 1)
}

/// An entry as the normalizer makes them.
fn entry(number: usize) -> (EntryKey, StoredEntry) {
    let (model, version) = (format!("granite-{}-lab", number / 4), format!("v{}", number % 4 + 1));
    let body = format!(
        "apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: {model}-{version}
  title: {model} {version}
  description: |-
    The model number {number}, trained on tickets, mails and handbooks.
    Trained again on newer tickets.
  annotations:
    backstage.io/techdocs-ref: dir:.
    modelcatalogbridge.rhdh.io/source: registry/main
    modelcatalogbridge.rhdh.io/registered-model: '{number}'
    modelcatalogbridge.rhdh.io/model-version: '{number}'
  tags:
  - apache-2.0
  - chat
  - example
  - granite
  links:
  - url: https://registry.example.com/models/{model}/{version}
    title: Weights
    type: website
spec:
  type: ai-model
  owner: user:default/team-{}
  lifecycle: development
  dependencyOf:
  - component:{model}-{version}-server
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {model}-{version}-server
  description: Serves {model} {version}.
spec:
  type: model-server
  owner: user:default/team-{}
  lifecycle: development
  dependsOn:
  - resource:{model}-{version}
",
        number % 50,
        number % 50
    );
    let origin = Origin {
        source: "registry/main".to_owned(),
        parent: (number / 4).to_string(),
        child: number.to_string(),
        first: model.clone(),
        second: version.clone(),
        served_by: None,
    };
    let post = PostBody { body: body.into_bytes(), origin: Some(origin), ..PostBody::default() };
    (EntryKey::from_segments(&model, &version).unwrap(), StoredEntry::new(ReconcilerType::Kubeflow, post))
}
