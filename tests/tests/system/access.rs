//! Who may write, with real processes: tokens that rotate, accounts of a cluster, strangers, and HTTPS.

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;

use http::StatusCode;
use model_catalog::render::Format::ModelCatalogJson;
use rcgen::generate_simple_self_signed;
use system_tests::Kept::{InConfigMap, InSqlite};
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources, http};

const ENTRY: &str = r#"{"body": "e30="}"#;

fn write(bridge: &Bridge, name: &str, content: &str) -> PathBuf {
    let path = bridge.directory().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// What storage answers to a write of someone who has no token.
async fn intrude(url: &str) -> (StatusCode, String) {
    let answer = http().post(format!("{url}/upsert?key=an_intruder")).body(ENTRY).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_with_a_token_works_on_when_it_rotates() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    let file = write(&bridge, "token", "first");
    for service in Service::ALL {
        bridge.set(service, "BRIDGE_TOKEN_FILE", &file.display().to_string());
        bridge.set(service, "BRIDGE_TOKEN_GRACE", "1s");
    }
    bridge.set(Service::Storage, "REQUIRE_READ_TOKEN", "true");
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    let (status, said) = intrude(&bridge.url(Service::Storage)).await;
    assert!(status == StatusCode::UNAUTHORIZED && said.contains("BRIDGE_TOKEN"), "{status} {said}");
    assert_eq!(bridge.get(Service::Storage, "/list").await.unwrap().0, 401);
    write(&bridge, "token", "second");
    sources.register("mnist", "v1");
    bridge.serves_truth_of(&sources).await;
    for service in Service::ALL {
        assert!(!bridge.log(service).contains("second"), "{service:?} logs the token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_reported_and_nothing_is_lost() {
    let sources = Sources::without_cluster().await;
    sources.register_many("model", 20);
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    let of = |service: Service| format!("token-of-{}", service.program());
    for service in [Service::Normalizer, Service::Storage] {
        let file = write(&bridge, &of(service), &format!("{}-wrong", service.program()));
        bridge.set(service, "BRIDGE_TOKEN_FILE", &file.display().to_string());
    }
    bridge.set(Service::Location, "BRIDGE_TOKEN", "right");
    // That storage is not there yet is told first, and must not hide what is wrong once it is.
    bridge.start(Service::Normalizer);
    bridge.logs(Service::Normalizer, "storage cannot be brought in step").await;
    bridge.start(Service::Storage);
    bridge.start(Service::Location);
    bridge.logs(Service::Normalizer, "BRIDGE_TOKEN").await;
    bridge.logs(Service::Normalizer, "401 Unauthorized").await;
    assert!(bridge.stored().await.unwrap().keys.is_empty());
    for service in [Service::Normalizer, Service::Storage] {
        write(&bridge, &of(service), "right");
    }
    bridge.serves_truth_of(&sources).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_accounts_write_with_their_tokens() {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 3);
    let mut bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources);
    for (service, allowed) in
        [(Service::Normalizer, ""), (Service::Storage, "normalizer"), (Service::Location, "storage-rest")]
    {
        let name = service.program();
        sources.kube().add_token_for(
            "bridge",
            &format!("token.of.{name}"),
            &format!("system:serviceaccount:rhdh:{name}"),
        );
        let file = write(&bridge, name, &format!("token.of.{name}"));
        bridge.set(service, "BRIDGE_TOKEN_FILE", &file.display().to_string());
        bridge.set(service, "BRIDGE_TOKEN_AUDIENCE", "bridge");
        if !allowed.is_empty() {
            bridge.set(service, "BRIDGE_ALLOWED_SERVICE_ACCOUNTS", &format!("rhdh:{allowed}"));
        }
    }
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    assert_eq!(intrude(&bridge.url(Service::Storage)).await.0, StatusCode::UNAUTHORIZED);
    // Location's account may read storage and not write to it.
    let upsert = http().post(format!("{}/upsert?key=an_intruder", bridge.url(Service::Storage))).body(ENTRY);
    let answer = upsert.bearer_auth("token.of.location").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

/// An address of this machine that others reach it by; nothing is sent to find it.
fn address_of_this_machine() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_strangers_are_turned_away_and_the_pod_is_not() {
    let Some(address) = address_of_this_machine() else {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let sources = Sources::without_cluster().await;
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    let local = bridge.url(Service::Storage);
    let port = local.rsplit(':').next().unwrap().to_owned();
    bridge.set(Service::Storage, "STORAGE_LISTEN_ADDRESS", &format!("0.0.0.0:{port}"));
    bridge.start(Service::Storage);
    bridge.ready(Service::Storage).await;
    bridge.logs(Service::Storage, "only from its own machine").await;
    let from_afar = format!("http://{address}:{port}");
    let (status, said) = intrude(&from_afar).await;
    assert!(status == StatusCode::UNAUTHORIZED && said.contains("BRIDGE_TOKEN"), "{status} {said}");
    assert_eq!(intrude(&local).await.0, StatusCode::CREATED);
    bridge.set(Service::Storage, "POD_IP", &address.to_string());
    bridge.restart(Service::Storage);
    bridge.ready(Service::Storage).await;
    assert_eq!(intrude(&from_afar).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_serves_https_with_one_certificate_whatever_its_name() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    let made = generate_simple_self_signed(vec!["bridge.example.com".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let mut settings = Settings::new();
    for service in Service::ALL {
        settings.extend(bridge.settings(service).clone());
    }
    settings.retain(|name, _| !matches!(name.as_str(), "STORAGE_URL" | "LOCATION_URL"));
    for (name, text) in [("TLS_CERT", &cert), ("TLS_KEY", &key)] {
        settings.insert(name.to_owned(), write(&bridge, name, text).display().to_string());
    }
    let _up = Process::start("model-catalog-bridge", &["up"], &settings);
    let port: u16 = bridge.url(Service::Location).rsplit(':').next().unwrap().parse().unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(cert.as_bytes()).unwrap()])
        .resolve("bridge.example.com", ([127, 0, 0, 1], port).into())
        .build()
        .unwrap();
    let url = format!("https://bridge.example.com:{port}/granite/v1/model-catalog.json");
    testkit::eventually(SOON, "the model is served", async || {
        let answer = client.get(&url).send().await.map_err(|error| format!("{error:?}"))?;
        if answer.status() == StatusCode::OK { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
    assert!(http().get(format!("http://127.0.0.1:{port}/list")).send().await.is_err());
}
