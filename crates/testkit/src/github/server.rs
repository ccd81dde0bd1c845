//! The HTTP side: connections, who asks, limits, faults, and the answer's form.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::access::{Access, Permission};
use super::repository::{Answer, AnswerBody, Repository};
use crate::kube::faults::{Fault, Journal, RecordedRequest};
use crate::kube::server::Interrupted;

/// What GitHub takes in an hour.
pub(crate) const REQUESTS_AN_HOUR: u64 = 5_000;

/// A limit on too much at once.
#[derive(Debug, Clone)]
pub(crate) struct SecondaryLimit {
    /// How many writes are taken before it strikes.
    pub(crate) writes_left: usize,
    pub(crate) retry_after: Option<u64>,
    /// How often it strikes.
    pub(crate) strikes_left: usize,
}

/// All that there is.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) repository: Repository,
    pub(crate) access: Access,
    pub(crate) remaining: u64,
    pub(crate) reset_in: Duration,
    pub(crate) secondary: Option<SecondaryLimit>,
    /// A branch, what is still told of it, and how often.
    pub(crate) lagging: Option<(String, Answer, usize)>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) journal: Arc<Mutex<Journal>>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections until the task is aborted; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| handle(Arc::clone(&shared), request));
    // A client that hangs up, and a connection that is interrupted on purpose, are both normal here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Interrupted> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Interrupted)?.to_bytes();
    let (id, fault) = shared.journal().arrival(record(&parts, &body));
    let response = match &fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Reset) => return Err(Interrupted),
        Some(Fault::Status(code)) => response(&Answer::error(*code, "Server Error: a fault on demand")),
        Some(Fault::Garbage) => html(),
        other => {
            if let Some(Fault::Delay(time)) = other {
                tokio::time::sleep(*time).await;
            }
            shared.state().answer(&parts, &body)
        }
    };
    if matches!(fault, Some(Fault::LostAnswer | Fault::Truncated)) {
        return Err(Interrupted);
    }
    shared.journal().answered(id, response.status().as_u16());
    Ok(response)
}

fn record(parts: &Parts, body: &Bytes) -> RecordedRequest {
    RecordedRequest {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        user: None,
        content_type: header_text(parts, "content-type").to_owned(),
        body: body.clone(),
        status: None,
    }
}

fn header_text<'a>(parts: &'a Parts, name: &str) -> &'a str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn bearer(parts: &Parts) -> &str {
    let text = header_text(parts, "authorization");
    text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("token ")).unwrap_or_default()
}

impl State {
    fn answer(&mut self, parts: &Parts, body: &Bytes) -> Response<Full<Bytes>> {
        if header_text(parts, "user-agent").is_empty() {
            return response(&Answer::error(403, "Request forbidden by administrative rules: send a User-Agent."));
        }
        if let Some(refusal) = self.limited(parts) {
            return refusal;
        }
        let answer = self.route(parts, body);
        let if_none_match = header_text(parts, "if-none-match");
        let unchanged = answer.status == 200 && answer.etag.as_deref().is_some_and(|etag| etag == if_none_match);
        if !unchanged {
            self.remaining = self.remaining.saturating_sub(1);
        }
        let mut response = if unchanged { not_modified() } else { response(&answer) };
        if let Some(etag) = answer.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        if answer.status == 403 {
            let needed = HeaderValue::from_static("contents=write");
            response.headers_mut().insert("x-accepted-github-permissions", needed);
        }
        self.tell_limits(&mut response);
        response
    }

    fn tell_limits(&self, response: &mut Response<Full<Bytes>>) {
        let reset = SystemTime::now() + self.reset_in;
        let reset = reset.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let used = REQUESTS_AN_HOUR.saturating_sub(self.remaining);
        for (name, value) in [
            ("x-ratelimit-limit", REQUESTS_AN_HOUR),
            ("x-ratelimit-remaining", self.remaining),
            ("x-ratelimit-used", used),
            ("x-ratelimit-reset", reset),
        ] {
            response.headers_mut().insert(name, HeaderValue::from(value));
        }
    }

