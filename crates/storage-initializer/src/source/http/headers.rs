//! The headers that KServe injects for a host, from a secret: `<host>-headers`, a JSON object.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use crate::environment::Environment;
use crate::source::network::{Network, Trust};
use crate::{Failure, Kind};

const SUFFIX: &str = "-headers";

/// The headers for the URL's host; none where there is no such variable.
pub(super) fn of_host(url: &Url, environment: &Environment) -> Result<HeaderMap, Failure> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_for_host = |name: &str| name.strip_suffix(SUFFIX).is_some_and(|of| of.eq_ignore_ascii_case(host));
    let variable = environment.iter().find(|(name, value)| is_for_host(name) && !value.is_empty());
    let Some((variable, json)) = variable else { return Ok(HeaderMap::new()) };
    // What is wrong is said without the values.
    let refused = |reason: &str| {
        let what = format!("the headers in the variable {variable} cannot be sent: {reason}");
        Failure::new(Kind::Usage, what, r#"write them as a JSON object such as {"Authorization": "Bearer TOKEN"}"#)
    };
    let parsed: BTreeMap<String, Value> = serde_json::from_str(json).map_err(|_| refused("that is no JSON object"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &parsed {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(refused(&format!("the value of {name:?} is no text"))),
        };
        let header = HeaderName::try_from(name).map_err(|_| refused(&format!("{name:?} is no name of a header")))?;
        let mut value = HeaderValue::try_from(text.trim())
            .map_err(|_| refused(&format!("the value of {name:?} has characters that no header may have")))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

/// Whom to trust: what KServe's own initializer is told with `REQUESTS_CA_BUNDLE`.
pub(in crate::source) fn trust(environment: &Environment, network: &Network) -> Trust {
    let mut trust = Trust::of(network);
    if let Some(bundle) = environment.get("REQUESTS_CA_BUNDLE") {
        trust.tls.ca_file = Some(PathBuf::from(bundle));
    }
    trust
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(url: &str, name: &str, value: &str) -> Result<HeaderMap, Failure> {
        of_host(&url.parse().unwrap(), &[(name, value)].into_iter().collect())
    }

    #[rstest]
    #[case("https://models.example:8443/a", "models.example-headers", true)]
    #[case("https://models.example/a", "Models.Example-headers", true)]
    #[case("https://models.example/a", "example-headers", false)]
    #[case("https://evil-models.example/a", "models.example-headers", false)]
    #[case("http://[::1]:80/a", "::1-headers", true)]
    fn they_are_for_one_host(#[case] url: &str, #[case] variable: &str, #[case] are_sent: bool) {
        let headers = headers(url, variable, r#"{"X-Token": "planted", "X-Count": 3}"#).unwrap();
        let expected = if are_sent { 2 } else { 0 };
        assert_eq!(headers.len(), expected);
        assert!(!format!("{headers:?}").contains("planted"), "{headers:?}");
    }

    #[rstest]
    #[case("planted")]
    #[case(r#"["planted"]"#)]
    #[case(r#"{"X-Token": ["planted"]}"#)]
    #[case(r#"{"X-Token": "planted\nX-Other: 1"}"#)]
    #[case(r#"{"X Token": "planted"}"#)]
    fn what_is_no_header_is_an_error_without_values(#[case] json: &str) {
        let failure = headers("https://models.example/a", "models.example-headers", json).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(
            failure.what.contains("models.example-headers") && !failure.to_string().contains("planted"),
            "{failure}"
        );
    }
}
