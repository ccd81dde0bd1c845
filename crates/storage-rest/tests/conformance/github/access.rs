//! Who may do what, and what is said to those who may not.

use std::io::Write as _;
use std::time::Duration;

use service::Secret;
use storage_rest::store::github::{App, Credentials, GithubOptions, GithubStore, Repository};
use storage_rest::store::{Outcome, Store, StoreError};
use testkit::github::{APP_ID, Fault, INSTALLATION_ID, Permission, TOKEN, app_key};

use super::{MAIN, reads};
use crate::beds::GithubBed;
use crate::suite::{entry, key};

fn with_token(bed: &GithubBed, token: &str) -> GithubOptions {
    let credentials = Credentials::Token(Secret::fixed(token.to_owned().into()));
    GithubOptions { credentials, ..bed.options() }
}

fn app(installation: Option<u64>) -> App {
    App { id: APP_ID.to_owned(), installation, key: Secret::fixed(app_key().into()) }
}

fn with_app(bed: &GithubBed, app: App) -> GithubOptions {
    GithubOptions { credentials: Credentials::App(app), ..bed.options() }
}

async fn refused(options: GithubOptions) -> StoreError {
    match GithubStore::open(options).await {
        Ok(_) => panic!("it is open"),
        Err(error) => error,
    }
}

fn assert_permission(error: &StoreError, words: &[&str]) {
    assert!(matches!(error, StoreError::Permission { .. }) && !error.is_retryable(), "{error:?}");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(!text.contains("github_pat") && !text.contains("ghs_"), "{text}");
}

#[tokio::test]
async fn a_wrong_token_a_missing_repository_and_missing_permissions_are_named() {
    let bed = GithubBed::new().await;
    assert_permission(&refused(with_token(&bed, "github_pat_wrong")).await, &["401", "STORAGE_GITHUB_TOKEN"]);
    bed.github.set_token("github_pat_blind", Permission::None);
    let words = ["example/models", "does not exist", "no access", "STORAGE_GITHUB_REPOSITORY"];
    assert_permission(&refused(with_token(&bed, "github_pat_blind")).await, &words);
    let repository = Repository { owner: "example".to_owned(), name: "modles".to_owned() };
    assert_permission(&refused(GithubOptions { repository, ..bed.options() }).await, &["example/modles", "404"]);

    bed.github.set_token("github_pat_reader", Permission::Read);
    let store = GithubStore::open(with_token(&bed, "github_pat_reader")).await.unwrap();
    assert_eq!(store.index().await.unwrap(), []);
    let error = store.upsert(&key("a_1"), entry("a")).await.unwrap_err();
    assert_permission(&error, &["may not write to", "example/models", "contents: write", "not accessible"]);
}

#[tokio::test]
async fn access_that_is_lost_is_an_error_and_never_an_empty_list() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    bed.github.set_token(TOKEN, Permission::None);
    for _ in 0..2 {
        assert_permission(&store.index().await.unwrap_err(), &["no access"]);
        assert_permission(
            &store.fetch(&key("a_1")).await.map(|_| ()).err().unwrap_or(store.index().await.unwrap_err()),
            &["example/models"],
        );
    }
    assert!(store.ping().await.is_err());
    bed.github.revoke_token(TOKEN);
    assert_permission(&store.index().await.unwrap_err(), &["401"]);
    bed.github.set_token(TOKEN, Permission::Write);
    assert_eq!(store.index().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_protected_branch_is_named() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    bed.github.protect(MAIN);
    let error = store.upsert(&key("a_1"), entry("a")).await.unwrap_err();
    assert_permission(&error, &["may not push to", "the branch main", "pull request", "STORAGE_GITHUB_BRANCH"]);
    assert_eq!(store.index().await.unwrap(), []);
}

#[tokio::test]
async fn an_archived_repository_is_named() {
    let bed = GithubBed::new().await;
    let store = bed.store().await;
    bed.github.archive();
    let error = store.upsert(&key("a_1"), entry("a")).await.unwrap_err();
    assert_permission(&error, &["archived"]);
    let error = refused(bed.options()).await;
    assert!(matches!(error, StoreError::Settings { .. }) && error.to_string().contains("archived"), "{error}");
}

