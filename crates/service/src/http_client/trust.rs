//! Which servers a client trusts, where a file says so: it is looked at again with handshakes, so that a CA or a
//! certificate may rotate while clients are in use.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::HttpClientError;

/// How often a file is looked at, at the most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a file is trusted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Certificates that sign others; those of the system are trusted, too.
    Authorities(PathBuf),
    /// The server's own certificate, by whatever name it is reached.
    Server(PathBuf),
}

impl Anchor {
    fn path(&self) -> &Path {
        match self {
            Self::Authorities(path) | Self::Server(path) => path,
        }
    }
}

/// The settings of TLS for a client that trusts what is in `anchor` at the time of each handshake.
pub(super) fn config(anchor: Anchor, name: &str) -> Result<ClientConfig, HttpClientError> {
    config_looking(anchor, name, LOOK_EVERY)
}

pub(super) fn config_looking(
    anchor: Anchor,
    name: &str,
    look_every: Duration,
) -> Result<ClientConfig, HttpClientError> {
    super::install_crypto_provider();
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let trust = Trust::new(anchor, name, Arc::clone(&provider), look_every)?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| trust.unusable(error.to_string()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A session that is resumed is not verified again.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Verifies servers by a file.
#[derive(Debug)]
struct Trust {
    anchor: Anchor,
    name: String,
    provider: Arc<CryptoProvider>,
    look_every: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    pem: Vec<u8>,
    judge: Judge,
    looked_at: Instant,
    /// Whether the last look failed, so that it is logged once.
    failing: bool,
}

#[derive(Debug, Clone)]
enum Judge {
    /// By those who sign.
    Roots(Arc<Verifier>),
    /// By the certificate itself, or the one that was in the file before: its server reads the file later than we do.
    Pinned { leaf: CertificateDer<'static>, before: Option<CertificateDer<'static>> },
}

impl Trust {
    fn new(
        anchor: Anchor,
        name: &str,
        provider: Arc<CryptoProvider>,
        look_every: Duration,
    ) -> Result<Self, HttpClientError> {
        let pem = read(&anchor, name)?;
        let judge = judge(&anchor, name, &pem, &provider, None)?;
        let seen = Seen { pem, judge, looked_at: Instant::now(), failing: false };
        Ok(Self { anchor, name: name.to_owned(), provider, look_every, seen: Mutex::new(seen) })
    }

    fn unusable(&self, detail: String) -> HttpClientError {
        unusable(&self.anchor, &self.name, detail)
    }

    fn now(&self) -> Judge {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked_at.elapsed() < self.look_every {
            return seen.judge.clone();
        }
        seen.looked_at = Instant::now();
        let fresh = read(&self.anchor, &self.name).and_then(|pem| {
            if pem == seen.pem {
                return Ok(None);
            }
            let judge = judge(&self.anchor, &self.name, &pem, &self.provider, Some(&seen.judge))?;
            Ok(Some((pem, judge)))
        });
        match fresh {
            Ok(None) => seen.failing = false,
            Ok(Some((pem, judge))) => {
                (seen.pem, seen.judge, seen.failing) = (pem, judge, false);
                tracing::info!(
                    "certificates to trust for {} were read again from {}",
                    self.name,
                    self.anchor.path().display()
                );
            }
            Err(error) if !seen.failing => {
                seen.failing = true;
                tracing::warn!("what is trusted stays as it is: {error}");
            }
            Err(_) => {}
        }
        seen.judge.clone()
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.now() {
            Judge::Roots(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            Judge::Pinned { leaf, before } => {
                if *end_entity == leaf || before.is_some_and(|before| *end_entity == before) {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
                }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn read(anchor: &Anchor, name: &str) -> Result<Vec<u8>, HttpClientError> {
    bundle(anchor.path()).map_err(|source| HttpClientError::ReadCa {
        name: name.to_owned(),
        path: anchor.path().to_owned(),
        source,
    })
}

/// What is in the file, or in the files of the directory. In volumes of Kubernetes these are links into a directory beside
/// them, which is passed over as directories are.
fn bundle(path: &Path) -> io::Result<Vec<u8>> {
    if !path.is_dir() {
        return std::fs::read(path);
    }
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut files =
        entries.filter(|path| path.as_ref().map_or(true, |path| !path.is_dir())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    let mut pem = Vec::new();
    for file in files {
        pem.extend(std::fs::read(file)?);
        pem.push(b'\n');
    }
    Ok(pem)
}

fn judge(
    anchor: &Anchor,
    name: &str,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
    before: Option<&Judge>,
) -> Result<Judge, HttpClientError> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(anchor, name, format!(": {error}")))?;
    let Some(leaf) = certificates.first().cloned() else {
        return Err(unusable(anchor, name, String::new()));
    };
    match anchor {
        Anchor::Authorities(_) => Verifier::new_with_extra_roots(certificates, Arc::clone(provider))
            .map(|verifier| Judge::Roots(Arc::new(verifier)))
            .map_err(|error| unusable(anchor, name, format!(": {error}"))),
        Anchor::Server(_) => {
            let before = match before {
                Some(Judge::Pinned { leaf, .. }) => Some(leaf.clone()),
                _ => None,
            };
            Ok(Judge::Pinned { leaf, before })
        }
    }
}

fn unusable(anchor: &Anchor, name: &str, detail: String) -> HttpClientError {
    HttpClientError::ParseCa { name: name.to_owned(), path: anchor.path().to_owned(), detail }
}
