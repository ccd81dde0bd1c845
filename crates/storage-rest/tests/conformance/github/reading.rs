//! Reading: how little is asked, and what is too much for one answer.

use std::time::Duration;

use futures::future::join_all;
use storage_rest::store::github::{GithubOptions, GithubStore, Retries};
use storage_rest::store::{Filling, Store, StoreError, StoredEntry};
use testkit::github::Fault;

use super::{MAIN, asks_where_the_branch_is, reads};
use crate::beds::{GithubBed, QUICK_WITH_GITHUB};
use crate::suite::{entry, key};

async fn filled(bed: &GithubBed, count: usize) -> Vec<bridge_api::EntryKey> {
    // A commit of thousands takes a busy machine its time.
    let retries = Retries { write_within: Duration::from_mins(5), ..QUICK_WITH_GITHUB };
    let store = GithubStore::open(GithubOptions { retries, ..bed.options() }).await.unwrap();
    let keys: Vec<_> = (0..count).map(|number| key(&format!("m{number}_1"))).collect();
    let with_card = |number: usize| StoredEntry { model_card: "# Card".to_owned(), ..entry(&format!("body {number}")) };
    let upserts = keys.iter().enumerate().map(|(number, key)| store.upsert(key, with_card(number)));
    let failed = join_all(upserts).await.into_iter().find_map(Result::err);
    assert!(failed.is_none(), "{failed:?}");
    bed.github.clear_requests();
    keys
}

#[tokio::test]
async fn an_index_of_thousands_takes_a_few_requests_and_the_next_one_nothing_of_the_limit() {
    let bed = GithubBed::new().await;
    filled(&bed, 2_500).await;
    let store = bed.store().await;
    assert_eq!(store.index().await.unwrap().len(), 2_500);
    // The repository, the branch, its commit, two directories, the tree, and sixteen parts of the index.
    assert_eq!(bed.github.count(reads), 22);

    let remaining = bed.github.remaining();
    bed.github.clear_requests();
    for _ in 0..10 {
        assert_eq!(store.index().await.unwrap().len(), 2_500);
        store.ping().await.unwrap();
    }
    assert_eq!(bed.github.remaining(), remaining);
    assert_eq!(bed.github.count(|_| true), bed.github.count(asks_where_the_branch_is));
}

#[tokio::test]
async fn a_change_by_others_costs_what_changed() {
    let bed = GithubBed::new().await;
    let keys = filled(&bed, 200).await;
    let (store, other) = (bed.store().await, bed.store().await);
    store.index().await.unwrap();
    other.upsert(&keys[0], entry("changed")).await.unwrap();
    bed.github.clear_requests();
    assert_eq!(store.index().await.unwrap().len(), 200);
    // The branch, its commit, two directories, the tree, and one part of the index.
    assert_eq!(bed.github.count(reads), 6);

    bed.github.person().commit(MAIN, "Elsewhere", &[("notes.md", Some("mine"))]);
    bed.github.clear_requests();
    store.index().await.unwrap();
    assert_eq!(bed.github.count(reads), 4);

    bed.github.person().commit(MAIN, "By hand", &[("catalog/models/m1/1/catalog-info.yaml", Some("by hand"))]);
    bed.github.clear_requests();
    store.index().await.unwrap();
    // Its document and its card, of which nobody has said the digest.
    assert_eq!(bed.github.count(reads), 7);
    store.index().await.unwrap();
    assert_eq!(bed.github.count(reads), 8);
}

#[tokio::test]
async fn what_was_written_here_is_fetched_without_asking_for_content() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    for name in ["a_1", "b_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    bed.github.clear_requests();
    let fetched = store.fetch_many(&[key("a_1"), key("b_1"), key("c_1")]).await.unwrap();
    assert_eq!(fetched, [(key("a_1"), entry("a_1")), (key("b_1"), entry("b_1"))]);
    assert_eq!(bed.github.count(|request| !asks_where_the_branch_is(request)), 0);

    let other = bed.store().await;
    bed.github.clear_requests();
    for _ in 0..2 {
        assert_eq!(other.fetch(&key("a_1")).await.unwrap(), Some(entry("a_1")));
    }
    let contents = bed.github.count(|request| request.path.contains("/git/blobs/"));
    assert_eq!(contents, 3, "two parts of the index, and the document");
}

#[tokio::test]
async fn a_tree_that_github_cuts_short_is_read_in_parts() {
    let bed = GithubBed::new().await;
    filled(&bed, 120).await;
    let whole = bed.store().await.index().await.unwrap();
    bed.github.truncate_trees(100);
    let store = bed.store().await;
    assert_eq!(store.index().await.unwrap(), whole);
    store.upsert(&key("late_1"), entry("late")).await.unwrap();
    assert_eq!(bed.store().await.index().await.unwrap().len(), 121);
}

#[tokio::test]
async fn a_tree_or_content_that_is_no_answer_is_an_error_and_never_an_empty_list() {
    let bed = GithubBed::new().await;
    filled(&bed, 3).await;
    for part in ["/git/ref/", "/git/commits/", "/git/trees/", "/git/blobs/"] {
        let store = bed.store().await;
        for fault in [Fault::Garbage, Fault::Status(404), Fault::Status(500), Fault::Truncated] {
            let broken =
                bed.github.fail_while(move |request| reads(request) && request.path.contains(part), fault.clone());
            let listed = store.index().await;
            drop(broken);
            // Of a branch that is not found the repository is asked, which says that it is there.
            let is_missing = part == "/git/ref/" && fault == Fault::Status(404);
            assert!(listed.is_err() || is_missing, "{part} {fault:?}: {listed:?}");
        }
        assert_eq!(store.index().await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn the_first_fill_is_marked_by_a_file() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    let mark = || bed.github.person().file(MAIN, "catalog/models/.bridge/filling");
    store.set_filling(Filling::UnderWay).await.unwrap();
    assert!(mark().is_some());
    store.set_filling(Filling::UnderWay).await.unwrap();
    store.set_filling(Filling::Over).await.unwrap();
    assert!(mark().is_none());
    let log: Vec<String> = bed.github.person().log(MAIN).into_iter().map(|commit| commit.message).collect();
    assert_eq!(log, ["Note that the model catalog is filled", "Begin to fill the model catalog", "Initial commit"]);
}

#[tokio::test]
async fn a_branch_that_goes_missing_is_no_empty_catalog() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("granite_1"), entry("kept")).await.unwrap();
    let commit = bed.github.person().log(MAIN)[0].sha.clone();

    bed.github.person().delete_branch(MAIN);
    let error = store.index().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("STORAGE_GITHUB_BRANCH"), "{error}");
    assert!(store.upsert(&key("granite_2"), entry("new")).await.is_err());

    bed.github.person().reset(MAIN, &commit);
    assert_eq!(store.index().await.unwrap().len(), 1);
}
