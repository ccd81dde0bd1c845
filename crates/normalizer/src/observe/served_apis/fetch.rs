//! One question to one served API: a GET that is bounded in time and size and never reaches what only the bridge's own
//! host can reach, whatever addresses, names and redirects lead there.
//!
//! The addresses come from objects that users of a cluster may write. So no token is sent, proxies are not used (they
//! would look names up themselves), and addresses are checked where they are used: of the URL, of each redirect, and of
//! what names resolve to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model_catalog::names::clean_text;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder};
use serde::Deserialize;
use serde_json::Value;
use service::http_client::{HttpClientError, TlsSettings, client_with};
use thiserror::Error;
use url::{Host, Url};

/// The largest answer.
const LIMIT: usize = 1 << 20;
const REDIRECTS: usize = 3;
/// How many models one server may list.
const MODELS: usize = 1000;

/// A served API gave no answer that is of use.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    /// It is not for the bridge to ask.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be reached, or took too long.
    #[error("{0}")]
    Http(String),
    /// It does not answer that question.
    #[error("it answered {0}")]
    Status(reqwest::StatusCode),
    /// It answers more than anybody wants to read.
    #[error("its answer is larger than {LIMIT} bytes")]
    TooLarge,
    /// It answers something else.
    #[error("its answer is not {0}")]
    Unexpected(&'static str),
}

/// An address that is not asked.
#[derive(Debug, Error)]
pub(super) enum Refused {
    /// Cloud providers answer there with credentials.
    #[error("{0} is a link-local or metadata address, which is never asked")]
    Address(IpAddr),
    /// Only http and https are spoken.
    #[error("`{0}:` is not http or https")]
    Scheme(String),
    /// It leads from one place to the next.
    #[error("it redirects more than {REDIRECTS} times")]
    Redirects,
}

/// Asks served APIs.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    http: Client,
}

impl Fetcher {
    pub(super) fn new(tls: &TlsSettings, timeout: Duration) -> Result<Self, HttpClientError> {
        let guarded = |builder: ClientBuilder| {
            builder
                .connect_timeout(timeout)
                .timeout(timeout)
                .no_proxy()
                .redirect(Policy::custom(follow))
                .dns_resolver(Arc::new(GuardedResolver))
        };
        Ok(Self { http: client_with(tls, "served APIs", guarded)? })
    }

    /// The OpenAPI document of the API at `base`, always written the same.
    pub(super) async fn openapi(&self, base: &str) -> Result<Arc<str>, FetchError> {
        let wrong = FetchError::Unexpected("an OpenAPI document as JSON");
        let Ok(document) = serde_json::from_slice::<Value>(&self.get(base, "openapi.json").await?) else {
            return Err(wrong);
        };
        let is_openapi = ["openapi", "swagger"].iter().any(|key| document.get(key).is_some_and(Value::is_string));
        if is_openapi { Ok(document.to_string().into()) } else { Err(wrong) }
    }

