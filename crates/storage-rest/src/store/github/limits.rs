//! GitHub's limits: recognised in its answers, and respected by not asking while it would refuse.
//!
//! There is one on requests an hour, and "secondary" ones on too much at once. Asking on in spite of them may get an
//! integration banned, so until the time that GitHub names every request fails here.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

use super::error::GithubError;

/// How long to wait where GitHub does not say: what its documentation asks for.
const UNSAID: Duration = Duration::from_mins(1);
/// The limit on requests an hour is over by then, whatever the clocks say.
const LONGEST: Duration = Duration::from_hours(1);

/// How long an answer asks to wait; `None` when it is about something else.
pub(super) fn wait_of(status: StatusCode, headers: &HeaderMap, message: &str, now: SystemTime) -> Option<Duration> {
    if !matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let wait = if let Some(seconds) = number(header::RETRY_AFTER.as_str()) {
        Duration::from_secs(seconds)
    } else if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset").map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        // A second more: the reset is told in whole ones.
        reset.map_or(UNSAID, |reset| reset.duration_since(now).unwrap_or_default() + Duration::from_secs(1))
    } else if status == StatusCode::TOO_MANY_REQUESTS || is_about_a_limit(message) {
        UNSAID
    } else {
        return None;
    };
    Some(wait.min(LONGEST))
}

fn is_about_a_limit(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["rate limit", "abuse detection", "submitted too quickly"].iter().any(|words| message.contains(words))
}

/// Closed while GitHub takes no requests.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Mutex<Option<Closed>>,
}

#[derive(Debug, Clone)]
struct Closed {
    until: Instant,
    shown: String,
    message: String,
}

impl Gate {
    /// An error while it is closed.
    pub(super) fn check(&self) -> Result<(), GithubError> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match &*closed {
            Some(closed) if closed.until > now => Err(closed.error(now)),
            _ => {
                *closed = None;
                Ok(())
            }
        }
    }

    /// Closes it for a while.
    pub(super) fn close(&self, wait: Duration, message: &str) -> GithubError {
        let now = Instant::now();
        let until = Timestamp::try_from(SystemTime::now() + wait).unwrap_or(Timestamp::UNIX_EPOCH);
        let shown = until.strftime("%H:%M:%S UTC").to_string();
        let closed = Closed { until: now + wait, shown, message: message.to_owned() };
        tracing::warn!(until = closed.shown, message, "GitHub limits our requests");
        let error = closed.error(now);
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(closed);
        error
    }
}

impl Closed {
    fn error(&self, now: Instant) -> GithubError {
        let wait = self.until.saturating_duration_since(now);
        GithubError::Limited { until: self.shown.clone(), wait, message: self.message.clone() }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn wait(status: u16, headers: &[(&'static str, String)], message: &str) -> Option<u64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let status = StatusCode::from_u16(status).unwrap();
        wait_of(status, &headers.collect(), message, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_wait_is_what_github_asks_for() {
        let remaining = |left: &str| ("x-ratelimit-remaining", left.to_owned());
        let reset = |at: u64| ("x-ratelimit-reset", at.to_string());
        let after = |seconds: &str| ("retry-after", seconds.to_owned());
        assert_eq!(wait(403, &[after("7")], ""), Some(7));
        assert_eq!(wait(429, &[after("7"), remaining("0"), reset(NOW + 99)], ""), Some(7));
        assert_eq!(wait(403, &[remaining("0"), reset(NOW + 99)], "API rate limit exceeded"), Some(100));
        assert_eq!(wait(403, &[remaining("0"), reset(NOW - 99)], ""), Some(1));
        assert_eq!(wait(403, &[remaining("0"), reset(NOW + 999_999)], ""), Some(3_600));
        assert_eq!(wait(403, &[remaining("12")], "You have exceeded a secondary rate limit."), Some(60));
        assert_eq!(wait(429, &[], ""), Some(60));
    }

    #[test]
    fn a_missing_permission_is_no_limit() {
        let some_left = ("x-ratelimit-remaining", "12".to_owned());
        assert_eq!(wait(403, &[some_left], "Resource not accessible by integration"), None);
        assert_eq!(wait(404, &[("retry-after", "7".to_owned())], ""), None);
    }

    #[test]
    fn nothing_is_asked_before_its_time() {
        let gate = Gate::default();
        gate.check().unwrap();
        gate.close(Duration::from_secs(30), "slow down");
        let error = gate.check().unwrap_err().to_string();
        assert!(error.contains("slow down") && error.contains("UTC"), "{error}");
        gate.close(Duration::ZERO, "slow down");
        gate.check().unwrap();
    }
}
