use async_trait::async_trait;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use clap::Parser;
use http::header::WWW_AUTHENTICATE;
use secrecy::ExposeSecret;
use tower::ServiceExt;

use super::*;

#[derive(Debug, Parser)]
struct Sample {
    #[command(flatten)]
    access: AccessSettings,
}

fn settings(args: &[&str]) -> AccessSettings {
    let args = std::iter::once("sample").chain(args.iter().copied());
    crate::settings::try_parse_from::<Sample, _, _>(args, |_| None).unwrap().access
}

/// Knows `a.b.c` as an account's token, and is down when it is asked about `down`.
#[derive(Debug)]
struct Cluster;

#[async_trait]
impl TokenReviewer for Cluster {
    async fn review(&self, token: &SecretString, _: Option<&str>) -> Result<Option<User>, ReviewError> {
        let account =
            |name: &str| Some(User { name: format!("system:serviceaccount:bridge:{name}"), ..User::default() });
        match token.expose_secret() {
            "down" => Err(ReviewError("no connection".to_owned())),
            "of-normalizer" => Ok(account("normalizer")),
            "of-other" => Ok(account("other")),
            _ => Ok(None),
        }
    }
}

fn routes(args: &[&str]) -> Router {
    let surroundings =
        Surroundings { pod_ip: "10.1.2.3".parse().ok(), reviewer: Some(Arc::new(Cluster)), listen: None };
    let authorizer = Authorizer::new("storage-rest", &settings(args), surroundings).unwrap();
    let writes = authorizer.guard_writes(Router::new().route("/upsert", post(async || "written")));
    writes.merge(authorizer.guard_reads(Router::new().route("/list", get(async || "read"))))
}

async fn ask(routes: &Router, request: http::request::Builder, peer: &str) -> (u16, String, bool) {
    let peer = SocketAddr::new(peer.parse().unwrap(), 1234);
    let request = request.extension(ConnectInfo(peer)).body(Body::from("{}")).unwrap();
    let answer = routes.clone().oneshot(request).await.unwrap();
    let challenged = answer.headers().get(WWW_AUTHENTICATE).is_some_and(|value| value == "Bearer");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), challenged)
}

async fn write(routes: &Router, token: Option<&str>, peer: &str) -> (u16, String, bool) {
    let mut request = Request::post("/upsert");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    ask(routes, request, peer).await
}

const NEAR: &str = "127.0.0.1";
const FAR: &str = "192.0.2.7";

#[tokio::test]
async fn without_a_token_this_machine_may_write_and_anyone_may_read() {
    let routes = routes(&[]);
    for own in [NEAR, "::1", "10.1.2.3", "::ffff:10.1.2.3"] {
        assert_eq!(write(&routes, None, own).await.0, 200, "{own}");
    }
    let (status, body, challenged) = write(&routes, Some("anything"), FAR).await;
    assert!(status == 401 && challenged && body.contains("BRIDGE_TOKEN"), "{status} {body}");
    assert_eq!(ask(&routes, Request::get("/list"), FAR).await.0, 200);
}

#[tokio::test]
async fn nobody_becomes_this_machine_by_what_he_writes() {
    let routes = routes(&[]);
    let far = Request::post("/upsert").header("x-forwarded-for", NEAR);
    assert_eq!(ask(&routes, far, FAR).await.0, 401);
    let through_a_proxy = Request::post("/upsert").header("x-forwarded-for", FAR);
    assert_eq!(ask(&routes, through_a_proxy, NEAR).await.0, 401);
    let by_a_web_page = Request::post("/upsert").header("origin", "https://example.com");
    assert_eq!(ask(&routes, by_a_web_page, NEAR).await.0, 403);
    let without_peer = Request::post("/upsert").body(Body::empty()).unwrap();
    assert_eq!(routes.oneshot(without_peer).await.unwrap().status(), 401);
}

#[tokio::test]
async fn with_a_token_all_writers_need_it_wherever_they_are() {
    let routes = routes(&["--bridge-token", "right"]);
    assert_eq!(write(&routes, Some("right"), FAR).await.0, 200);
    assert_eq!(ask(&routes, Request::post("/upsert").header(AUTHORIZATION, "bearer right"), FAR).await.0, 200);
    for (token, peer) in [(None, NEAR), (Some("wrong"), NEAR), (Some("righ"), FAR), (Some("of-normalizer"), FAR)] {
        let (status, body, challenged) = write(&routes, token, peer).await;
        assert!(status == 401 && challenged && body.contains("BRIDGE_TOKEN"), "{token:?}: {status} {body}");
        assert!(!body.contains("right"), "{body}");
    }
    let basic = Request::post("/upsert").header(AUTHORIZATION, "Basic right");
    assert_eq!(ask(&routes, basic, FAR).await.0, 401);
    let two = Request::post("/upsert").header(AUTHORIZATION, "Bearer right").header(AUTHORIZATION, "Bearer wrong");
    assert_eq!(ask(&routes, two, FAR).await.0, 401);
    assert_eq!(ask(&routes, Request::get("/list"), FAR).await.0, 200);
}

#[tokio::test]
async fn service_accounts_may_write_if_they_are_listed() {
    let routes = routes(&["--bridge-allowed-service-accounts", "bridge:normalizer"]);
    assert_eq!(write(&routes, Some("of-normalizer"), FAR).await.0, 200);
    let (status, body, _) = write(&routes, Some("of-other"), FAR).await;
    assert!(status == 403 && body.contains("BRIDGE_ALLOWED_SERVICE_ACCOUNTS"), "{status} {body}");
    assert_eq!(write(&routes, Some("made-up"), FAR).await.0, 401);
    assert_eq!(write(&routes, None, NEAR).await.0, 401);
    let (status, body, _) = write(&routes, Some("down"), FAR).await;
    assert!(status == 503 && body.contains("no connection"), "{status} {body}");
}

#[tokio::test]
async fn a_shared_token_and_service_accounts_go_together() {
    let routes =
        routes(&["--bridge-token", "right", "--bridge-allowed-service-accounts", "bridge:normalizer,bridge:storage"]);
    for (token, status) in [("right", 200), ("of-normalizer", 200), ("of-other", 403), ("made-up", 401)] {
        assert_eq!(write(&routes, Some(token), FAR).await.0, status, "{token}");
    }
}

#[tokio::test]
async fn readers_need_a_token_where_that_is_required() {
    let routes = routes(&["--bridge-token", "right", "--require-read-token"]);
    assert_eq!(ask(&routes, Request::get("/list"), NEAR).await.0, 401);
    assert_eq!(ask(&routes, Request::get("/list").header(AUTHORIZATION, "Bearer right"), FAR).await.0, 200);
}

#[test]
fn settings_that_cannot_hold_are_refused() {
    let refused = |args: &[&str]| {
        Authorizer::new("storage-rest", &settings(args), Surroundings::default()).unwrap_err().to_string()
    };
    assert!(refused(&["--require-read-token"]).contains("BRIDGE_TOKEN_FILE"));
    assert!(refused(&["--bridge-allowed-service-accounts", "a:b"]).contains("KUBECONFIG"));
    assert!(refused(&["--bridge-token", "a", "--bridge-token-file", "/b"]).contains("choose one"));
    assert!(refused(&["--bridge-token-file", "/does/not/exist"]).contains("/does/not/exist"));
    for account in ["a", "a:", ":b", "system:serviceaccount:a:b", "A:b", "a:b c"] {
        assert!(account.parse::<ServiceAccount>().is_err(), "{account}");
    }
}
