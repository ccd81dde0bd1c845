//! `backstage cleanup`: what former bridges left behind goes, and nothing else.

use model_catalog::render::Format::CatalogInfoYaml;
use serde_json::Value;
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources};
use testkit::backstage::{Fault, ScriptedBackstage};

const FORMER: &str = "http://former-bridge.example.com:9090";
const OTHERS: &str = "https://git.example.com/catalog-info.yaml";

/// A Backstage with what a running bridge serves, what it does not, and what is of others.
struct Scene {
    _sources: Sources,
    bridge: Bridge,
    backstage: ScriptedBackstage,
}

impl Scene {
    async fn new() -> Self {
        let sources = Sources::without_cluster().await;
        sources.register("granite", "v1");
        let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources).started();
        bridge.serves_truth_of(&sources).await;
        let backstage = ScriptedBackstage::start().await.with_token("secret");
        let scene = Self { _sources: sources, bridge, backstage };
        let (served, gone) = (scene.here("granite"), scene.here("gone"));
        let former = format!("{FORMER}/granite/v1/catalog-info.yaml");
        for (name, target) in
            [("served", &served), ("gone", &gone), ("former", &former), ("theirs", &OTHERS.to_owned())]
        {
            scene.backstage.add_location("url", target);
            scene.backstage.add_entity_of(name, &format!("url:{target}"));
        }
        scene.backstage.add_orphan_of("orphan", &format!("url:{served}"));
        scene.backstage.add_orphan_of("their-orphan", &format!("url:{OTHERS}"));
        scene.backstage.add_entity_of("of-provider", "rhdh-rhoai-bridge:development");
        scene
    }

    fn here(&self, model: &str) -> String {
        format!("{}/{model}/v1/catalog-info.yaml", self.bridge.url(Service::Location))
    }

    async fn cleanup(&self, arguments: &[&str]) -> Process {
        let settings = Settings::from([
            ("HOME".to_owned(), self.bridge.directory().display().to_string()),
            ("BKSTG_URL".to_owned(), self.backstage.url().to_string()),
            ("RHDH_TOKEN".to_owned(), "secret".to_owned()),
        ]);
        let arguments = [&["backstage", "cleanup"], arguments].concat();
        Process::run("model-catalog-bridge", &arguments, &settings, SOON).await
    }

    fn left(&self) -> (Vec<String>, Vec<String>) {
        (self.backstage.targets(), self.backstage.entity_names())
    }

    fn deletions(&self) -> usize {
        self.backstage.count(&http::Method::DELETE, "/")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_shows_and_removes_nothing_and_neither_is_refused() {
    let scene = Scene::new().await;
    let before = scene.left();
    let here = scene.bridge.url(Service::Location);
    let mut refused = scene.cleanup(&["--bridge-url", &here]).await;
    assert_eq!(refused.code(), Some(2), "{}", refused.said());
    assert!(refused.said().contains("--dry-run") && refused.said().contains("--yes"), "{}", refused.said());
    let mut shown = scene.cleanup(&["--dry-run", "--bridge-url", &here]).await;
    assert_eq!(shown.code(), Some(0), "{}", shown.said());
    let table = shown.output();
    assert!(
        table.contains(&format!("url:{}", scene.here("gone"))) && table.contains("resource:default/gone"),
        "{table}"
    );
    assert!(table.contains("resource:default/orphan"), "{table}");
    for kept in ["default/served", "their", "of-provider", FORMER] {
        assert!(!table.contains(kept), "{table}");
    }
    assert_eq!((scene.left(), scene.deletions()), (before, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_and_what_is_of_others_stays() {
    let scene = Scene::new().await;
    let here = scene.bridge.url(Service::Location);
    let mut cleaned = scene.cleanup(&["--yes", "--output", "json", "--bridge-url", &here]).await;
    assert_eq!(cleaned.code(), Some(0), "{}", cleaned.said());
    let report: Value = serde_json::from_str(&cleaned.output()).unwrap();
    let rows = report["leftovers"].as_array().unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row["removed"] == true), "{report}");
    let (targets, entities) = scene.left();
    assert!(targets.len() == 3 && !targets.contains(&scene.here("gone")), "{targets:?}");
    assert_eq!(entities, ["served", "former", "theirs", "their-orphan", "of-provider"]);
    let mut again = scene.cleanup(&["--yes", "--bridge-url", &here]).await;
    assert_eq!((again.code(), again.output().as_str()), (Some(0), "nothing is left over"));
}

/// Nobody knows what a bridge that does not answer serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_url_of_a_silent_bridge_only_all_removes() {
    let scene = Scene::new().await;
    let silent = "http://127.0.0.1:9";
    scene.backstage.add_location("url", &format!("{silent}/granite/v1/catalog-info.yaml"));
    let mut cleaned = scene.cleanup(&["--yes", "--bridge-url", silent]).await;
    assert_eq!((cleaned.code(), scene.deletions()), (Some(1), 0), "{}", cleaned.said());
    assert!(cleaned.said().contains(silent) && cleaned.said().contains("--all"), "{}", cleaned.said());
    let urls = format!("{silent},{FORMER}");
    let mut cleaned = scene.cleanup(&["--yes", "--all", "--bridge-type", "--bridge-url", &urls]).await;
    assert_eq!(cleaned.code(), Some(0), "{}", cleaned.said());
    let (targets, entities) = scene.left();
    assert_eq!(targets.len(), 3, "{targets:?}");
    assert_eq!(entities, ["served", "gone", "theirs", "orphan", "their-orphan"]);
}

/// It is not gone: removing all would take what it serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_there_is_never_a_case_for_all() {
    let scene = Scene::new().await;
    let not_http = scene.bridge.url(Service::Location).replace("http://", "https://");
    let mut misled = scene.cleanup(&["--yes", "--bridge-url", &not_http]).await;
    assert_eq!((misled.code(), scene.deletions()), (Some(1), 0), "{}", misled.said());
    assert!(misled.said().contains("LOCATION_CA") && !misled.said().contains("--all"), "{}", misled.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_removed_is_named_and_the_rest_goes() {
    let scene = Scene::new().await;
    scene.backstage.fail_next(&http::Method::DELETE, "/locations", Fault::Status(403), 1);
    let mut cleaned = scene.cleanup(&["--yes", "--bridge-url", &scene.bridge.url(Service::Location)]).await;
    assert_eq!(cleaned.code(), Some(1), "{}", cleaned.said());
    assert!(cleaned.output().contains("FAILED") && cleaned.output().contains("403"), "{}", cleaned.said());
    assert!(!scene.left().1.iter().any(|name| name == "orphan"));
    scene.backstage.set_token("another");
    let mut refused = scene.cleanup(&["--yes", "--bridge-url", FORMER, "--all"]).await;
    assert_eq!(refused.code(), Some(1));
    assert!(refused.said().contains("RHDH_TOKEN") && !refused.said().contains("secret"), "{}", refused.said());
}
