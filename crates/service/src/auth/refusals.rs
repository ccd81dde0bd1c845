//! What those get who may not: an answer that they can read, and a line in the log now and then.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};

use crate::server::{ApiError, drain};

/// How much of a refused body is still read, so that its sender gets to read why.
const DRAINED_BYTES: usize = 1 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Refusals are logged so often at the most.
const SAY_EVERY: Duration = Duration::from_secs(10);
const SHOWN_PATH: usize = 100;

/// Refuses requests.
#[derive(Debug, Default)]
pub struct Refusals {
    said: Mutex<Said>,
}

/// When a refusal was logged last, and how many were not since.
#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: usize,
}

impl Refusals {
    /// The answer to a request that is refused.
    pub async fn answer(&self, refusal: ApiError, request: Request) -> Response {
        self.say(&refusal, peer(&request), request.uri().path());
        drain(request.into_body(), DRAINED_BYTES, DRAIN_TIME).await;
        refusal.into_response()
    }

    /// Someone who tries again and again must not fill the log.
    fn say(&self, refusal: &ApiError, peer: Option<IpAddr>, path: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| last.elapsed() < SAY_EVERY) {
            said.unsaid += 1;
            return;
        }
        let more = std::mem::take(&mut said.unsaid);
        said.last = Some(Instant::now());
        let path: String = path.chars().take(SHOWN_PATH).collect();
        let peer = peer.map_or_else(|| "somewhere".to_owned(), |peer| peer.to_string());
        tracing::warn!(peer, path, status = refusal.status.as_u16(), more, "refused: {}", refusal.message);
    }
}

/// The address that a request comes from, where that is known.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}
