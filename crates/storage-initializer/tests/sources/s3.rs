//! S3, as an own server speaks it: keys and prefixes, credentials, TLS.

use storage_initializer::Kind;
use storage_initializer::checksum::Checksum;
use storage_initializer::environment::Environment;
use storage_initializer::source::Source as _;
use storage_initializer::source::network::Network;
use storage_initializer::source::object::{ObjectSource, open};
use storage_initializer::uri::{ObjectScheme, ObjectUri};
use testkit::s3::S3Server;

use crate::suite::{self, Files, model};

const SECRET: &str = "planted-secret-key";

pub(crate) fn uri(bucket: &str, key: &str) -> ObjectUri {
    ObjectUri {
        scheme: ObjectScheme::S3,
        bucket: bucket.to_owned(),
        account: None,
        key: key.to_owned(),
        endpoint: None,
        region: None,
        signature: None,
    }
}

pub(crate) fn keys(endpoint: &str) -> Environment {
    [("AWS_ENDPOINT_URL", endpoint), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", SECRET)]
        .into_iter()
        .collect()
}

async fn source(server: &S3Server, bucket: &str, key: &str) -> ObjectSource {
    open(&uri(bucket, key), &keys(server.url().as_str()), &Network::default()).await.unwrap()
}

async fn filled(prefix: &str, files: &Files) -> S3Server {
    let server = S3Server::start().await;
    for (path, content) in files {
        server.put("models", &format!("{prefix}{path}"), content.clone());
    }
    server
}

#[tokio::test]
async fn it_is_a_source() {
    let server = filled("iris/1/", &model()).await;
    for key in ["iris/1", "iris/1/"] {
        suite::holds(&source(&server, "models", key).await, &model()).await;
    }
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.signed_by.as_deref() == Some("AKID")), "{requests:?}");
    let iris = source(&server, "models", "iris").await;
    suite::notices_a_change(&iris, async || {
        for path in model().keys() {
            server.put("models", &format!("iris/1/{path}"), "something else of some length");
        }
    })
    .await;
}

#[tokio::test]
async fn a_whole_bucket_is_a_source() {
    let server = filled("", &model()).await;
    suite::holds(&source(&server, "models", "").await, &model()).await;
}

#[tokio::test]
async fn a_single_object_is_a_source() {
    let server = filled("iris/1/", &model()).await;
    let one = model().into_iter().filter(|(path, _)| path == "model.bin").collect();
    suite::holds(&source(&server, "models", "iris/1/model.bin").await, &one).await;
    let lists = server.requests().iter().filter(|request| request.key.is_empty()).count();
    assert_eq!(lists, 0, "one who may not list may read it all the same");
}

#[tokio::test]
async fn a_sibling_with_the_same_beginning_is_left_alone() {
    let server = S3Server::start().await;
    for key in ["iris/model", "iris-old/model", "iris.bak", "irises"] {
        server.put("models", key, key.to_owned());
    }
    assert_eq!(suite::paths(&source(&server, "models", "iris").await).await, ["model"]);
}

#[tokio::test]
async fn an_object_with_exactly_the_key_comes_before_those_below_it() {
    let server = S3Server::start().await;
    server.put("models", "iris", "one");
    server.put("models", "iris/model", "other");
    assert_eq!(suite::paths(&source(&server, "models", "iris").await).await, ["iris"]);
    assert_eq!(suite::paths(&source(&server, "models", "iris/").await).await, ["model"]);
}

#[tokio::test]
async fn what_stands_for_a_directory_is_skipped() {
    let server = S3Server::start().await;
    for (key, content) in [("iris", ""), ("iris/", ""), ("iris/sub/", ""), ("iris/sub/empty", ""), ("iris/model", "m")]
    {
        server.put("models", key, content);
    }
    assert_eq!(suite::paths(&source(&server, "models", "iris").await).await, ["model", "sub/empty"]);
}

#[tokio::test]
async fn keys_that_make_no_path_are_errors() {
    for key in ["iris/a//b", "iris/../b", "iris/a/./b"] {
        let server = S3Server::start().await;
        server.put("models", "iris/a", "fine");
        server.put("models", key, "not");
        let failure = suite::objects(&source(&server, "models", "iris").await).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Integrity, "{failure}");
        assert!(failure.what.contains(key) && failure.advice.contains("`//`"), "{failure}");
    }
}

