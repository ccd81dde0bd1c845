//! Percent-encoding, and the texts that hosts and paths are made of.

use std::net::Ipv6Addr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{Part, Refused};

/// Everything but what RFC 3986 calls unreserved.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, but URLs stay readable.
const VALUE: &AsciiSet = &NAME.remove(b':').remove(b'/');
/// Within a path.
const PATH: &AsciiSet = &NAME.remove(b'/').remove(b'=').remove(b'+').remove(b',');

/// The text of a percent-encoded `part`.
pub(super) fn decoded(text: &str, part: Part) -> Result<String, Refused> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let digits = rest.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(Refused::new(part, "a % must be followed by two hexadecimal digits; a % itself is %25"));
        }
        rest = &rest[at + 3..];
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Refused::new(part, "what is percent-encoded in it is not UTF-8"))
}

/// A name as one segment of a path.
pub(super) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NAME).to_string()
}

/// A value of a query.
pub(super) fn encoded_value(value: &str) -> String {
    utf8_percent_encode(value, VALUE).to_string()
}

/// A path of several segments.
pub(super) fn encoded_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Whether a text can only be read as `host`, `host:port`, `[v6]` or `[v6]:port`, or as a name that looks so.
pub(super) fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        Some((name, port)) => is_host_name(name) && is_port(port),
        None => is_host_name(text),
    }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && label.bytes().all(inner)
    };
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(is_label)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether a text has `user:password@` in it.
pub(super) fn has_credentials(text: &str) -> bool {
    text.split_once('@').is_some_and(|(before, _)| before.contains(':'))
}

/// A path within something: without slashes at its ends, and not out of it.
pub(super) fn inner_path(path: &str) -> Result<String, Refused> {
    let path = path.trim_matches('/');
    if path.split('/').any(|name| name == "..") {
        return Err(Refused::new(Part::Path, "it leads upwards with `..`"));
    }
    if path.contains('\0') {
        return Err(Refused::new(Part::Path, "it has a NUL byte"));
    }
    Ok(path.to_owned())
}
