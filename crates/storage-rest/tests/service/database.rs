//! The service on a database: which settings it takes, how it waits for a server, what it follows when a password is
//! replaced.

use http::StatusCode;
use testkit::eventually;
use testkit::postgres::{PASSWORD, PostgresServer};

use crate::support::{DEADLINE, ScriptedLocation, Storage};

async fn becomes_ready(storage: &Storage) {
    eventually(DEADLINE, "storage is ready", async || storage.ready().await == StatusCode::OK).await;
}

#[tokio::test]
async fn a_url_that_can_t_work_is_an_error_that_names_the_setting_and_shows_no_password() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let in_file = file.path().to_str().unwrap();
    for args in [
        &["--storage-type=Sql"][..],
        &["--storage-type=Sql", "--database-url=planted"],
        &["--storage-type=Sql", "--database-url=postgres://u:planted@host"],
        &["--storage-type=Sql", "--database-url=sqlite:/does/not/exist/a.sqlite"],
        &["--storage-type=Sql", "--database-url=sqlite:a.sqlite", "--database-url-file", in_file],
    ] {
        let settings = crate::support::settings(args);
        let error = storage_rest::start(settings, service::Shutdown::new()).await.unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains("DATABASE_URL"), "{args:?}: {said}");
        assert!(!said.contains("planted"), "{said}");
    }
}

#[tokio::test]
async fn an_sqlite_file_may_be_named_by_a_url() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    let file = directory.path().join("named.sqlite");
    let url = format!("--database-url=sqlite:{}", file.display());
    let storage = Storage::start_with(&["--storage-type=Sql", &url, "--location-url", location.url.as_str()]).await;
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    storage.stop().await;
    assert!(file.is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_waited_for_at_the_start_and_later() {
    let Some(server) = PostgresServer::start() else { return };
    let url = server.database().url();
    server.stop();
    let location = ScriptedLocation::start().await;
    let url = format!("--database-url={url}");
    let storage = Storage::start_with(&["--storage-type=sql", &url, "--location-url", location.url.as_str()]).await;
    assert_eq!(storage.ready().await, StatusCode::SERVICE_UNAVAILABLE);
    server.restart();
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    location.holds(&[("a_1", "one")]).await;
    server.stop();
    let error = storage.client.list().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(!error.to_string().contains("planted"), "{error}");
    server.restart();
    assert_eq!(storage.client.list().await.unwrap().keys, ["a_1"]);
    storage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_replaced_is_taken_from_its_file() {
    let Some(server) = PostgresServer::shared() else { return };
    let database = server.database();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), database.url()).unwrap();
    database.sql(&format!("ALTER ROLE {} PASSWORD 'planted-anew'", database.name()));
    let location = ScriptedLocation::start().await;
    let in_file = ["--storage-type=Sql", "--database-url-file", file.path().to_str().unwrap()];
    let storage = Storage::start_with(&[&in_file[..], &["--location-url", location.url.as_str()]].concat()).await;
    assert_eq!(storage.ready().await, StatusCode::SERVICE_UNAVAILABLE);
    std::fs::write(file.path(), database.url().replace(PASSWORD, "planted-anew")).unwrap();
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    storage.stop().await;
}
