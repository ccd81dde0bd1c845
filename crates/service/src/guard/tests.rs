use std::io::Write as _;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use reqwest::Client;
use rstest::rstest;

use super::*;
use crate::http_client::{TlsSettings, client, client_with};

const STRICT: Guard = Guard { loopback: Loopback::Refused };
const LOCAL: Guard = Guard { loopback: Loopback::Allowed };
const MIB: usize = 1 << 20;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn guarded(guard: Guard) -> Client {
    let builder = |builder: ClientBuilder| guard.restrict(builder).no_proxy().timeout(Duration::from_secs(20));
    client_with(&TlsSettings::default(), "a test", builder).unwrap()
}

async fn served(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn refusal(client: Client, url: &str) -> String {
    causes(&client.get(url).send().await.unwrap_err())
}

#[rstest]
#[case::aws("http://169.254.169.254")]
#[case::hexadecimal("http://0xA9FEA9FE/latest")]
#[case::decimal("http://2852039166/")]
#[case::octal("http://0251.0376.0251.0376/")]
#[case::full_width("http://１６９.254.169.254/")]
#[case::link_local("http://[fe80::1]:80")]
#[case::end_of_link_local("http://[febf::1]")]
#[case::aws_v6("http://[fd00:ec2::254]")]
#[case::aws_pod_identity("http://[fd00:ec2::23]/v1/credentials")]
#[case::google_v6("http://[fd20:ce::254]")]
#[case::mapped("http://[::ffff:169.254.169.254]")]
#[case::compatible("http://[::169.254.169.254]")]
#[case::translated("http://[::ffff:0:169.254.169.254]")]
#[case::nat64("http://[64:ff9b::a9fe:a9fe]")]
#[case::own_nat64("http://[64:ff9b:1::a9fe:a9fe]")]
#[case::own_nat64_high("http://[64:ff9b:1:a9fe:a9:fe00::]")]
#[case::six_to_four("http://[2002:a9fe:a9fe::1]")]
#[case::teredo("http://[2001:0:1:2::5601:5601]")]
#[case::isatap("http://[2001:db8::5efe:a9fe:a9fe]")]
#[case::alibaba("http://100.100.100.200")]
#[case::azure("http://168.63.129.16")]
#[case::oracle("http://192.0.0.192")]
#[case::unspecified("http://0.0.0.0")]
#[case::this_network("http://0.1.2.3")]
#[case::unspecified_v6("http://[::]")]
#[case::mapped_unspecified("http://[::ffff:0.0.0.0]")]
#[case::multicast("http://224.0.0.251")]
#[case::multicast_v6("http://[ff02::1]")]
#[case::broadcast("http://255.255.255.255")]
#[case::google("http://metadata.google.internal/computeMetadata/v1/")]
#[case::google_rooted("http://Metadata.Google.Internal./")]
#[case::ftp("ftp://example.com")]
#[case::file("file:///etc/passwd")]
#[case::gopher("gopher://example.com")]
#[case::data("data:text/plain,x")]
fn some_addresses_are_never_asked_however_they_are_written(#[case] text: &str) {
    for guard in [STRICT, LOCAL] {
        assert!(guard.check(&url(text)).is_err(), "{text}");
    }
}

#[rstest]
#[case("http://127.0.0.1")]
#[case("http://127.1:80")]
#[case("http://[::1]")]
#[case("http://[::ffff:127.0.0.1]")]
#[case("http://[64:ff9b::7f00:1]")]
fn the_own_host_is_asked_only_where_it_may_be(#[case] text: &str) {
    assert!(matches!(STRICT.check(&url(text)), Err(Refused::Loopback(_))), "{text}");
    assert_eq!(LOCAL.check(&url(text)), Ok(()), "{text}");
}

#[rstest]
#[case("http://10.0.0.1")]
#[case("http://172.30.0.1:8080")]
#[case("http://192.168.1.1")]
#[case("https://[fd00::1]")]
#[case("http://[::ffff:10.0.0.1]")]
#[case("http://100.64.0.1")]
#[case("https://model.example.com")]
#[case("http://model-predictor.team-a.svc.cluster.local:8080")]
fn what_a_cluster_has_is_asked(#[case] text: &str) {
    assert_eq!(STRICT.check(&url(text)), Ok(()), "{text}");
}

#[tokio::test]
async fn a_name_is_refused_for_what_it_resolves_to() {
    let base = served(Router::new().route("/", get(async || "inside"))).await;
    let by_name = base.replace("127.0.0.1", "localhost");
    let text = refusal(guarded(STRICT), &by_name).await;
    assert!(text.contains("ALLOW_LOOPBACK"), "{text}");
    assert_eq!(guarded(LOCAL).get(&by_name).send().await.unwrap().text().await.unwrap(), "inside");
}

#[rstest]
#[case::metadata("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is a link-local")]
#[case::own_nat64("http://[64:ff9b::a9fe:a9fe]/", "is a link-local")]
#[case::name("http://metadata.google.internal/", "is a metadata server")]
#[case::again("/", "more than 3 times")]
#[tokio::test]
async fn redirects_are_checked_each_and_end(#[case] to: &'static str, #[case] expected: &str) {
    let base = served(Router::new().route("/", get(async move || Redirect::temporary(to)))).await;
    let text = refusal(guarded(LOCAL), &base).await;
    assert!(text.contains(expected), "{text}");
}

#[rstest]
#[case("file:///etc/passwd")]
#[case("data:text/plain,hello")]
#[tokio::test]
async fn a_redirect_to_another_scheme_is_not_followed(#[case] to: &'static str) {
    let base = served(Router::new().route("/", get(async move || Redirect::temporary(to)))).await;
    let answer = guarded(LOCAL).get(&base).send().await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status().is_redirection()));
}

