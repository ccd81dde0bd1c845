//! Requests that are tried again: what is worth it, how long the waits are, and what an answer other than a success means.

use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use calls::retry_after;
use http::{HeaderMap, StatusCode};

use crate::{Failure, Kind};

/// How patient a source is with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Attempts in all.
    pub attempts: usize,
    /// The first wait, about: each further one is twice as long, and all have jitter.
    pub first_wait: Duration,
    /// The longest wait of our own choice.
    pub longest_wait: Duration,
    /// The longest that a server's `Retry-After` is heeded. If it asks for more, we give up at once and say so.
    pub longest_retry_after: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(20),
            longest_retry_after: Duration::from_mins(2),
        }
    }
}

impl Retries {
    /// Requests are sent once.
    pub const NONE: Self = Self {
        attempts: 1,
        first_wait: Duration::ZERO,
        longest_wait: Duration::ZERO,
        longest_retry_after: Duration::ZERO,
    };

    /// Sends a request until it succeeds, fails in a way that lasts, or was sent often enough. A wait is at least as long as
    /// the failure's `retry_after`.
    pub async fn run<T, R, Answer>(&self, request: R) -> Result<T, Failure>
    where
        R: FnMut() -> Answer,
        Answer: Future<Output = Result<T, Failure>>,
    {
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter();
        request
            .retry(waits)
            .when(|failure| failure.is_transient && self.is_bearable(failure))
            .adjust(|failure, wait| wait.map(|wait| wait.max(failure.retry_after.unwrap_or_default())))
            .notify(|failure, wait| tracing::info!(?wait, "trying again after a wait: {}", failure.what))
            .await
    }

    fn is_bearable(&self, failure: &Failure) -> bool {
        failure.retry_after.is_none_or(|wait| wait <= self.longest_retry_after)
    }
}

/// What it means that a request got no answer, or that an answer broke. The URL, which may hold credentials, is left out.
pub fn unanswered(what: impl fmt::Display, error: reqwest::Error) -> Failure {
    let is_setup = error.is_builder();
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        source = cause.source();
    }
    if is_setup {
        return Failure::new(Kind::Usage, format!("{what}: {reason}"), "the address, or a header, cannot be sent");
    }
    if error.is_redirect() {
        return Failure::new(Kind::Permission, format!("{what}: {reason}"), "give the address that it leads to");
    }
    if reason.contains("certificate") {
        let advice = "give the authority that signed it with a CA bundle";
        return Failure::new(Kind::Permission, format!("{what}: {reason}"), advice);
    }
    let advice = "see whether the server runs, and can be reached from here";
    Failure::new(Kind::Unavailable, format!("{what}: {reason}"), advice).transient()
}

/// What an answer other than a success means. `detail` is what the server says, one line without credentials; may be empty.
pub fn refused(what: impl fmt::Display, status: StatusCode, headers: &HeaderMap, detail: &str) -> Failure {
    let colon = if detail.is_empty() { "" } else { ": " };
    let what = format!("{what}: the server answers {status}{colon}{detail}");
    let failure = match status {
        StatusCode::UNAUTHORIZED => {
            Failure::new(Kind::Permission, what, "give credentials, or see whether they are right")
        }
        StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Failure::new(Kind::Permission, what, "see whether the credentials may read it")
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Failure::new(Kind::NotFound, what, "see whether the address is right")
        }
        StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
            Failure::new(Kind::Integrity, what, "it has changed since it was listed: start again")
        }
        _ if is_transient(status) => {
            Failure::new(Kind::Unavailable, what, "see what is wrong with the server, or try again later").transient()
        }
        _ if status.is_redirection() => Failure::new(Kind::Unavailable, what, "give the address that it leads to"),
        _ => Failure::new(Kind::Unavailable, what, "see what the server expects"),
    };
    let retry_after = retry_after(headers).filter(|_| failure.is_transient);
    Failure { retry_after, ..failure }
}

/// Whether a server that answers so may do better a little later.
pub fn is_transient(status: StatusCode) -> bool {
    let is_lasting = matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    (status.is_server_error() && !is_lasting)
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

/// A short, printable, one-line piece of foreign text.
pub fn excerpt(text: &str) -> String {
    const LIMIT: usize = 200;
    let words: Vec<&str> = text.split_whitespace().take(LIMIT).collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http::{HeaderValue, header};
    use rstest::rstest;

    use super::*;

    const QUICK: Retries = Retries {
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
        longest_retry_after: Duration::from_secs(5),
    };

    async fn attempts(failure: impl Fn() -> Failure) -> (usize, Failure) {
        let sent = Cell::new(0);
        let request = || {
            sent.set(sent.get() + 1);
            let failure = failure();
            async { Err::<(), _>(failure) }
        };
        let last = QUICK.run(request).await.unwrap_err();
        (sent.get(), last)
    }

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap())])
    }

    #[tokio::test]
    async fn what_may_go_away_is_tried_again_but_not_for_ever() {
        let (sent, last) = attempts(|| Failure::new(Kind::Unavailable, "x", "").transient()).await;
        assert_eq!((sent, last.kind), (4, Kind::Unavailable));
    }

    #[tokio::test]
    async fn what_lasts_is_not_tried_again() {
        assert_eq!(attempts(|| Failure::new(Kind::NotFound, "x", "")).await.0, 1);
    }

    #[tokio::test]
    async fn a_request_succeeds_after_failures() {
        let sent = Cell::new(0);
        let request = || {
            sent.set(sent.get() + 1);
            let result = if sent.get() < 3 { Err(Failure::new(Kind::Unavailable, "x", "").transient()) } else { Ok(7) };
            async { result }
        };
        assert_eq!((QUICK.run(request).await.unwrap(), sent.get()), (7, 3));
    }

    #[tokio::test]
    async fn a_server_that_wants_to_be_left_alone_for_long_is() {
        let busy = |wait: &str| refused("x", StatusCode::SERVICE_UNAVAILABLE, &headers(wait), "");
        assert_eq!(attempts(|| busy("0")).await.0, 4);
        let (sent, last) = attempts(|| busy("3600")).await;
        assert_eq!((sent, last.retry_after), (1, Some(Duration::from_hours(1))));
    }

    #[rstest]
    #[case(401, Kind::Permission, false)]
    #[case(403, Kind::Permission, false)]
    #[case(404, Kind::NotFound, false)]
    #[case(412, Kind::Integrity, false)]
    #[case(416, Kind::Integrity, false)]
    #[case(301, Kind::Unavailable, false)]
    #[case(400, Kind::Unavailable, false)]
    #[case(429, Kind::Unavailable, true)]
    #[case(408, Kind::Unavailable, true)]
    #[case(500, Kind::Unavailable, true)]
    #[case(501, Kind::Unavailable, false)]
    #[case(503, Kind::Unavailable, true)]
    fn answers_mean_something(#[case] status: u16, #[case] kind: Kind, #[case] is_transient: bool) {
        let failure = refused("s3://b/k", StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), "Because");
        assert_eq!((failure.kind, failure.is_transient), (kind, is_transient));
        assert!(failure.what.starts_with("s3://b/k: ") && failure.what.ends_with(": Because"), "{failure}");
    }

    #[test]
    fn foreign_text_becomes_one_short_line() {
        assert_eq!(excerpt(" a\n\tb\u{7} "), "a b");
        assert_eq!(excerpt(&"x".repeat(500)).len(), 200);
    }
}
