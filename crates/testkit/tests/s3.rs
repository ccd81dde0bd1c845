//! The S3 server answers as S3 does, as far as it goes.
#![allow(clippy::unwrap_used, reason = "tests")]

use reqwest::{Client, Response, StatusCode};
use testkit::s3::S3Server;

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

async fn get(server: &S3Server, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = client().get(server.url().join(path).unwrap());
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

#[tokio::test]
async fn objects_come_whole_or_in_ranges_in_the_version_that_is_asked_for() {
    let server = S3Server::start().await;
    let etag = server.put("models", "granite/weights 1.bin", "0123456789");
    let path = "models/granite/weights%201.bin";
    let whole = get(&server, path, &[]).await;
    assert_eq!((whole.status(), whole.headers()["etag"].to_str().unwrap()), (StatusCode::OK, etag.as_str()));
    assert_eq!(whole.text().await.unwrap(), "0123456789");

    let part = get(&server, path, &[("range", "bytes=2-4"), ("if-match", &etag)]).await;
    assert_eq!(
        (part.status(), part.headers()["content-range"].to_str().unwrap()),
        (StatusCode::PARTIAL_CONTENT, "bytes 2-4/10")
    );
    assert_eq!(part.text().await.unwrap(), "234");
    assert_eq!(get(&server, path, &[("range", "bytes=-3")]).await.text().await.unwrap(), "789");
    assert_eq!(get(&server, path, &[("range", "bytes=10-")]).await.status(), StatusCode::RANGE_NOT_SATISFIABLE);

    server.put("models", "granite/weights 1.bin", "another");
    assert_eq!(get(&server, path, &[("if-match", &etag)]).await.status(), StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn what_is_not_there_is_said_as_s3_says_it() {
    let server = S3Server::start().await;
    server.make_bucket("models");
    for (path, code) in
        [("models/none", "NoSuchKey"), ("nowhere/none", "NoSuchBucket"), ("nowhere?list-type=2", "NoSuchBucket")]
    {
        let answer = get(&server, path, &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert!(answer.text().await.unwrap().contains(&format!("<Code>{code}</Code>")));
    }
}

#[tokio::test]
async fn lists_have_pages_prefixes_and_groups() {
    let server = S3Server::start().await;
    for key in ["iris-old/a", "iris/1", "iris/2", "iris/3", "iris/deep/4", "iris/deep/5", "j"] {
        server.put("models", key, key.to_owned());
    }
    let page = get(&server, "models?list-type=2&prefix=iris/&max-keys=3", &[]).await.text().await.unwrap();
    assert!(page.contains("<KeyCount>3</KeyCount>") && page.contains("<IsTruncated>true</IsTruncated>"), "{page}");
    let path = "models?list-type=2&prefix=iris/&max-keys=3&continuation-token=iris/3";
    let page = get(&server, path, &[]).await.text().await.unwrap();
    assert!(page.contains("<KeyCount>2</KeyCount>") && page.contains("<IsTruncated>false</IsTruncated>"), "{page}");
    // The first version of lists, as clients of Python ask for them.
    let page = get(&server, "models?prefix=iris/&max-keys=3", &[]).await.text().await.unwrap();
    let next = page.split("<NextMarker>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    let page = get(&server, &format!("models?prefix=iris/&max-keys=3&marker={next}"), &[]).await.text().await.unwrap();
    assert!(page.contains("<KeyCount>2</KeyCount>") && page.contains("<IsTruncated>false</IsTruncated>"), "{page}");
    let grouped = get(&server, "models?list-type=2&prefix=iris/&delimiter=/", &[]).await.text().await.unwrap();
    assert!(grouped.contains("<Prefix>iris/deep/</Prefix>") && !grouped.contains("iris/deep/4"), "{grouped}");
    assert!(!grouped.contains("iris-old"), "{grouped}");
}

#[tokio::test]
async fn what_is_uploaded_is_there_and_who_signed_is_recorded() {
    let server = S3Server::start().await;
    let url = server.url().join("models/a.bin").unwrap();
    let credential =
        "AWS4-HMAC-SHA256 Credential=minio/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let sent = client().put(url).header("authorization", credential).body("content").send().await.unwrap();
    assert!(sent.status().is_success());
    assert_eq!(get(&server, "models/a.bin", &[]).await.text().await.unwrap(), "content");
    assert_eq!(server.requests()[0].signed_by.as_deref(), Some("minio"));
    assert!(server.remove("models", "a.bin"));
}

#[tokio::test]
async fn an_upload_in_parts_is_one_object_with_an_etag_of_them() {
    let server = S3Server::start().await;
    let url = |query: &str| server.url().join(&format!("models/large.bin?{query}")).unwrap();
    let begun = client().post(url("uploads")).send().await.unwrap().text().await.unwrap();
    let id = begun.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    for (number, part) in [(2, "world"), (1, "hello ")] {
        let url = url(&format!("partNumber={number}&uploadId={id}"));
        assert!(client().put(url).body(part).send().await.unwrap().status().is_success());
    }
    assert!(client().post(url(&format!("uploadId={id}"))).send().await.unwrap().status().is_success());
    let object = get(&server, "models/large.bin", &[]).await;
    assert!(object.headers()["etag"].to_str().unwrap().ends_with("-2\""));
    assert_eq!(object.text().await.unwrap(), "hello world");
}