    fn limited(&mut self, parts: &Parts) -> Option<Response<Full<Bytes>>> {
        if self.remaining == 0 {
            let mut refusal = response(&Answer::error(403, "API rate limit exceeded for user ID 1."));
            self.tell_limits(&mut refusal);
            return Some(refusal);
        }
        let limit = self.secondary.as_mut().filter(|limit| limit.strikes_left > 0)?;
        if parts.method == Method::GET {
            return None;
        }
        if limit.writes_left > 0 {
            limit.writes_left -= 1;
            return None;
        }
        limit.strikes_left -= 1;
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        let mut refusal = response(&Answer::error(403, message));
        if let Some(seconds) = limit.retry_after {
            refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Some(refusal)
    }

    fn route(&mut self, parts: &Parts, body: &Bytes) -> Answer {
        let path = parts.uri.path();
        // A GitHub Enterprise Server has its API below this.
        let path = path.strip_prefix("/api/v3").unwrap_or(path);
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let token = bearer(parts);
        match (parts.method.as_str(), segments.as_slice()) {
            ("POST", ["app", "installations", id, "access_tokens"]) => {
                self.access.issue(token, id, &self.name.clone(), &body)
            }
            ("GET", ["repos", owner, name, "installation"]) if self.is_called(owner, name) => {
                self.access.installation(token)
            }
            (_, ["repos", owner, name, rest @ ..]) => match self.admit(token, &parts.method) {
                Some(refusal) => refusal,
                None if !self.is_called(owner, name) => Answer::not_found(),
                None => self.in_repository(parts, rest, &body),
            },
            _ => Answer::not_found(),
        }
    }

    fn is_called(&self, owner: &str, name: &str) -> bool {
        self.owner.eq_ignore_ascii_case(owner) && self.name.eq_ignore_ascii_case(name)
    }

    fn admit(&self, token: &str, method: &Method) -> Option<Answer> {
        match self.access.permission(token) {
            _ if token.is_empty() => Some(Answer::error(401, "Requires authentication")),
            None => Some(Answer::error(401, "Bad credentials")),
            Some(Permission::None) => Some(Answer::not_found()),
            Some(Permission::Read) if *method != Method::GET => {
                Some(Answer::error(403, "Resource not accessible by personal access token"))
            }
            Some(_) => None,
        }
    }

    fn in_repository(&mut self, parts: &Parts, path: &[&str], body: &Value) -> Answer {
        let may_push = self.access.permission(bearer(parts)) == Some(Permission::Write);
        let repository = &mut self.repository;
        let answered = match (parts.method.as_str(), path) {
            ("GET", []) => Ok(Answer::json(
                200,
                json!({
                    "name": self.name,
                    "full_name": format!("{}/{}", self.owner, self.name),
                    "default_branch": repository.default_branch,
                    "archived": repository.archived,
                    "permissions": { "pull": true, "push": may_push },
                }),
            )),
            ("GET", ["git", "ref", "heads", branch @ ..]) => {
                let branch = branch.join("/");
                match &mut self.lagging {
                    Some((of, answer, times)) if *of == branch && *times > 0 => {
                        *times -= 1;
                        Ok(answer.clone())
                    }
                    _ => repository.get_ref(&branch),
                }
            }
            ("POST", ["git", "refs"]) => repository.create_ref(body),
            ("PATCH", ["git", "refs", "heads", branch @ ..]) => repository.update_ref(&branch.join("/"), body),
            ("GET", ["git", "commits", sha]) => repository.get_commit(sha),
            ("POST", ["git", "commits"]) => repository.create_commit(body),
            ("GET", ["git", "trees", sha]) => {
                // Any value at all means yes.
                let recursive = parts.uri.query().is_some_and(|query| query.contains("recursive="));
                repository.get_tree(sha, recursive)
            }
            ("POST", ["git", "trees"]) => repository.create_tree(body),
            ("GET", ["git", "blobs", sha]) => repository.get_blob(sha, header_text(parts, "accept").contains(".raw")),
            ("POST", ["git", "blobs"]) => repository.create_blob(body),
            ("PUT", ["contents", path @ ..]) => repository.put_contents(&path.join("/"), body),
            _ => Err(Answer::not_found()),
        };
        answered.unwrap_or_else(|refusal| refusal)
    }
}

fn response(answer: &Answer) -> Response<Full<Bytes>> {
    let (content_type, bytes) = match &answer.body {
        AnswerBody::Json(value) => ("application/json; charset=utf-8", Bytes::from(value.to_string())),
        AnswerBody::Raw(bytes) => ("application/vnd.github.raw+json; charset=utf-8", bytes.clone()),
    };
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn not_modified() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

fn html() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"<!DOCTYPE html><title>Unicorn!</title>")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
