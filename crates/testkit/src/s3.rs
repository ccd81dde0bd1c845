//! An S3 server that keeps objects in memory: what a client needs to read buckets, and to fill them.
//!
//! It speaks the path style: `GET`, `HEAD` and `PUT` of objects, with ranges and `If-Match`, uploads in parts, and the second kind of
//! list.
//! Bodies are not copied, so that what is measured is the client. Signatures are not verified; whether a request was signed,
//! and by which key, is recorded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use bytes::Bytes;
use http::Method;
use md5::{Digest as _, Md5};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use crate::hex;

mod answers;
mod listing;
mod parts;

/// A request that the server has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// The method.
    pub method: Method,
    /// The bucket, and the key as it is; empty for a list.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The query, as it came.
    pub query: String,
    /// The `Range` header, as it came.
    pub range: Option<String>,
    /// The access key that signed it.
    pub signed_by: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Stored {
    body: Bytes,
    etag: String,
    /// What its answers have besides.
    headers: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct Inner {
    buckets: BTreeMap<String, BTreeMap<String, Stored>>,
    requests: Vec<ReceivedRequest>,
    records: bool,
    /// Uploads in parts, by id.
    uploads: BTreeMap<String, parts::Parts>,
}

type Shared = Arc<Mutex<Inner>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Inner> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running S3 server; it stops when dropped.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    inner: Shared,
    task: JoinHandle<()>,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl S3Server {
    /// A server without buckets on a free port of the loopback.
    ///
    /// # Panics
    /// When no port can be bound.
    pub async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner { records: true, ..Inner::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on the loopback");
        let address = listener.local_addr().expect("the address of a bound listener");
        let router = Router::new().fallback(answers::answer).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // Who started it is gone when this ends; there is nobody to tell.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, inner, task }
    }

    /// The same, which forgets its requests: for measurements.
    #[must_use]
    pub fn without_records(self) -> Self {
        lock(&self.inner).records = false;
        self
    }

    /// What clients take as the endpoint.
    ///
    /// # Panics
    /// Never: a socket address makes a URL.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address makes a URL")
    }

    /// Makes a bucket, if it is not there.
    pub fn make_bucket(&self, bucket: &str) {
        lock(&self.inner).buckets.entry(bucket.to_owned()).or_default();
    }

    /// Keeps an object, and answers its ETag. The bucket is made if it is not there.
    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> String {
        let body = body.into();
        let etag = etag(&body);
        self.put_with_etag(bucket, key, body, &etag);
        etag
    }

    /// The same with an ETag of the caller's, which is not worked out: for large objects, and for those in parts.
    pub fn put_with_etag(&self, bucket: &str, key: &str, body: impl Into<Bytes>, etag: &str) {
        self.put_with_headers(bucket, key, body, etag, &[]);
    }

    /// The same with headers that answers about it have: its checksums, how it is encrypted.
    pub fn put_with_headers(
        &self,
        bucket: &str,
        key: &str,
        body: impl Into<Bytes>,
        etag: &str,
        headers: &[(&str, &str)],
    ) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stored = Stored { body: body.into(), etag: etag.to_owned(), headers };
        lock(&self.inner).buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), stored);
    }

    /// Takes an object away; whether it was there.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        lock(&self.inner).buckets.get_mut(bucket).is_some_and(|objects| objects.remove(key).is_some())
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        lock(&self.inner).requests.clone()
    }
}

fn etag(body: &[u8]) -> String {
    format!("\"{}\"", hex(&Md5::digest(body)))
}
