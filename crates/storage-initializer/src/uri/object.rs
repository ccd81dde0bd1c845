//! `s3://`, `gs://`, `abfs(s)://` and `az://`. Keys are taken as they are, as KServe does: a `%` in them is a `%`.

use std::fmt;

use url::Url;

use super::encoding::{decoded, encoded_path, encoded_value, is_host};
use super::error::{Part, Refused};
use super::{ObjectScheme, ObjectUri};

/// The hosts that accounts of Azure usually have.
const AZURE_HOSTS: [&str; 2] = ["dfs.core.windows.net", "blob.core.windows.net"];

pub(super) fn s3(rest: &str) -> Result<ObjectUri, Refused> {
    let (place, query) = rest.rsplit_once('?').filter(|(_, query)| is_known(query)).unwrap_or((rest, ""));
    let mut uri = in_bucket(ObjectScheme::S3, place)?;
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("endpoint", value)) if !value.is_empty() => uri.endpoint = Some(endpoint(value)?),
            Some(("defaultRegion", value)) if !value.is_empty() => uri.region = Some(decoded(value, Part::Query)?),
            _ => {}
        }
    }
    Ok(uri)
}

/// A `?` may be part of a key. It begins a query where all that follows is of the registry's Python client.
fn is_known(query: &str) -> bool {
    let is_known = |pair: &str| pair.starts_with("endpoint=") || pair.starts_with("defaultRegion=");
    query.is_empty() || query.split('&').all(is_known)
}

fn endpoint(value: &str) -> Result<Url, Refused> {
    let value = decoded(value, Part::Query)?;
    // `s3.example:9000` would be the scheme `s3.example`.
    let url = if value.contains("://") { value.parse() } else { format!("https://{value}").parse() };
    let refused = |reason: &str| Refused::new(Part::Query, format!("its endpoint {reason}"));
    let url: Url = url.map_err(|_| refused("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("must begin with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(refused("must not carry credentials or a query"));
    }
    Ok(url)
}

pub(super) fn gcs(rest: &str) -> Result<ObjectUri, Refused> {
    in_bucket(ObjectScheme::Gcs, rest)
}

pub(super) fn az(rest: &str) -> Result<ObjectUri, Refused> {
    in_bucket(ObjectScheme::Azure, rest)
}

/// `container@account.dfs.core.windows.net/path`, or `container/path` where the environment names the account.
pub(super) fn abfs(rest: &str) -> Result<ObjectUri, Refused> {
    let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
    let Some((container, host)) = authority.split_once('@') else {
        return az(rest);
    };
    let mut uri = in_bucket(ObjectScheme::Azure, container)?;
    key.trim_start_matches('/').clone_into(&mut uri.key);
    let refused = || Refused::new(Part::Account, format!("{host:?} is no host of a storage account"));
    let url: Url = format!("https://{host}").parse().map_err(|_| refused())?;
    let (account, suffix) = url.host_str().and_then(|host| host.split_once('.')).ok_or_else(refused)?;
    if !is_host(host) || !is_account(account) {
        return Err(refused());
    }
    uri.account = Some(account.to_owned());
    let is_usual = url.port().is_none() && AZURE_HOSTS.contains(&suffix);
    uri.endpoint = (!is_usual).then_some(url);
    Ok(uri)
}

pub(super) fn is_account(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(inner)
}

pub(super) fn in_bucket(scheme: ObjectScheme, place: &str) -> Result<ObjectUri, Refused> {
    let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
    let refused = |reason: &str| Err(Refused::new(Part::Bucket, reason));
    if bucket.is_empty() {
        return refused("it is empty");
    }
    if bucket.contains('@') {
        return refused("it has an @: credentials are no part of a URI, they come from the environment");
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'$');
    if !bucket.bytes().all(inner) || bucket.starts_with('.') {
        return refused("it must be made of letters, digits, dots, dashes and underscores");
    }
    Ok(ObjectUri {
        scheme,
        bucket: bucket.to_owned(),
        account: None,
        key: key.trim_start_matches('/').to_owned(),
        endpoint: None,
        region: None,
        signature: None,
    })
}

impl ObjectUri {
    fn azure(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, key, .. } = self;
        let slash = if key.is_empty() { "" } else { "/" };
        let Some(account) = &self.account else { return write!(f, "az://{bucket}{slash}{key}") };
        let host = |usual: &str| match &self.endpoint {
            Some(url) => url.authority().to_owned(),
            None => format!("{account}.{usual}"),
        };
        if self.signature.is_some() {
            let (host, key) = (host("blob.core.windows.net"), encoded_path(key));
            return write!(f, "https://{host}/{bucket}{slash}{key}?***");
        }
        write!(f, "abfs://{bucket}@{}{slash}{key}", host("dfs.core.windows.net"))
    }

    fn s3(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, key, .. } = self;
        let slash = if key.is_empty() { "" } else { "/" };
        write!(f, "s3://{bucket}{slash}{key}")?;
        let endpoint = self.endpoint.as_ref().map(|url| format!("endpoint={}", encoded_value(url.as_str())));
        let region = self.region.as_ref().map(|region| format!("defaultRegion={}", encoded_value(region)));
        let query: Vec<String> = endpoint.into_iter().chain(region).collect();
        // A query without anything in it says that the `?` before it is part of the key.
        let ends_like_query = key.rsplit_once('?').is_some_and(|(_, end)| is_known(end));
        if !query.is_empty() || ends_like_query { write!(f, "?{}", query.join("&")) } else { Ok(()) }
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            ObjectScheme::S3 => self.s3(f),
            ObjectScheme::Gcs if self.key.is_empty() => write!(f, "gs://{}", self.bucket),
            ObjectScheme::Gcs => write!(f, "gs://{}/{}", self.bucket, self.key),
            ObjectScheme::Azure => self.azure(f),
        }
    }
}
