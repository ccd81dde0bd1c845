//! The checksums and versions in what object stores answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::checksum::Checksum;
use crate::source::wire::hex;
use crate::uri::ObjectScheme;

/// Whose ETags are what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Amazon's own S3.
    Amazon,
    /// What speaks S3's API.
    LikeAmazon,
    /// Google.
    Google,
    /// Azure.
    Azure,
}

impl Dialect {
    pub(super) fn of(scheme: ObjectScheme, has_endpoint: bool) -> Self {
        match scheme {
            ObjectScheme::S3 if has_endpoint => Self::LikeAmazon,
            ObjectScheme::S3 => Self::Amazon,
            ObjectScheme::Gcs => Self::Google,
            ObjectScheme::Azure => Self::Azure,
        }
    }

    /// Whether what an answer says of a range leaves out the checksums that the uploader gave.
    pub(super) const fn tells_of_whole_objects_only(self) -> bool {
        matches!(self, Self::Amazon | Self::LikeAmazon)
    }

    /// The checksum of the whole object, as the headers of an answer give it.
    pub(super) fn checksum(self, headers: &HeaderMap) -> Option<Checksum> {
        match self {
            Self::Amazon | Self::LikeAmazon => self.amazon(headers),
            Self::Google => google(headers),
            Self::Azure => azure(headers),
        }
    }

    fn amazon(self, headers: &HeaderMap) -> Option<Checksum> {
        // Of objects in parts, S3 may give a checksum of the parts' checksums.
        let is_of_parts = text(headers, "x-amz-checksum-type").is_some_and(|kind| kind != "FULL_OBJECT");
        let is_range = headers.contains_key(http::header::CONTENT_RANGE);
        if !is_of_parts && !is_range {
            if let Some(sum) = text(headers, "x-amz-checksum-sha256").and_then(bytes) {
                return Some(Checksum::Sha256(sum));
            }
            let sum32 = |name| text(headers, name).and_then(bytes).map(u32::from_be_bytes);
            let sum64 = |name| text(headers, name).and_then(bytes).map(u64::from_be_bytes);
            let crc = sum32("x-amz-checksum-crc32c").map(Checksum::Crc32c);
            let crc = crc.or_else(|| sum64("x-amz-checksum-crc64nvme").map(Checksum::Crc64Nvme));
            let crc = crc.or_else(|| sum32("x-amz-checksum-crc32").map(Checksum::Crc32));
            if crc.is_some() {
                return crc;
            }
        }
        self.etag(headers)
    }

    /// An ETag that is an MD5, which it is not for all that is encrypted.
    fn etag(self, headers: &HeaderMap) -> Option<Checksum> {
        if headers.contains_key("x-amz-server-side-encryption-customer-algorithm") {
            return None;
        }
        match text(headers, "x-amz-server-side-encryption") {
            None => {}
            // Only Amazon says so.
            Some("AES256") if self == Self::Amazon => {}
            Some(_) => return None,
        }
        let etag = text(headers, http::header::ETAG.as_str())?.strip_prefix('"')?.strip_suffix('"')?;
        let Some((md5, parts)) = etag.split_once('-') else { return Some(Checksum::Md5(hex(etag)?)) };
        let parts: u64 = parts.parse().ok().filter(|parts| *parts > 0)?;
        // MinIO marks with `-1` an ETag that is random.
        if parts == 1 && self == Self::LikeAmazon {
            return None;
        }
        Some(Checksum::Md5OfParts { md5: hex(md5)?, parts })
    }
}

/// `x-goog-hash: crc32c=…,md5=…`, or the header twice. It is of what is stored.
fn google(headers: &HeaderMap) -> Option<Checksum> {
    let values = || {
        let all = headers.get_all("x-goog-hash").iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(',')).filter_map(|pair| pair.trim().split_once('='))
    };
    let find = |wanted: &str| values().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let crc32c = find("crc32c").and_then(bytes).map(|sum| Checksum::Crc32c(u32::from_be_bytes(sum)));
    crc32c.or_else(|| find("md5").and_then(bytes).map(Checksum::Md5))
}

/// A range has its own `Content-MD5`, beside which stands the blob's.
fn azure(headers: &HeaderMap) -> Option<Checksum> {
    let of_blob = text(headers, "x-ms-blob-content-md5");
    let is_range = headers.contains_key(http::header::CONTENT_RANGE);
    let of_answer = text(headers, "content-md5").filter(|_| !is_range);
    of_blob.or(of_answer).and_then(bytes).map(Checksum::Md5)
}

