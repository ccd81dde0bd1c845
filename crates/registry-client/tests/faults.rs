//! Every way in which a registry fails is an error that says so; none is an empty list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::time::Duration;

use common::{TIMEOUT, client, http, registry_of};
use registry_client::{Failure, ListQuery, RegistryClient, RegistryError};
use rstest::rstest;
use secrecy::SecretString;
use testkit::registry::{Fault, Matcher, ScriptedRegistry};

const LIST: &str = "/registered_models";

async fn read(registry: &ScriptedRegistry) -> RegistryError {
    let list = client(registry).registered_models(ListQuery::default().with_page_size(2));
    list.collect_all().await.expect_err("a fault is an error")
}

async fn read_failing_with(fault: Fault) -> RegistryError {
    let registry = registry_of(5).await;
    registry.fail(LIST, fault);
    let error = read(&registry).await;
    assert!(error.to_string().contains("/api/model_registry/v1alpha3/registered_models"), "{error}");
    error
}

#[tokio::test]
async fn html_is_named_as_such() {
    let error = read_failing_with(Fault::Html).await;
    let text = error.to_string();
    assert!(text.contains("HTML") && text.contains("<!DOCTYPE html>") && text.contains("text/html"), "{text}");
}

#[tokio::test]
async fn garbage_is_no_json() {
    let error = read_failing_with(Fault::Garbage).await;
    assert!(matches!(error.failure, Failure::NotJson { .. }), "{error}");
}

