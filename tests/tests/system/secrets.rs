//! Tokens are in no log, no `--help`, no metric and no error.

use model_catalog::render::Format::ModelCatalogJson;
use rstest::rstest;
use system_tests::Kept::InConfigMap;
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources};
use testkit::backstage::ScriptedBackstage;
use testkit::registry::{Fault, Matcher};

/// In each secret that these tests plant.
const PLANTED: &str = "planted-";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_log_and_no_metric(#[values("text", "json")] log_format: &str) {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 3);
    sources.registry().require_token(Some("planted-registry"));
    sources.kube().add_token("planted-cluster", "system:admin");
    let backstage = ScriptedBackstage::start().await.with_bridge_location_type().with_token("planted-backstage");
    let mut bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources);
    for service in Service::ALL {
        bridge.set(service, "LOG_LEVEL", "trace");
        bridge.set(service, "LOG_FORMAT", log_format);
        bridge.set(service, "BRIDGE_TOKEN", "planted-bridge");
    }
    let kubeconfig = bridge.directory().join("planted");
    std::fs::create_dir(&kubeconfig).unwrap();
    let kubeconfig = sources.kube().write_kubeconfig_for(&kubeconfig, "planted-cluster-in-file", "default");
    // The administrator's token, which the environment gives in place of the file's.
    for service in [Service::Normalizer, Service::Storage] {
        bridge.set(service, "KUBECONFIG", &kubeconfig.display().to_string());
        bridge.set(service, "K8S_TOKEN", testkit::kube::ADMIN_TOKEN);
    }
    bridge.set(Service::Normalizer, "KFMR_TOKEN", "planted-registry");
    let location = bridge.url(Service::Location);
    bridge.set(Service::Storage, "PUSH_TO_RHDH", "true");
    bridge.set(Service::Storage, "RHDH_TOKEN", "planted-backstage");
    bridge.set(Service::Storage, "BKSTG_URL", backstage.url().as_str());
    bridge.set(Service::Storage, "BRIDGE_URL", &location);
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    testkit::eventually(SOON, "Backstage is told", async || backstage.locations().len() == 3).await;
    // Errors name what they were about, but no secret.
    backstage.set_token("another");
    sources.registry().fail(Matcher::Any, Fault::Status(401));
    sources.kube().drop_watches();
    bridge.restart(Service::Storage);
    bridge.fails_to_read().await;
    bridge.logs(Service::Storage, "Backstage does not hold all entries yet").await;
    bridge.kill(Service::Storage);
    bridge.fails_to_store().await;
    bridge.start(Service::Storage);
    bridge.ready(Service::Storage).await;
    for service in Service::ALL {
        for path in ["/metrics", "/status", "/readyz", "/list", "/upsert"] {
            let answered = bridge.get(service, path).await.unwrap().1;
            assert!(!answered.contains(PLANTED), "{service:?} {path}: {answered}");
        }
        bridge.terminate(service).await;
        for secret in [PLANTED, testkit::kube::ADMIN_TOKEN] {
            let log = bridge.log(service);
            let found: Vec<&str> = log.lines().filter(|line| line.contains(secret)).take(3).collect();
            assert!(found.is_empty(), "{service:?} logs a secret: {found:#?}");
        }
    }
}

#[rstest]
#[case("normalizer")]
#[case("storage-rest")]
#[case("location")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_help(#[case] program: &str) {
    let settings: Settings =
        ["KFMR_TOKEN", "K8S_TOKEN", "RHDH_TOKEN", "BRIDGE_TOKEN", "DATABASE_URL", "GITHUB_TOKEN", "token"]
            .into_iter()
            .map(|name| (name.to_owned(), format!("{PLANTED}{name}")))
            .collect();
    for arguments in [["--help"], ["-h"]] {
        let process = Process::run(program, &arguments, &settings, SOON).await;
        assert!(!process.said().contains(PLANTED), "{}", process.said());
    }
    for command in ["demo", "up", "render"] {
        let process = Process::run("model-catalog-bridge", &[command, "--help"], &settings, SOON).await;
        assert!(!process.said().contains(PLANTED), "{command}: {}", process.said());
    }
}

