//! What the Model Registry costs, database by database: the real process, asked over HTTP by one client or many, empty and
//! full. Beside it MLflow's registry, where it is installed: what people would pick instead. Prints one table.
//!
//! All of it shares the machine: what the clients and the database servers need is part of each time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that is set up wrongly should stop at once"
)]

mod client;
mod fill;
mod mlflow;
mod place;
mod sheet;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use system_tests::binary;
use url::form_urlencoded::byte_serialize;

use client::{Client, Times, rate};
use fill::{Filled, VERSIONS};
use place::{Place, Running, Server, megabytes};
use sheet::Sheet;

const API: &str = "/api/model_registry/v1alpha3";
/// How long one kind of request is measured.
const TIME: Duration = Duration::from_secs(2);
/// How many versions there are when lists are searched.
const SEARCHED: usize = 100_000;
/// The size of a page.
const PAGE: usize = 100;
const STARTS: usize = 5;
/// How often a page is asked for, at least.
const REPEATED: usize = 50;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let most =
        std::env::var("BENCH_VERSIONS").map_or(1_000_000, |text| text.parse().expect("BENCH_VERSIONS: a number"));
    let mut sheet = Sheet::default();
    for (name, server) in Server::all() {
        sheet.begin(name);
        creating(&mut sheet, &server.database());
        filled(&mut sheet, &server.database(), most).await;
    }
    mlflow::measure(&mut sheet, most.min(SEARCHED));
    println!("{}", sheet.shown());
}

fn creating(sheet: &mut Sheet, place: &Place) {
    let first = place.start().took;
    let mut starts: Vec<Duration> = (0..STARTS).map(|_| place.start().took).collect();
    starts.sort_unstable();
    let millis = |time: Duration| format!("{} ms", time.as_millis());
    sheet.add("start to ready", "100 ms", millis(starts[STARTS / 2]));
    sheet.add("- the first time, which makes the tables", "", millis(first));
    let registry = place.start();
    // What a start leaves behind is gone then.
    std::thread::sleep(Duration::from_secs(2));
    sheet.add("memory, idle", "20 MiB", mebibytes(registry.memory().0));
    for (clients, what, aim) in
        [(1, "create, one client", "500 a second"), (32, "create, 32 clients", "2,000 a second")]
    {
        let rate = rate(registry.address, clients, TIME, create);
        sheet.add(&format!("{what}: model, version, artifact"), aim, format!("{rate:.0} a second"));
    }
    sheet.add("memory at most, after that", "", mebibytes(registry.memory().1));
    sheet.add("binary", "20 MB", megabytes(&binary("model-registry")));
}

/// A model, a version of it, and its artifact.
fn create(client: &mut Client, name: &str) -> usize {
    let model = format!(r#"{{"name": "granite-{name}", "description": "Trained on tickets."}}"#);
    let model = id(client.make(&format!("{API}/registered_models"), &model));
    let version = format!(
        r#"{{"name": "v1", "registeredModelId": "{model}", "customProperties": {{
            "stage": {{"metadataType": "MetadataStringValue", "string_value": "Production"}},
            "accuracy": {{"metadataType": "MetadataDoubleValue", "double_value": 0.93}}}}}}"#
    );
    let version = id(client.make(&format!("{API}/model_versions"), &version));
    let artifact =
        format!(r#"{{"artifactType": "model-artifact", "name": "weights", "uri": "s3://models/granite-{name}"}}"#);
    client.make(&format!("{API}/model_versions/{version}/artifacts"), &artifact);
    3
}

