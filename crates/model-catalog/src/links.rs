//! URLs that may become links in the portal.
//!
//! URLs from registries and clusters are data: only absolute URLs of known schemes get through, so that no
//! `javascript:` or `data:` URL ever reaches a browser.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

/// Schemes under which model artifacts are stored and which are harmless as a link.
const ARTIFACT_SCHEMES: &[&str] = &[
    "http",
    "https",
    "s3",
    "s3a",
    "gs",
    "oci",
    "docker",
    "hf",
    "abfs",
    "abfss",
    "az",
    "azure",
    "wasb",
    "wasbs",
    "hdfs",
    "webhdfs",
    "pvc",
    "ftp",
    "ftps",
    "sftp",
    "git",
    "ssh",
    "model-registry",
    "mlflow-artifacts",
    "models",
    "runs",
    "dbfs",
];

/// Longer URLs are refused: no browser or catalog has use for them.
const MAX_URL: usize = 8 * 1024;

/// A text is no URL that the portal may show.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum InvalidLink {
    /// Not an absolute URL.
    #[error("`{text}` is no absolute URL ({reason})")]
    NotAUrl {
        /// The beginning of what was given.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// An absolute URL, but of a scheme that is not shown.
    #[error("`{text}` has the scheme `{scheme}`, which is never shown as a link")]
    Scheme {
        /// The beginning of what was given.
        text: String,
        /// Its scheme.
        scheme: String,
    },
}

/// Names of parameters that give access, as stores, clouds and their tools write them: presigned URLs, tokens, passwords.
const SECRET_PARAMETERS: &[&str] = &[
    "sig",
    "signature",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
    "x-oss-signature",
    "x-oss-security-token",
    "q-signature",
    "awsaccesskeyid",
    "googleaccessid",
    "accesskey",
    "secretkey",
    "secret",
    "token",
    "auth",
    "authorization",
    "apikey",
    "password",
    "passwd",
    "pwd",
    "credential",
    "credentials",
];

/// Whether a parameter's name, with or without separators and a prefix such as `hf_` or `client_`, says that it is secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let last = name.rsplit(['_', '.']).next().unwrap_or_default();
    let listed = |name: &str| SECRET_PARAMETERS.contains(&name);
    listed(&name) || listed(&bare) || listed(last) || bare.ends_with("apikey") || bare.ends_with("accesskey")
}

/// The name of a parameter that gives access to whoever has the URL, in its query or its fragment.
fn secret_parameter(url: &Url) -> Option<String> {
    let parts = [url.query(), url.fragment()].into_iter().flatten();
    // Some separate parameters with `;`, and a fragment may begin with `/` or `?`.
    let pairs = parts.flat_map(|part| part.split(['&', ';', '?']));
    let names = pairs.flat_map(|pair| {
        url::form_urlencoded::parse(pair.as_bytes()).map(|(name, _)| name.into_owned()).collect::<Vec<_>>()
    });
    names.into_iter().find(|name| is_secret(name))
}

/// The beginning of a text that may go into logs: without what stands before an `@`, which may be a password, and without
/// parameters.
fn shown(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    let visible = match visible.find(['?', '#']) {
        Some(at) => format!("{}{}***", &visible[..at], &visible[at..=at]),
        None => visible,
    };
    let masked = visible.split_once("://").and_then(|(scheme, rest)| {
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        Some(format!("{scheme}://***{}", &rest[authority.rfind('@')?..]))
    });
    masked.unwrap_or(visible).chars().take(120).collect()
}

/// Whether a host name of the web has letters, digits, `-`, `_` and `.` alone: what else is a name differs between
/// parsers, and between versions of Unicode (new letters come outside of its basic plane).
fn is_plain_host(url: &Url) -> bool {
    let Some(Host::Domain(domain)) = url.host() else { return true };
    let (name, valid) = idna::domain_to_unicode(domain);
    let letter = |c: char| c.is_ascii_alphanumeric() || (c.is_alphanumeric() && ('\u{80}'..='\u{ffff}').contains(&c));
    !url.is_special() || (valid.is_ok() && name.chars().all(|c| letter(c) || matches!(c, '-' | '_' | '.')))
}

