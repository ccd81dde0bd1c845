//! GitHub's limits.

use std::time::Duration;

use storage_rest::store::{Outcome, Store, StoreError};

use crate::beds::GithubBed;
use crate::suite::{entry, key};

#[tokio::test]
async fn a_used_up_hour_is_an_error_that_says_until_when_and_nothing_is_asked_meanwhile() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    bed.github.set_remaining(0, Duration::from_mins(10));
    let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_retryable(), "{error}");
    let text = error.to_string();
    assert!(text.contains("until") && text.contains("UTC") && text.contains("API rate limit exceeded"), "{text}");
    bed.github.clear_requests();
    assert!(store.index().await.unwrap_err().to_string().contains("UTC"));
    assert!(store.ping().await.is_err());
    store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    assert_eq!(bed.github.count(|_| true), 0);
}

#[tokio::test]
async fn an_hour_that_is_over_soon_is_waited_for() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    bed.github.set_remaining(0, Duration::ZERO);
    let upsert = async { store.upsert(&key("a_1"), entry("a")).await };
    let renew = async {
        testkit::eventually(Duration::from_secs(10), "a request is refused", async || {
            bed.github.count(|request| request.status == Some(403)) > 0
        })
        .await;
        bed.github.set_remaining(5_000, Duration::from_hours(1));
    };
    let (outcome, ()) = tokio::join!(upsert, renew);
    assert_eq!(outcome.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn a_secondary_limit_is_waited_for_when_it_is_short() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    // It strikes between the tree and the commit.
    bed.github.limit_writes(1, 1, Some(1));
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
    assert_eq!(store.index().await.unwrap().len(), 1);
    assert_eq!(bed.github.count(|request| request.status == Some(403)), 1);
}

#[tokio::test]
async fn a_long_or_unnamed_secondary_limit_is_an_error_and_loses_nothing() {
    for retry_after in [Some(300), None] {
        let bed = GithubBed::new().await;
        let store = bed.store().await;
        store.upsert(&key("a_1"), entry("a")).await.unwrap();
        bed.github.limit_writes(2, 1, retry_after);
        let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("secondary rate limit"), "{error}");
        let later = bed.store().await;
        assert_eq!(later.index().await.unwrap().len(), 1);
        assert_eq!(later.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
    }
}
