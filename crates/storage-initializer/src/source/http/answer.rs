//! What the headers of an answer say of a file: version, checksum, range.

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use url::Url;

use crate::checksum::Checksum;

/// What is both a version and a date has to be that much older than the answer: clocks tick once a second.
const SETTLED: Duration = Duration::from_secs(2);

/// A strong ETag, or else the date of the last change, where nothing can have changed within the same second.
pub(in crate::source) fn version(headers: &HeaderMap) -> Option<String> {
    if let Some(etag) = text(headers, header::ETAG.as_str()).filter(|etag| etag.starts_with('"')) {
        return Some(etag.to_owned());
    }
    let modified = text(headers, header::LAST_MODIFIED.as_str())?;
    let date = httpdate::parse_http_date(text(headers, header::DATE.as_str())?).ok()?;
    let age = date.duration_since(httpdate::parse_http_date(modified).ok()?).ok()?;
    (age >= SETTLED).then(|| modified.to_owned())
}

/// What an answer says that it is a range of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct ContentRange {
    /// None where there is no such range.
    pub(in crate::source) range: Option<Range<u64>>,
    /// The length of the whole file.
    pub(in crate::source) size: Option<u64>,
}

pub(in crate::source) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (range, size) = text(headers, header::CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split_once('/')?;
    let size = size.trim().parse().ok();
    if range.trim() == "*" {
        return Some(ContentRange { range: None, size });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    Some(ContentRange { range: Some(first..last.checked_add(1)?), size })
}

/// The checksum of the whole file: `Repr-Digest` and its forerunner `Digest` are that also with a range, `Content-Digest` and
/// `Content-MD5` are those of what is sent.
pub(in crate::source) fn checksum(headers: &HeaderMap, is_range: bool) -> Option<Checksum> {
    let structured = |name: &str| digest(text(headers, name)?, |value| value.strip_prefix(':')?.strip_suffix(':'));
    let of_sent = || {
        let md5 = || Some(Checksum::Md5(bytes(text(headers, "content-md5")?)?));
        structured("content-digest").or_else(md5)
    };
    let of_file = structured("repr-digest").or_else(|| digest(text(headers, "digest")?, Some));
    of_file.or_else(|| if is_range { None } else { of_sent() })
}

/// `sha-256=…, md5=…`: the best of them.
fn digest<'a>(value: &'a str, unwrapped: impl Fn(&'a str) -> Option<&'a str>) -> Option<Checksum> {
    let find = |wanted: &str| {
        let mut pairs = value.split(',').filter_map(|pair| pair.trim().split_once('='));
        unwrapped(pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?.1)
    };
    let sha = find("sha-256").and_then(bytes).map(Checksum::Sha256);
    let crc = || find("crc32c").and_then(bytes).map(|sum| Checksum::Crc32c(u32::from_be_bytes(sum)));
    sha.or_else(|| find("md5").and_then(bytes).map(Checksum::Md5)).or_else(crc)
}

/// Whether what is sent is compressed, and not a file that is so by its name.
pub(in crate::source) fn is_encoded(url: &Url, headers: &HeaderMap) -> bool {
    let encoding = text(headers, header::CONTENT_ENCODING.as_str()).unwrap_or("identity").trim();
    let is_archive = [".gz", ".tgz", ".zst", ".br", ".bz2", ".xz"].iter().any(|end| url.path().ends_with(end));
    !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") && !is_archive
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bytes<const N: usize>(base64: &str) -> Option<[u8; N]> {
    STANDARD.decode(base64.trim()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    const EARLIER: (&str, &str) = ("last-modified", "Sat, 21 Nov 2026 12:00:00 GMT");

    #[rstest]
    #[case(&[("etag", "\"a\""), EARLIER], Some("\"a\""))]
    #[case(&[("etag", "W/\"a\"")], None)]
    #[case(&[("etag", "W/\"a\""), EARLIER, ("date", "Sat, 21 Nov 2026 12:00:05 GMT")], Some(EARLIER.1))]
    #[case(&[EARLIER, ("date", "Sat, 21 Nov 2026 12:00:01 GMT")], None)]
    #[case(&[EARLIER], None)]
    fn only_what_is_strong_is_a_version(#[case] headers: &[(&'static str, &str)], #[case] expected: Option<&str>) {
        assert_eq!(version(&map(headers)).as_deref(), expected);
    }

    #[rstest]
    #[case("bytes 0-0/10", Some((Some(0..1), Some(10))))]
    #[case("bytes 5-9/*", Some((Some(5..10), None)))]
    #[case("bytes */0", Some((None, Some(0))))]
    #[case("bytes 5-18446744073709551615/9", None)]
    #[case("pages 1-2/3", None)]
    fn ranges_are_parsed(#[case] value: &str, #[case] expected: Option<(Option<Range<u64>>, Option<u64>)>) {
        let expected = expected.map(|(range, size)| ContentRange { range, size });
        assert_eq!(content_range(&map(&[("content-range", value)])), expected);
    }

    const SHA: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    const MD5: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

    #[rstest]
    #[case("repr-digest", &format!("sha-256=:{SHA}:"), Some("SHA-256"), Some("SHA-256"))]
    #[case("content-digest", &format!("sha-512=:AAAA:, sha-256=:{SHA}:"), Some("SHA-256"), None)]
    #[case("digest", &format!("SHA-256={SHA}"), Some("SHA-256"), Some("SHA-256"))]
    #[case("digest", &format!("md5={MD5}"), Some("MD5"), Some("MD5"))]
    #[case("content-md5", MD5, Some("MD5"), None)]
    #[case("content-md5", "nonsense", None, None)]
    #[case("repr-digest", "sha-512=:AAAA:", None, None)]
    fn checksums_are_of_the_whole_file(
        #[case] name: &'static str,
        #[case] value: &str,
        #[case] whole: Option<&str>,
        #[case] range: Option<&str>,
    ) {
        let headers = map(&[(name, value)]);
        assert_eq!(checksum(&headers, false).map(|sum| sum.algorithm()), whole);
        assert_eq!(checksum(&headers, true).map(|sum| sum.algorithm()), range);
    }

    #[rstest]
    #[case("/model.json", "gzip", true)]
    #[case("/model.tar.gz", "gzip", false)]
    #[case("/model.json", "identity", false)]
    fn what_is_compressed_on_the_way_is_seen(#[case] path: &str, #[case] encoding: &str, #[case] expected: bool) {
        let url = format!("https://models.example{path}").parse().unwrap();
        assert_eq!(is_encoded(&url, &map(&[("content-encoding", encoding)])), expected);
    }
}
