//! One file over HTTP.

use std::time::Duration;

use axum::response::Response;
use storage_initializer::environment::Environment;
use storage_initializer::source::Source as _;
use storage_initializer::source::http::HttpSource;
use storage_initializer::source::network::Network;
use storage_initializer::source::retry::Retries;
use storage_initializer::{Failure, Kind};
use url::Url;

use crate::server::{Asked, Server, file, reply};
use crate::suite::{self, Files};

/// Patient, but in no hurry to wait.
pub(crate) fn network() -> Network {
    let retries =
        Retries { first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(5), ..Retries::default() };
    Network { retries, ..Network::default() }
}

pub(crate) fn open(url: &Url) -> HttpSource {
    HttpSource::open(url, &Environment::default(), &network()).unwrap()
}

pub(crate) fn content() -> Vec<u8> {
    testkit::noise(200_000)
}

fn model(asked: &Asked) -> Response {
    file(asked, &content(), "\"1\"")
}

fn files(name: &str) -> Files {
    [(name.to_owned(), content())].into()
}

#[tokio::test]
async fn it_is_a_source() {
    let server = Server::start(model).await;
    suite::holds(&open(&server.at("/models/iris.bin")), &files("iris.bin")).await;
    assert!(server.asked().iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
    assert!(server.asked().iter().any(|asked| asked.header("if-range") == Some("\"1\"")));
}

#[tokio::test]
async fn a_server_without_ranges_is_a_source() {
    let server = Server::start(|_| reply(200, &[], content())).await;
    let source = open(&server.at("/iris.bin"));
    suite::holds(&source, &files("iris.bin")).await;
    assert!(!source.has_ranges());
}

#[tokio::test]
async fn an_empty_file_is_a_source() {
    let server = Server::start(|asked| file(asked, b"", "\"1\"")).await;
    suite::holds(&open(&server.at("/empty")), &[("empty".to_owned(), Vec::new())].into()).await;
}

#[tokio::test]
async fn a_change_is_noticed() {
    for heeds_conditions in [true, false] {
        let server = Server::start(move |asked| {
            let mut asked = asked.clone();
            if !heeds_conditions {
                asked.headers.remove("if-match");
                asked.headers.remove("if-range");
            }
            let etag = if asked.number == 0 { "\"1\"" } else { "\"2\"" };
            file(&asked, &content(), etag)
        })
        .await;
        suite::notices_a_change(&open(&server.at("/iris.bin")), async || {}).await;
    }
}

#[tokio::test]
async fn a_file_without_an_etag_has_the_date_of_its_change_as_version() {
    let server = Server::start(|asked| {
        let modified =
            if asked.number == 0 { "Sat, 21 Nov 2015 12:00:00 GMT" } else { "Sat, 21 Nov 2015 13:00:00 GMT" };
        reply(200, &[("last-modified", modified)], content())
    })
    .await;
    suite::notices_a_change(&open(&server.at("/iris.bin")), async || {}).await;
    assert_eq!(server.asked()[1].header("if-unmodified-since"), Some("Sat, 21 Nov 2015 12:00:00 GMT"));
}

#[tokio::test]
async fn the_query_is_asked_for_and_never_shown() {
    let server =
        Server::start(|asked| if asked.query == "sig=planted" { model(asked) } else { reply(404, &[], "") }).await;
    let source = open(&server.at("/models/iris.bin?sig=planted"));
    suite::holds(&source, &files("iris.bin")).await;
    let object = suite::objects(&source).await.unwrap().remove(0);
    assert!(!format!("{object:?}{source:?}{}", source.name()).contains("planted"), "{object:?}");
    let missing = suite::is_missing(&open(&server.at("/iris.bin?sig=other"))).await;
    assert!(!missing.to_string().contains("other"), "{missing}");
}

#[tokio::test]
async fn the_last_segment_names_the_file() {
    let server = Server::start(model).await;
    for (path, name) in [("/a%20b.bin", "a b.bin"), ("/a/b%2Fc", "b%2Fc"), ("/a;b=1", "a;b=1")] {
        assert_eq!(suite::paths(&open(&server.at(path))).await, [name]);
    }
    for path in ["/models/", "/"] {
        let failure = HttpSource::open(&server.at(path), &Environment::default(), &network()).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
    }
}

#[tokio::test]
async fn the_declared_type_and_checksums_are_handed_on() {
    let server = Server::start(|_| {
        let headers = [("content-type", "application/zip"), ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
        reply(200, &headers, "")
    })
    .await;
    let source = open(&server.at("/iris.zip"));
    let object = suite::objects(&source).await.unwrap().remove(0);
    let read = source.read(&object, None).await.unwrap();
    assert_eq!(read.content_type.as_deref(), Some("application/zip"));
    assert_eq!(read.checksum.unwrap().to_string(), "MD5 d41d8cd98f00b204e9800998ecf8427e");
}

const HEADERS: &str = r#"{"Authorization": "Bearer planted", "X-Token": "planted"}"#;

fn with_headers(url: &Url) -> HttpSource {
    let environment = [("127.0.0.1-headers", HEADERS)].into_iter().collect();
    HttpSource::open(url, &environment, &network()).unwrap()
}

#[tokio::test]
async fn headers_of_the_environment_are_sent() {
    let server = Server::start(|asked| match asked.header("x-token") {
        Some("planted") if asked.header("authorization") == Some("Bearer planted") => model(asked),
        _ => reply(401, &[], "planted"),
    })
    .await;
    suite::holds(&with_headers(&server.at("/iris.bin")), &files("iris.bin")).await;
    let denied = suite::is_denied(&open(&server.at("/iris.bin"))).await;
    assert!(denied.advice.contains("127.0.0.1-headers") && !denied.to_string().contains("planted"), "{denied}");
}

#[tokio::test]
async fn headers_are_not_carried_to_another_host() {
    let other = Server::start(model).await;
    let to = other.at("/elsewhere/iris.bin?sig=1").to_string();
    let server = Server::start(move |_| reply(302, &[("location", &to)], "")).await;
    suite::holds(&with_headers(&server.at("/a/iris.bin")), &files("iris.bin")).await;
    assert!(server.asked().iter().all(|asked| asked.header("x-token").is_some()));
    let leaked = |asked: &Asked| asked.header("x-token").is_some() || asked.header("authorization").is_some();
    assert!(!other.asked().is_empty() && !other.asked().iter().any(leaked), "{:?}", other.asked());
}

#[tokio::test]
async fn redirects_within_the_server_are_followed_with_headers() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/iris.bin" => reply(307, &[("location", "/v2/latest")], ""),
        _ if asked.header("x-token").is_some() => model(asked),
        _ => reply(403, &[], ""),
    })
    .await;
    suite::holds(&with_headers(&server.at("/iris.bin")), &files("iris.bin")).await;
}

