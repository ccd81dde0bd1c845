//! The client against the scripted Backstage: what each status means, and what an error says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

use std::sync::{Arc, Mutex};

use backstage_client::{BackstageError, CatalogClient, Created, Location, ORPHANS, location_entity_ref};
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use testkit::backstage::{BRIDGE_LOCATION_TYPE, Fault, ScriptedBackstage};

const TARGET: &str = "http://bridge.example.com:9090/m/v1/catalog-info.yaml";

fn http() -> reqwest::Client {
    // The second test to come here finds a provider installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

fn client(backstage: &ScriptedBackstage) -> CatalogClient {
    CatalogClient::new(&backstage.url(), http(), None).unwrap()
}

fn with_token(backstage: &ScriptedBackstage, token: &str) -> CatalogClient {
    CatalogClient::new(&backstage.url(), http(), Some(SecretString::from(token))).unwrap()
}

#[tokio::test]
async fn a_location_is_created_listed_found_and_deleted() {
    let backstage = ScriptedBackstage::start().await;
    let client = client(&backstage);

    let Created::Created { id } = client.create_location("url", TARGET).await.unwrap() else {
        panic!("the first request must create the location");
    };
    let expected = Location { id: id.clone(), kind: "url".into(), target: TARGET.into() };
    assert_eq!(client.locations().await.unwrap(), vec![expected.clone()]);
    assert_eq!(client.location(&id).await.unwrap(), Some(expected));

    client.delete_location(&id).await.unwrap();
    assert_eq!(client.locations().await.unwrap(), vec![]);
    assert_eq!(client.location(&id).await.unwrap(), None);
}

#[tokio::test]
async fn a_location_that_is_registered_already_is_no_error() {
    let backstage = ScriptedBackstage::start().await;
    backstage.add_location("url", TARGET);
    assert_eq!(client(&backstage).create_location("url", TARGET).await.unwrap(), Created::AlreadyExists);
}

#[tokio::test]
async fn deleting_what_is_gone_is_no_error() {
    let backstage = ScriptedBackstage::start().await;
    client(&backstage).delete_location("no-such-id").await.unwrap();
    client(&backstage).delete_entity("no-such-uid").await.unwrap();
}

#[tokio::test]
async fn the_bridge_s_location_type_needs_rhdh_s_provider() {
    let plain = ScriptedBackstage::start().await;
    let error = client(&plain).create_location(BRIDGE_LOCATION_TYPE, TARGET).await.unwrap_err();
    assert!(matches!(error, BackstageError::Status { status: StatusCode::BAD_REQUEST, .. }), "{error}");
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("must be of type 'url'"), "{error}");

    let rhdh = ScriptedBackstage::start().await.with_bridge_location_type();
    client(&rhdh).create_location(BRIDGE_LOCATION_TYPE, TARGET).await.unwrap();
    assert_eq!(rhdh.targets(), [TARGET]);
}

#[tokio::test]
async fn a_wrong_token_is_an_error_that_names_the_setting_and_not_the_token() {
    let backstage = ScriptedBackstage::start().await.with_token("right");
    let wrong = with_token(&backstage, "wrong-secret");
    let error = wrong.locations().await.unwrap_err();
    assert!(matches!(error, BackstageError::Unauthorized { status: StatusCode::UNAUTHORIZED, .. }), "{error}");
    assert!(error.to_string().contains("RHDH_TOKEN"), "{error}");
    assert!(!format!("{error} {error:?} {wrong:?}").contains("wrong-secret"));

    assert_eq!(with_token(&backstage, "right").locations().await.unwrap(), vec![]);
}

