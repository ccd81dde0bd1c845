//! Servers that are not well, and what is made of them.

use std::time::Duration;

use axum::response::Response;
use storage_initializer::environment::Environment;
use storage_initializer::source::http::HttpSource;
use storage_initializer::source::network::Network;
use storage_initializer::source::{Content, Source as _};
use storage_initializer::{Failure, Kind};

use crate::http::{content, network, open};
use crate::server::{Asked, Server, broken, file, reply};
use crate::suite;

fn model(asked: &Asked) -> Response {
    file(asked, &content(), "\"1\"")
}

/// The first read of a file on a server whose first answer, to the probe, is well.
async fn read(source: &HttpSource) -> Result<Content, Failure> {
    let object = suite::objects(source).await?.remove(0);
    source.read(&object, None).await
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again() {
    for (status, headers) in [(503, &[("retry-after", "0")][..]), (429, &[]), (500, &[]), (504, &[])] {
        let server = Server::start(move |asked| match asked.number {
            0 | 1 | 3 => reply(status, headers, "busy"),
            _ => model(asked),
        })
        .await;
        let source = open(&server.at("/iris.bin"));
        let read = read(&source).await.unwrap();
        assert!(suite::bytes(read).await.unwrap() == content(), "{status}");
        assert_eq!(server.asked().len(), 5, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_stays_busy_is_given_up() {
    let server = Server::start(|_| reply(503, &[], "")).await;
    let failure = suite::objects(&open(&server.at("/iris.bin"))).await.unwrap_err();
    assert_eq!((failure.kind, failure.is_transient), (Kind::Unavailable, true), "{failure}");
    assert_eq!(server.asked().len(), network().retries.attempts);
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_for_long_is() {
    let server = Server::start(|_| reply(429, &[("retry-after", "7200")], "")).await;
    let failure = suite::objects(&open(&server.at("/iris.bin"))).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (Kind::Unavailable, Some(Duration::from_hours(2))));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_run_is_said() {
    let url = format!("http://127.0.0.1:{}/iris.bin?sig=planted", testkit::free_port()).parse().unwrap();
    let failure = suite::objects(&open(&url)).await.unwrap_err();
    assert_eq!((failure.kind, failure.is_transient), (Kind::Unavailable, true));
    assert!(failure.what.contains("refused") && !failure.to_string().contains("planted"), "{failure}");
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error_and_not_an_end() {
    let server = Server::start(|asked| match asked.number {
        0 => model(asked),
        _ => broken(200, &[("etag", "\"1\"")], &content()[..1000], content().len()),
    })
    .await;
    let source = open(&server.at("/iris.bin"));
    let failure = suite::bytes(read(&source).await.unwrap()).await.unwrap_err();
    assert_eq!((failure.kind, failure.is_transient), (Kind::Unavailable, true), "{failure}");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let server = Server::start(|asked| match asked.number {
        0 => model(asked),
        _ => {
            use futures::StreamExt as _;
            let first = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"first"))]);
            let body = axum::body::Body::from_stream(first.chain(futures::stream::pending()));
            reply(200, &[("etag", "\"1\""), ("content-length", "100")], body)
        }
    })
    .await;
    let hasty = Network { silence: Duration::from_secs(1), ..network() };
    let source = HttpSource::open(&server.at("/iris.bin"), &Environment::default(), &hasty).unwrap();
    let failure = suite::bytes(read(&source).await.unwrap()).await.unwrap_err();
    assert_eq!((failure.kind, failure.is_transient), (Kind::Unavailable, true), "{failure}");
}

#[tokio::test]
async fn another_range_than_was_asked_for_is_not_taken() {
    let server = Server::start(|asked| match asked.number {
        0 => model(asked),
        _ => reply(206, &[("etag", "\"1\""), ("content-range", "bytes 5-9/200000")], "other"),
    })
    .await;
    let source = open(&server.at("/iris.bin"));
    let object = suite::objects(&source).await.unwrap().remove(0);
    for range in [Some(0..5), None] {
        let failure = source.read(&object, range).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Integrity, "{failure}");
    }
}

#[tokio::test]
async fn a_file_that_got_shorter_has_changed() {
    let server = Server::start(|asked| {
        let content = content();
        let shown = if asked.number == 0 { &content[..] } else { &content[..10] };
        reply_unversioned(asked, shown)
    })
    .await;
    let source = open(&server.at("/iris.bin"));
    let object = suite::objects(&source).await.unwrap().remove(0);
    let failure = source.read(&object, Some(100..200)).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity, "{failure}");
}

fn reply_unversioned(asked: &Asked, content: &[u8]) -> Response {
    let mut response = file(asked, content, "W/\"1\"");
    response.headers_mut().remove("etag");
    response
}

#[tokio::test]
async fn what_is_compressed_on_the_way_is_not_taken() {
    let server = Server::start(|_| reply(200, &[("content-encoding", "gzip")], content())).await;
    let failure = suite::objects(&open(&server.at("/iris.bin"))).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity, "{failure}");
    assert_eq!(suite::paths(&open(&server.at("/iris.tar.gz"))).await, ["iris.tar.gz"]);
}
