//! Writing: groups, other writers, and an API that is not well.

use std::time::Duration;

use futures::future::join_all;
use storage_rest::store::github::{GithubOptions, GithubStore, Retries};
use storage_rest::store::{Outcome, Store, StoreError, StoredEntry};
use testkit::github::Fault;

use super::{MAIN, moves_branch, reads, writes};
use crate::beds::{Bed, GithubBed, QUICK_WITH_GITHUB};
use crate::suite::{self, entry, key, location};

#[tokio::test]
async fn a_commit_takes_three_requests() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    bed.github.clear_requests();
    store.upsert(&key("b_1"), entry("b")).await.unwrap();
    let requests: Vec<String> = bed
        .github
        .requests()
        .iter()
        .filter(|request| writes(request))
        .map(|request| format!("{} {}", request.method, request.path.rsplit("/git/").next().unwrap()))
        .collect();
    assert_eq!(requests, ["POST trees", "POST commits", "PATCH refs/heads/main"]);
    let read = bed.github.count(reads);
    assert!(read <= 1, "{read} reads");
}

#[tokio::test]
async fn a_thousand_upserts_at_once_are_a_few_commits() {
    let bed = GithubBed::new().await;
    let retries = Retries { write_within: Duration::from_mins(5), ..QUICK_WITH_GITHUB };
    let options = GithubOptions { commit_interval: Duration::from_millis(100), retries, ..bed.options() };
    let store = GithubStore::open(options).await.unwrap();
    let keys: Vec<_> = (0..1_000).map(|number| key(&format!("m{number}_1"))).collect();
    let outcomes = join_all(keys.iter().map(|key| store.upsert(key, entry("x")))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Created))));
    let commits = || bed.github.person().log(MAIN).len() - 1;
    assert_eq!(commits(), 1);
    // Five trees, as GitHub gives up on large ones, a commit, and the branch.
    assert_eq!(bed.writes().unwrap(), 7);
    join_all(keys.iter().map(|key| store.set_location(key, Some(location("a"))))).await;
    assert_eq!(commits(), 2);
    let index = bed.store().await.index().await.unwrap();
    assert!(index.len() == 1_000 && index.iter().all(|entry| entry.location == Some(location("a"))));
}

#[tokio::test]
async fn writers_in_each_others_way_make_no_commit_twice() {
    let bed = GithubBed::new().await;
    suite::many_writers_lose_nothing(&bed).await;
    assert_eq!(bed.github.person().log(MAIN).len(), 1 + suite::WRITERS * suite::WRITES);
}

#[tokio::test]
async fn a_person_who_pushes_in_between_keeps_what_was_pushed() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    // The store knows the branch as it was a moment ago.
    bed.github.person().commit(MAIN, "Notes", &[("notes.md", Some("mine"))]);
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
    assert_eq!(bed.github.person().file(MAIN, "notes.md").unwrap(), "mine");
    assert_eq!(store.index().await.unwrap().len(), 2);
}

