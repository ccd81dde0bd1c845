//! Whether a storage would take entries is found out without a trace.

use std::fs;

use storage_rest::store::config_map::{CONFIG_MAP_NAME, ConfigMapStore};
use storage_rest::store::github::{GithubStore, Pushing};
use storage_rest::store::sql::rehearsal::{Tables, postgres as rehearse_postgres, sqlite};
use storage_rest::store::{Store as _, StoreError};
use testkit::github::{Permission, TOKEN};
use testkit::kube::Fault;

use crate::beds::{Bed as _, ConfigMapBed, GithubBed, NAMESPACE, PostgresBed, SqliteBed, postgres};
use crate::suite::{entry, key};

#[tokio::test]
async fn an_sqlite_file_is_not_made_and_one_in_use_not_changed() {
    let bed = SqliteBed::new();
    assert_eq!(sqlite(&bed.path()).await.unwrap(), Tables::ToBeMade);
    assert!(!bed.path().exists());
    let store = bed.open().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    let written = bed.writes();
    assert_eq!(sqlite(&bed.path()).await.unwrap(), Tables::Made);
    assert_eq!(bed.writes(), written);
    store.upsert(&key("b_1"), entry("b")).await.unwrap();
    store.close().await;

    fs::write(bed.path(), "no database, but long enough to be taken for the head of one").unwrap();
    assert!(matches!(sqlite(&bed.path()).await, Err(StoreError::Settings { .. })));
}

#[tokio::test]
async fn a_database_is_not_changed_and_a_missing_right_is_named() {
    let Some(bed) = PostgresBed::new() else { return };
    let own = postgres(&bed.database.url());
    assert_eq!(rehearse_postgres(&own).await.unwrap(), Tables::ToBeMade);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(bed.database.sql(tables), "0");
    let guest = format!("{}_guest", bed.database.name());
    bed.database.create_role(&guest);
    bed.database.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let as_guest = postgres(&bed.database.url_of(&guest));
    let error = rehearse_postgres(&as_guest).await.unwrap_err();
    assert!(matches!(error, StoreError::Permission { verb: "CREATE", .. }), "{error}");

    bed.store().await.upsert(&key("a_1"), entry("a")).await.unwrap();
    let written = bed.writes();
    assert_eq!(rehearse_postgres(&own).await.unwrap(), Tables::Made);
    assert_eq!(bed.writes(), written);
    bed.database.sql(&format!("GRANT SELECT, INSERT, UPDATE ON entries TO {guest}"));
    let error = rehearse_postgres(&as_guest).await.unwrap_err();
    assert!(matches!(error, StoreError::Permission { verb: "DELETE", .. }), "{error}");
    let name = bed.database.name();
    bed.database.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let error = rehearse_postgres(&own).await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
}

#[tokio::test]
async fn the_cluster_judges_a_write_that_is_not_done() {
    let bed = ConfigMapBed::new().await;
    let rehearse = async || ConfigMapStore::rehearse(bed.api.client(), NAMESPACE).await;
    rehearse().await.unwrap();
    assert!(bed.api.get_object("ConfigMap", NAMESPACE, CONFIG_MAP_NAME).is_none());
    bed.store().await.upsert(&key("a_1"), entry("a")).await.unwrap();
    let before = bed.api.get_object("ConfigMap", NAMESPACE, CONFIG_MAP_NAME);
    rehearse().await.unwrap();
    assert_eq!(bed.api.get_object("ConfigMap", NAMESPACE, CONFIG_MAP_NAME), before);
    let quota = "configmaps \"x\" is forbidden: exceeded quota: objects, requested: count/configmaps=1";
    let _guard = bed.api.fail_while(testkit::kube::RecordedRequest::is_write, Fault::Refusal(403, quota));
    assert!(matches!(rehearse().await, Err(StoreError::Refused { .. })));
}

#[tokio::test]
async fn github_tells_what_a_token_may_do() {
    let bed = GithubBed::new().await;
    assert_eq!(GithubStore::rehearse(bed.options()).await.unwrap(), Pushing::Allowed);
    bed.github.set_token(TOKEN, Permission::Read);
    assert_eq!(GithubStore::rehearse(bed.options()).await.unwrap(), Pushing::Refused);
    bed.github.archive();
    assert!(matches!(GithubStore::rehearse(bed.options()).await, Err(StoreError::Settings { .. })));
    bed.github.revoke_token(TOKEN);
    assert!(GithubStore::rehearse(bed.options()).await.is_err());
    assert_eq!(bed.github.count(testkit::github::RecordedRequest::is_write), 0);
}