fn id(made: &[u8]) -> String {
    let made: Value = serde_json::from_slice(made).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

async fn filled(sheet: &mut Sheet, place: &Place<'_>, most: usize) {
    let database = place.open().await;
    let mut filled = Filled::default();
    let mut sizes = vec![1_000, SEARCHED, most];
    sizes.retain(|size| *size <= most);
    sizes.dedup();
    for size in sizes {
        eprintln!("  (filling in {} versions)", thousands(size));
        filled.fill(&database, size).await;
        place.settle();
        let registry = place.start();
        one(sheet, &registry, &filled);
        if size == SEARCHED {
            search(sheet, registry.address);
        }
        if size == most {
            pages(sheet, registry.address, size);
            sheet.add("memory at most, after all of the above", "", mebibytes(registry.memory().1));
        }
    }
    database.close().await;
}

/// One version at a time, all over the registry.
fn one(sheet: &mut Sheet, registry: &Running, filled: &Filled) {
    let size = thousands(filled.versions);
    let numbers: Vec<usize> = (0..filled.versions.min(20_000)).map(|n| n * 7_919 % filled.versions).collect();
    let get = |n: &usize| format!("{API}/model_versions/{}", filled.version(*n));
    let find =
        |n: &usize| format!("{API}/model_version?name=v{}&parentResourceId={}", n % VERSIONS + 1, filled.model(*n));
    for (what, paths) in [
        ("get by id", numbers.iter().map(get).collect::<Vec<_>>()),
        ("find by name", numbers.iter().map(find).collect()),
    ] {
        let times = Times::of(registry.address, &paths, TIME);
        sheet.add(&format!("{what}, {size} versions"), "p99 5 ms", times.shown());
    }
}

fn search(sheet: &mut Sheet, address: SocketAddr) {
    for (what, query, orders) in [
        ("ten in 100,000", "ticket = 'T-77'", &["ID", "CREATE_TIME", "LAST_UPDATE_TIME"][..]),
        ("one in 20", "stage = 'Canary'", &["ID", "CREATE_TIME", "LAST_UPDATE_TIME"]),
        ("one in four", "stage = 'Production'", &["ID", "CREATE_TIME", "LAST_UPDATE_TIME"]),
        ("all", "license = 'apache-2.0'", &["ID", "CREATE_TIME", "LAST_UPDATE_TIME"]),
        ("a number, half of them", "accuracy > 0.5", &["ID", "LAST_UPDATE_TIME"]),
        ("two properties, one rare", "license = 'apache-2.0' AND ticket = 'T-77'", &["ID"]),
    ] {
        for order in orders {
            let query: String = byte_serialize(query.as_bytes()).collect();
            let path = format!("{API}/model_versions?pageSize={PAGE}&orderBy={order}&filterQuery={query}");
            let found = serde_json::from_slice::<Value>(Client::connect(address).read(&path)).unwrap()["size"].clone();
            assert!(found == PAGE || (found == SEARCHED / 10_000 && query.contains("T-77")), "{path}: {found}");
            let times = Times::of(address, &[path], TIME / 4);
            sheet.add(&format!("filterQuery, 100,000 versions: {what}, by {order}"), "20 ms", times.shown());
        }
    }
}

fn pages(sheet: &mut Sheet, address: SocketAddr, size: usize) {
    let (size, last) = (thousands(size), (size / PAGE).min(1_000));
    for order in ["ID", "CREATE_TIME", "LAST_UPDATE_TIME"] {
        let first = format!("{API}/model_versions?pageSize={PAGE}&orderBy={order}");
        let mut path = first.clone();
        let mut client = Client::connect(address);
        for _ in 1..last {
            let page: Value = serde_json::from_slice(client.read(&path)).unwrap();
            path = format!("{first}&nextPageToken={}", page["nextPageToken"].as_str().unwrap());
        }
        for (number, path) in [(1, first), (last, path)] {
            let times = Times::of(address, &vec![path; REPEATED], TIME / 4);
            sheet.add(
                &format!("page {} of 100 each, {size} versions, by {order}", thousands(number)),
                "10 ms",
                times.shown(),
            );
        }
    }
}

fn mebibytes(kibibytes: u64) -> String {
    format!("{} MiB", kibibytes.div_ceil(1024))
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|part| String::from_utf8_lossy(part)).collect();
    parts.join(",")
}