#[tokio::test]
async fn conflicts_are_resolved_and_without_end_are_an_error() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    bed.github.fail_times(5, moves_branch, Fault::Status(409));
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
    let storm = bed.github.fail_while(moves_branch, Fault::Status(409));
    let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    drop(storm);
    assert!(matches!(error, StoreError::Conflict { attempts: 20, .. }) && error.is_retryable(), "{error}");
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn an_api_that_is_not_well_for_a_moment_is_asked_again() {
    for fault in [Fault::Status(500), Fault::Status(502), Fault::Status(503), Fault::Reset, Fault::Garbage] {
        let bed = GithubBed::new().await;
        let store = bed.store().await;
        bed.github.fail_times(2, writes, fault.clone());
        assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created, "{fault:?}");
        bed.github.fail_times(2, reads, fault.clone());
        assert_eq!(store.index().await.unwrap().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_reported_as_what_it_did() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    for (round, lost) in [moves_branch, writes].into_iter().enumerate() {
        let key = key(&format!("a_{round}"));
        bed.github.fail_times(1, lost, Fault::LostAnswer);
        assert_eq!(store.upsert(&key, entry("a")).await.unwrap(), Outcome::Created);
        assert_eq!(store.upsert(&key, entry("a")).await.unwrap(), Outcome::Unchanged);
        bed.github.fail_times(1, lost, Fault::LostAnswer);
        store.set_location(&key, Some(location("a"))).await.unwrap();
        assert_eq!(store.index().await.unwrap()[0].location, Some(location("a")));
        bed.github.fail_times(1, lost, Fault::LostAnswer);
        store.remove(&[key]).await.unwrap();
        assert_eq!(store.index().await.unwrap(), []);
    }
    let log = bed.github.person().log(MAIN);
    assert_eq!(log.len(), 7, "each change is one commit: {log:?}");
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_an_error_that_may_pass() {
    let bed = GithubBed::new().await;
    let retries = Retries { write_within: Duration::from_secs(2), ..QUICK_WITH_GITHUB };
    let store = GithubStore::open(GithubOptions { retries, ..bed.options() }).await.unwrap();
    let stuck = bed.github.fail_while(writes, Fault::Hang);
    let error = store.upsert(&key("a_1"), entry("a")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    drop(stuck);
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn what_fails_in_a_shared_write_fails_alone() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    bed.github.person().commit(MAIN, "Notes", &[("catalog/models/c", Some("in the way"))]);
    // GitHub finds one of the group malformed, in a way that only it knows.
    let refuse = bed.github.fail_while(
        |request| writes(request) && String::from_utf8_lossy(&request.body).contains("malformed"),
        Fault::Status(422),
    );
    let big = StoredEntry { body: vec![b'x'; 25 << 20], ..entry("") };
    let keys = ["a_1", "b_1", "c_1", "d_1", "e_1"].map(key);
    let (first, malformed, in_the_way, too_large, last) = tokio::join!(
        store.upsert(&keys[0], entry("a")),
        store.upsert(&keys[1], entry("malformed")),
        store.upsert(&keys[2], entry("c")),
        store.upsert(&keys[3], big),
        store.upsert(&keys[4], entry("e")),
    );
    drop(refuse);
    assert_eq!((first.unwrap(), last.unwrap()), (Outcome::Created, Outcome::Created));
    assert!(matches!(malformed, Err(StoreError::Unavailable { .. })), "{malformed:?}");
    assert!(matches!(in_the_way, Err(StoreError::Corrupt { .. })), "{in_the_way:?}");
    assert!(matches!(&too_large, Err(StoreError::TooLarge { key, .. }) if *key == keys[3]), "{too_large:?}");
    let stored: Vec<String> = store.index().await.unwrap().into_iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(stored, ["a_1", "e_1"]);
}

#[tokio::test]
async fn a_payload_that_github_finds_too_large_is_said_of_the_entry() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    bed.github.fail_times(1, |request| request.path.ends_with("/git/trees"), Fault::Status(413));
    let error = store.upsert(&key("a_1"), entry("a")).await.unwrap_err();
    assert!(matches!(&error, StoreError::TooLarge { key: named, .. } if *named == key("a_1")), "{error}");
}

#[tokio::test]
async fn copies_of_github_that_lag_behind_bring_nothing_back() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    bed.github.lag(MAIN, 3);
    store.upsert(&key("b_1"), entry("b")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(store.index().await.unwrap().len(), 2);
    }
    store.upsert(&key("c_1"), entry("c")).await.unwrap();
    assert_eq!(store.index().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_forced_push_is_believed() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    let before = bed.github.person().log(MAIN)[0].sha.clone();
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    bed.github.person().reset(MAIN, &before);
    bed.github.person().commit(MAIN, "Start over", &[("notes.md", Some("mine"))]);
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
    let keys: Vec<String> = store.index().await.unwrap().into_iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(keys, ["b_1"]);
    assert_eq!(bed.github.person().file(MAIN, "notes.md").unwrap(), "mine");
}
