//! Tokens are in no log, no `--help`, no metric and no error.

use std::collections::BTreeMap;

use model_catalog::render::Format;
use model_catalog::render::Format::ModelCatalogJson;
use rstest::rstest;
use system_tests::Kept::{InConfigMap, InSqlite};
use system_tests::{Bridge, Kept, Process, SOON, Service, Settings, Sources};
use testkit::backstage::ScriptedBackstage;
use testkit::github::{APP_ID, NAME, OWNER, Permission, ScriptedGithub, app_key};
use testkit::postgres::{PASSWORD, PostgresServer};
use testkit::registry::{Fault, Matcher};

/// In each secret that these tests plant.
const PLANTED: &str = "planted-";
/// What a collector of traces is sent.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_log_and_no_metric(#[values("text", "json")] log_format: &str) {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 3);
    sources.registry().require_token(Some("planted-registry"));
    sources.kube().add_token("planted-cluster", "system:admin");
    let backstage = ScriptedBackstage::start().await.with_bridge_location_type().with_token("planted-backstage");
    let mut bridge = talkative(ModelCatalogJson, InConfigMap, &sources);
    for service in Service::ALL {
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
    are_untold(&mut bridge, &[PLANTED, testkit::kube::ADMIN_TOKEN]).await;
}

/// Asks each service for all that it tells, ends it, and reads its whole log.
async fn are_untold(bridge: &mut Bridge, secrets: &[&str]) {
    for service in Service::ALL {
        for path in ["/metrics", "/status", "/readyz", "/list", "/upsert"] {
            let answered = bridge.get(service, path).await.unwrap().1;
            assert!(!secrets.iter().any(|secret| answered.contains(secret)), "{service:?} {path}: {answered}");
        }
        bridge.terminate(service).await;
        let log = bridge.log(service);
        for secret in secrets {
            let found: Vec<&str> = log.lines().filter(|line| line.contains(secret)).take(3).collect();
            assert!(found.is_empty(), "{service:?} logs a secret: {found:#?}");
        }
    }
}

fn talkative(format: Format, kept: Kept, sources: &Sources) -> Bridge {
    let mut bridge = Bridge::new(format, kept, sources);
    for service in Service::ALL {
        bridge.set(service, "LOG_LEVEL", "trace");
    }
    bridge
}

/// A token that was given, and those that an App is given in exchange for its key, work and are refused.
#[rstest]
#[case::a_token([("STORAGE_GITHUB_TOKEN", "planted-github")].into())]
#[case::an_app([("STORAGE_GITHUB_APP_ID", APP_ID), ("STORAGE_GITHUB_APP_KEY_FILE", "app.pem")].into())]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_of_github_are_in_no_log_and_no_answer(#[case] credentials: BTreeMap<&str, &str>) {
    let github = ScriptedGithub::start().await;
    github.set_token("planted-github", Permission::Write);
    let sources = Sources::without_cluster().await;
    sources.register_many("model", 3);
    let mut bridge = talkative(ModelCatalogJson, InSqlite, &sources);
    let repository = format!("{OWNER}/{NAME}");
    for (name, value) in [
        ("STORAGE_TYPE", "GitHub"),
        ("STORAGE_GITHUB_API_URL", github.url().as_str()),
        ("STORAGE_GITHUB_REPOSITORY", &repository),
        ("STORAGE_GITHUB_COMMIT_INTERVAL", "10ms"),
    ] {
        bridge.set(Service::Storage, name, value);
    }
    let key_file = bridge.directory().join("app.pem");
    std::fs::write(&key_file, app_key()).unwrap();
    for (name, value) in credentials {
        let file = key_file.display().to_string();
        bridge.set(Service::Storage, name, if name.ends_with("_FILE") { &file } else { value });
    }
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    github.revoke_token("planted-github");
    github.uninstall_app();
    github.revoke_installation_tokens();
    sources.register("newcomer", "v1");
    bridge.fails_to_store().await;
    let app_key = app_key();
    let lines_of_the_key = app_key.lines().filter(|line| line.len() > 40);
    let secrets: Vec<&str> = [PLANTED, "ghs_testkit"].into_iter().chain(lines_of_the_key).collect();
    are_untold(&mut bridge, &secrets).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_a_database_is_in_no_log_and_no_answer() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = server.database();
    let sources = Sources::without_cluster().await;
    sources.register_many("model", 3);
    let mut bridge = talkative(ModelCatalogJson, InSqlite, &sources);
    bridge.set(Service::Storage, "STORAGE_TYPE", "Sql");
    bridge.set(Service::Storage, "DATABASE_URL", &database.url());
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    are_untold(&mut bridge, &[PASSWORD]).await;
    // A server that is not there.
    let mut settings = bridge.settings(Service::Storage).clone();
    settings.insert("DATABASE_URL".to_owned(), format!("postgres://bridge:{PASSWORD}@127.0.0.1:9/bridge"));
    let mut process = Process::start("storage-rest", &[], &settings);
    testkit::eventually(SOON, "it complains", async || process.said().contains("127.0.0.1")).await;
    process.kill();
    assert!(!process.said().contains(PASSWORD), "{}", process.said());
}

/// The key of HTTPS is used, and a client that talks something else is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_https_is_in_no_log_and_no_answer() {
    let sources = Sources::without_cluster().await;
    let mut bridge = talkative(ModelCatalogJson, InSqlite, &sources);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    for (name, text) in [("TLS_CERT", &made.cert.pem()), ("TLS_KEY", &key)] {
        let file = bridge.directory().join(name);
        std::fs::write(&file, text).unwrap();
        bridge.set(Service::Storage, name, &file.display().to_string());
    }
    bridge.start(Service::Storage);
    let url = bridge.url(Service::Storage).replace("http:", "https:");
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap();
    testkit::eventually(SOON, "it answers by HTTPS", async || {
        client.get(format!("{url}/healthz")).send().await.is_ok()
    })
    .await;
    assert!(bridge.get(Service::Storage, "/healthz").await.is_err(), "plain HTTP is answered, too");
    let metrics = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    bridge.terminate(Service::Storage).await;
    let said = format!("{metrics}{}", bridge.log(Service::Storage));
    for line in key.lines().filter(|line| line.len() > 20) {
        assert!(!said.contains(line), "a line of the key is told");
    }
}

#[rstest]
#[case("normalizer")]
#[case("storage-rest")]
#[case("location")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_help(#[case] program: &str) {
    let settings: Settings =
        ["KFMR_TOKEN", "K8S_TOKEN", "RHDH_TOKEN", "BRIDGE_TOKEN", "DATABASE_URL", "GITHUB_TOKEN", "token", HEADERS]
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
#[case(Service::Location, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:planted-1@collector.example.com")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_in_no_complaint(#[case] service: Service, #[case] variable: &str, #[case] value: &str) {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources).with(service, variable, value);
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
