//! Requests that depend on what the caller knows: reads of what has not changed since, changes of what has.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use sha2::{Digest, Sha256};

use crate::model::Record;

/// How much of a digest tells two lists apart.
const DIGEST_BYTES: usize = 16;

/// What names the state that a resource is in.
pub(super) fn of_record(record: &Record) -> String {
    format!("\"{}-{}\"", record.id, record.updated)
}

/// What names the content of a list.
pub(super) fn of_list(body: &[u8]) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..DIGEST_BYTES]))
}

/// Whether the caller of a read has what is named `tag`.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, &IF_NONE_MATCH).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Whether a change depends on the state of what is changed.
pub(super) fn is_expected_at_all(headers: &HeaderMap) -> bool {
    let any_will_do = tags(headers, &IF_MATCH).any(|tag| tag == "*");
    headers.contains_key(IF_MATCH) && !any_will_do
}

/// Whether the caller of a change expects what is named `tag`.
pub(super) fn is_expected(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, &IF_MATCH).any(|expected| expected == tag)
}

fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[rstest]
    #[case(&["\"5-1\""], true)]
    #[case(&["W/\"5-1\""], true)]
    #[case(&["\"5-0\", \"5-1\""], true)]
    #[case(&["\"5-0\"", "\"5-1\""], true)]
    #[case(&["*"], true)]
    #[case(&["\"5-0\""], false)]
    #[case(&["5-1"], false)]
    #[case(&[], false)]
    fn a_read_names_what_is_known(#[case] values: &[&str], #[case] known: bool) {
        assert_eq!(is_known(&headers(&IF_NONE_MATCH, values), "\"5-1\""), known);
    }

    #[rstest]
    #[case(&[], false, false)]
    #[case(&["*"], false, false)]
    #[case(&["\"5-1\""], true, true)]
    #[case(&["\"5-0\", \"5-1\""], true, true)]
    #[case(&["\"5-0\""], true, false)]
    #[case(&["W/\"5-1\""], true, false)]
    #[case(&["nonsense"], true, false)]
    fn a_change_names_what_is_expected(#[case] values: &[&str], #[case] at_all: bool, #[case] expected: bool) {
        let headers = headers(&IF_MATCH, values);
        assert_eq!((is_expected_at_all(&headers), is_expected(&headers, "\"5-1\"")), (at_all, expected));
    }

    #[test]
    fn lists_that_differ_are_named_otherwise() {
        assert_eq!(of_list(b"[]"), of_list(b"[]"));
        assert_ne!(of_list(b"[]"), of_list(b"[1]"));
    }
}