#[tokio::test]
async fn half_a_page_is_an_error() {
    let error = read_failing_with(Fault::HalfPage).await;
    assert!(error.to_string().contains("ends in the middle"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_page_is_an_error() {
    let error = read_failing_with(Fault::CutBody).await;
    assert!(matches!(error.failure, Failure::Interrupted(_)), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_reset_is_an_error() {
    let error = read_failing_with(Fault::Reset).await;
    assert!(matches!(error.failure, Failure::Interrupted(_)), "{error}");
}

#[tokio::test]
async fn an_empty_body_is_no_empty_list() {
    let error = read_failing_with(Fault::Empty200).await;
    assert!(error.to_string().contains("empty"), "{error}");
}

#[rstest]
#[case::empty_object("{}")]
#[case::null("null")]
#[case::list("[]")]
#[case::items_of_unknown_number(r#"{"items": null}"#)]
#[case::items_null_but_counted(r#"{"items": null, "size": 3, "nextPageToken": ""}"#)]
#[case::only_a_size(r#"{"size": 0, "nextPageToken": ""}"#)]
#[case::items_as_object(r#"{"items": {"1": {}}, "nextPageToken": ""}"#)]
#[case::token_as_number(r#"{"items": [], "nextPageToken": 4}"#)]
#[case::an_error_with_200(r#"{"code": "500", "message": "database is down"}"#)]
#[tokio::test]
async fn another_shape_is_no_empty_list(#[case] body: &str) {
    let error = read_failing_with(Fault::json(body)).await;
    assert!(matches!(error.failure, Failure::WrongShape(_)), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn wrong_types_are_an_error() {
    let error = read_failing_with(Fault::WrongTypes).await;
    assert!(matches!(error.failure, Failure::WrongShape(_)), "{error}");
}

#[rstest]
#[case::null_and_counted_zero(r#"{"items": null, "size": 0}"#)]
#[case::token_missing(r#"{"items": []}"#)]
#[case::token_null(r#"{"items": [], "nextPageToken": null, "pageSize": 0, "size": 0, "more": 1}"#)]
#[tokio::test]
async fn these_are_empty_lists(#[case] body: &str) {
    let registry = registry_of(5).await;
    registry.fail(LIST, Fault::json(body));
    let listing = client(&registry).registered_models(ListQuery::default()).collect_all().await.unwrap();
    assert!(listing.records.is_empty());
}

#[rstest]
#[case(403, false, "not allowed")]
#[case(404, false, "path")]
#[case(500, true, "fault injected")]
#[case(503, true, "")]
#[tokio::test]
async fn a_status_is_an_error(#[case] code: u16, #[case] transient: bool, #[case] says: &str) {
    let error = read_failing_with(Fault::Status(code)).await;
    assert_eq!(error.status(), Some(code));
    assert_eq!(error.is_transient(), transient);
    assert!(error.to_string().contains(says), "{error}");
}

#[tokio::test]
async fn throttling_says_for_how_long() {
    let error = read_failing_with(Fault::throttled("17")).await;
    assert_eq!(error.status(), Some(429));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    let past = read_failing_with(Fault::throttled("Wed, 21 Oct 2015 07:28:00 GMT")).await;
    assert_eq!(past.retry_after(), Some(Duration::ZERO));
    let future = read_failing_with(Fault::throttled("Tue, 01 Jan 2999 00:00:00 GMT")).await;
    assert!(future.retry_after().unwrap() > Duration::from_hours(1));
    let nonsense = read_failing_with(Fault::throttled("soon")).await;
    assert_eq!(nonsense.retry_after(), None);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let registry = registry_of(1).await;
    registry.fail(LIST, Fault::Hang);
    let client = client(&registry).with_timeout(Duration::from_millis(50));
    let error = client.registered_models(ListQuery::default()).collect_all().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Timeout(_)), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_late_answer_is_an_answer() {
    let registry = registry_of(1).await;
    registry.fail(LIST, Fault::Delay(Duration::from_millis(20)));
    let listing = client(&registry).registered_models(ListQuery::default()).collect_all().await.unwrap();
    assert_eq!(listing.records.len(), 1);
}

#[tokio::test]
async fn a_fault_on_a_later_page_fails_the_whole() {
    let registry = registry_of(5).await;
    registry.fail_after(1, 1, LIST, Fault::Status(500));
    let error = read(&registry).await;
    assert_eq!(error.status(), Some(500));
    assert_eq!(registry.total(), 2);
}

#[tokio::test]
async fn a_registry_that_is_down_cannot_be_connected_and_comes_back() {
    let registry = registry_of(1).await;
    registry.stop().await;
    let error = read(&registry).await;
    assert!(matches!(error.failure, Failure::Connect(_)), "{error}");
    assert!(error.is_transient());
    registry.restart().await;
    let listing = client(&registry).registered_models(ListQuery::default()).collect_all().await.unwrap();
    assert_eq!(listing.records.len(), 1);
}

#[tokio::test]
async fn stopping_cuts_open_connections() {
    let registry = registry_of(1).await;
    registry.fail(LIST, Fault::Hang);
    let reading = tokio::spawn(client(&registry).registered_models(ListQuery::default()).collect_all());
    testkit::eventually(TIMEOUT, "the request arrived", || async { registry.total() == 1 }).await;
    registry.stop().await;
    let error = reading.await.unwrap().unwrap_err();
    assert!(matches!(error.failure, Failure::Interrupted(_)), "{error}");
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_a_tls_error() {
    let registry = registry_of(1).await;
    let mut base = registry.url();
    base.set_scheme("https").unwrap();
    let client = RegistryClient::new(base, http(), None);
    let error = client.registered_models(ListQuery::default()).collect_all().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Tls(_)), "{error}");
}

#[tokio::test]
async fn a_page_beyond_the_limit_is_an_error() {
    let registry = registry_of(50).await;
    let client = client(&registry).with_body_limit(1_000);
    let error = client.registered_models(ListQuery::default()).collect_all().await.unwrap_err();
    assert!(matches!(error.failure, Failure::TooLarge { limit: 1_000 }), "{error}");
    let small = client.registered_models(ListQuery::default().with_page_size(1));
    assert_eq!(small.collect_all().await.unwrap().records.len(), 50);
}

#[tokio::test]
async fn no_secret_is_in_an_error_even_when_the_server_echoes_it() {
    let registry = registry_of(0).await;
    let echo =
        Fault::StatusWith { code: 401, headers: Vec::new(), body: "bad credentials: Bearer s3cret-token".to_owned() };
    registry.fail(Matcher::Any, echo);
    let mut base = registry.url();
    base.set_username("ada").unwrap();
    base.set_password(Some("pa55")).unwrap();
    let token = SecretString::from("s3cret-token".to_owned());
    let client = RegistryClient::new(base, http(), Some(token));
    let error = client.registered_models(ListQuery::default()).collect_all().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("s3cret") && !text.contains("pa55"), "{text}");
}

#[tokio::test]
async fn a_base_that_is_no_web_address_is_an_error() {
    let base = "ftp://registry.example.com".parse().unwrap();
    let client = RegistryClient::new(base, http(), None);
    let error = client.registered_models(ListQuery::default()).collect_all().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Request(_)), "{error}");
}

#[tokio::test]
async fn a_client_recovers_as_soon_as_the_registry_does() {
    let registry = registry_of(1).await;
    let client = client(&registry);
    registry.fail_next(2, LIST, Fault::Reset);
    let mut odd = true;
    registry.fail_by(move |request| {
        odd = !odd;
        (!odd && request.path.ends_with(LIST)).then_some(Fault::Garbage)
    });
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        let read = client.registered_models(ListQuery::default()).collect_all().await;
        outcomes.push(read.is_ok());
    }
    assert_eq!(outcomes, [false, false, false, true, false]);
    assert_eq!(registry.count(LIST), 5);
    registry.clear_faults();
    registry.clear();
    assert!(client.registered_models(ListQuery::default()).collect_all().await.is_ok());
    assert_eq!(registry.total(), 1);
}
