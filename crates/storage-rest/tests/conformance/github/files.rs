//! What is in the repository, for people and for Backstage, and what happens when people change it.

use storage_rest::store::github::{Author, GithubStore};
use storage_rest::store::{Outcome, Store, StoreError, StoredEntry};
use testkit::github::ScriptedGithub;

use super::MAIN;
use crate::beds::GithubBed;
use crate::suite::{entry, key, location};

const DOCUMENT: &str = "apiVersion: backstage.io/v1alpha1\nkind: Resource\n";

fn with_card(body: &str, card: &str) -> StoredEntry {
    StoredEntry { model_card: card.to_owned(), model_card_key: "card".to_owned(), ..entry(body) }
}

#[tokio::test]
async fn documents_and_cards_are_files_as_they_are() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("granite_v1"), with_card(DOCUMENT, "# Granite\n")).await.unwrap();
    store.upsert(&key("mnist_v1"), entry("{\"models\": []}")).await.unwrap();
    store.upsert(&key(".git_.github"), entry(DOCUMENT)).await.unwrap();
    let person = bed.github.person();
    let file = |path: &str| person.file(MAIN, path);
    assert_eq!(file("catalog/models/granite/v1/catalog-info.yaml").unwrap(), DOCUMENT);
    assert_eq!(file("catalog/models/granite/v1/model-card.md").unwrap(), "# Granite\n");
    assert_eq!(file("catalog/models/mnist/v1/model-catalog.json").unwrap(), "{\"models\": []}");
    assert_eq!(file("catalog/models/=.git/=.github/catalog-info.yaml").unwrap(), DOCUMENT);
    assert_eq!(file("README.md").unwrap(), "# Models\n");
    let found_by_backstage: Vec<String> =
        person.files(MAIN).into_keys().filter(|path| path.ends_with("/catalog-info.yaml")).collect();
    assert_eq!(found_by_backstage.len(), 2);
    assert!(file("catalog/models/.bridge/README.md").is_some());
}

#[tokio::test]
async fn a_document_of_the_other_format_takes_the_place_of_the_first() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("granite_v1"), with_card(DOCUMENT, "# Granite\n")).await.unwrap();
    assert_eq!(store.upsert(&key("granite_v1"), entry("{}")).await.unwrap(), Outcome::Updated);
    let files = bed.github.person().files(MAIN);
    let names: Vec<&str> = files.keys().filter_map(|path| path.strip_prefix("catalog/models/granite/")).collect();
    assert_eq!(names, ["v1/model-catalog.json"]);
    store.remove(&[key("granite_v1")]).await.unwrap();
    let left: Vec<String> = bed.github.person().files(MAIN).into_keys().collect();
    assert_eq!(left, ["README.md", "catalog/models/.bridge/README.md"]);
}

#[tokio::test]
async fn commits_say_what_they_do_and_who_does_it() {
    let bed = GithubBed::new().await;
    let author = Some(Author { name: "Bridge".to_owned(), email: "bridge@users.example".to_owned() });
    let store =
        GithubStore::open(storage_rest::store::github::GithubOptions { author, ..bed.options() }).await.unwrap();
    let (a, b, c) = (key("a_1"), key("b_1"), key("c_1"));
    store.upsert(&a, entry("a")).await.unwrap();
    store.upsert(&a, entry("a again")).await.unwrap();
    store.set_location(&a, Some(location("a"))).await.unwrap();
    store.upsert(&b, entry("b")).await.unwrap();
    let at_once = tokio::join!(
        store.upsert(&a, entry("a once more")),
        store.upsert(&c, entry("c")),
        store.remove(std::slice::from_ref(&b)),
    );
    assert!(at_once.0.is_ok() && at_once.1.is_ok() && at_once.2.is_ok());
    store.remove(&[a, c]).await.unwrap();
    let log = bed.github.person().log(MAIN);
    let subjects: Vec<&str> = log.iter().rev().map(|commit| commit.message.lines().next().unwrap()).collect();
    assert_eq!(
        subjects[..5],
        [
            "Initial commit",
            "Add 1 model: a_1",
            "Update 1 model: a_1",
            "Note where Backstage reads 1 model",
            "Add 1 model: b_1",
        ]
    );
    assert_eq!(*subjects.last().unwrap(), "Remove 2 models: a_1, c_1");
    assert!(log[..log.len() - 1].iter().all(|commit| commit.author == "Bridge <bridge@users.example>"), "{log:?}");
}

