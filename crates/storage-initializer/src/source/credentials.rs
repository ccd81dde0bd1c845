//! What KServe injects: where storage is, and who we are to it.

use url::Url;

use crate::environment::Environment;
use crate::{Failure, Kind};

pub mod azure;
pub mod gcs;
pub mod s3;
pub mod storage_spec;

/// Whether a variable says yes; as KServe, anything else is a no.
pub(crate) fn says_yes(environment: &Environment, name: &str) -> bool {
    let is_yes = |value: &str| ["1", "true", "yes", "on"].iter().any(|yes| value.trim().eq_ignore_ascii_case(yes));
    environment.get(name).is_some_and(is_yes)
}

/// Whether a variable says no.
pub(crate) fn says_no(environment: &Environment, name: &str) -> bool {
    let is_no = |value: &str| ["0", "false", "no", "off"].iter().any(|no| value.trim().eq_ignore_ascii_case(no));
    environment.get(name).is_some_and(is_no)
}

/// The first of the variables that is set.
pub(crate) fn first<'a>(environment: &'a Environment, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
    names.iter().find_map(|name| Some((*name, environment.get(name)?.trim())))
}

/// The URL in a variable. The value is not shown: it may have credentials.
pub(crate) fn endpoint(name: &str, value: &str) -> Result<Url, Failure> {
    let refused = |reason: &str| {
        let advice = format!("set {name} to a URL such as https://storage.example:9000");
        Failure::new(Kind::Usage, format!("the address in {name} {reason}"), advice)
    };
    let url: Url = value.trim().parse().map_err(|_| refused("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("must begin with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not carry credentials"));
    }
    Ok(url)
}