/// A setting is wrong, and a secret is in it or beside it.
#[rstest]
#[case(Service::Normalizer, "MR_URL", "http://user:planted-1@registry.example.com")]
#[case(Service::Normalizer, "MR_URL", "user:planted-1@registry.example.com")]
#[case(Service::Normalizer, "STORAGE_URL", "http://user:planted-1@storage.example.com")]
#[case(Service::Storage, "LOCATION_URL", "http://user:planted-1@location.example.com")]
#[case(Service::Normalizer, "STORAGE_URL", "ftp://user:planted-1@storage.example.com")]
#[case(Service::Normalizer, "KFMR_TOKEN", "planted-1\nplanted-2")]
#[case(Service::Normalizer, "BRIDGE_TOKEN", "planted-1\nplanted-2")]
#[case(Service::Storage, "DATABASE_URL", "mysql://user:planted-1@database.example.com/bridge")]
#[case(Service::Storage, "BKSTG_URL", "ftp://user:planted-1@backstage.example.com")]
#[case(Service::Location, "STORAGE_URL", "ftp://user:planted-1@storage.example.com")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_complaint(#[case] service: Service, #[case] variable: &str, #[case] value: &str) {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(ModelCatalogJson, system_tests::Kept::InSqlite, &sources).with(service, variable, value);
    let mut process = Process::start(service.program(), &[], bridge.settings(service));
    // Whether it stops, or starts and complains.
    let about = async || process.said().contains("rror") || process.said().contains("WARN");
    testkit::eventually(SOON, "it complains", about).await;
    process.kill();
    let said = process.said();
    assert!(!said.contains(PLANTED), "{said}");
}

/// What is in the file of a token or of a key is not quoted, whatever is wrong with it.
#[rstest]
#[case("TLS_KEY", "-----BEGIN PRIVATE KEY-----\nplanted-1\n-----END PRIVATE KEY-----\n")]
#[case("K8S_TOKEN_FILE", "planted-1 planted-2")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_complaint_about_their_files(#[case] variable: &str, #[case] content: &str) {
    let sources = Sources::with_cluster().await;
    let mut bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources);
    let file = bridge.directory().join("secret").display().to_string();
    std::fs::write(&file, content).unwrap();
    for name in [variable, "TLS_CERT"] {
        if variable == "TLS_KEY" || name == variable {
            bridge.set(Service::Storage, name, &file);
        }
    }
    let mut process = Process::run("storage-rest", &[], bridge.settings(Service::Storage), SOON).await;
    assert!(process.code().is_some_and(|code| code != 0));
    let said = process.said();
    assert!(said.contains(&file) && !said.contains(PLANTED), "{said}");
}

/// A kubeconfig that cannot be parsed is not quoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_complaint_about_a_kubeconfig() {
    let sources = Sources::with_cluster().await;
    let bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources);
    let file = bridge.directory().join("broken");
    std::fs::write(&file, "users:\n- name: me\n  user:\n    token: planted-1\n   broken: [\n").unwrap();
    let bridge = bridge.with(Service::Storage, "KUBECONFIG", &file.display().to_string());
    let mut process = Process::run("storage-rest", &[], bridge.settings(Service::Storage), SOON).await;
    assert!(process.code().is_some_and(|code| code != 0));
    let said = process.said();
    assert!(said.contains("KUBECONFIG") && !said.contains(PLANTED), "{said}");
}

/// What a registry says in an error may be anything; it is told, but not without measure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registrys_endless_error_does_not_fill_the_log() {
    let sources = Sources::without_cluster().await;
    let endless = Fault::StatusWith { code: 500, headers: Vec::new(), body: "x".repeat(1 << 20) };
    sources.registry().fail(Matcher::Any, endless);
    let bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources);
    let mut process = Process::start("normalizer", &[], bridge.settings(Service::Normalizer));
    testkit::eventually(SOON, "it complains", async || process.said().contains("500")).await;
    process.kill();
    assert!(process.log().iter().all(|line| line.len() < 4096));
}
