//! The certificate of a server: checked before anything is served, and read again when it changes, as cert-manager and
//! Kubernetes change it.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use clap::Args;
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

const CERT: &str = "--tls-cert / TLS_CERT";
const KEY: &str = "--tls-key / TLS_KEY";
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a client may take for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BYTES: u64 = 1 << 20;

/// Where the certificate of a server is.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerTlsSettings {
    /// A PEM file with the certificate to serve HTTPS with, and its chain; read again when it changes [default: HTTP]
    #[arg(long, env = "TLS_CERT", value_name = "FILE", help_heading = "Security")]
    pub tls_cert: Option<PathBuf>,

    /// A PEM file with the certificate's private key
    #[arg(long, env = "TLS_KEY", value_name = "FILE", help_heading = "Security")]
    pub tls_key: Option<PathBuf>,
}

/// HTTPS cannot be served.
#[derive(Debug, Error)]
pub enum TlsError {
    /// One of two settings is missing.
    #[error("{given} is set and {missing} is not: HTTPS needs both")]
    Half {
        /// The setting that is there.
        given: &'static str,
        /// The other one.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("{setting}: {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{setting}: {} {reason}", path.display())]
    Unusable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Each file is fine, and they do not belong together.
    #[error(
        "the key in {} ({KEY}) is not the one of the certificate in {} ({CERT}): {reason}",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What was found.
        reason: String,
    },
}

impl ServerTlsSettings {
    /// The certificate, where HTTPS is to be served.
    pub fn load(&self) -> Result<Option<ServerTls>, TlsError> {
        let set = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        match (set(&self.tls_cert), set(&self.tls_key)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(TlsError::Half { given: CERT, missing: KEY }),
            (None, Some(_)) => Err(TlsError::Half { given: KEY, missing: CERT }),
            (Some(cert), Some(key)) => ServerTls::new(Files { cert, key }, LOOK_EVERY).map(Some),
        }
    }
}

#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What is in the files.
struct Pair {
    chain: Vec<u8>,
    key: Vec<u8>,
    hash: [u8; 32],
}

/// A certificate that servers present, kept current by [`ServerTls::follow`].
pub struct ServerTls {
    files: Files,
    config: RustlsConfig,
    look_every: Duration,
    loaded: [u8; 32],
    pub(crate) expiry: Gauge,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ServerTls {
    fn new(files: Files, look_every: Duration) -> Result<Self, TlsError> {
        crate::http_client::install_crypto_provider();
        let pair = files.read()?;
        let config = RustlsConfig::from_config(Arc::new(files.configure(&pair)?));
        let tls = Self { files, config, look_every, loaded: pair.hash, expiry: Gauge::default() };
        tls.tell_expiry(&pair);
        Ok(tls)
    }

    /// What takes connections with the certificate as it is at each handshake.
    pub(crate) fn acceptor(&self) -> RustlsAcceptor<NoDelayAcceptor> {
        RustlsAcceptor::new(self.config.clone()).handshake_timeout(HANDSHAKE_TIMEOUT).acceptor(NoDelayAcceptor::new())
    }

    /// Looks at the files again and again. What cannot be served, such as one half of a pair that is being replaced,
    /// leaves the certificate as it is.
    pub(crate) async fn follow(mut self) {
        let mut complained = None;
        loop {
            tokio::time::sleep(self.look_every).await;
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || files.read()).await else { continue };
            let problem = match read {
                Ok(pair) if pair.hash == self.loaded => None,
                Ok(pair) => self.take(&pair).err(),
                Err(error) => Some(error),
            };
            let text = problem.map(|error| error.to_string());
            if let Some(text) = text.as_ref().filter(|_| text != complained) {
                tracing::warn!("the certificate stays as it is: {text}");
            }
            complained = text;
        }
    }

    fn take(&mut self, pair: &Pair) -> Result<(), TlsError> {
        self.config.reload_from_config(Arc::new(self.files.configure(pair)?));
        self.loaded = pair.hash;
        tracing::info!("a new certificate is served from {}", self.files.cert.display());
        self.tell_expiry(pair);
        Ok(())
    }

    fn tell_expiry(&self, pair: &Pair) {
        let Some(expiry) = expiry(&pair.chain) else { return };
        self.expiry.set(expiry.timestamp());
        if expiry.timestamp() <= x509_parser::time::ASN1Time::now().timestamp() {
            tracing::warn!(
                "the certificate in {} has expired ({expiry}): clients refuse it",
                self.files.cert.display()
            );
        } else {
            tracing::info!("the certificate in {} is valid until {expiry}", self.files.cert.display());
        }
    }
}

fn expiry(chain: &[u8]) -> Option<x509_parser::time::ASN1Time> {
    let leaf = CertificateDer::from_pem_slice(chain).ok()?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    Some(certificate.validity().not_after)
}

impl Files {
    fn read(&self) -> Result<Pair, TlsError> {
        let (chain, key) = (read(CERT, &self.cert)?, read(KEY, &self.key)?);
        let hash = Sha256::new().chain_update(Sha256::digest(&chain)).chain_update(&key).finalize().into();
        Ok(Pair { chain, key, hash })
    }

    fn configure(&self, pair: &Pair) -> Result<ServerConfig, TlsError> {
        let bad = |setting, path: &Path, reason: String| TlsError::Unusable { setting, path: path.to_owned(), reason };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pair.chain)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(CERT, &self.cert, format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(bad(CERT, &self.cert, "holds no PEM certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(|error| match error {
            pem::Error::NoItemsFound => bad(KEY, &self.key, "holds no PEM private key".to_owned()),
            // Others could quote what is in the file.
            _ => bad(KEY, &self.key, "is not a PEM private key".to_owned()),
        })?;
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(|error| {
                TlsError::Mismatch { cert: self.cert.clone(), key: self.key.clone(), reason: error.to_string() }
            })?;
        // The server speaks nothing else.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { setting, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