#[tokio::test]
async fn a_group_is_one_commit_that_names_all_it_does() {
    let bed = GithubBed::new().await;
    let options = storage_rest::store::github::GithubOptions {
        commit_interval: std::time::Duration::from_millis(200),
        ..bed.options()
    };
    let store = GithubStore::open(options).await.unwrap();
    let (a, b, c) = (key("a_1"), key("b_1"), key("c_1"));
    let created = tokio::join!(store.upsert(&a, entry("a")), store.upsert(&b, entry("b")));
    assert_eq!((created.0.unwrap(), created.1.unwrap()), (Outcome::Created, Outcome::Created));
    let removed = [b];
    let done = tokio::join!(store.upsert(&a, entry("a2")), store.remove(&removed), store.upsert(&c, entry("c")));
    assert_eq!((done.0.unwrap(), done.2.unwrap()), (Outcome::Updated, Outcome::Created));
    done.1.unwrap();
    let log = bed.github.person().log(MAIN);
    assert_eq!(log[0].message, "Update 3 models: a_1, b_1, c_1\n\n1 added: c_1\n1 changed: a_1\n1 removed: b_1");
    assert_eq!(log[1].message, "Add 2 models: a_1, b_1");
    assert_eq!(log.len(), 3);
}

#[tokio::test]
async fn what_a_person_edits_adds_or_deletes_is_what_is_stored() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    for name in ["a_1", "b_1", "c_1"] {
        store.upsert(&key(name), with_card(name, "# Card\n")).await.unwrap();
    }
    store.set_location(&key("a_1"), Some(location("a"))).await.unwrap();
    let before = store.index().await.unwrap();
    bed.github.person().commit(
        MAIN,
        "Edit by hand",
        &[
            ("catalog/models/a/1/catalog-info.yaml", Some("edited")),
            ("catalog/models/b/1/catalog-info.yaml", None),
            ("catalog/models/c/1/model-card.md", None),
            ("catalog/models/d/1/catalog-info.yaml", Some("added")),
            ("catalog/models/d/1/notes.md", Some("mine")),
        ],
    );
    let index = store.index().await.unwrap();
    let keys: Vec<&str> = index.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["a_1", "c_1", "d_1"]);
    assert!(index[0].digest != before[0].digest && index[1].digest != before[2].digest);
    assert_eq!(index[0].location, Some(location("a")));
    for listed in &index {
        let stored = store.fetch(&listed.key).await.unwrap().unwrap();
        assert_eq!(stored.digest(), listed.digest);
    }
    assert_eq!(store.fetch(&key("d_1")).await.unwrap().unwrap().body, b"added");
    assert_eq!(store.fetch(&key("b_1")).await.unwrap(), None);

    // The bridge brings back what its sources say, and leaves alone what is none of its business.
    assert_eq!(store.upsert(&key("a_1"), with_card("a_1", "# Card\n")).await.unwrap(), Outcome::Updated);
    assert_eq!(store.upsert(&key("b_1"), with_card("b_1", "# Card\n")).await.unwrap(), Outcome::Created);
    assert_eq!(store.upsert(&key("d_1"), entry("added")).await.unwrap(), Outcome::Unchanged);
    store.remove(&[key("d_1")]).await.unwrap();
    assert_eq!(bed.github.person().file(MAIN, "catalog/models/d/1/notes.md").unwrap(), "mine");
    let again = store.index().await.unwrap();
    assert_eq!((&again[0], &again[1].digest), (&before[0], &before[1].digest));
}

#[tokio::test]
async fn an_index_that_was_spoilt_costs_what_only_it_knew_and_no_entry() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    let person = bed.github.person();
    let files = person.files(MAIN);
    let shard = files.keys().find(|path| path.contains("/index/")).unwrap();
    person.commit(MAIN, "Spoil it", &[(shard, Some("<<<<<<< HEAD\n"))]);
    for store in [store, bed.store().await] {
        assert_eq!(store.index().await.unwrap()[0].digest, entry("a").digest());
        assert_eq!(store.fetch(&key("a_1")).await.unwrap().unwrap().body, b"a");
        assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Unchanged);
    }
}

