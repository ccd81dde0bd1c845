//! What is wrong with a URI, in words that say which part it is and which forms there are.

use std::fmt;

use thiserror::Error;

/// The longest piece of a URI that is shown.
const SHOWN: usize = 200;

/// A part of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The URI as such.
    Whole,
    /// What is before `://`.
    Scheme,
    /// A host, with a port perhaps.
    Host,
    /// The name of a registered model.
    Model,
    /// The name of a version.
    Version,
    /// What is behind the `?`.
    Query,
    /// The bucket of an object store.
    Bucket,
    /// The storage account of Azure.
    Account,
    /// The name of a volume claim.
    Claim,
    /// A path.
    Path,
    /// `owner/model` of a hub, or the repository of an image.
    Repository,
    /// The revision of a hub's repository.
    Revision,
    /// The tag of an image.
    Tag,
    /// The digest of an image.
    Digest,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "URI",
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::Model => "model",
            Self::Version => "version",
            Self::Query => "query",
            Self::Bucket => "bucket",
            Self::Account => "storage account",
            Self::Claim => "volume claim",
            Self::Path => "path",
            Self::Repository => "repository",
            Self::Revision => "revision",
            Self::Tag => "tag",
            Self::Digest => "digest",
        })
    }
}

/// A text is no URI of a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the {part} of the source URI {shown:?} cannot be used: {reason}")]
pub struct UriError {
    /// The URI, shortened, without anything that may be a credential.
    pub shown: String,
    /// Which part of it.
    pub part: Part,
    /// Why not.
    pub reason: String,
    /// The forms that there are of URIs with this scheme, or of all.
    pub forms: &'static str,
}

/// Why a part is refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) part: Part,
    pub(super) reason: String,
}

impl Refused {
    pub(super) fn new(part: Part, reason: impl Into<String>) -> Self {
        Self { part, reason: reason.into() }
    }
}

impl UriError {
    pub(super) fn new(text: &str, refused: Refused) -> Self {
        Self { shown: shown(text), part: refused.part, reason: refused.reason, forms: forms(text) }
    }
}

/// A text that was meant as a URI, without what is between its scheme and an `@`, and behind a `?`.
fn shown(text: &str) -> String {
    let (text, query) = match text.split_once('?') {
        Some((before, _)) => (before, "?***"),
        None => (text, ""),
    };
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let text = match text.rfind('@') {
        Some(at) if at >= start => format!("{}***{}", &text[..start], &text[at..]),
        _ => text.to_owned(),
    };
    let text: String = text.chars().take(SHOWN).collect();
    text + query
}

fn forms(text: &str) -> &'static str {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    match scheme.as_str() {
        "model-registry" => {
            "model-registry://[HOST[:PORT]/]MODEL[/VERSION] or model-registry://MODEL[/VERSION]?namespace=NAMESPACE, with \
             a / in a name as %2F"
        }
        "s3" => "s3://BUCKET[/KEY][?endpoint=URL&defaultRegion=REGION]",
        "gs" => "gs://BUCKET[/KEY]",
        "abfs" | "abfss" => "abfs://CONTAINER@ACCOUNT.dfs.core.windows.net[/PATH] or abfs://CONTAINER[/PATH]",
        "az" => "az://CONTAINER[/PATH]",
        "http" | "https" => "https://HOST[:PORT]/PATH/FILE or https://ACCOUNT.blob.core.windows.net/CONTAINER[/PATH]",
        "file" => "file:///PATH",
        "pvc" => "pvc://CLAIM[/PATH]",
        "hf" => "hf://OWNER/MODEL[:REVISION][/PATH]",
        "oci" => "oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]",
        _ => {
            "model-registry://, s3://, gs://, abfs://, abfss://, az://, http://, https://, file://, pvc://, hf:// or oci://"
        }
    }
}
