//! `storage export`, `import` and `copy`: entries go from one storage to another and come back as they were.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use system_tests::{EmptyStorage, Process, Settings, StorageKind};
use tempfile::TempDir;

const BRIDGE: &str = "model-catalog-bridge";
const A_MINUTE: Duration = Duration::from_mins(1);

/// Runs `storage` with these arguments, and expects it to work.
async fn storage(arguments: &[&str], settings: &Settings) -> String {
    let mut process = run(arguments, settings).await;
    assert_eq!(process.code(), Some(0), "{}", process.said());
    process.said()
}

async fn run(arguments: &[&str], settings: &Settings) -> Process {
    Process::run(BRIDGE, &[&["storage"], arguments].concat(), settings, A_MINUTE).await
}

async fn refused(arguments: &[&str], settings: &Settings) -> String {
    let mut process = run(arguments, settings).await;
    assert!(process.code().is_some_and(|code| code != 0), "{}", process.said());
    process.said()
}

/// An entry with all fields, or with few, as docs/storage.md describes the lines.
fn line(number: usize) -> Value {
    let mut line = json!({
        "key": format!("model-{number:04}_v1"),
        "body": "YXBpVmVyc2lvbjogYmFja3N0YWdlLmlvL3YxYWxwaGExCg==",
        "reconcilerType": if number.is_multiple_of(2) { "kubeflow" } else { "kserve" },
        "lastUpdateTimeSinceEpoch": number.to_string(),
    });
    if number.is_multiple_of(3) {
        let more = json!({
            "modelCardKey": format!("card{number}"),
            "modelCard": format!("# Modell {number}\n\nÜber \u{1f680} \u{0}"),
            "locationId": format!("id-{number}"),
            "locationTarget": format!("http://bridge:9090/model-{number:04}/v1/catalog-info.yaml"),
            "locationIDValid": true,
            "locationDigest": "abc",
            "origin": {"source": "registry", "parent": "1", "child": number.to_string(), "first": "model", "second": "v1"},
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    line
}

fn export_of(lines: impl IntoIterator<Item = Value>) -> String {
    let lines: Vec<String> = lines.into_iter().map(|line| line.to_string()).collect();
    let head = json!({"format": "model-catalog-bridge storage", "version": 1, "whole": true});
    format!("{head}\n{}\n{}\n", lines.join("\n"), json!({"entries": lines.len()}))
}

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    shown(&path)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

async fn exported(from: &EmptyStorage, to: PathBuf) -> String {
    storage(&["export", &shown(&to)], from.settings()).await;
    std::fs::read_to_string(to).unwrap()
}

fn both(from: &EmptyStorage, to: &EmptyStorage) -> Settings {
    let mut settings = from.prefixed("FROM_");
    settings.extend(to.prefixed("TO_"));
    settings
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_come_back_as_they_were(
    #[values(StorageKind::ConfigMap, StorageKind::Postgres, StorageKind::Sqlite, StorageKind::GitHub)]
    through: StorageKind,
) {
    const COUNT: usize = 30;
    let Some(through) = EmptyStorage::of(through).await else { return };
    let [first, last] = [StorageKind::Sqlite; 2].map(EmptyStorage::of);
    let (first, last) = (first.await.unwrap(), last.await.unwrap());
    let directory = TempDir::new().unwrap();
    let written = file(&directory, "given.jsonl", &export_of((0..COUNT).map(line)));
    let said = storage(&["import", &written], first.settings()).await;
    assert!(said.contains("30 created, 0 updated, 0 removed, 0 unchanged"), "{said}");
    let before = exported(&first, directory.path().join("first.jsonl")).await;
    assert_eq!(before.lines().count(), COUNT + 2);

    storage(&["copy"], &both(&first, &through)).await;
    storage(&["copy"], &both(&through, &last)).await;
    assert_eq!(exported(&last, directory.path().join("last.jsonl")).await, before);
    // What an export says of an entry includes all that was given.
    for (line_given, line_exported) in (0..COUNT).map(line).zip(before.lines().skip(1)) {
        let exported: Value = serde_json::from_str(line_exported).unwrap();
        for (name, value) in line_given.as_object().unwrap() {
            assert_eq!(&exported[name], value, "{name} in {line_exported}");
        }
    }

    let again = storage(&["copy"], &both(&first, &through)).await;
    assert!(again.contains("0 created, 0 updated, 0 removed, 30 unchanged"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_understood_changes_nothing() {
    let kept = EmptyStorage::of(StorageKind::Sqlite).await.unwrap();
    let directory = TempDir::new().unwrap();
    let wrong = export_of((0..3).map(line)).replace("model-0002_v1", "model/0002");
    let said = refused(&["import", &file(&directory, "wrong.jsonl", &wrong)], kept.settings()).await;
    assert!(said.contains("wrong.jsonl, line 4: ") && said.contains("model/0002"), "{said}");
    let good = export_of((0..3).map(line));
    let (cut, _) = good.trim_end().rsplit_once('\n').unwrap();
    let said = refused(&["import", &file(&directory, "cut.jsonl", cut)], kept.settings()).await;
    assert!(said.contains("cut.jsonl, line 5: ") && said.contains("cut"), "{said}");
    // Not even the file was made.
    let said = refused(&["export"], kept.settings()).await;
    assert!(said.contains("there is no SQLite file") && said.contains("SQLITE_PATH"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_done_is_said_and_others_are_removed_only_when_told() {
    let kept = EmptyStorage::of(StorageKind::Sqlite).await.unwrap();
    let directory = TempDir::new().unwrap();
    let all = file(&directory, "all.jsonl", &export_of((0..5).map(line)));
    storage(&["import", &all], kept.settings()).await;
    let before = exported(&kept, directory.path().join("before.jsonl")).await;

    let mut changed = line(1);
    changed["body"] = json!("b3RoZXI=");
    let few = file(&directory, "few.jsonl", &export_of([line(0), changed, line(7)]));
    let said = storage(&["import", &few, "--dry-run", "--replace"], kept.settings()).await;
    assert!(said.contains("would be: 1 created, 1 updated, 3 removed, 1 unchanged"), "{said}");
    assert_eq!(exported(&kept, directory.path().join("after.jsonl")).await, before);

    let said = storage(&["import", &few], kept.settings()).await;
    assert!(said.contains("1 created, 1 updated, 0 removed, 1 unchanged"), "{said}");
    let said = storage(&["import", &few, "--replace"], kept.settings()).await;
    assert!(said.contains("0 created, 0 updated, 3 removed, 3 unchanged"), "{said}");
    // To standard output, without a word between the lines.
    let process = run(&["export", "-"], kept.settings()).await;
    assert_eq!(process.output().lines().count(), 5);
    assert!(process.log().iter().any(|line| line.contains("exported 3 entries")), "{}", process.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_interrupted_goes_on_where_it_was() {
    const COUNT: usize = 20_000;
    let kept = EmptyStorage::of(StorageKind::Sqlite).await.unwrap();
    let directory = TempDir::new().unwrap();
    let all = file(&directory, "all.jsonl", &export_of((0..COUNT).map(line)));
    let mut process = Process::start(BRIDGE, &["storage", "import", &all], kept.settings());
    let log = PathBuf::from(format!("{}-wal", kept.settings()["SQLITE_PATH"]));
    testkit::eventually(A_MINUTE, "something is written", async || {
        std::fs::metadata(&log).is_ok_and(|log| log.len() > 1 << 20)
    })
    .await;
    process.terminate();
    assert_eq!(process.ended(A_MINUTE).await.code(), Some(1), "{}", process.said());
    assert!(process.said().contains("interrupted"), "{}", process.said());
    // A bridge that starts on half of it must not take it for the whole.
    let half = exported(&kept, directory.path().join("half.jsonl")).await;
    assert!(half.lines().next().unwrap().contains(r#""whole":false"#));
    let count = half.lines().count() - 2;
    assert!(0 < count && count < COUNT, "{count}");

    let said = storage(&["import", &all], kept.settings()).await;
    // One that was cut off from its location is completed, which is an update.
    let created = format!("{} created, ", COUNT - count);
    assert!(said.contains(&created) && said.contains(" 0 removed, "), "{said}, but not {created}");
    let whole = exported(&kept, directory.path().join("whole.jsonl")).await;
    assert!(whole.lines().next().unwrap().contains(r#""whole":true"#));
    assert_eq!(whole.lines().count(), COUNT + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_says_what_is_wrong_with_which_side_and_shows_no_password() {
    let kept = EmptyStorage::of(StorageKind::Sqlite).await.unwrap();
    let directory = TempDir::new().unwrap();
    storage(&["import", &file(&directory, "one.jsonl", &export_of([line(0)]))], kept.settings()).await;
    let said = refused(&["copy"], &both(&kept, &kept)).await;
    assert!(said.contains("both sides are"), "{said}");
    let to = ["copy", "--to", "Sql"];
    let from = kept.prefixed("FROM_");
    let said = refused(&to, &from).await;
    assert!(said.contains("to copy to") && said.contains("DATABASE_URL"), "{said}");
    let mut settings = from.clone();
    let url = "postgres://bridge:planted@127.0.0.1:1/models".to_owned();
    settings.insert("TO_DATABASE_URL".to_owned(), url);
    let said = refused(&to, &settings).await;
    assert!(said.contains("to copy to") && said.contains("models on 127.0.0.1") && !said.contains("planted"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_of_one_name_in_two_clusters_are_two_sides() {
    let [one, other] = [StorageKind::ConfigMap; 2].map(EmptyStorage::of);
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    let directory = TempDir::new().unwrap();
    storage(&["import", &file(&directory, "one.jsonl", &export_of([line(0)]))], one.settings()).await;
    let said = storage(&["copy"], &both(&one, &other)).await;
    assert!(said.contains("1 created"), "{said}");
    let said = refused(&["copy"], &both(&one, &one)).await;
    assert!(said.contains("both sides are"), "{said}");
}

/// What a storage lacks that is still being filled may just not have come yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_removed_for_entries_that_are_not_the_whole() {
    let [kept, half] = [StorageKind::Sqlite; 2].map(EmptyStorage::of);
    let (kept, half) = (kept.await.unwrap(), half.await.unwrap());
    let directory = TempDir::new().unwrap();
    storage(&["import", &file(&directory, "all.jsonl", &export_of((0..3).map(line)))], kept.settings()).await;
    let before = exported(&kept, directory.path().join("before.jsonl")).await;
    let not_whole = export_of([line(0), line(7)]).replace(r#""whole":true"#, r#""whole":false"#);
    let not_whole = file(&directory, "half.jsonl", &not_whole);
    storage(&["import", &not_whole], half.settings()).await;

    for change in [["--replace", "--dry-run"].as_slice(), &["--replace"]] {
        let said = refused(&[&["import", &not_whole], change].concat(), kept.settings()).await;
        assert!(said.contains("--replace") && said.contains("still being filled"), "{said}");
        let said = refused(&[&["copy"], change].concat(), &both(&half, &kept)).await;
        assert!(said.contains("--replace") && said.contains("still being filled"), "{said}");
    }
    assert_eq!(exported(&kept, directory.path().join("after.jsonl")).await, before);
    let said = storage(&["copy"], &both(&half, &kept)).await;
    assert!(said.contains("1 created, 0 updated, 0 removed, 1 unchanged"), "{said}");
}
