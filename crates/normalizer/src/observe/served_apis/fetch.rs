//! One question to one served API: a GET that is bounded in time and size, and [guarded](service::guard) in where it goes.
//!
//! The addresses come from objects that users of a cluster may write. So no token is sent, and proxies are not used: they
//! would look names up themselves.

use std::sync::Arc;
use std::time::Duration;

use model_catalog::names::clean_text;
use reqwest::{Client, ClientBuilder};
use serde::Deserialize;
use serde_json::Value;
use service::guard::{Guard, Refused, read_up_to};
use service::http_client::{HttpClientError, TlsSettings, client_with};
use thiserror::Error;
use url::Url;

/// The largest answer.
const LIMIT: usize = 1 << 20;
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

/// Asks served APIs.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    http: Client,
    guard: Guard,
}

impl Fetcher {
    pub(super) fn new(tls: &TlsSettings, guard: Guard, timeout: Duration) -> Result<Self, HttpClientError> {
        let guarded =
            |builder: ClientBuilder| guard.restrict(builder).connect_timeout(timeout).timeout(timeout).no_proxy();
        Ok(Self { http: client_with(tls, "served APIs", guarded)?, guard })
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
        self.guard.check(&url)?;
        let response = self.http.get(url).send().await.map_err(|error| failure(&error))?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        let body = read_up_to(response, LIMIT).await.map_err(|error| failure(&error))?;
        body.ok_or(FetchError::TooLarge)
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::response::Redirect;
    use axum::routing::get;
    use futures::{StreamExt as _, stream};
    use rstest::rstest;
    use serde_json::json;
    use service::guard::Loopback;

    use super::*;

    const MIB: usize = 1 << 20;

    async fn served(routes: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        format!("http://{address}")
    }

    fn fetcher(timeout: Duration) -> Fetcher {
        Fetcher::new(&TlsSettings::default(), Guard { loopback: Loopback::Allowed }, timeout).unwrap()
    }

    async fn error(routes: Router) -> String {
        let base = served(routes).await;
        fetcher(Duration::from_secs(5)).openapi(&base).await.unwrap_err().to_string()
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
    async fn an_address_that_is_refused_is_not_asked() {
        let asked = fetcher(Duration::from_secs(5)).openapi("http://[::ffff:169.254.169.254]/v1").await;
        assert!(matches!(asked, Err(FetchError::Refused(Refused::Address(_)))), "{asked:?}");
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