#[tokio::test]
async fn keys_are_taken_as_they_are() {
    let server = S3Server::start().await;
    let odd = ["a b+c%20d", "q?x=1&y=2", "h#i", "tilde~'()*!", "\u{1f600}"];
    let files: Files = odd.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect();
    for (path, content) in &files {
        server.put("models", &format!("odd %41 {path}/{path}"), content.clone());
    }
    for (path, content) in &files {
        let one: Files = [(path.clone(), content.clone())].into();
        suite::holds(&source(&server, "models", &format!("odd %41 {path}")).await, &one).await;
        suite::holds(&source(&server, "models", &format!("odd %41 {path}/{path}")).await, &one).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let server = filled("iris/", &model()).await;
    let nothing = suite::is_missing(&source(&server, "models", "rose").await).await;
    assert!(nothing.what.contains("s3://models/rose"), "{nothing}");
    let bucket = suite::is_missing(&source(&server, "modles", "iris").await).await;
    assert!(bucket.what.contains("NoSuchBucket") && bucket.advice.contains("endpoint"), "{bucket}");
    assert!(!format!("{nothing}{bucket}").contains(SECRET));
}

#[tokio::test]
async fn what_the_uri_says_of_the_endpoint_is_not_part_of_the_key() {
    let server = filled("iris/", &model()).await;
    let uri = ObjectUri { endpoint: Some(server.url()), region: Some("eu-west-1".to_owned()), ..uri("models", "iris") };
    let environment = keys("http://127.0.0.1:9");
    suite::holds(&open(&uri, &environment, &Network::default()).await.unwrap(), &model()).await;
}

#[tokio::test]
async fn nobody_signs_nothing() {
    let server = filled("iris/", &model()).await;
    let url = server.url();
    let environment = [("AWS_ENDPOINT_URL", url.as_str()), ("awsAnonymousCredential", "true")].into_iter().collect();
    suite::holds(&open(&uri("models", "iris"), &environment, &Network::default()).await.unwrap(), &model()).await;
    assert!(server.requests().iter().all(|request| request.signed_by.is_none()));
}

#[tokio::test]
async fn objects_that_were_uploaded_in_parts_have_a_checksum_of_parts() {
    let server = S3Server::start().await;
    server.put_with_etag("models", "big", testkit::noise(100), "\"00112233445566778899aabbccddeeff-2\"");
    let big = source(&server, "models", "big").await;
    let objects = suite::objects(&big).await.unwrap();
    let sum = objects[0].checksum.as_ref().unwrap().to_string();
    assert_eq!(sum, "MD5 of parts 00112233445566778899aabbccddeeff-2");
    assert_eq!(big.read(&objects[0], Some(3..9)).await.unwrap().checksum, objects[0].checksum);
}

#[tokio::test]
async fn a_checksum_that_the_uploader_gave_is_asked_for_where_lists_and_ranges_do_not_tell_it() {
    let server = S3Server::start().await;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &testkit::noise(100));
    let header = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crc.to_be_bytes());
    let headers = [("x-amz-checksum-crc64nvme", header.as_str()), ("x-amz-checksum-type", "FULL_OBJECT")];
    let etag = "\"00112233445566778899aabbccddeeff-2\"";
    server.put_with_headers("models", "iris/big", testkit::noise(100), etag, &headers);
    server.put("models", "iris/small", "x");
    let (one, all) = (source(&server, "models", "iris/big").await, source(&server, "models", "iris").await);

    let told = Checksum::Crc64Nvme(crc);
    assert_eq!(suite::objects(&one).await.unwrap()[0].checksum.as_ref(), Some(&told));
    let listed = suite::objects(&all).await.unwrap();
    assert_eq!(listed[0].checksum, None);
    assert_eq!(all.checksum(&listed[0]).await.as_ref(), Some(&told));
    assert_eq!(all.read(&listed[0], None).await.unwrap().checksum.as_ref(), Some(&told));
    assert!(matches!(all.read(&listed[0], Some(3..9)).await.unwrap().checksum, Some(Checksum::Md5OfParts { .. })));
    assert!(matches!(all.checksum(&listed[1]).await, Some(Checksum::Md5(_))));

    server.put("models", "iris/big", testkit::noise(100));
    assert_eq!(all.checksum(&listed[0]).await, None, "that is of another version");
    server.remove("models", "iris/big");
    assert_eq!(all.checksum(&listed[0]).await, None);
}

#[tokio::test]
async fn metadata_addresses_of_uris_are_not_asked() {
    let uri = ObjectUri { endpoint: Some("http://169.254.169.254/".parse().unwrap()), ..uri("models", "iris") };
    let refused = open(&uri, &Environment::default(), &Network::default()).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Permission, "{refused}");
}
