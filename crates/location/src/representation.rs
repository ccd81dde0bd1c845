//! Bytes as they are answered: with an `ETag`, compressed for those who take it, and not at all for those who have them.

use std::convert::Infallible;
use std::io::Write;
use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use bridge_api::Digest;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

/// Below this, the headers of a compressed answer cost what it saves.
const MIN_COMPRESSED: usize = 512;
/// So much of a digest is enough to tell contents apart.
const ETAG_DIGITS: usize = 32;
const GZIP_SUFFIX: &str = "-gzip";
/// Room for the headers of an answer, those that the server adds included.
const HEADERS: usize = 12;

/// Whether an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// With gzip.
    Gzip,
}

impl Encoding {
    /// What a client takes.
    pub fn accepted_by(headers: &HeaderMap) -> Self {
        let mut gzip = None;
        let mut any = None;
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in values.flat_map(|value| value.split(',')) {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let is = |name: &str| coding.trim().eq_ignore_ascii_case(name);
            if is("gzip") || is("x-gzip") {
                gzip = Some(is_wanted(parameters));
            } else if is("*") {
                any = Some(is_wanted(parameters));
            }
        }
        if gzip.or(any).unwrap_or(false) { Self::Gzip } else { Self::Identity }
    }
}

fn is_wanted(parameters: &str) -> bool {
    let quality = parameters.trim().strip_prefix("q=").and_then(|quality| quality.trim().parse::<f32>().ok());
    quality.is_none_or(|quality| quality > 0.0)
}

/// What a request says about the answer that it wants. Requests are many, so it copies nothing else of their headers.
#[derive(Debug, Clone)]
pub struct Wanted {
    encoding: Encoding,
    /// The values of `If-None-Match`.
    unless: Vec<HeaderValue>,
}

impl Wanted {
    /// How the answer may be encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn by(headers: &HeaderMap) -> Self {
        let unless = headers.get_all(IF_NONE_MATCH).iter().cloned().collect();
        Self { encoding: Encoding::accepted_by(headers), unless }
    }

    /// Whether `If-None-Match` names what `tag` identifies, compressed or not. Without that header nothing is named.
    fn unless_it_is(&self, tag: &str) -> bool {
        let values = self.unless.iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim).any(|item| {
            let item = item.strip_prefix("W/").unwrap_or(item);
            let quoted = item.strip_prefix('"').and_then(|item| item.strip_suffix('"'));
            item == "*" || quoted.is_some_and(|text| text.strip_suffix(GZIP_SUFFIX).unwrap_or(text) == tag)
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Wanted {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::by(&parts.headers))
    }
}

/// Some bytes and what identifies them.
#[derive(Debug)]
pub struct Representation {
    bytes: Bytes,
    digest: Digest,
    /// Made when first asked for, and kept only when it is worth its memory.
    gzip: OnceLock<Option<Bytes>>,
}

impl Representation {
    /// Bytes that `digest` changes with.
    pub fn new(bytes: Vec<u8>, digest: Digest) -> Self {
        // A boxed slice has no spare room, of which 100,000 entries would have much.
        Self { bytes: bytes.into_boxed_slice().into(), digest, gzip: OnceLock::new() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What changes when the bytes change.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Compresses now what would else be compressed for the first answer in `encoding`.
    pub fn prepare(&self, encoding: Encoding) {
        let _ = self.encoded(encoding);
    }

    /// The answer to a request.
    pub fn answer(&self, content_type: &'static str, wanted: &Wanted) -> Response {
        let (bytes, coding) = self.encoded(wanted.encoding);
        let tag = self.tag();
        let is_known = wanted.unless_it_is(tag);
        let mut response = Response::new(if is_known { Body::empty() } else { Body::from(bytes) });
        let headers = response.headers_mut();
        headers.reserve(HEADERS);
        let suffix = if coding.is_some() { GZIP_SUFFIX } else { "" };
        headers.insert(ETAG, header(format!("\"{tag}{suffix}\"")));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        // To be kept, but not to be used without asking.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        response
    }

    fn encoded(&self, encoding: Encoding) -> (Bytes, Option<&'static str>) {
        if encoding == Encoding::Gzip
            && let Some(gzip) = self.gzip.get_or_init(|| compress(&self.bytes))
        {
            return (gzip.clone(), Some("gzip"));
        }
        (self.bytes.clone(), None)
    }

    fn tag(&self) -> &str {
        let digest = self.digest.as_str();
        digest.get(..ETAG_DIGITS).unwrap_or(digest)
    }
}

fn header(text: String) -> HeaderValue {
    // Digests of ours are hexadecimal.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn compress(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < MIN_COMPRESSED {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::default());
    encoder.write_all(bytes).ok()?;
    let compressed = encoder.finish().ok()?;
    let pays = compressed.len() <= bytes.len() / 5 * 4;
    pays.then(|| compressed.into_boxed_slice().into())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (values, expected) in [
            (&[][..], Encoding::Identity),
            (&["gzip"], Encoding::Gzip),
            (&["deflate, GZIP;q=0.5"], Encoding::Gzip),
            (&["br", "gzip"], Encoding::Gzip),
            (&["*"], Encoding::Gzip),
            (&["identity"], Encoding::Identity),
            (&["gzip;q=0, *"], Encoding::Identity),
            (&["gzip; q=0.0"], Encoding::Identity),
            (&["*;q=0"], Encoding::Identity),
            (&["gzipped"], Encoding::Identity),
        ] {
            assert_eq!(Encoding::accepted_by(&headers(&ACCEPT_ENCODING, values)), expected, "{values:?}");
        }
    }

    #[test]
    fn only_a_sent_tag_that_fits_is_a_match() {
        for (values, expected) in [
            (&[][..], false),
            (&["\"abc\""], true),
            (&["W/\"abc\""], true),
            (&["\"abc-gzip\""], true),
            (&["\"x\", \"abc\""], true),
            (&["\"x\"", "\"abc\""], true),
            (&["*"], true),
            (&["abc"], false),
            (&["\"\""], false),
            (&["\"abcd\""], false),
        ] {
            let wanted = Wanted::by(&headers(&IF_NONE_MATCH, values));
            assert_eq!(wanted.unless_it_is("abc"), expected, "{values:?}");
        }
    }

    #[test]
    fn what_compression_does_not_shrink_is_answered_as_it_is() {
        let request = Wanted::by(&headers(&ACCEPT_ENCODING, &["gzip"]));
        let answer = |bytes: Vec<u8>| {
            let digest = Digest::of(&bytes);
            Representation::new(bytes, digest).answer("text/plain", &request)
        };
        assert!(answer(vec![b'a'; 100]).headers().get(CONTENT_ENCODING).is_none(), "too small");
        assert_eq!(answer(vec![b'a'; 10_000]).headers()[CONTENT_ENCODING], "gzip");
        // Digests of digests are as good as random.
        let random = (0_u32..200).map(|n| Digest::of(&n.to_le_bytes()).as_str().to_owned()).collect::<String>();
        let random = random.as_bytes().chunks_exact(2).map(|pair| pair[0] ^ (pair[1] << 4)).collect();
        assert!(answer(random).headers().get(CONTENT_ENCODING).is_none(), "no gain");
    }
}