/// An ETag as it is sent back: Azure's lists have it without quotes. A weak one is no version.
pub(super) fn version(etag: Option<String>) -> Option<String> {
    let etag = etag.filter(|etag| !etag.is_empty() && !etag.starts_with("W/"))?;
    Some(if etag.starts_with('"') { etag } else { format!("\"{etag}\"") })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bytes<const N: usize>(base64: &str) -> Option<[u8; N]> {
    STANDARD.decode(base64).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MD5: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";
    const SHA: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn sum(dialect: Dialect, headers: &[(&'static str, &str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        dialect.checksum(&headers).map(|sum| sum.to_string())
    }

    #[rstest]
    #[case(Dialect::LikeAmazon, &[("etag", MD5)], Some("MD5 d41d8cd98f00b204e9800998ecf8427e"))]
    #[case(Dialect::Amazon, &[("etag", MD5), ("x-amz-server-side-encryption", "AES256")], Some("MD5 d41d8cd98f00b204e9800998ecf8427e"))]
    #[case(Dialect::LikeAmazon, &[("etag", MD5), ("x-amz-server-side-encryption", "AES256")], None)]
    #[case(Dialect::Amazon, &[("etag", MD5), ("x-amz-server-side-encryption", "aws:kms")], None)]
    #[case(Dialect::Amazon, &[("etag", MD5), ("x-amz-server-side-encryption-customer-algorithm", "AES256")], None)]
    #[case(Dialect::Amazon, &[("etag", "\"d41d8cd98f00b204e9800998ecf8427e-12\"")], Some("MD5 of parts d41d8cd98f00b204e9800998ecf8427e-12"))]
    #[case(Dialect::LikeAmazon, &[("etag", "\"d41d8cd98f00b204e9800998ecf8427e-1\"")], None)]
    #[case(Dialect::Amazon, &[("etag", "\"d41d8cd98f00b204e9800998ecf8427e-0\"")], None)]
    #[case(Dialect::Amazon, &[("etag", "\"not-an-md5\"")], None)]
    #[case(Dialect::Amazon, &[("etag", "W/\"d41d8cd98f00b204e9800998ecf8427e\"")], None)]
    #[case(Dialect::Amazon, &[("etag", MD5), ("x-amz-checksum-sha256", SHA)], Some("SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))]
    #[case(Dialect::Amazon, &[("etag", "\"x\""), ("x-amz-checksum-sha256", SHA), ("x-amz-checksum-type", "COMPOSITE")], None)]
    #[case(Dialect::Amazon, &[("x-amz-checksum-crc32c", "AAAAAQ==")], Some("CRC-32C 00000001"))]
    #[case(Dialect::Amazon, &[("etag", MD5), ("x-amz-checksum-crc32", "AAAAAQ==")], Some("CRC-32 00000001"))]
    #[case(Dialect::LikeAmazon, &[("etag", MD5), ("x-amz-checksum-crc64nvme", "AAAAAAAAAAM="), ("x-amz-checksum-type", "FULL_OBJECT")], Some("CRC-64/NVME 0000000000000003"))]
    #[case(Dialect::Amazon, &[("etag", MD5), ("x-amz-checksum-crc32", "AAAAAQ=="), ("content-range", "bytes 0-1/9")], Some("MD5 d41d8cd98f00b204e9800998ecf8427e"))]
    #[case(Dialect::Google, &[("x-goog-hash", "crc32c=AAAAAg==,md5=1B2M2Y8AsgTpgAmY7PhCfg==")], Some("CRC-32C 00000002"))]
    #[case(Dialect::Google, &[("x-goog-hash", "md5=1B2M2Y8AsgTpgAmY7PhCfg==")], Some("MD5 d41d8cd98f00b204e9800998ecf8427e"))]
    #[case(Dialect::Google, &[("etag", MD5)], None)]
    #[case(Dialect::Azure, &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")], Some("MD5 d41d8cd98f00b204e9800998ecf8427e"))]
    #[case(Dialect::Azure, &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), ("content-range", "bytes 0-1/9")], None)]
    #[case(Dialect::Azure, &[("x-ms-blob-content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), ("content-range", "bytes 0-1/9")], Some("MD5 d41d8cd98f00b204e9800998ecf8427e"))]
    fn only_what_is_a_checksum_is_taken_for_one(
        #[case] dialect: Dialect,
        #[case] headers: &[(&'static str, &str)],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(sum(dialect, headers).as_deref(), expected);
    }

    #[rstest]
    #[case("\"abc\"", Some("\"abc\""))]
    #[case("0x8D", Some("\"0x8D\""))]
    #[case("W/\"abc\"", None)]
    #[case("", None)]
    fn versions_are_strong_and_quoted(#[case] etag: &str, #[case] expected: Option<&str>) {
        assert_eq!(version(Some(etag.to_owned())).as_deref(), expected);
    }
}
