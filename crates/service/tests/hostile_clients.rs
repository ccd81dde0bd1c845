//! Clients that do what no library does: byte by byte over a socket. None of them keeps the service from serving others.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::routing::{get, post};
use futures::stream;
use service::server::Limits;
use service::{Listen, ServerBuilder, Shutdown};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_millis(200);

fn patient() -> Limits {
    let long = Duration::from_mins(10);
    Limits { request_timeout: long, head_timeout: long, write_timeout: long, ..Limits::default() }
}

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

async fn start(limits: Limits) -> Server {
    let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]))) };
    let routes = Router::new()
        .route("/echo/{text}", get(async |Path(text): Path<String>| text))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/endless", get(endless));
    let listen = Listen { address: ([127, 0, 0, 1], 0).into(), setting: "--listen-address" };
    let server = ServerBuilder::new("sample").router(routes).limits(limits).bind(listen).await.unwrap();
    let (address, shutdown) = (server.local_addr(), Shutdown::new());
    tokio::spawn(server.serve(shutdown.clone()));
    Server { address, shutdown }
}

/// A connection.
struct Client(TcpStream);

impl Client {
    async fn of(server: &Server) -> Self {
        Self(TcpStream::connect(server.address).await.unwrap())
    }

    async fn send(&mut self, text: &str) -> &mut Self {
        // A server that has given up does not read any more.
        let _ = self.0.write_all(text.as_bytes()).await;
        self
    }

    async fn ask(&mut self, path: &str) -> &mut Self {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }

