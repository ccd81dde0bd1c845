//! `diff` and `status`: what would change, and how the services are.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model_catalog::render::Format::CatalogInfoYaml;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources, binary};
use testkit::eventually;

const BRIDGE: &str = "model-catalog-bridge";

async fn run(arguments: &[&str], settings: &Settings) -> Process {
    Process::run(BRIDGE, arguments, settings, SOON).await
}

fn beside(bridge: &Bridge) -> Settings {
    let mut settings = bridge.settings(Service::Normalizer).clone();
    settings.insert("LOCATION_URL".to_owned(), bridge.url(Service::Location));
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn diff_tells_what_the_next_synchronisation_would_do_and_does_nothing() {
    let sources = Sources::without_cluster().await;
    let granite = sources.register("granite", "v1");
    let mnist = sources.register("mnist", "v1");
    let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let settings = beside(&bridge);
    let mut nothing = run(&["diff"], &settings).await;
    assert_eq!((nothing.code(), nothing.output()), (Some(0), String::new()), "{}", nothing.said());

    bridge.kill(Service::Normalizer);
    sources.describe(&granite, "Changed.");
    sources.register("new", "v1");
    sources.registry().edit().archive_model(&mnist.model).unwrap();
    let before = bridge.stored().await.unwrap();
    let mut found = run(&["diff"], &settings).await;
    assert_eq!(found.code(), Some(1), "{}", found.said());
    let said = found.output();
    for line in ["--- /dev/null", "+++ next/new/v1/catalog-info.yaml", "--- stored/granite/v1/catalog-info.yaml"] {
        assert!(said.lines().any(|found| found == line), "no {line} in {said}");
    }
    assert!(said.lines().any(|line| line.starts_with('+') && line.contains("Changed.")), "{said}");
    assert!(!said.contains('\u{1b}'), "colours in a pipe");
    assert!(found.log().join("\n").contains("1 would be added, 1 changed, 1 removed"), "{}", found.said());
    let names = run(&["diff", "--name-only"], &settings).await.output();
    let expected = "M /granite/v1/catalog-info.yaml\nD /mnist/v1/catalog-info.yaml\nA /new/v1/catalog-info.yaml";
    assert_eq!(names, expected);
    assert!(run(&["diff", "--color", "always"], &settings).await.output().contains('\u{1b}'));
    assert_eq!(bridge.stored().await.unwrap(), before);

    bridge.kill(Service::Storage);
    let mut trouble = run(&["diff"], &settings).await;
    assert_eq!(trouble.code(), Some(2));
    assert!(trouble.said().contains("storage"), "{}", trouble.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_is_a_table_or_json_where_no_terminal_is() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let settings = beside(&bridge);
    eventually(SOON, "all are ready and have told of the entry", async || {
        let mut well = run(&["status"], &settings).await;
        let lines = well.output().lines().filter(|line| line.contains("  ready  1  ")).count();
        if well.code() == Some(0) && lines == 3 { Ok(()) } else { Err(well.said()) }
    })
    .await;
    let told: Value = serde_json::from_str(&run(&["status", "--output", "json"], &settings).await.output()).unwrap();
    assert_eq!(told["location"]["format"], "CatalogInfoYamlFormat");
    bridge.kill(Service::Location);
    let mut unwell = run(&["status", "--once"], &settings).await;
    assert_eq!(unwell.code(), Some(1));
    assert!(unwell.output().contains("location      silent "), "{}", unwell.output());
}

/// What a terminal was sent.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_is_live_on_a_terminal_until_q() {
    let sources = Sources::without_cluster().await;
    let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
    bridge.start(Service::Location);
    bridge.logs(Service::Location, "listen").await;
    let size = |cols| PtySize { rows: 40, cols, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size(150)).unwrap();
    let mut command = CommandBuilder::new(binary(BRIDGE));
    command.env_clear();
    for (name, value) in beside(&bridge) {
        command.env(name, value);
    }
    command.env("TERM", "xterm");
    command.args(["status", "--interval", "100ms"]);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let shown = Shown::default();
    let (mut reader, into) = (pair.master.try_clone_reader().unwrap(), shown.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            into.0.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    let shows = async |text: &str| {
        eventually(SOON, text, async || shown.text().contains(text)).await;
    };
    shows("storage-rest").await;
    shows("silent").await;
    shows("quit").await;
    // Drawn anew at the new size.
    let before = shown.text().matches("Services").count();
    pair.master.resize(size(100)).unwrap();
    eventually(SOON, "it is drawn anew", async || shown.text().matches("Services").count() > before).await;
    let mut writer = pair.master.take_writer().unwrap();
    writer.write_all(b"q").unwrap();
    writer.flush().unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait());
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends").unwrap().unwrap();
    assert!(ended.success());
    // The terminal is as it was before.
    shows("\u{1b}[?1049l").await;
}
