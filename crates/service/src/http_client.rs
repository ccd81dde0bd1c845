//! The HTTP client that services talk to their peers with: TLS verified, everything bounded.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use thiserror::Error;

use crate::guard;

mod trust;

use trust::Anchor;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than servers keep idle connections, so that no request meets a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const USER_AGENT: &str = concat!("model-catalog-bridge/", env!("CARGO_PKG_VERSION"));

/// Whom to trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// A PEM file, or a directory of them, with certificates to trust besides those of the system; read again when it
    /// changes.
    pub ca_file: Option<PathBuf>,
    /// Take any certificate. For tests of people who know what they do.
    pub insecure_skip_verify: bool,
    /// A PEM file with the server's own certificate: it is trusted by whatever name it is reached, and no other is.
    pub server_certificate: Option<PathBuf>,
}

/// A client could not be made.
#[derive(Debug, Error)]
pub enum HttpClientError {
    /// The file with certificates cannot be read.
    #[error("the certificate file {path} for {name} cannot be read: {source}")]
    ReadCa {
        /// Whom the client is for.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file has no certificates.
    #[error("the certificate file {path} for {name} holds no PEM certificate{detail}")]
    ParseCa {
        /// Whom the client is for.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Something else.
    #[error("no HTTP client for {name} can be made: {source}")]
    Build {
        /// Whom the client is for.
        name: String,
        /// Why not.
        source: reqwest::Error,
    },
}

/// Makes ring the process's provider of cryptography, unless there is one already. Called by [`client`]; whoever uses
/// rustls by other ways calls it first.
pub fn install_crypto_provider() {
    // An error says that a provider is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for the peer that is called `name` in messages.
pub fn client(settings: &TlsSettings, name: &str) -> Result<Client, HttpClientError> {
    client_with(settings, name, |builder| builder)
}

/// The same, more restricted.
pub fn client_with(
    settings: &TlsSettings,
    name: &str,
    restrict: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, HttpClientError> {
    install_crypto_provider();
    let failed = |source| HttpClientError::Build { name: name.to_owned(), source };
    if let Some(anchor) = settings.anchor() {
        let tls = trust::config(anchor, name)?;
        return restrict(bounded()).tls_backend_preconfigured(tls).build().map_err(failed);
    }
    if settings.insecure_skip_verify {
        tracing::warn!(
            "TLS certificates of {name} are not verified: anyone on the way can read and change what is sent"
        );
    }
    let build = |builder: ClientBuilder| {
        restrict(builder).tls_danger_accept_invalid_certs(settings.insecure_skip_verify).build()
    };
    let source = match build(bounded()) {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    // A system without any root certificates, such as a minimal container: http works all the same.
    let client = build(bounded().tls_certs_only([])).map_err(|_| failed(source))?;
    tracing::warn!("no root certificates of the system for {name}: no https server is trusted");
    Ok(client)
}

impl TlsSettings {
    /// The file that says whom to trust.
    fn anchor(&self) -> Option<Anchor> {
        if self.insecure_skip_verify {
            return None;
        }
        let server = self.server_certificate.clone().map(Anchor::Server);
        server.or_else(|| self.ca_file.clone().map(Anchor::Authorities))
    }
}

fn bounded() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(guard::redirects())
        // Addresses of peers are no one else's business.
        .referer(false)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn with_ca(pem: &str) -> Result<Client, HttpClientError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(pem.as_bytes()).unwrap();
        client(&TlsSettings { ca_file: Some(file.path().to_owned()), ..TlsSettings::default() }, "storage")
    }

    #[test]
    fn a_client_needs_no_settings() {
        assert!(client(&TlsSettings::default(), "storage").is_ok());
        assert!(client(&TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() }, "storage").is_ok());
    }

    #[test]
    fn a_bad_ca_file_is_an_error_that_names_it() {
        let missing = TlsSettings { ca_file: Some("/does/not/exist.pem".into()), ..TlsSettings::default() };
        let error = client(&missing, "storage").unwrap_err().to_string();
        assert!(error.contains("/does/not/exist.pem") && error.contains("storage"), "{error}");

        let error = with_ca("not a certificate").unwrap_err();
        assert!(matches!(error, HttpClientError::ParseCa { .. }), "{error}");
        let error = with_ca("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap_err();
        assert!(matches!(error, HttpClientError::ParseCa { .. }), "{error}");
    }
}