/// A server that tells which token it was sent.
async fn telling() -> String {
    let token =
        |headers: &HeaderMap| headers.get(AUTHORIZATION).map_or("none", |value| value.to_str().unwrap()).to_owned();
    served(Router::new().route("/told", get(async move |headers: HeaderMap| token(&headers)))).await
}

/// A redirect must not carry a token to whoever it names: `localhost` is another host than `127.0.0.1`, and another port
/// of the same host is another server.
#[rstest]
#[tokio::test]
async fn a_token_goes_to_no_other_host(#[values(true, false)] is_guarded: bool) {
    let other = telling().await;
    let by_name = other.replace("127.0.0.1", "localhost");
    let routes = Router::new()
        .route("/told", get(async |headers: HeaderMap| headers[AUTHORIZATION].to_str().unwrap().to_owned()))
        .route("/here", get(async || Redirect::temporary("/told")))
        .route(
            "/other",
            get(async |State(other): State<[String; 2]>| Redirect::temporary(&format!("{}/told", other[0]))),
        )
        .route(
            "/name",
            get(async |State(other): State<[String; 2]>| Redirect::temporary(&format!("{}/told", other[1]))),
        )
        .with_state([other, by_name]);
    let base = served(routes).await;
    let client = if is_guarded { guarded(LOCAL) } else { client(&TlsSettings::default(), "a test").unwrap() };
    for (path, expected) in
        [("/told", "Bearer secret"), ("/here", "Bearer secret"), ("/other", "none"), ("/name", "none")]
    {
        let answer = client.get(format!("{base}{path}")).bearer_auth("secret").send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_large_answer_is_given_up_whether_it_says_how_large_it_is_or_not() {
    let routes = Router::new()
        .route("/said", get(async || vec![b' '; 2 * MIB]))
        .route(
            "/unsaid",
            get(async || Body::from_stream(stream::iter(0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; MIB])))),
        )
        .route("/small", get(async || "small"));
    let (base, client) = (served(routes).await, guarded(LOCAL));
    for (path, expected) in [("/said", None), ("/unsaid", None), ("/small", Some("small"))] {
        let answer = client.get(format!("{base}{path}")).send().await.unwrap();
        let body = read_up_to(answer, MIB).await.unwrap();
        assert_eq!(body.as_deref(), expected.map(str::as_bytes), "{path}");
    }
}

/// What counts is what comes out of the compression: 100 MiB that are sent as 100 kB.
#[tokio::test]
async fn a_compressed_answer_is_measured_decompressed() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..100 {
        encoder.write_all(&vec![0; MIB]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < MIB);
    let base = served(Router::new().route("/", get(async move || ([(CONTENT_ENCODING, "gzip")], bomb)))).await;
    let answer = guarded(LOCAL).get(&base).send().await.unwrap();
    assert_eq!(read_up_to(answer, MIB).await.unwrap(), None);
}