#[tokio::test]
async fn a_token_in_a_file_may_rotate() {
    let bed = GithubBed::new().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"github_pat_first\n").unwrap();
    bed.github.set_token("github_pat_first", Permission::Write);
    let setting = service::secret::SecretSetting { value: "", file: "STORAGE_GITHUB_TOKEN_FILE" };
    let secret = Secret::from_settings(None, Some(file.path()), setting).unwrap().unwrap();
    let options = GithubOptions { credentials: Credentials::Token(secret), ..bed.options() };
    let store = GithubStore::open(options).await.unwrap();
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    std::fs::write(file.path(), "github_pat_second").unwrap();
    bed.github.revoke_token("github_pat_first");
    bed.github.set_token("github_pat_second", Permission::Write);
    testkit::eventually(Duration::from_secs(10), "the new token is used", async || store.ping().await).await;
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn an_app_gets_one_token_for_many_requests() {
    for installation in [Some(INSTALLATION_ID), None] {
        let bed = GithubBed::new().await;
        let store = GithubStore::open(with_app(&bed, app(installation))).await.unwrap();
        let upserts = (0..10).map(|number| {
            let store = &store;
            async move { store.upsert(&key(&format!("a_{number}")), entry("a")).await }
        });
        assert!(futures::future::join_all(upserts).await.iter().all(Result::is_ok));
        assert_eq!(store.index().await.unwrap().len(), 10);
        assert_eq!(bed.github.issued_tokens(), 1);
        let asked = bed.github.requests().into_iter().find(|request| request.path.ends_with("/access_tokens")).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        let least = serde_json::json!({ "repositories": ["models"], "permissions": { "contents": "write" } });
        assert_eq!(body, least);
    }
}

#[tokio::test]
async fn an_app_s_token_is_replaced_before_it_ends_and_when_it_was_revoked() {
    let bed = GithubBed::new().await;
    // Less than what is left before a token is replaced.
    bed.github.set_token_life(Duration::from_mins(2));
    let store = GithubStore::open(with_app(&bed, app(None))).await.unwrap();
    store.index().await.unwrap();
    assert!(bed.github.issued_tokens() > 1);

    bed.github.set_token_life(Duration::from_hours(1));
    store.ping().await.unwrap();
    let issued = bed.github.issued_tokens();
    bed.github.revoke_installation_tokens();
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
    assert_eq!(bed.github.issued_tokens(), issued + 1);
}

#[tokio::test]
async fn what_is_wrong_with_an_app_is_named() {
    let bed = GithubBed::new().await;
    let error = refused(with_app(&bed, App { id: "1".to_owned(), ..app(None) })).await;
    assert_permission(&error, &["STORAGE_GITHUB_APP_ID", "Integration not found"]);
    let error = refused(with_app(&bed, app(Some(1)))).await;
    assert_permission(&error, &["STORAGE_GITHUB_APP_INSTALLATION_ID"]);
    let no_key = App { key: Secret::fixed("planted".to_owned().into()), ..app(None) };
    let error = refused(with_app(&bed, no_key)).await;
    assert_permission(&error, &["STORAGE_GITHUB_APP_KEY_FILE", "PEM"]);
    assert!(!error.to_string().contains("planted"), "{error}");
    bed.github.set_app_permission(Permission::Read);
    assert_permission(&refused(with_app(&bed, app(None))).await, &["contents: write", "not granted"]);
    bed.github.uninstall_app();
    assert_permission(&refused(with_app(&bed, app(None))).await, &["not installed"]);
}

#[tokio::test]
async fn a_github_that_is_away_is_an_error_that_may_pass() {
    let bed = GithubBed::new().await;
    let away = bed.github.fail_while(reads, Fault::Reset);
    let error = refused(bed.options()).await;
    assert!(error.is_retryable(), "{error}");
    drop(away);
    let store = bed.store().await;
    let away = bed.github.fail_while(|_| true, Fault::Reset);
    assert!(store.upsert(&key("a_1"), entry("a")).await.unwrap_err().is_retryable());
    assert!(store.index().await.unwrap_err().is_retryable() && store.ping().await.is_err());
    drop(away);
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn an_enterprise_server_has_its_api_below_a_path() {
    let bed = GithubBed::new().await;
    for path in ["api/v3", "api/v3/"] {
        let options = GithubOptions { api: bed.github.url().join(path).unwrap(), ..bed.options() };
        let store = GithubStore::open(options).await.unwrap();
        store.upsert(&key("a_1"), entry("a")).await.unwrap();
        assert_eq!(store.index().await.unwrap().len(), 1);
    }
}