/// `url` with everything percent-encoded that RFC 3986 has no place for. Browsers take such characters, but readers in
/// other languages do not, and neither does the document's schema.
fn as_uri(url: &str) -> String {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let path = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    let mut in_fragment = false;
    let mut out = String::with_capacity(url.len());
    for (at, c) in url.char_indices() {
        let fits = match c {
            '%' => url.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
            '[' | ']' => at < path,
            '#' => !std::mem::replace(&mut in_fragment, true),
            c => c.is_ascii_alphanumeric() || "-._~:/?@!$&'()*+,;=".contains(c),
        };
        if fits {
            out.push(c);
        } else {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    out
}

fn checked(text: &str, allowed: &[&str]) -> Result<String, InvalidLink> {
    let text = text.trim();
    let not_a_url = |reason: &str| InvalidLink::NotAUrl { text: shown(text), reason: reason.to_owned() };
    if text.len() > MAX_URL {
        return Err(not_a_url("it is longer than 8 KiB"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(not_a_url("it contains white space or control characters"));
    }
    let url = Url::parse(text).map_err(|error| not_a_url(&error.to_string()))?;
    if !allowed.contains(&url.scheme()) {
        return Err(InvalidLink::Scheme { text: shown(text), scheme: url.scheme().to_owned() });
    }
    if text[url.scheme().len()..].strip_prefix("://").is_none_or(str::is_empty) {
        return Err(not_a_url("`//`, or what should be behind it, is missing after the scheme"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(not_a_url("it carries credentials"));
    }
    if let Some(name) = secret_parameter(&url) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(not_a_url(&format!("its parameter `{name}` gives access to whoever reads it")));
    }
    if !is_plain_host(&url) {
        return Err(not_a_url("its host has characters that not every browser takes"));
    }
    let uri = if as_uri(text) == text { text.to_owned() } else { as_uri(url.as_str()) };
    if uri.len() > MAX_URL { Err(not_a_url("it is longer than 8 KiB")) } else { Ok(uri) }
}

macro_rules! link_type {
    ($(#[$doc:meta])* $name:ident, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The URL as it was given, with what no URI may hold percent-encoded.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidLink;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                checked(text, $allowed).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidLink;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(link: $name) -> Self {
                link.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

link_type!(
    /// Where a model artifact is stored: an absolute URL of a scheme that stores know (`https`, `s3`, `oci`, ...).
    ArtifactUrl, ARTIFACT_SCHEMES
);
link_type!(
    /// A page or an end point: an absolute `http` or `https` URL.
    WebUrl, &["http", "https"]
);

/// The page of the SPDX licence list for identifiers that model hubs use, by their lower-case form; the canonical
/// spelling is what the page's address needs.
const SPDX: &[(&str, &str)] = &[
    ("afl-3.0", "AFL-3.0"),
    ("agpl-3.0", "AGPL-3.0-only"),
    ("apache-2.0", "Apache-2.0"),
    ("artistic-2.0", "Artistic-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("bsl-1.0", "BSL-1.0"),
    ("cc-by-3.0", "CC-BY-3.0"),
    ("cc-by-4.0", "CC-BY-4.0"),
    ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
    ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
    ("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0"),
    ("cc-by-nd-4.0", "CC-BY-ND-4.0"),
    ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
    ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("cdla-permissive-2.0", "CDLA-Permissive-2.0"),
    ("ecl-2.0", "ECL-2.0"),
    ("epl-2.0", "EPL-2.0"),
    ("eupl-1.2", "EUPL-1.2"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("isc", "ISC"),
    ("lgpl-2.1", "LGPL-2.1-only"),
    ("lgpl-3.0", "LGPL-3.0-only"),
    ("mit", "MIT"),
    ("mpl-2.0", "MPL-2.0"),
    ("ms-pl", "MS-PL"),
    ("odbl", "ODbL-1.0"),
    ("odc-by", "ODC-By-1.0"),
    ("osl-3.0", "OSL-3.0"),
    ("postgresql", "PostgreSQL"),
    ("unlicense", "Unlicense"),
    ("zlib", "Zlib"),
];

/// A licence as the URL that RHDH demands: the text itself when it is one, else the SPDX page of a known identifier
/// (in any case; the usual name with a space, `Apache 2.0`, counts too). `None` for anything else.
pub fn license_url(text: &str) -> Option<WebUrl> {
    if let Ok(url) = text.parse() {
        return Some(url);
    }
    let id = text.trim().to_lowercase().replace([' ', '_'], "-");
    let id = id.strip_suffix("-only").unwrap_or(&id);
    let (_, spdx) = SPDX.iter().find(|(known, _)| *known == id)?;
    format!("https://spdx.org/licenses/{spdx}.html").parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://example.com/x", true)]
    #[case("oci://registry.example.com/org/model:1.0", true)]
    #[case("s3://bucket/path", true)]
    #[case("hf://org/model", true)]
    #[case("javascript:alert(1)", false)]
    #[case("data:text/html,x", false)]
    #[case("JavaScript://%0aalert(1)", false)]
    #[case("models/granite", false)]
    #[case("https://user:secret@example.com/", false)]
    #[case("https:/example.com", false)]
    #[case("https://a b/", false)]
    #[case("oci://", false)]
    #[case("https://a*b.example/", false)]
    #[case("https://\u{1F5FF}.example/", false)]
    #[case("https://xn--h=-7da921hcx6b1c65e/", false)]
    #[case("http://my_service.example.com:8080/", true)]
    #[case("", false)]
    fn only_known_schemes_are_links(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<ArtifactUrl>().is_ok(), valid, "{text}");
    }

    #[rstest]
    #[case("https://example.com/a%20b?c=[d]#e", "https://example.com/a%20b?c=%5Bd%5D#e")]
    #[case("s3://bucket/{größe}|1^2", "s3://bucket/%7Bgr%C3%B6%C3%9Fe%7D%7C1%5E2")]
    #[case("https://bücher.example/", "https://xn--bcher-kva.example/")]
    #[case("https://example.com/100%#a#b", "https://example.com/100%25#a%23b")]
    #[case("https://[::1]:8080/x", "https://[::1]:8080/x")]
    #[case("HTTPS://Example.com", "HTTPS://Example.com")]
    fn what_no_uri_may_hold_is_encoded_and_all_else_stays(#[case] text: &str, #[case] url: &str) {
        assert_eq!(text.parse::<ArtifactUrl>().unwrap().as_str(), url);
    }

    #[rstest]
    #[case("https://user:secret@example.com/x")]
    #[case("jdbc://user:secret@example.com/x")]
    #[case("https://user:secret@exa mple.com/x")]
    fn no_password_gets_into_an_error(#[case] text: &str) {
        let error = text.parse::<ArtifactUrl>().unwrap_err().to_string();
        assert!(!error.contains("secret") && error.contains("://***@exa"), "{error}");
    }

    #[rstest]
    #[case::azure("https://a.blob.core.windows.net/c/m.onnx?sv=2024-11-04&sp=r&sig=planted%3D")]
    #[case::aws("https://b.s3.amazonaws.com/m?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=planted")]
    #[case::old_aws("s3://bucket/m?AWSAccessKeyId=planted&Expires=1")]
    #[case::google("https://storage.googleapis.com/b/m?X-Goog-Signature=planted")]
    #[case::token("hf://org/model?token=planted")]
    #[case::prefixed("https://example.com/m?hf_token=planted")]
    #[case::key("https://example.com/m?api-key=planted")]
    #[case::prefixed_key("https://example.com/m?subscription_api_key=planted")]
    #[case::encoded("https://example.com/m?%74oken=planted")]
    #[case::fragment("https://example.com/m#access_token=planted")]
    #[case::semicolon("https://example.com/m?a=b;password=planted")]
    fn what_gives_access_is_no_link_and_in_no_error(#[case] text: &str) {
        let error = text.parse::<ArtifactUrl>().unwrap_err().to_string();
        assert!(error.contains("gives access") && !error.contains("planted"), "{error}");
    }

    #[rstest]
    #[case("http://localhost:9090/modelcard?key=a_b")]
    #[case("https://example.com/m?version=3&tokenizer=bpe&author=x&max_tokens=5")]
    #[case("https://example.com/design?signal=1#tokens")]
    fn other_parameters_stay(#[case] text: &str) {
        assert_eq!(text.parse::<WebUrl>().unwrap().as_str(), text);
    }

    #[rstest]
    #[case("apache-2.0", Some("https://spdx.org/licenses/Apache-2.0.html"))]
    #[case("Apache 2.0", Some("https://spdx.org/licenses/Apache-2.0.html"))]
    #[case("MIT", Some("https://spdx.org/licenses/MIT.html"))]
    #[case("https://example.com/terms", Some("https://example.com/terms"))]
    #[case("proprietary", None)]
    #[case("", None)]
    fn licences_are_urls_or_nothing(#[case] text: &str, #[case] url: Option<&str>) {
        assert_eq!(license_url(text).as_ref().map(WebUrl::as_str), url);
    }
}
