//! Where answers lead, and where they may not.

use http::header;
use reqwest::Response;
use service::guard::MAX_REDIRECTS;
use url::Url;

use crate::{Failure, Kind};

pub(in crate::source) const LIMIT: usize = MAX_REDIRECTS;

/// Where the answer to a request for `from` leads; none where it leads nowhere.
pub(in crate::source) fn next(name: &str, from: &Url, response: &Response) -> Result<Option<Url>, Failure> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(header::LOCATION).filter(|_| is_redirect) else { return Ok(None) };
    let next = location.to_str().ok().and_then(|location| from.join(location).ok());
    let Some(next) = next else {
        return Err(not_followed(name, "to what is no URL"));
    };
    if from.scheme() == "https" && next.scheme() != "https" {
        return Err(not_followed(name, "out of TLS"));
    }
    Ok(Some(next))
}

/// It leads where nobody is to be asked.
pub(in crate::source) fn refused(name: &str, failure: &Failure) -> Failure {
    not_followed(name, &format!("to where nobody is asked: {}", failure.what))
}

pub(in crate::source) fn too_many(name: &str) -> Failure {
    not_followed(name, &format!("more than {LIMIT} times"))
}

fn not_followed(name: &str, whither: &str) -> Failure {
    Failure::new(Kind::Permission, format!("{name}: it redirects {whither}"), "give the address that the file has")
}