#[tokio::test]
async fn what_is_in_the_way_is_named_and_not_written_over() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    bed.github.person().commit(
        MAIN,
        "Notes",
        &[
            ("catalog/models/notes", Some("not a directory")),
            ("catalog/models/granite/v1", Some("neither")),
            ("catalog/models/mnist/v1/catalog-info.yaml/README.md", Some("a directory")),
        ],
    );
    for (name, path) in
        [("notes_v1", "notes"), ("granite_v1", "granite/v1"), ("mnist_v1", "mnist/v1/catalog-info.yaml")]
    {
        let error = store.upsert(&key(name), entry("x")).await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { key: named, .. } if *named == key(name)), "{error}");
        assert!(error.to_string().contains(&format!("`{path}`")), "{error}");
    }
    assert_eq!(store.upsert(&key("granite_v2"), entry("x")).await.unwrap(), Outcome::Created);
    let files = bed.github.person().files(MAIN);
    assert_eq!(files["catalog/models/granite/v1"], b"neither");

    bed.github.person().commit(MAIN, "A file", &[("catalog/models/granite/v2/catalog-info.yaml", None)]);
    let everything: Vec<String> = bed.github.person().files(MAIN).into_keys().collect();
    let mut changes: Vec<(&str, Option<&str>)> = everything.iter().map(|path| (path.as_str(), None)).collect();
    changes.push(("catalog", Some("a file")));
    bed.github.person().commit(MAIN, "A file in place of the whole", &changes);
    assert_eq!(store.index().await.unwrap(), []);
    let error = store.upsert(&key("granite_v2"), entry("x")).await.unwrap_err();
    assert!(error.to_string().contains("STORAGE_GITHUB_PATH"), "{error}");
}

async fn fill(github: &ScriptedGithub, store: &GithubStore, branch: &str) {
    assert_eq!(store.index().await.unwrap(), []);
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
    assert_eq!(store.index().await.unwrap().len(), 1);
    assert_eq!(github.person().file(branch, "catalog/models/a/1/catalog-info.yaml").unwrap(), "a");
}

#[tokio::test]
async fn an_empty_repository_gets_its_first_commit() {
    let bed = GithubBed { github: ScriptedGithub::start_empty().await };
    fill(&bed.github, &bed.store().await, MAIN).await;
    let messages: Vec<String> = bed.github.person().log(MAIN).into_iter().map(|commit| commit.message).collect();
    assert_eq!(messages, ["Add 1 model: a_1", "Begin a model catalog"]);
}

#[tokio::test]
async fn a_missing_branch_is_made_with_nothing_but_entries_on_it() {
    let bed = GithubBed::new().await;
    let options = || {
        let branch = Some("catalog/live".to_owned());
        storage_rest::store::github::GithubOptions { branch, ..bed.options() }
    };
    let store = GithubStore::open(options()).await.unwrap();
    fill(&bed.github, &store, "catalog/live").await;
    assert_eq!(bed.github.person().file("catalog/live", "README.md"), None);
    assert_eq!(bed.github.person().log("catalog/live").len(), 1);
    assert_eq!(bed.github.person().log(MAIN).len(), 1);

    bed.github.person().delete_branch("catalog/live");
    let store = GithubStore::open(options()).await.unwrap();
    fill(&bed.github, &store, "catalog/live").await;
}

#[tokio::test]
async fn the_whole_repository_may_be_the_catalog() {
    let bed = GithubBed::new().await;
    let options = storage_rest::store::github::GithubOptions { prefix: "/".parse().unwrap(), ..bed.options() };
    let store = GithubStore::open(options).await.unwrap();
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    assert_eq!(bed.github.person().file(MAIN, "a/1/catalog-info.yaml").unwrap(), "a");
    let error = store.upsert(&key("README.md_v1"), entry("x")).await.unwrap_err();
    assert!(error.to_string().contains("`README.md`"), "{error}");
    assert_eq!(store.index().await.unwrap().len(), 1);
}
