//! What the first argument may be: the grammar of URIs, parsed once into types.
//!
//! `Display` writes a URI that parses to the same, except for what may be a credential: user information, signatures and the
//! queries of `http(s)://` are never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

mod encoding;
mod error;
mod hub;
mod object;
mod oci;
mod registry;
mod signature;
#[cfg(test)]
mod tests;
mod web;

pub use error::{Part, UriError};
pub use signature::Signature;

use error::Refused;

use crate::failure::{Failure, Kind};

/// Where a model is, or who knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceUri {
    /// `model-registry://`: a Model Registry knows.
    Registry(RegistryUri),
    /// `s3://`, `gs://`, `abfs(s)://`, `az://`, and the `https://` addresses of Azure's blob storage.
    Object(ObjectUri),
    /// `http://`, `https://`: one file.
    Http(Url),
    /// `file://`, or a plain path: a path of this container.
    File(PathBuf),
    /// `pvc://claim/path`: KServe mounts the claim; here it is the path below the mount.
    Pvc {
        /// The claim's name.
        claim: String,
        /// The path in it.
        path: String,
    },
    /// `hf://`: the Hugging Face Hub, or what speaks its API.
    Hub(HubUri),
    /// `oci://`: an image (a ModelCar) or an artifact in a container registry.
    Oci(OciUri),
}

/// `model-registry://[host[:port]/]model[/version][?namespace=ns]`, percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryUri {
    /// The readings to try, in this order: with two segments the first may be a host, or a model.
    pub readings: Vec<Reading>,
    /// The namespace of the registry's Service.
    pub namespace: Option<String>,
}

/// One way to read a registry URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// `host` or `host:port`; none where the settings say it.
    pub host: Option<String>,
    /// The registered model's name.
    pub model: String,
    /// The version's name; none for the newest.
    pub version: Option<String>,
}

/// Who keeps objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectScheme {
    /// Amazon S3, and what speaks its API.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage, and Data Lake Storage.
    Azure,
}

/// An object, or a prefix of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUri {
    /// Who keeps it.
    pub scheme: ObjectScheme,
    /// The bucket; for Azure the container.
    pub bucket: String,
    /// The storage account, for Azure; none where the environment says it.
    pub account: Option<String>,
    /// The key or prefix as it is, not percent-encoded, without a `/` at its beginning; may be empty, for the whole bucket.
    pub key: String,
    /// `?endpoint=` of URIs that the registry's Python client makes; for Azure, the address of the account where it is not
    /// the usual one.
    pub endpoint: Option<Url>,
    /// `?defaultRegion=` of the same.
    pub region: Option<String>,
    /// The shared access signature that an `https://` address of Azure may end in.
    pub signature: Option<Signature>,
}

/// `hf://owner/model[:revision][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUri {
    /// `owner/model`.
    pub repository: String,
    /// Branch, tag or commit; none for `main`.
    pub revision: Option<String>,
    /// Only what is below it, or that file; may be empty.
    pub path: String,
}

/// `oci://host[:port]/repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciUri {
    /// `host` or `host:port`.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The tag, or the digest, which wins: `latest` where neither is given.
    pub reference: String,
}

impl FromStr for SourceUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        parse(text).map_err(|refused| UriError::new(text, refused))
    }
}

impl UriError {
    /// The failure of a program that was given such a text.
    pub fn failure(&self) -> Failure {
        Failure::new(Kind::Usage, self.to_string(), format!("write it as {}", self.forms))
    }
}

fn parse(text: &str) -> Result<SourceUri, Refused> {
    if text.chars().any(char::is_control) {
        return Err(Refused::new(Part::Whole, "it has a control character"));
    }
    if text.starts_with('/') {
        return Ok(SourceUri::File(PathBuf::from(text)));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Refused::new(Part::Scheme, "it has none"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "model-registry" => registry::parse(rest).map(SourceUri::Registry),
        "s3" => object::s3(rest).map(SourceUri::Object),
        "gs" => object::gcs(rest).map(SourceUri::Object),
        "abfs" | "abfss" => object::abfs(rest).map(SourceUri::Object),
        "az" => object::az(rest).map(SourceUri::Object),
        "http" | "https" => web::parse(text),
        "file" => file(rest),
        "pvc" => pvc(rest),
        "hf" => hub::parse(rest).map(SourceUri::Hub),
        "oci" => oci::parse(rest).map(SourceUri::Oci),
        "hdfs" | "webhdfs" => {
            Err(Refused::new(Part::Scheme, "HDFS is not supported; copy the model to an object store or a volume"))
        }
        _ => Err(Refused::new(Part::Scheme, "it is not one that is known")),
    }
}

/// Paths are taken as they are, as KServe does: a `%` in them is a `%`.
fn file(rest: &str) -> Result<SourceUri, Refused> {
    if rest.starts_with('/') {
        Ok(SourceUri::File(PathBuf::from(rest)))
    } else {
        Err(Refused::new(Part::Path, "it must be absolute, with three slashes before it"))
    }
}

fn pvc(rest: &str) -> Result<SourceUri, Refused> {
    let (claim, path) = rest.split_once('/').unwrap_or((rest, ""));
    if claim.is_empty() || !claim.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        return Err(Refused::new(Part::Claim, "it must be a name of letters, digits, dots and dashes"));
    }
    let path = encoding::inner_path(path)?;
    Ok(SourceUri::Pvc { claim: claim.to_owned(), path })
}

impl fmt::Display for SourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(uri) => uri.fmt(f),
            Self::Object(uri) => uri.fmt(f),
            Self::Http(url) => f.write_str(&web::public(url)),
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Pvc { claim, path } if path.is_empty() => write!(f, "pvc://{claim}"),
            Self::Pvc { claim, path } => write!(f, "pvc://{claim}/{path}"),
            Self::Hub(uri) => uri.fmt(f),
            Self::Oci(uri) => uri.fmt(f),
        }
    }
}
