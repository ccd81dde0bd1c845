//! What databases have to stand: rows that others made, many entries, and what is special to SQLite files. What only
//! PostgreSQL has to stand is in [`crate::postgres_faults`].

use bridge_api::EntryKey;
use futures::future::join_all;
use sqlx::{Connection as _, SqliteConnection};
use storage_rest::store::sql::SqlStore;
use storage_rest::store::{Outcome, Store, StoreError, StoredEntry};

use crate::beds::{Bed, PostgresBed, SqliteBed};
use crate::suite::{entry, key};

const MANY: usize = 100_000;

async fn on_file(bed: &SqliteBed, statement: &'static str) -> SqliteConnection {
    let url = format!("sqlite:{}", bed.path().display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection
}

async fn a_row_that_is_no_entry_is_left_out_and_mended(store: &SqlStore, spoil: impl AsyncFnOnce(&str)) {
    for name in ["a_1", "b_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    spoil("UPDATE entries SET reconciler_type = 'nonsense' WHERE entry_key = 'a_1'").await;
    assert_eq!(store.index().await.unwrap().len(), 1);
    for error in [store.fetch(&key("a_1")).await.unwrap_err(), store.fetch_many(&[key("a_1")]).await.unwrap_err()] {
        assert!(matches!(&error, StoreError::Corrupt { key: named, .. } if *named == key("a_1")), "{error}");
    }
    assert_eq!(store.upsert(&key("a_1"), entry("a_1")).await.unwrap(), Outcome::Updated);
    assert_eq!(store.fetch(&key("a_1")).await.unwrap(), Some(entry("a_1")));
}

#[tokio::test]
async fn a_row_of_sqlite_that_is_no_entry_is_left_out_and_mended() {
    let bed = SqliteBed::new();
    let store = SqlStore::sqlite(&bed.path()).await.unwrap();
    a_row_that_is_no_entry_is_left_out_and_mended(&store, async |_| {
        on_file(&bed, "UPDATE entries SET reconciler_type = 'nonsense' WHERE entry_key = 'a_1'").await;
    })
    .await;
}

#[tokio::test]
async fn a_row_of_postgresql_that_is_no_entry_is_left_out_and_mended() {
    let Some(bed) = PostgresBed::new() else { return };
    let store = bed.store().await;
    a_row_that_is_no_entry_is_left_out_and_mended(&store, async |statement| {
        bed.database.sql(statement);
    })
    .await;
}

/// Written by the store's own API, listed, read and removed.
async fn many_entries_are_held(store: &dyn Store) {
    let keys: Vec<EntryKey> = (0..MANY).map(|number| key(&format!("model-{number:06}_v1"))).collect();
    for some in keys.chunks(2_000) {
        let written = join_all(some.iter().map(|key| store.upsert(key, entry(key.as_str())))).await;
        assert!(written.iter().all(|outcome| matches!(outcome, Ok(Outcome::Created))));
    }
    let index = store.index().await.unwrap();
    assert!(index.iter().map(|entry| &entry.key).eq(&keys));
    for some in keys.chunks(10_000) {
        let mut found = store.fetch_many(some).await.unwrap();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let expected = some.iter().map(|key| (key.clone(), entry(key.as_str())));
        assert!(found.into_iter().eq(expected));
    }
    let (gone, kept) = keys.split_at(MANY - 1);
    store.remove(gone).await.unwrap();
    let left: Vec<EntryKey> = store.index().await.unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(left, kept);
}

#[tokio::test]
async fn a_hundred_thousand_entries_are_held_in_sqlite() {
    many_entries_are_held(&*SqliteBed::new().open().await).await;
}

#[tokio::test]
async fn a_hundred_thousand_entries_are_held_in_postgresql() {
    if let Some(bed) = PostgresBed::new() {
        many_entries_are_held(&*bed.open().await).await;
    }
}

#[tokio::test]
async fn a_file_that_another_process_locks_for_a_while_is_waited_for() {
    let bed = SqliteBed::new();
    let store = bed.open().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    let mut other = on_file(&bed, "BEGIN IMMEDIATE").await;
    let (b_1, release) = (key("b_1"), async {
        // Who reads waits for nobody.
        assert_eq!(store.fetch(&key("a_1")).await.unwrap(), Some(entry("a")));
        sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    });
    let (written, ()) = tokio::join!(store.upsert(&b_1, entry("b")), release);
    assert_eq!(written.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn a_file_without_room_refuses_what_does_not_fit_and_keeps_the_rest() {
    let bed = SqliteBed::new();
    let store = bed.open().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    // What SQLite does when a disk is full, in small; a trigger, as the limit itself counts for one connection only.
    let full = on_file(
        &bed,
        "CREATE TRIGGER full BEFORE INSERT ON entries WHEN length(new.body) > 100000 \
         BEGIN SELECT RAISE(FAIL, 'no room'); END",
    );
    full.await.close().await.unwrap();
    let big = StoredEntry { body: vec![b'x'; 200_000], ..entry("") };
    let (b_1, c_1, d_1) = (key("b_1"), key("c_1"), key("d_1"));
    let (first, refused, second) =
        tokio::join!(store.upsert(&b_1, entry("b")), store.upsert(&c_1, big), store.upsert(&d_1, entry("d")));
    assert_eq!((first.unwrap(), second.unwrap()), (Outcome::Created, Outcome::Created));
    assert!(refused.unwrap_err().to_string().contains("no room"));
    assert_eq!(store.index().await.unwrap().len(), 3);
}

/// SQLite may also end the transaction by itself then, and a driver that does not know begins no other.
#[tokio::test]
async fn a_file_that_was_without_room_is_written_to_again() {
    let bed = SqliteBed::new();
    let store = bed.open().await;
    let full = on_file(
        &bed,
        "CREATE TRIGGER full BEFORE INSERT ON entries WHEN new.entry_key = 'b_1' \
         BEGIN SELECT RAISE(ROLLBACK, 'no room'); END",
    );
    full.await.close().await.unwrap();
    for _ in 0..2 {
        let refused = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
        assert!(refused.to_string().contains("no room"), "{refused}");
    }
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn a_file_that_is_no_database_or_of_a_newer_bridge_is_left_alone() {
    let bed = SqliteBed::new();
    std::fs::write(bed.path(), "notes of somebody else, long enough that they could be a database").unwrap();
    let Err(error) = SqlStore::sqlite(&bed.path()).await else { panic!("that is no database") };
    assert!(matches!(error, StoreError::Settings { .. }) && error.to_string().contains("SQLITE_PATH"), "{error}");
    assert!(std::fs::read_to_string(bed.path()).unwrap().starts_with("notes"));

    let bed = SqliteBed::new();
    bed.open().await.close().await;
    on_file(&bed, "INSERT INTO _sqlx_migrations VALUES (9999, 'later', '2030-01-01', 1, x'00', 1)").await;
    let Err(error) = SqlStore::sqlite(&bed.path()).await else { panic!("it may hold what this one can't read") };
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_file_at_once() {
    for _ in 0..10 {
        let bed = SqliteBed::new();
        let opened = (0..8).map(|_| {
            tokio::spawn({
                let path = bed.path();
                async move { SqlStore::sqlite(&path).await.map(drop) }
            })
        });
        for opened in join_all(opened).await {
            opened.unwrap().unwrap();
        }
    }
}
