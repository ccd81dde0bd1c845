//! What the first argument may be: the grammar of URIs, parsed once into types.

use std::path::PathBuf;

use url::Url;

/// Where a model is, or who knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceUri {
    /// `model-registry://`: a Model Registry knows.
    Registry(RegistryUri),
    /// `s3://`, `gs://`, `abfs(s)://`, `az://`, and the `https://` addresses of Azure's blob storage.
    Object(ObjectUri),
    /// `http://`, `https://`: one file.
    Http(Url),
    /// `file://`: a path of this container.
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
    /// The storage account, for Azure.
    pub account: Option<String>,
    /// The key or prefix, without a `/` at its beginning; may be empty, for the whole bucket.
    pub key: String,
    /// `?endpoint=` of URIs that the registry's Python client makes.
    pub endpoint: Option<Url>,
    /// `?defaultRegion=` of the same.
    pub region: Option<String>,
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
