//! `validate`, `completions` and `manual`, as they are run by hand.

use std::fs;
use std::time::Duration;

use rstest::rstest;
use serde_json::Value;
use system_tests::{Process, SOON, Settings};

const BRIDGE: &str = "model-catalog-bridge";
const GOOD: &str =
    "apiVersion: backstage.io/v1alpha1\nkind: Resource\nmetadata:\n  name: a\nspec: {type: ai-model, owner: jane}\n";

async fn run(arguments: &[&str]) -> Process {
    Process::run(BRIDGE, arguments, &Settings::new(), SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validate_ends_with_what_it_found_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good.yaml", GOOD);
    let bad = file("bad.yaml", &GOOD.replace("name: a", "name: a b"));
    let json = file("bad.json", "{\"models\": [],\n  \"extra\": 1}");

    let mut nothing = run(&["validate", &good]).await;
    assert_eq!((nothing.code(), nothing.output()), (Some(0), String::new()), "{}", nothing.said());
    let mut found = run(&["validate", &good, &bad, &json]).await;
    assert_eq!(found.code(), Some(1));
    let lines: Vec<String> = found.output().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with(&format!("{bad}:4:9: error: metadata.name: ")), "{lines:#?}");
    assert!(lines[1].starts_with(&format!("{json}:2:3: error: extra: ")), "{lines:#?}");

    let mut as_json = run(&["validate", "--output", "json", &bad]).await;
    assert_eq!(as_json.code(), Some(1));
    let findings: Value = serde_json::from_str(&as_json.output()).unwrap();
    assert_eq!((&findings[0]["line"], &findings[0]["field"]), (&4.into(), &"metadata.name".into()), "{findings}");

    let mut missing = run(&["validate", "/nowhere/catalog-info.yaml"]).await;
    assert_eq!(missing.code(), Some(2));
    assert!(missing.said().contains("/nowhere/catalog-info.yaml"), "{}", missing.said());
}

#[rstest]
#[case("bash", "-o default model-catalog-bridge")]
#[case("zsh", "#compdef model-catalog-bridge")]
#[case("fish", "complete -c model-catalog-bridge")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completions_are_printed_for_each_shell(#[case] shell: &str, #[case] expected: &str) {
    let mut printed = run(&["completions", shell]).await;
    assert_eq!(printed.code(), Some(0));
    let text = printed.output();
    assert!(text.contains(expected) && text.contains("validate"), "{text}");
}

/// A secret that is set where they are made must not be in them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_pages_and_completions_of_all_programs_hold_no_value_of_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::from([
        ("RHDH_TOKEN".to_owned(), "planted-token".to_owned()),
        ("STORAGE_URL".to_owned(), "http://planted.example.com".to_owned()),
    ]);
    let to = directory.path().display().to_string();
    let mut written = Process::run(BRIDGE, &["manual", &to], &settings, Duration::from_mins(1)).await;
    assert_eq!(written.code(), Some(0), "{}", written.said());
    for (kind, count) in [("completions", 12), ("man1", 10)] {
        let files: Vec<_> =
            fs::read_dir(directory.path().join(kind)).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= count, "{files:?}");
        for file in files {
            assert!(!fs::read_to_string(&file).unwrap().contains("planted"), "{}", file.display());
        }
    }
    for program in ["model-catalog-bridge", "normalizer", "storage-rest", "location"] {
        let page = fs::read_to_string(directory.path().join(format!("man1/{program}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS") || page.contains(".SH SUBCOMMANDS"), "{page}");
    }
}
