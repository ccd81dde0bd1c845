//! Faults on demand, and the record of what was asked.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;

/// How a request goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status code and a fitting `Status` object; nothing is done.
    Status(u16),
    /// Answered with this status code and message, as quotas and admission webhooks refuse; nothing is done.
    Refusal(u16, &'static str),
    /// The connection is closed without an answer; nothing is done.
    Reset,
    /// The request is done, but the connection is closed before the answer.
    LostAnswer,
    /// The request is done, but its answer breaks off half way.
    Truncated,
    /// Answered 200 with an HTML page; nothing is done.
    Garbage,
    /// Done after this time.
    Delay(Duration),
    /// Never answered.
    Hang,
}

/// One request as it arrived, and how it was answered.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The HTTP method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The raw query.
    pub query: String,
    /// The user behind the token; `None` when the token is missing or unknown.
    pub user: Option<String>,
    /// The `Content-Type` header, which tells the kinds of patch apart.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// The status of the answer; `None` while there is none, or when the connection was closed instead.
    pub status: Option<u16>,
}

impl RecordedRequest {
    /// The request may change something: any method but GET, HEAD and OPTIONS.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// The request opens a watch.
    pub fn is_watch(&self) -> bool {
        self.query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"))
    }

    /// The request is on this resource (a lower case plural such as `configmaps`), or on an object or part of it.
    pub fn is_on(&self, plural: &str) -> bool {
        self.path.split('/').any(|segment| segment == plural)
    }
}

type Matcher = Box<dyn Fn(&RecordedRequest) -> bool + Send>;

struct Armed {
    id: u64,
    matcher: Matcher,
    fault: Fault,
    /// How often it still strikes; `None` until it is disarmed.
    left: Option<usize>,
}

/// The armed faults and the recorded requests.
#[derive(Default)]
pub(crate) struct Journal {
    faults: Vec<Armed>,
    next_fault: u64,
    requests: Vec<(u64, RecordedRequest)>,
    next_request: u64,
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Journal")
            .field("faults", &self.faults.len())
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn arm(&mut self, matcher: Matcher, fault: Fault, left: Option<usize>) -> u64 {
        self.next_fault += 1;
        self.faults.push(Armed { id: self.next_fault, matcher, fault, left });
        self.next_fault
    }

    fn disarm(&mut self, id: u64) {
        self.faults.retain(|armed| armed.id != id);
    }

    /// Records an arrival and takes the fault that strikes it, the one armed first.
    pub(crate) fn arrival(&mut self, request: RecordedRequest) -> (u64, Option<Fault>) {
        let struck = self.faults.iter_mut().find(|armed| (armed.matcher)(&request)).map(|armed| {
            armed.left = armed.left.map(|left| left.saturating_sub(1));
            armed.fault.clone()
        });
        self.faults.retain(|armed| armed.left != Some(0));
        self.next_request += 1;
        self.requests.push((self.next_request, request));
        (self.next_request, struck)
    }

    pub(crate) fn answered(&mut self, id: u64, status: u16) {
        // The newest requests are at the end.
        if let Some((_, request)) = self.requests.iter_mut().rev().find(|(of, _)| *of == id) {
            request.status = Some(status);
        }
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.iter().map(|(_, request)| request.clone()).collect()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&RecordedRequest) -> bool) -> usize {
        self.requests.iter().filter(|(_, request)| wanted(request)).count()
    }

    pub(crate) fn clear_requests(&mut self) {
        self.requests.clear();
    }

    pub(crate) fn clear_faults(&mut self) {
        self.faults.clear();
    }
}

/// Keeps a fault armed until it is dropped.
#[must_use = "the fault ends when this is dropped"]
#[derive(Debug)]
pub struct FaultGuard {
    pub(crate) journal: Arc<Mutex<Journal>>,
    pub(crate) id: u64,
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).disarm(self.id);
    }
}