async fn redirected(to: &'static str) -> Failure {
    let server = Server::start(move |_| reply(302, &[("location", to)], "")).await;
    suite::objects(&open(&server.at("/iris.bin"))).await.unwrap_err()
}

#[tokio::test]
async fn redirects_to_where_nobody_is_asked_are_refused() {
    for to in ["http://169.254.169.254/latest/meta-data/", "http://metadata.google.internal/x", "file:///etc/passwd"] {
        let failure = redirected(to).await;
        assert_eq!((failure.kind, failure.is_transient), (Kind::Permission, false), "{failure}");
    }
    assert!(redirected("/iris.bin").await.what.contains("more than 3 times"));
    assert!(redirected("http://").await.what.contains("no URL"));
}

#[tokio::test]
async fn addresses_where_nobody_is_asked_are_refused() {
    for url in ["http://169.254.169.254/latest", "http://[fe80::1]/x", "http://0.0.0.0/x"] {
        let failure = HttpSource::open(&url.parse().unwrap(), &Environment::default(), &network()).unwrap_err();
        assert_eq!(failure.kind, Kind::Permission, "{failure}");
    }
    let strict = Network { loopback: service::guard::Loopback::Refused, ..network() };
    let server = Server::start(model).await;
    assert!(HttpSource::open(&server.at("/x"), &Environment::default(), &strict).is_err());
}