    /// The models that the server at `base` lists, sorted.
    pub(super) async fn models(&self, base: &str) -> Result<Vec<String>, FetchError> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Value>,
        }
        let Ok(list) = serde_json::from_slice::<List>(&self.get(base, "v1/models").await?) else {
            return Err(FetchError::Unexpected("a list of models as OpenAI has it"));
        };
        let ids = list.data.iter().filter_map(|model| model.get("id")?.as_str()).map(clean_text);
        let mut ids: Vec<String> = ids.filter(|id| !id.is_empty() && id.len() <= 253).take(MODELS).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    async fn get(&self, base: &str, path: &str) -> Result<Vec<u8>, FetchError> {
        let mut url = Url::parse(base).map_err(|error| FetchError::Http(error.to_string()))?;
        let full = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&full);
        url.set_query(None);
        url.set_fragment(None);
        check(&url)?;
        let mut response = self.http.get(url).send().await.map_err(|error| failure(&error))?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        if response.content_length().is_some_and(|length| length > LIMIT as u64) {
            return Err(FetchError::TooLarge);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > LIMIT {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// What went wrong, down to its cause.
fn failure(error: &reqwest::Error) -> FetchError {
    let mut text = if error.is_timeout() { "it takes too long".to_owned() } else { error.to_string() };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    FetchError::Http(text)
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(Refused::Redirects);
    }
    match check(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    }
}

/// Whether that URL may be asked, as far as the URL says.
fn check(url: &Url) -> Result<(), Refused> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::Scheme(url.scheme().to_owned()));
    }
    match url.host() {
        Some(Host::Ipv4(address)) => check_address(address.into()),
        Some(Host::Ipv6(address)) => check_address(address.into()),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

fn check_address(address: IpAddr) -> Result<(), Refused> {
    let refused = match address {
        IpAddr::V4(v4) => is_refused(v4),
        IpAddr::V6(v6) => is_refused_v6(v6),
    };
    if refused { Err(Refused::Address(address)) } else { Ok(()) }
}

/// Where providers answer outside the link-local range.
const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

fn is_refused(address: Ipv4Addr) -> bool {
    address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || METADATA.contains(&address)
}

fn is_refused_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [.., a, b] = segments;
    let ends_in_v4 = matches!(segments, [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, ..]);
    let v4 = |high: u16, low: u16| is_refused(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    // ::1 would read as 0.0.0.1, which nobody refuses.
    address.is_unicast_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || METADATA_V6.contains(&address)
        || (ends_in_v4 && v4(a, b))
        || (segments[0] == 0x2002 && v4(segments[1], segments[2]))
}

/// Looks names up, and refuses those that lead where nobody is to be asked.
struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                check_address(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::response::Redirect;
    use axum::routing::get;
    use futures::{StreamExt as _, stream};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const MIB: usize = 1 << 20;

    async fn served(routes: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        format!("http://{address}")
    }

    fn fetcher(timeout: Duration) -> Fetcher {
        Fetcher::new(&TlsSettings::default(), timeout).unwrap()
    }

    async fn error(routes: Router) -> String {
        let base = served(routes).await;
        fetcher(Duration::from_secs(5)).openapi(&base).await.unwrap_err().to_string()
    }

    #[rstest]
    #[case("http://169.254.169.254", true)]
    #[case("http://0xA9FEA9FE/latest", true)]
    #[case("http://[fe80::1]:80", true)]
    #[case("http://[febf::1]", true)]
    #[case("http://[fd00:ec2::254]", true)]
    #[case("http://[::ffff:169.254.169.254]", true)]
    #[case("http://[::169.254.169.254]", true)]
    #[case("http://[64:ff9b::a9fe:a9fe]", true)]
    #[case("http://[2002:a9fe:a9fe::1]", true)]
    #[case("http://100.100.100.200", true)]
    #[case("http://0.0.0.0", true)]
    #[case("ftp://example.com", true)]
    #[case("file:///etc/passwd", true)]
    #[case("http://127.0.0.1", false)]
    #[case("http://[::1]", false)]
    #[case("http://10.0.0.1", false)]
    #[case("https://[fd00::1]", false)]
    #[case("https://model.example.com", false)]
    fn link_local_and_metadata_addresses_are_refused_however_they_are_written(
        #[case] url: &str,
        #[case] refused: bool,
    ) {
        assert_eq!(check(&Url::parse(url).unwrap()).is_err(), refused, "{url}");
    }

    #[tokio::test]
    async fn a_document_is_read_and_always_written_the_same() {
        let document = "{\n \"paths\": {},\n  \"openapi\": \"3.1.0\" }";
        let base = served(Router::new().route("/base/openapi.json", get(move || async move { document }))).await;
        let read = fetcher(Duration::from_secs(5)).openapi(&format!("{base}/base/?q=1")).await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), json!({"openapi": "3.1.0", "paths": {}}));
        assert!(!read.contains('\n'));
    }

    #[tokio::test]
    async fn models_are_listed_by_their_ids() {
        let list = json!({"object": "list", "data": [{"id": "b"}, {"id": "a"}, {"id": "a"}, {"name": "c"}, null, {"id": " "}]});
        let base = served(Router::new().route("/v1/models", get(move || async move { list.to_string() }))).await;
        assert_eq!(fetcher(Duration::from_secs(5)).models(&base).await.unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_redirect_to_a_metadata_address_is_not_followed() {
        let away = || async { Redirect::temporary("http://169.254.169.254/latest/meta-data/") };
        let text = error(Router::new().route("/openapi.json", get(away))).await;
        assert!(text.contains("169.254.169.254 is a link-local or metadata address"), "{text}");
    }

    #[tokio::test]
    async fn a_redirect_to_another_scheme_is_not_followed() {
        let away = || async { Redirect::temporary("file:///etc/passwd") };
        let text = error(Router::new().route("/openapi.json", get(away))).await;
        assert!(!text.contains("root"), "{text}");
    }

    #[tokio::test]
    async fn redirects_end() {
        let again = || async { Redirect::temporary("/openapi.json") };
        let text = error(Router::new().route("/openapi.json", get(again))).await;
        assert!(text.contains("more than 3 times"), "{text}");
    }

    #[tokio::test]
    async fn an_answer_of_100_mib_is_given_up() {
        let endless = || async {
            let chunks = stream::iter(0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; MIB]));
            Body::from_stream(chunks)
        };
        let text = error(Router::new().route("/openapi.json", get(endless))).await;
        assert!(text.contains("larger than"), "{text}");
    }

    #[tokio::test]
    async fn an_answer_that_says_how_large_it_is_is_not_read() {
        let large = || async { vec![b' '; 2 * MIB] };
        let text = error(Router::new().route("/openapi.json", get(large))).await;
        assert!(text.contains("larger than"), "{text}");
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_given_up() {
        let base = served(Router::new().route("/openapi.json", get(std::future::pending::<()>))).await;
        let text = fetcher(Duration::from_millis(100)).openapi(&base).await.unwrap_err().to_string();
        assert!(text.contains("time"), "{text}");
    }

    #[rstest]
    #[case::text("hello")]
    #[case::other_json("{\"a\": 1}")]
    #[case::list("[]")]
    #[tokio::test]
    async fn what_is_no_openapi_document_is_none(#[case] body: &'static str) {
        let text = error(Router::new().route("/openapi.json", get(move || async move { body }))).await;
        assert!(text.contains("not an OpenAPI document"), "{text}");
    }

    #[tokio::test]
    async fn an_error_is_no_answer() {
        let text = error(Router::new()).await;
        assert!(text.contains("404"), "{text}");
    }
}
