//! `oci://host[:port]/repository[:tag][@digest]`, by the grammar of the distribution API.

use std::fmt;

use super::OciUri;
use super::encoding::is_host;
use super::error::{Part, Refused};

const TAG_LIMIT: usize = 128;
const REPOSITORY_LIMIT: usize = 255;

pub(super) fn parse(rest: &str) -> Result<OciUri, Refused> {
    let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_host(host) {
        return Err(Refused::new(Part::Host, "it must be the HOST or HOST:PORT of a container registry"));
    }
    let (named, digest) = match rest.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (rest, None),
    };
    let (repository, tag) = match named.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (named, None),
    };
    if !is_repository(repository) {
        let reason =
            "it must be made of lower-case letters and digits, with single dots, dashes and underscores between";
        return Err(Refused::new(Part::Repository, reason));
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(Refused::new(Part::Tag, "it must be letters, digits, dots, dashes and underscores, 128 at most"));
    }
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(Refused::new(Part::Digest, "it must be sha256: and 64 hexadecimal digits, in lower case"));
    }
    let reference = digest.or(tag).unwrap_or("latest").to_owned();
    Ok(OciUri { host: host.to_owned(), repository: repository.to_owned(), reference })
}

fn is_repository(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_component = |component: &str| {
        let ends = [component.bytes().next(), component.bytes().next_back()];
        ends.iter().all(|end| end.is_some_and(is_inner))
            && component.bytes().all(|byte| is_inner(byte) || matches!(byte, b'-' | b'.' | b'_'))
            && !component.contains("..")
    };
    text.len() <= REPOSITORY_LIMIT && text.split('/').all(is_component)
}

fn is_tag(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG_LIMIT
        && text.bytes().next().is_some_and(is_first)
        && text.bytes().all(|byte| is_first(byte) || matches!(byte, b'-' | b'.'))
}

fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

impl OciUri {
    /// Whether the reference is a digest: what it names never changes.
    pub fn is_digest(&self) -> bool {
        is_digest(&self.reference)
    }
}

impl fmt::Display for OciUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.is_digest() { '@' } else { ':' };
        write!(f, "oci://{}/{}{separator}{}", self.host, self.repository, self.reference)
    }
}