    /// What is answered, until it holds `text`.
    async fn hears(&mut self, text: &str) -> String {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&heard).contains(text) {
            let read = timeout(DEADLINE, self.0.read(&mut buffer)).await.expect("an answer in time").unwrap_or(0);
            assert!(read > 0, "closed before {text:?}: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8(heard).unwrap()
    }

    /// All that is answered until the server closes the connection.
    async fn hears_all(&mut self) -> String {
        let mut heard = Vec::new();
        // A reset is an end, too.
        let _ = timeout(DEADLINE, self.0.read_to_end(&mut heard)).await.expect("the connection is closed in time");
        String::from_utf8_lossy(&heard).into_owned()
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let server = start(Limits { head_timeout: SOON, ..patient() }).await;
    for begun in ["", "GET", "GET / HTTP/1.1\r\nhost: x\r\nx-a: b"] {
        let heard = Client::of(&server).await.send(begun).await.hears_all().await;
        assert!(!heard.contains(" 200 "), "{heard}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = start(Limits { head_timeout: SOON, ..patient() }).await;
    let mut client = Client::of(&server).await;
    client.ask("/echo/first").await.hears("first").await;
    assert_eq!(client.hears_all().await, "");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_given_up() {
    let server = start(Limits { request_timeout: SOON, ..patient() }).await;
    let head = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nbegun";
    let heard = Client::of(&server).await.send(head).await.hears_all().await;
    assert!(heard.starts_with("HTTP/1.1 503 ") && heard.contains("longer than 0.2 s"), "{heard}");
}

/// With one connection at a time, the next is served only when the first was given up.
#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let server = start(Limits { connections: 1, write_timeout: SOON, ..patient() }).await;
    let mut slow = Client::of(&server).await;
    slow.ask("/endless").await;
    Client::of(&server).await.ask("/echo/next").await.hears("next").await;
    drop(slow);
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait_for_their_turn() {
    let server = start(Limits { connections: 2, ..patient() }).await;
    let (mut first, mut second) = (Client::of(&server).await, Client::of(&server).await);
    first.ask("/echo/first").await.hears("first").await;
    second.ask("/echo/second").await.hears("second").await;
    let mut third = Client::of(&server).await;
    third.ask("/echo/third").await;
    for _ in 0..50 {
        first.ask("/echo/first").await.hears("first").await;
    }
    let metrics = first.ask("/metrics").await.hears("# EOF").await;
    let counted = metrics.lines().find(|line| line.starts_with("sample_http_requests_total{route=\"/echo/{text}\""));
    assert!(counted.is_some_and(|line| line.ends_with(" 52")), "the third was not read yet: {counted:?}");
    drop(second);
    third.hears("third").await;
}

#[tokio::test]
async fn many_connections_that_say_nothing_keep_nobody_out() {
    let server = start(patient()).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(Client::of(&server).await);
    }
    Client::of(&server).await.ask("/healthz").await.hears("\r\n\r\nok").await;
}

#[tokio::test]
async fn requests_in_one_go_are_answered_in_order() {
    let server = start(Limits { concurrent_requests: 1, waiting_requests: 0, ..patient() }).await;
    let mut requests = String::new();
    for number in 0..500 {
        let _ = write!(requests, "GET /echo/({number}) HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    let mut client = Client::of(&server).await;
    client.send(&requests).await;
    let heard = client.hears("(499)").await;
    let answers: Vec<&str> = heard.split('(').skip(1).filter_map(|part| part.split_once(')')).map(|(n, _)| n).collect();
    assert_eq!(answers, (0..500).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = start(patient()).await;
    let many: String = (0..101).fold(String::new(), |text, number| format!("{text}x-{number}: y\r\n"));
    let large = format!("x-a: {}\r\n", "y".repeat(256 << 10));
    let long = format!("GET /echo/{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(80 << 10));
    for (request, expected) in [
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "HTTP/1.1 431 "),
        (format!("GET / HTTP/1.1\r\n{large}\r\n"), "HTTP/1.1 431 "),
        (long, "HTTP/1.1 414 "),
    ] {
        let heard = Client::of(&server).await.send(&request).await.hears("\r\n\r\n").await;
        assert!(heard.starts_with(expected), "{heard}");
    }
}

/// What one server takes for the end of a request and the next for a part of it hides a request in another.
#[tokio::test]
async fn requests_whose_length_is_not_certain_are_refused() {
    let server = start(patient()).await;
    for lengths in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "transfer-encoding: chunked, identity",
    ] {
        let head = format!("POST /length HTTP/1.1\r\nhost: x\r\n{lengths}\r\n\r\n");
        let request = format!("{head}0\r\n\r\nGET /echo/smuggled HTTP/1.1\r\n\r\n");
        let heard = Client::of(&server).await.send(&request).await.hears_all().await;
        assert!(heard.starts_with("HTTP/1.1 400 ") && !heard.contains("smuggled"), "{lengths}: {heard}");
    }
}

#[tokio::test]
async fn chunks_beyond_the_limit_are_refused() {
    let server = start(Limits { body_bytes: 1000, ..patient() }).await;
    let head = "POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for size in ["3e9", "ffffffffffffffff", "fffffffffffffffff"] {
        let mut client = Client::of(&server).await;
        client.send(&format!("{head}{size}\r\n{}", "y".repeat(1001))).await;
        let heard = client.hears("\r\n\r\n").await;
        assert!(heard.starts_with("HTTP/1.1 4"), "{size}: {heard}");
    }
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let server = start(patient()).await;
    let mut client = Client::of(&server).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.send(&"\0\0\0\u{4}\0\0\0\0\0".repeat(1000)).await;
    let heard = client.hears_all().await;
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{heard:?}");
    let upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let request = format!("GET /echo/x HTTP/1.1\r\nhost: x\r\n{upgrade}\r\n");
    let heard = Client::of(&server).await.send(&request).await.hears("\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
}

#[tokio::test]
async fn no_browser_takes_an_answer_for_a_page() {
    let server = start(patient()).await;
    for path in ["/echo/%3Cscript%3E", "/nothing", "/healthz", "/metrics"] {
        let heard = Client::of(&server).await.ask(path).await.hears("\r\n\r\n").await;
        assert!(heard.contains("x-content-type-options: nosniff\r\n"), "{path}: {heard}");
        let policy = "content-security-policy: default-src 'none'; frame-ancestors 'none'; sandbox\r\n";
        assert!(heard.contains(policy), "{path}: {heard}");
    }
}
