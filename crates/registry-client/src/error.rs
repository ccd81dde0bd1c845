//! What can go wrong when a registry is read, in words that say which URL, what happened and what to do.

use std::{error::Error, fmt, time::Duration};

use thiserror::Error;
use url::Url;

/// Which service was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The Model Registry.
    Registry,
    /// The Model Catalog.
    Catalog,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registry => "model registry",
            Self::Catalog => "model catalog",
        })
    }
}

/// A read that failed. The URL has neither credentials nor query.
#[derive(Debug, Error)]
#[error("{peer} at {url}: {failure}")]
pub struct RegistryError {
    /// Which service was asked.
    pub peer: Peer,
    /// The address asked.
    pub url: String,
    /// What happened.
    pub failure: Failure,
}

/// What happened to a read.
#[derive(Debug, Error)]
pub enum Failure {
    /// No connection.
    #[error("cannot connect: {0}; check the address and that the service is up")]
    Connect(String),
    /// The connection is not trusted, or is no TLS.
    #[error("the TLS connection failed: {0}; a certificate of a private CA needs that CA's file")]
    Tls(String),
    /// Not answered in time.
    #[error("no complete answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection ended before the answer did.
    #[error("the connection broke before the answer was complete: {0}")]
    Interrupted(String),
    /// The request could not be made, or its redirects not followed.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// A status other than 200.
    #[error("answered {code}{}{}", detail(.message), hint(*.code))]
    Status {
        /// The status code.
        code: u16,
        /// The server's own message, shortened; may be empty.
        message: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// A 200 that is not JSON, or only a part of it.
    #[error("the answer is not JSON: {detail} (content type {content_type:?})")]
    NotJson {
        /// The declared content type.
        content_type: String,
        /// What it is instead.
        detail: String,
    },
    /// JSON, but not what the API answers.
    #[error("the answer does not have the shape of the API: {0}")]
    WrongShape(String),
    /// More bytes than a page may have.
    #[error("the answer is larger than {limit} bytes; ask for smaller pages")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The server gave a page token that it had given before, so its list has no end.
    #[error("the server repeats a page token, so its list never ends (after {pages} pages)")]
    RepeatedToken {
        /// The pages read until then.
        pages: usize,
    },
    /// The list has more pages than any registry should.
    #[error("the list did not end within {limit} pages")]
    TooManyPages {
        /// The limit.
        limit: usize,
    },
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

const fn hint(code: u16) -> &'static str {
    match code {
        401 => "; give a valid bearer token for it",
        403 => "; the bearer token is not allowed to do this",
        404 => "; check the address and its path",
        429 => "; it asks for fewer requests",
        _ => "",
    }
}

impl RegistryError {
    /// How long the server asks to be left alone, if it said so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.failure {
            Failure::Status { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// The status, where the server answered with another one than 200.
    pub const fn status(&self) -> Option<u16> {
        match self.failure {
            Failure::Status { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same request may succeed a little later without anybody changing a setting.
    pub const fn is_transient(&self) -> bool {
        match self.failure {
            Failure::Connect(_) | Failure::Timeout(_) | Failure::Interrupted(_) => true,
            Failure::Status { code, .. } => code == 408 || code == 429 || code >= 500,
            _ => false,
        }
    }
}

impl Failure {
    pub(crate) fn from_transport(error: reqwest::Error, timeout: Duration) -> Self {
        let error = error.without_url();
        let reason = causes(&error);
        if error.is_timeout() {
            Self::Timeout(timeout)
        } else if is_tls(&error) {
            Self::Tls(reason)
        } else if error.is_connect() {
            Self::Connect(reason)
        } else if error.is_builder() || error.is_redirect() {
            Self::Request(reason)
        } else {
            Self::Interrupted(reason)
        }
    }
}

/// The address without user information, query and fragment.
pub(crate) fn public_url(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that cannot have user information to begin with.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// The innermost cause says the most; reqwest's own text only "error sending request".
fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn is_tls(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        next = wrapped(error).or_else(|| error.source());
    }
    false
}

/// An I/O error's `source` passes over the error that it wraps, which is the one that says TLS.
fn wrapped<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    Some(inner)
}
