//! `http(s)://`: a file, or a container of Azure's blob storage.

use url::Url;

use super::encoding::decoded;
use super::error::{Part, Refused};
use super::object::{in_bucket, is_account};
use super::{ObjectScheme, ObjectUri, Signature, SourceUri};

pub(super) fn parse(text: &str) -> Result<SourceUri, Refused> {
    let mut url: Url = text.parse().map_err(|error| Refused::new(Part::Whole, format!("it is no URL: {error}")))?;
    url.set_fragment(None);
    let Some(host) = url.host_str() else {
        return Err(Refused::new(Part::Host, "it is missing"));
    };
    if let Some((account, endpoint)) = azure_account(&url, host) {
        return container(&url, account, endpoint).map(SourceUri::Object);
    }
    let file = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    if file.is_empty() {
        return Err(Refused::new(Part::Path, "it names no file: its last segment is what the file is called"));
    }
    Ok(SourceUri::Http(url))
}

/// The account, and its address where that is not the usual one, if `host` is one that KServe takes for Azure's blob storage.
fn azure_account<'a>(url: &Url, host: &'a str) -> Option<(&'a str, Option<Url>)> {
    if url.scheme() != "https" || url.port().is_some() {
        return None;
    }
    if let Some(account) = host.strip_suffix(".blob.core.windows.net") {
        return is_account(account).then_some((account, None));
    }
    // Accounts that live in a zone of DNS of their own.
    let (account, zone) = host.strip_suffix(".blob.storage.azure.net")?.split_once('.')?;
    let digits = zone.strip_prefix('z')?;
    let is_zone = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let endpoint = format!("https://{host}").parse().ok()?;
    (is_zone && is_account(account)).then_some((account, Some(endpoint)))
}

fn container(url: &Url, account: &str, endpoint: Option<Url>) -> Result<ObjectUri, Refused> {
    let path = decoded(url.path(), Part::Path)?;
    if path.chars().any(char::is_control) {
        return Err(Refused::new(Part::Path, "it has a control character"));
    }
    let place = path.trim_start_matches('/');
    let uri = in_bucket(ObjectScheme::Azure, place)?;
    let signature = url.query().filter(|query| !query.is_empty()).map(Signature::new);
    Ok(ObjectUri { account: Some(account.to_owned()), endpoint, signature, ..uri })
}

/// A URL without what may be a credential.
pub(super) fn public(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // These fail only for URLs that cannot have user information to begin with.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    if url.query().is_some() { format!("{shown}?***") } else { shown.into() }
}
