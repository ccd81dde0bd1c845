//! S3 servers that are not well, and what is made of them.

use axum::response::Response;
use storage_initializer::source::Source as _;
use storage_initializer::source::object::{ObjectSource, open};
use storage_initializer::{Failure, Kind};

use crate::http::network;
use crate::s3::{keys, uri};
use crate::server::{Asked, Server, broken, file, reply};
use crate::suite;

const LIST: &str = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>iris/model</Key>\
    <LastModified>2026-11-21T12:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>9</Size></Contents></ListBucketResult>";

async fn source(server: &Server) -> ObjectSource {
    open(&uri("models", "iris"), &keys(server.url.as_str()), &network()).await.unwrap()
}

async fn failure(respond: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static) -> (Failure, Vec<Asked>) {
    let server = Server::start(respond).await;
    let failure = suite::objects(&source(&server).await).await.unwrap_err();
    assert!(!failure.to_string().contains("planted"), "{failure}");
    (failure, server.asked())
}

fn error(status: u16, code: &str) -> Response {
    let xml = format!("<Error><Code>{code}</Code><Message>m</Message><AWSSecret>planted</AWSSecret></Error>");
    reply(status, &[("content-type", "application/xml")], xml)
}

/// A well server: the list of one object, and the object.
fn well(asked: &Asked) -> Response {
    let mut response = match asked.path.as_str() {
        "/models" => reply(200, &[], LIST),
        "/models/iris/model" => file(asked, b"a model!!", "\"1\""),
        _ => reply(404, &[], ""),
    };
    let modified = "Sat, 21 Nov 2026 12:00:00 GMT".parse().unwrap();
    response.headers_mut().insert("last-modified", modified);
    response
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let server = Server::start(|asked| match asked.number % 3 {
        0 => error(503, "SlowDown"),
        1 => error(400, "RequestTimeout"),
        _ => well(asked),
    })
    .await;
    let source = source(&server).await;
    suite::holds(&source, &[("model".to_owned(), b"a model!!".to_vec())].into()).await;
}

#[tokio::test]
async fn a_list_that_breaks_is_asked_for_again() {
    let server = Server::start(|asked| match asked.number {
        1 => broken(200, &[], &LIST.as_bytes()[..100], LIST.len()),
        _ => well(asked),
    })
    .await;
    assert_eq!(suite::paths(&source(&server).await).await, ["model"]);
}

#[tokio::test]
async fn a_stream_that_breaks_is_handed_on_as_it_is() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/models/iris/model" => broken(200, &[("etag", "\"1\"")], b"a mo", 9),
        _ => well(asked),
    })
    .await;
    let source = source(&server).await;
    let object = suite::objects(&source).await.unwrap().remove(0);
    let before = server.asked().len();
    let failure = suite::bytes(source.read(&object, None).await.unwrap()).await.unwrap_err();
    assert_eq!((failure.kind, failure.is_transient), (Kind::Unavailable, true), "{failure}");
    assert_eq!(server.asked().len(), before + 1, "the downloader goes on with it, nobody else");
}

#[tokio::test]
async fn one_who_is_not_let_in_is_told() {
    let (denied, asked) = failure(|_| error(403, "AccessDenied")).await;
    assert_eq!((denied.kind, denied.is_transient), (Kind::Permission, false));
    assert!(denied.what.contains("s3://models/iris") && denied.what.contains("AccessDenied"), "{denied}");
    assert_eq!(asked.len(), 2, "HEAD, which does not say why, and a list, which does");
}

#[tokio::test]
async fn an_object_that_may_not_be_read_is_not_missing() {
    let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let (denied, _) = failure(move |asked| match asked.path.as_str() {
        "/models" => reply(200, &[], empty),
        _ => error(403, "AccessDenied"),
    })
    .await;
    assert_eq!(denied.kind, Kind::Permission, "{denied}");
}

#[tokio::test]
async fn credentials_that_have_expired_are_told() {
    let (expired, _) = failure(|_| error(400, "ExpiredToken")).await;
    assert_eq!(expired.kind, Kind::Permission);
    assert!(expired.advice.contains("expired"), "{expired}");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_told() {
    let (elsewhere, asked) = failure(|_| {
        let headers = [("x-amz-bucket-region", "eu-west-1"), ("location", "http://169.254.169.254/")];
        reply(301, &headers, "<Error><Code>PermanentRedirect</Code></Error>")
    })
    .await;
    assert_eq!(elsewhere.kind, Kind::Usage);
    assert!(elsewhere.advice.contains("eu-west-1"), "{elsewhere}");
    assert_eq!(asked.len(), 2, "redirects are not followed");
}

#[tokio::test]
async fn what_is_no_object_store_is_told() {
    let (other, _) = failure(|asked| match asked.path.as_str() {
        "/models" => reply(200, &[("content-type", "text/html")], "<html>planted</html>"),
        _ => reply(404, &[], "planted"),
    })
    .await;
    assert_ne!(other.kind, Kind::Internal, "{other}");
}

#[tokio::test]
async fn a_version_that_is_there_no_longer_is_told_whatever_the_server_heeds() {
    let server = Server::start(|asked| {
        let mut asked = asked.clone();
        asked.headers.remove("if-match");
        let mut response = well(&asked);
        if asked.number > 1 {
            response.headers_mut().insert("etag", "\"2\"".parse().unwrap());
        }
        response
    })
    .await;
    suite::notices_a_change(&source(&server).await, async || {}).await;
}
