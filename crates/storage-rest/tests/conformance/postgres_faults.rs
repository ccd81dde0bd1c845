//! What PostgreSQL has to stand: a server that stops, connections that break, rights that are missing, others at work.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use storage_rest::store::sql::SqlStore;
use storage_rest::store::{Outcome, Store, StoreError};
use testkit::eventually;
use testkit::postgres::{PASSWORD, PostgresServer};

use crate::beds::{PostgresBed, postgres};
use crate::suite::{entry, key, location};

const SOON: Duration = Duration::from_secs(30);

async fn refused(url: &str) -> StoreError {
    match SqlStore::postgres(&postgres(url)).await {
        Ok(store) => panic!("{} was opened", store.describe()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_server_that_stops_is_an_error_that_passes_and_nothing_is_lost() {
    let Some(server) = PostgresServer::start() else { return };
    let database = server.database();
    let store = SqlStore::postgres(&postgres(&database.url())).await.unwrap();
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    server.stop();
    let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_retryable(), "{error}");
    assert!(store.ping().await.is_err());
    // One that is started meanwhile has nothing to connect to.
    assert!(matches!(refused(&database.url()).await, StoreError::Unavailable { .. }));
    server.restart();
    store.ping().await.unwrap();
    assert_eq!(store.fetch(&key("a_1")).await.unwrap(), Some(entry("a")));
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
    assert_eq!(store.index().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_during_writes_are_made_again() {
    const COUNT: usize = 60;
    let Some(bed) = PostgresBed::new() else { return };
    let store = Arc::new(bed.store().await);
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for number in 0..COUNT {
                let names: Vec<_> = (0..5).map(|part| key(&format!("m{number}_{part}"))).collect();
                for written in join_all(names.iter().map(|name| store.upsert(name, entry("x")))).await {
                    // An answer that was lost does not make it an entry that was there already.
                    assert_eq!(written.unwrap(), Outcome::Created);
                }
            }
        }
    });
    let mut broken = 0;
    while !writer.is_finished() {
        broken += tokio::task::block_in_place(|| bed.database.sever());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    writer.await.unwrap();
    assert!(broken > 0);
    assert_eq!(store.index().await.unwrap().len(), COUNT * 5);
}

#[tokio::test]
async fn a_database_that_is_read_only_can_be_read_and_says_why_it_is_not_written() {
    let Some(bed) = PostgresBed::new() else { return };
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    let name = bed.database.name();
    bed.database.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    bed.database.sever();
    let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("read-only"), "{error}");
    assert_eq!(store.index().await.unwrap().len(), 1);
    // A process that begins at such a time finds its tables.
    assert_eq!(bed.store().await.fetch(&key("a_1")).await.unwrap(), Some(entry("a")));
    bed.database.sql(&format!("BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT"));
    bed.database.sever();
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn a_missing_right_is_named_with_its_table_and_one_who_may_not_make_tables_uses_those_that_are_there() {
    let Some(bed) = PostgresBed::new() else { return };
    let guest = format!("{}_guest", bed.database.name());
    bed.database.create_role(&guest);
    bed.database.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let error = refused(&bed.database.url_of(&guest)).await;
    assert!(matches!(error, StoreError::Permission { verb: "CREATE", .. }), "{error}");

    bed.store().await.upsert(&key("a_1"), entry("a")).await.unwrap();
    bed.database.sql(&format!("GRANT SELECT ON entries, filling, _sqlx_migrations TO {guest}"));
    let store = SqlStore::postgres(&postgres(&bed.database.url_of(&guest))).await.unwrap();
    assert_eq!(store.fetch(&key("a_1")).await.unwrap(), Some(entry("a")));
    let error = store.upsert(&key("a_1"), entry("b")).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("INSERT on table entries"), "{error}");
    bed.database.sql(&format!("GRANT INSERT ON entries TO {guest}"));
    let error = store.upsert(&key("a_1"), entry("b")).await.unwrap_err();
    assert!(error.to_string().contains("UPDATE on table entries"), "{error}");
    bed.database.sql(&format!("GRANT UPDATE ON entries TO {guest}"));
    assert_eq!(store.upsert(&key("a_1"), entry("b")).await.unwrap(), Outcome::Updated);
    let error = store.remove(&[key("a_1")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Permission { verb: "DELETE", .. }), "{error}");
    let error = store.set_filling(storage_rest::store::Filling::UnderWay).await.unwrap_err();
    assert!(error.to_string().contains("INSERT on table filling"), "{error}");
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_is_an_error_that_names_the_setting_and_never_the_password() {
    let Some(bed) = PostgresBed::new() else { return };
    let url = bed.database.url();
    let other_database = url.replace(&format!("/{}", bed.database.name()), "/elsewhere");
    for url in [url.replace(PASSWORD, "planted-wrong"), other_database] {
        let error = refused(&url).await.to_string();
        assert!(error.contains("DATABASE_URL") && error.contains("127.0.0.1"), "{error}");
        assert!(!error.contains("planted"), "{error}");
    }
    let unsafe_only = format!("{url}?sslmode=require");
    let error = refused(&unsafe_only).await.to_string();
    assert!(error.contains("TLS") && !error.contains("planted"), "{error}");
}

#[tokio::test]
async fn processes_that_begin_at_once_make_the_tables_once() {
    let Some(bed) = PostgresBed::new() else { return };
    let database = postgres(&bed.database.url());
    for opened in join_all((0..6).map(|_| SqlStore::postgres(&database))).await {
        opened.unwrap().upsert(&key("a_1"), entry("a")).await.unwrap();
    }
    assert_eq!(bed.database.sql("SELECT count(*) FROM entries"), "1");
}

/// Each of two wants what the other holds: the server ends one of them, which must be the bridge here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again() {
    let Some(bed) = PostgresBed::new() else { return };
    let store = bed.store().await;
    let keys = ["a_1", "b_1", "x_1"].map(key);
    join_all(keys.iter().map(|key| store.upsert(key, entry("old")))).await;
    let bed = Arc::new(bed);
    let other = tokio::task::spawn_blocking({
        let bed = Arc::clone(&bed);
        move || {
            bed.database.sql(
                "BEGIN; SET LOCAL deadlock_timeout = '1min'; \
                 UPDATE entries SET location_id = 'i', location_target = 't' WHERE entry_key = 'b_1'; \
                 SELECT pg_sleep(0.5); \
                 UPDATE entries SET location_id = 'i', location_target = 't' WHERE entry_key = 'a_1'; COMMIT",
            )
        }
    });
    eventually(SOON, "the other holds its row", async || {
        let held =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        tokio::task::block_in_place(|| bed.database.sql(held)) == "1"
    })
    .await;
    let [a, b, x] = &keys;
    // The first is written alone, and the two that come meanwhile together.
    let written =
        tokio::join!(store.upsert(x, entry("new")), store.upsert(a, entry("new")), store.upsert(b, entry("new")));
    for outcome in [written.0, written.1, written.2] {
        assert_eq!(outcome.unwrap(), Outcome::Updated);
    }
    other.await.unwrap();
    let stored = store.fetch(a).await.unwrap().unwrap();
    assert_eq!((stored.body.as_slice(), stored.location.is_some()), (b"new".as_slice(), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_write_and_remove_the_same_entries_are_not_in_each_other_s_way() {
    let Some(bed) = PostgresBed::new() else { return };
    let names: Vec<_> = (0..50).map(|number| key(&format!("m{number}_1"))).collect();
    let mut tasks = Vec::new();
    for process in 0..3 {
        let (store, mut names) = (bed.store().await, names.clone());
        names.rotate_left(process * 17);
        tasks.push(tokio::spawn(async move {
            for round in 0..10 {
                let body = format!("{process} {round}");
                for written in join_all(names.iter().map(|name| store.upsert(name, entry(&body)))).await {
                    written.unwrap();
                }
                store.set_location(&names[round], Some(location("a"))).await.unwrap();
                store.remove(&names[..25]).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let store = bed.store().await;
    for listed in store.index().await.unwrap() {
        assert_eq!(store.fetch(&listed.key).await.unwrap().unwrap().digest(), listed.digest);
    }
}