#[tokio::test]
async fn an_outage_is_retryable_and_a_page_of_html_is_not_taken_for_an_answer() {
    let backstage = ScriptedBackstage::start().await;
    let client = client(&backstage);

    backstage.fail_next(&Method::GET, "/locations", Fault::Status(503), 1);
    assert!(client.locations().await.unwrap_err().is_retryable());

    backstage.fail_next(&Method::GET, "/locations", Fault::Html, 1);
    let error = client.locations().await.unwrap_err();
    assert!(matches!(error, BackstageError::Unexpected { .. }), "{error}");

    let url = backstage.url();
    drop(backstage);
    let gone = CatalogClient::new(&url, http(), None).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(30), async {
        // Until the listener is closed, a connection may still be taken from its backlog.
        while gone.locations().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(gone.locations().await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_lost_answer_is_retryable_and_the_location_is_there() {
    let backstage = ScriptedBackstage::start().await;
    let client = client(&backstage);
    backstage.fail_next(&Method::POST, "/locations", Fault::LostAnswer, 1);
    assert!(client.create_location("url", TARGET).await.unwrap_err().is_retryable());
    assert_eq!(client.create_location("url", TARGET).await.unwrap(), Created::AlreadyExists);
}

#[tokio::test]
async fn a_refresh_names_the_location_s_entity() {
    let backstage = ScriptedBackstage::start().await;
    backstage.add_location("url", TARGET);
    let entity_ref = location_entity_ref("url", TARGET);
    client(&backstage).refresh(&entity_ref).await.unwrap();
    assert_eq!(backstage.refreshed(), [entity_ref]);
}

#[tokio::test]
async fn a_location_is_found_by_its_entity_even_where_no_list_shows_it() {
    let backstage = ScriptedBackstage::start().await;
    let client = client(&backstage);
    assert_eq!(client.location_of("url", TARGET).await.unwrap(), None);
    let id = backstage.add_location("url", TARGET);
    backstage.hide_location(&id);
    assert_eq!(client.locations().await.unwrap(), []);
    let expected = Location { id, kind: "url".into(), target: TARGET.into() };
    assert_eq!(client.location_of("url", TARGET).await.unwrap(), Some(expected));
    assert_eq!(client.location_of("file", TARGET).await.unwrap(), None);
}

#[tokio::test]
async fn entities_are_queried_by_filters_page_by_page_and_removed_by_uid() {
    let backstage = ScriptedBackstage::start().await;
    let here = format!("url:{TARGET}");
    for n in 0..1001 {
        backstage.add_orphan_of(&format!("e{n}"), &here);
    }
    backstage.add_entity_of("alive", &here);
    let client = client(&backstage);
    let orphans = client.entities(&[ORPHANS]).await.unwrap();
    assert_eq!(orphans.len(), 1001);
    assert_eq!(backstage.requests().len(), 3);
    let first = &orphans[0];
    assert_eq!((first.reference().as_str(), first.uid()), ("resource:default/e0", Some("e0")));
    assert!(first.is_orphan());
    assert_eq!(first.locations().collect::<Vec<_>>(), [("url", TARGET), ("url", TARGET)]);
    assert_eq!(client.entities(&["kind=api", "kind=Resource,metadata.name=ALIVE"]).await.unwrap().len(), 1);
    for entity in orphans {
        client.delete_entity(entity.uid().unwrap()).await.unwrap();
    }
    let left = client.entities(&[]).await.unwrap();
    assert!(left.len() == 1 && !left[0].is_orphan());
}

#[tokio::test]
async fn a_token_that_rotates_is_asked_for_with_each_request() {
    let backstage = ScriptedBackstage::start().await.with_token("one");
    let token = Arc::new(Mutex::new("one"));
    let source = {
        let token = Arc::clone(&token);
        move || Some(SecretString::from(*token.lock().unwrap()))
    };
    let client = client(&backstage).with_token_source(Arc::new(source));
    client.locations().await.unwrap();
    backstage.set_token("two");
    client.locations().await.unwrap_err();
    *token.lock().unwrap() = "two";
    client.locations().await.unwrap();
}

#[test]
fn a_base_url_with_a_path_keeps_it_and_one_without_a_host_is_refused() {
    let based = CatalogClient::new(&"https://x.example.com/dev/".parse().unwrap(), http(), None).unwrap();
    assert!(format!("{based:?}").contains("https://x.example.com/dev/api/catalog"));
    let error = CatalogClient::new(&"mailto:a@example.com".parse().unwrap(), http(), None).unwrap_err();
    assert!(error.to_string().contains("mailto:a@example.com"), "{error}");
}
