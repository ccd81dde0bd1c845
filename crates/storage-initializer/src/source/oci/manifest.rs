//! Manifests, and indexes of manifests: which one is meant, and whether it is what its digest says.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::client::RegistryClient;
use crate::source::wire::hex;
use crate::{Failure, Kind};

/// How many indexes lead to a manifest at most.
const DEPTH: usize = 3;

/// What image builders write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
}

impl Platform {
    /// That of this program.
    pub fn own() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { os: std::env::consts::OS.to_owned(), architecture: architecture.to_owned() }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((os, architecture)) if !os.is_empty() && !architecture.is_empty() => {
                Ok(Self { os: os.to_owned(), architecture: architecture.to_owned() })
            }
            _ => Err(format!("{text:?} is no platform: write it as linux/amd64")),
        }
    }
}

/// What something is, and by which digest it is had.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) annotations: std::collections::BTreeMap<String, String>,
    platform: Option<PlatformOf>,
}

#[derive(Debug, Clone, Deserialize)]
struct PlatformOf {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

/// An image, or an artifact.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    pub(super) config: Option<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
}

/// The manifest that is meant by a tag or a digest.
pub(super) async fn find(
    client: &RegistryClient,
    reference: &str,
    platform: Option<&Platform>,
) -> Result<Manifest, Failure> {
    let mut reference = reference.to_owned();
    for _ in 0..=DEPTH {
        let fetched = client.manifest(&reference).await?;
        let name = client.name();
        // A digest that was asked for says what is right; for a tag, what the registry says must at least be true.
        let expected = if reference.contains(':') { Some(reference.as_str()) } else { fetched.digest.as_deref() };
        if let Some(expected) = expected {
            verify(name, expected, &fetched.body)?;
        }
        let manifest: Manifest = serde_json::from_slice(&fetched.body).map_err(|error| {
            let what = format!("{name}: the manifest cannot be read: {error}");
            Failure::new(Kind::Integrity, what, "see whether it is an image or an artifact of OCI or Docker, schema 2")
        })?;
        let Some(choices) = &manifest.manifests else { return Ok(manifest) };
        reference = choose(name, choices, platform)?;
    }
    let what = format!("{}: indexes lead to indexes more than {DEPTH} times", client.name());
    Err(Failure::new(Kind::Integrity, what, "give the digest of the image itself"))
}

fn choose(name: &str, choices: &[Descriptor], platform: Option<&Platform>) -> Result<String, Failure> {
    let is_for = |choice: &&Descriptor, platform: &Platform| {
        choice.platform.as_ref().is_some_and(|of| of.os == platform.os && of.architecture == platform.architecture)
    };
    // Builders put attestations beside images, for a platform that nothing is.
    let is_model = |choice: &&Descriptor| choice.platform.as_ref().is_none_or(|of| of.os != "unknown");
    let wanted = platform.cloned().unwrap_or_else(Platform::own);
    if let Some(choice) = choices.iter().find(|choice| is_for(choice, &wanted)) {
        return Ok(choice.digest.clone());
    }
    let mut others = choices.iter().filter(is_model);
    if let (None, Some(choice)) = (platform, others.next()) {
        tracing::info!("{name} is not there for {wanted}: another platform's is taken");
        return Ok(choice.digest.clone());
    }
    let there: Vec<String> = choices
        .iter()
        .filter(is_model)
        .filter_map(|choice| {
            Some(format!("{}/{}", choice.platform.as_ref()?.os, choice.platform.as_ref()?.architecture))
        })
        .collect();
    let what = format!("{name} is not there for {wanted}, but for {}", there.join(", "));
    Err(Failure::new(Kind::NotFound, what, "set another platform, or leave it unset"))
}

/// Holds what came against its digest.
pub(super) fn verify(name: &str, digest: &str, body: &[u8]) -> Result<(), Failure> {
    let expected = sha256(name, digest)?;
    if <[u8; 32]>::from(Sha256::digest(body)) == expected {
        return Ok(());
    }
    let what = format!("{name}: what came has another digest than {digest}");
    Err(Failure::new(Kind::Integrity, what, "see to the registry, or the proxy in front of it"))
}

/// The bytes of a digest.
pub(super) fn sha256(name: &str, digest: &str) -> Result<[u8; 32], Failure> {
    let bytes = digest.strip_prefix("sha256:").and_then(hex);
    bytes.ok_or_else(|| {
        let shown: String = digest.chars().take(80).collect();
        let what = format!("{name}: the digest {shown:?} is not sha256 and 64 hexadecimal digits");
        Failure::new(Kind::Integrity, what, "push it with a tool that writes SHA-256 digests")
    })
}
