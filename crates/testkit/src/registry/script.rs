//! The script of a scripted registry: what was asked, and which request fails how.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, Method};

use super::Fault;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query without the question mark; empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
}

type Predicate = dyn Fn(&RecordedRequest) -> bool + Send + Sync;
type Chooser = dyn FnMut(&RecordedRequest) -> Option<Fault> + Send;

/// Which requests a rule is about. A `&str` matches the end of the path.
#[derive(Clone)]
pub enum Matcher {
    /// Every request.
    Any,
    /// The path ends so, as `/model_versions` for the flat list.
    PathEnd(String),
    /// The path holds this.
    PathPart(String),
    /// Whatever the function says.
    By(Arc<Predicate>),
}

impl Matcher {
    /// Requests for which the function is true.
    pub fn by(predicate: impl Fn(&RecordedRequest) -> bool + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(predicate))
    }

    /// Whether the request is meant.
    pub fn matches(&self, request: &RecordedRequest) -> bool {
        match self {
            Self::Any => true,
            Self::PathEnd(end) => request.path.ends_with(end),
            Self::PathPart(part) => request.path.contains(part),
            Self::By(predicate) => predicate(request),
        }
    }
}

impl From<&str> for Matcher {
    fn from(end: &str) -> Self {
        Self::PathEnd(end.to_owned())
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::PathEnd(end) => write!(f, "PathEnd({end:?})"),
            Self::PathPart(part) => write!(f, "PathPart({part:?})"),
            Self::By(_) => f.write_str("By(..)"),
        }
    }
}

#[derive(Debug)]
struct Rule {
    matcher: Matcher,
    skip: usize,
    left: Option<usize>,
    fault: Fault,
}

#[derive(Default)]
pub(super) struct Script {
    requests: Mutex<Vec<RecordedRequest>>,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    rules: Vec<Rule>,
    chooser: Option<Box<Chooser>>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("requests", &self.total()).finish_non_exhaustive()
    }
}

impl Script {
    fn faults(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Vec<RecordedRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, matcher: Matcher, skip: usize, left: Option<usize>, fault: Fault) {
        self.faults().rules.push(Rule { matcher, skip, left, fault });
    }

    pub(super) fn set_chooser(&self, chooser: Box<Chooser>) {
        self.faults().chooser = Some(chooser);
    }

    pub(super) fn clear_faults(&self) {
        *self.faults() = Faults::default();
    }

    /// Records the request and says how it fails, if it does. The oldest rule that is not used up wins.
    pub(super) fn observe(&self, request: RecordedRequest) -> Option<Fault> {
        let fault = self.faults().choose(&request);
        self.log().push(request);
        fault
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.log().clone()
    }

    pub(super) fn total(&self) -> usize {
        self.log().len()
    }

    pub(super) fn clear_requests(&self) {
        self.log().clear();
    }
}

impl Faults {
    fn choose(&mut self, request: &RecordedRequest) -> Option<Fault> {
        for rule in &mut self.rules {
            if rule.left == Some(0) || !rule.matcher.matches(request) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.left = rule.left.map(|left| left - 1);
            return Some(rule.fault.clone());
        }
        self.chooser.as_mut().and_then(|choose| choose(request))
    }
}
