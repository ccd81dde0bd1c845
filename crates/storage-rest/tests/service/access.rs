//! Who may write to storage, and what becomes of deliveries to a location that refuses it.

use http::StatusCode;
use testkit::eventually;
use testkit::kube::KubeApi;

use crate::support::{DEADLINE, ScriptedLocation, Storage, http};

const NOWHERE: [&str; 2] = ["--location-url", "http://127.0.0.1:9"];
const WRITES: [&str; 3] = ["upsert?key=a_1&type=kubeflow", "currentkeyset?key=a_1", "settle"];
const READS: [&str; 2] = ["list", "fetch?key=a_1"];
const BODY: &str = r#"{"body": "e30="}"#;

async fn write(storage: &Storage, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let body = if path.starts_with("upsert") { BODY } else { "" };
    let request = http().post(storage.url.join(path).unwrap()).body(body);
    let request =
        token.map_or_else(|| request.try_clone().unwrap(), |token| request.try_clone().unwrap().bearer_auth(token));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn read(storage: &Storage, path: &str, token: Option<&str>) -> StatusCode {
    let mut request = http().get(storage.url.join(path).unwrap());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn every_writing_route_asks_for_the_token_and_nothing_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::start(directory.path(), &[&NOWHERE[..], &["--bridge-token", "right"]].concat()).await;
    for path in WRITES {
        for token in [None, Some("wrong")] {
            let (status, body) = write(&storage, path, token).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {token:?}");
            assert!(body.contains("BRIDGE_TOKEN") && !body.contains("right"), "{body}");
        }
    }
    assert!(storage.client.list().await.unwrap().keys.is_empty());
    for path in WRITES {
        let (status, body) = write(&storage, path, Some("right")).await;
        assert!(status.is_success(), "{path}: {status} {body}");
    }
    for path in READS.into_iter().chain(["healthz", "readyz", "metrics"]) {
        assert_eq!(read(&storage, path, None).await, StatusCode::OK, "{path}");
    }
    storage.stop().await;
}

#[tokio::test]
async fn reads_may_be_closed_and_health_stays_open() {
    let directory = tempfile::tempdir().unwrap();
    let closed = ["--bridge-token", "right", "--require-read-token"];
    let storage = Storage::start(directory.path(), &[&NOWHERE[..], &closed].concat()).await;
    write(&storage, WRITES[0], Some("right")).await;
    for path in READS {
        assert_eq!(read(&storage, path, None).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(read(&storage, path, Some("right")).await, StatusCode::OK, "{path}");
    }
    for path in ["healthz", "readyz", "metrics"] {
        assert_eq!(read(&storage, path, None).await, StatusCode::OK, "{path}");
    }
    storage.stop().await;
}

#[tokio::test]
async fn a_token_in_a_file_may_rotate() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "one").unwrap();
    let token = ["--bridge-token-file", file.to_str().unwrap(), "--bridge-token-grace", "0s"];
    let storage = Storage::start(directory.path(), &[&NOWHERE[..], &token].concat()).await;
    assert!(write(&storage, WRITES[0], Some("one")).await.0.is_success());
    std::fs::write(&file, "two").unwrap();
    eventually(DEADLINE, "the new token is known", async || {
        write(&storage, "settle", Some("two")).await.0.is_success()
    })
    .await;
    assert_eq!(write(&storage, WRITES[0], Some("one")).await.0, StatusCode::UNAUTHORIZED);
    storage.stop().await;
}

#[tokio::test]
async fn the_cluster_tells_which_service_accounts_write() {
    service::http_client::install_crypto_provider();
    let api = KubeApi::builder()
        .token("of.the.normalizer", "system:serviceaccount:bridge:normalizer")
        .token("of.another", "system:serviceaccount:bridge:another")
        .start()
        .await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = api.write_kubeconfig(directory.path());
    let accounts = ["--bridge-allowed-service-accounts", "bridge:normalizer"];
    let cluster = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let storage = Storage::start(directory.path(), &[&NOWHERE[..], &accounts, &cluster].concat()).await;
    let reviews = || api.count(|request| request.path.ends_with("/tokenreviews"));
    for _ in 0..3 {
        for path in WRITES {
            assert!(write(&storage, path, Some("of.the.normalizer")).await.0.is_success());
        }
    }
    assert_eq!(reviews(), 1);
    assert_eq!(write(&storage, WRITES[0], Some("of.another")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(write(&storage, WRITES[0], Some("made.up")).await.0, StatusCode::UNAUTHORIZED);
    api.stop().await;
    let (status, body) = write(&storage, WRITES[0], Some("not.seen.yet")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(!body.contains("not.seen.yet"), "{body}");
    assert!(write(&storage, WRITES[0], Some("of.the.normalizer")).await.0.is_success(), "the verdict is remembered");
    storage.stop().await;
}

#[tokio::test]
async fn a_location_that_refuses_storage_gets_everything_when_the_tokens_agree() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let location = ScriptedLocation::start().await;
    location.require_token("new");
    let args = ["--location-url", location.url.as_str(), "--bridge-token-file", file.to_str().unwrap()];
    let storage = Storage::start(directory.path(), &args).await;
    let names: Vec<String> = (0..50).map(|number| format!("m_{number}")).collect();
    for name in &names {
        let (status, body) = write(&storage, &format!("upsert?key={name}"), Some("old")).await;
        assert!(status.is_success(), "{body}");
    }
    eventually(DEADLINE, "location has refused", async || location.upserts().len() >= 3).await;
    assert!(location.bodies().is_empty());
    // While it refuses it is not asked for each entry.
    assert!(storage.metrics().await.contains("storage_rest_undelivered_entries{target=\"location\"} 50\n"));
    std::fs::write(&file, "new").unwrap();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "{}")).collect();
    location.holds(&all).await;
    storage.stop().await;
}
