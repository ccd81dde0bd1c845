//! Who we are to S3, where it is not in the environment itself.

use std::fs;

use axum::response::Response;
use storage_initializer::environment::Environment;
use storage_initializer::source::Source as _;
use storage_initializer::source::credentials::storage_spec;
use storage_initializer::source::object::open;
use storage_initializer::{Failure, Kind};
use tempfile::NamedTempFile;
use testkit::s3::S3Server;

use crate::http::network;
use crate::s3::uri;
use crate::server::{Asked, Server, reply};
use crate::suite;

const TOKEN: &str = "planted-token-of-the-pod";

fn sts(asked: &Asked) -> Response {
    assert!(asked.query.contains("RoleArn=arn") && asked.query.contains(TOKEN), "{asked:?}");
    let credentials = "<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>planted</SecretAccessKey>\
        <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>";
    let result = format!("<AssumeRoleWithWebIdentityResult>{credentials}</AssumeRoleWithWebIdentityResult>");
    reply(200, &[], format!("<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>"))
}

fn token() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), TOKEN).unwrap();
    file
}

async fn storage() -> S3Server {
    let server = S3Server::start().await;
    server.put("models", "iris/model", "a model");
    server
}

/// Lists and reads; returns who signed.
async fn used(storage: &S3Server, more: &[(&str, &str)]) -> Result<Vec<Option<String>>, Failure> {
    let url = storage.url();
    let environment: Environment =
        [("AWS_ENDPOINT_URL", url.as_str())].into_iter().chain(more.iter().copied()).collect();
    let source = open(&uri("models", "iris"), &storage_spec::apply(&environment)?, &network()).await?;
    let object = suite::objects(&source).await?.remove(0);
    suite::bytes(source.read(&object, None).await?).await?;
    Ok(storage.requests().into_iter().map(|request| request.signed_by).collect())
}

#[tokio::test]
async fn a_role_is_taken_with_the_token_of_the_pod() {
    let (storage, sts, token) = (storage().await, Server::start(sts).await, token());
    let role = [
        ("AWS_ROLE_ARN", "arn"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", sts.url.as_str()),
    ];
    let signed_by = used(&storage, &role).await.unwrap();
    assert!(!signed_by.is_empty() && signed_by.iter().all(|key| key.as_deref() == Some("ASIA")), "{signed_by:?}");
    assert_eq!(sts.asked().len(), 1, "credentials are kept while they last");
}

#[tokio::test]
async fn a_role_that_does_not_trust_us_is_told() {
    let storage = storage().await;
    let sts = Server::start(|_| {
        reply(
            403,
            &[],
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not you.</Message></Error></ErrorResponse>",
        )
    })
    .await;
    let token = token();
    let role = [
        ("AWS_ROLE_ARN", "arn"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", sts.url.as_str()),
    ];
    let denied = used(&storage, &role).await.unwrap_err();
    assert_eq!(denied.kind, Kind::Permission, "{denied}");
    assert!(denied.what.contains("Not you.") && !denied.to_string().contains(TOKEN), "{denied}");
    assert!(storage.requests().is_empty());
}

#[tokio::test]
async fn the_platform_may_hand_out_keys() {
    let storage = storage().await;
    let agent = Server::start(|asked| match asked.header("authorization") {
        Some(TOKEN) => reply(
            200,
            &[],
            r#"{"AccessKeyId": "POD", "SecretAccessKey": "planted", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}"#,
        ),
        _ => reply(401, &[], ""),
    })
    .await;
    let token = token();
    let identity = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path().to_str().unwrap()),
    ];
    let signed_by = used(&storage, &identity).await.unwrap();
    assert!(!signed_by.is_empty() && signed_by.iter().all(|key| key.as_deref() == Some("POD")), "{signed_by:?}");
}

#[tokio::test]
async fn the_storage_spec_says_who_we_are() {
    let storage = storage().await;
    let spec = r#"{"type": "s3", "access_key_id": "SPEC", "secret_access_key": "planted", "bucket": "models"}"#;
    let before = [("STORAGE_CONFIG", spec), ("AWS_ACCESS_KEY_ID", "OTHER"), ("AWS_SECRET_ACCESS_KEY", "other")];
    let signed_by = used(&storage, &before).await.unwrap();
    assert!(!signed_by.is_empty() && signed_by.iter().all(|key| key.as_deref() == Some("SPEC")), "{signed_by:?}");
}
