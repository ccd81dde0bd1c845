//! S3, as moto's server speaks it.

use reqwest::Client;
use storage_initializer::Kind;
use storage_initializer::source::Source as _;
use storage_initializer::source::object::{ObjectSource, open};
use testkit::moto::MotoServer;

use crate::http::network;
use crate::s3::{keys, uri};
use crate::suite::{self, model};

/// Moto lets nobody replace what nobody wrote; it does not look at signatures.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

struct Bucket {
    server: MotoServer,
    client: Client,
}

impl Bucket {
    async fn filled() -> Option<Self> {
        service::http_client::install_crypto_provider();
        let bucket = Self { server: MotoServer::start()?, client: Client::new() };
        bucket.put("", b"", &[]).await;
        for (path, content) in model() {
            bucket.put(&format!("iris/{path}"), &content, &[]).await;
        }
        Some(bucket)
    }

    async fn put(&self, key: &str, content: &[u8], headers: &[(&str, &str)]) {
        let mut url = self.server.url();
        url.path_segments_mut().unwrap().push("models").extend(key.split('/').filter(|name| !name.is_empty()));
        if key.ends_with('/') {
            url.path_segments_mut().unwrap().push("");
        }
        let request = self.client.put(url).header("authorization", SIGNED).body(content.to_vec());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
    }

    async fn source(&self, key: &str) -> ObjectSource {
        open(&uri("models", key), &keys(self.server.url().as_str()), &network()).await.unwrap()
    }
}

#[tokio::test]
async fn it_is_a_source() {
    let Some(bucket) = Bucket::filled().await else { return };
    bucket.put("iris/", b"", &[]).await;
    bucket.put("iris/variables/", b"", &[]).await;
    bucket.put("iris-old/model.bin", b"another", &[]).await;
    let iris = bucket.source("iris").await;
    suite::holds(&iris, &model()).await;
    let one = model().into_iter().filter(|(path, _)| path == "model.bin").collect();
    suite::holds(&bucket.source("iris/model.bin").await, &one).await;
    let objects = suite::objects(&iris).await.unwrap();
    assert_eq!(iris.read(&objects[0], None).await.unwrap().checksum.unwrap().algorithm(), "MD5");
    suite::is_missing(&bucket.source("rose").await).await;
    let endpoint = bucket.server.url();
    let missing = open(&uri("modles", "iris"), &keys(endpoint.as_str()), &network()).await.unwrap();
    assert!(suite::is_missing(&missing).await.what.contains("NoSuchBucket"));
    suite::notices_a_change(&iris, async || {
        for path in model().keys() {
            bucket.put(&format!("iris/{path}"), b"something else of some length", &[]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_etag_of_what_is_encrypted_is_no_checksum() {
    let Some(bucket) = Bucket::filled().await else { return };
    bucket.put("secret", b"a model", &[("x-amz-server-side-encryption", "aws:kms")]).await;
    let source = bucket.source("secret").await;
    let object = suite::objects(&source).await.unwrap().remove(0);
    assert!(object.version.is_some());
    assert_eq!((object.checksum.clone(), source.read(&object, None).await.unwrap().checksum), (None, None));
}

#[tokio::test]
async fn one_who_is_not_known_is_not_let_in() {
    let Some(server) = MotoServer::start_closed() else { return };
    let source = open(&uri("models", "iris"), &keys(server.url().as_str()), &network()).await.unwrap();
    let denied = suite::is_denied(&source).await;
    assert!(denied.what.contains("InvalidAccessKeyId"), "{denied}");
    assert_eq!(denied.kind, Kind::Permission);
}
