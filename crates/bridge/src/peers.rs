//! The three services of a running bridge, as whoever runs commands by hand sees them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use service::Secret;
use service::http_client::{self, TlsSettings};
use url::Url;

use crate::up::UpArgs;

/// How long a service may take to tell how it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is read of an answer.
const LIMIT: usize = 64 << 20;

/// One service.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its base URL.
    pub(crate) url: Url,
    /// The settings that lead there.
    pub(crate) setting: &'static str,
    pub(crate) http: reqwest::Client,
    pub(crate) token: Option<Secret>,
}

/// Why a service did not tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("nothing answers at {url}: {reason}")]
    Silent { url: Url, reason: String },
    #[error(
        "{url} asks for a token, or refuses the one it was sent ({status}): give it with --bridge-token / BRIDGE_TOKEN"
    )]
    Refused { url: Url, status: u16 },
    #[error("{url} answers {status}{said}")]
    Status { url: Url, status: u16, said: String },
    #[error("what answers at {url} is not understood: {reason}")]
    Unexpected { url: Url, reason: String },
}

impl Peer {
    /// storage-rest, location and the normalizer of these settings.
    pub(crate) fn all(settings: &UpArgs) -> anyhow::Result<[Self; 3]> {
        let UpArgs { storage, location, normalizer } = settings;
        let peer = |name, url, setting, tls: &TlsSettings, token| {
            let http = http_client::client(tls, name)?;
            anyhow::Ok(Self { name, url, setting, http, token })
        };
        let storage_tls = TlsSettings {
            ca_file: normalizer.storage_ca.clone(),
            insecure_skip_verify: normalizer.storage_insecure_skip_tls_verify,
            ..TlsSettings::default()
        };
        let scheme = if normalizer.tls.tls_cert.is_some() { "https" } else { "http" };
        let admin = normalizer.admin_address;
        let admin = if admin.ip().is_unspecified() {
            SocketAddr::new(normalizer.pod_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), admin.port())
        } else {
            admin
        };
        let normalizer_url = Url::parse(&format!("{scheme}://{admin}"))?;
        let own_tls = TlsSettings { server_certificate: normalizer.tls.tls_cert.clone(), ..TlsSettings::default() };
        Ok([
            peer("storage-rest", normalizer.storage()?, "STORAGE_URL", &storage_tls, normalizer.token.secret()?)?,
            peer(
                "location",
                storage.location_url().context("LOCATION_URL")?,
                "LOCATION_URL",
                &storage.location_tls(),
                location.access.token.secret()?,
            )?,
            peer("normalizer", normalizer_url, "NORMALIZER_ADMIN_ADDRESS", &own_tls, None)?,
        ])
    }

    /// What the service tells of itself.
    pub(crate) async fn status(&self) -> Result<Value, PeerError> {
        self.json("status").await
    }

    async fn json(&self, route: &str) -> Result<Value, PeerError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{route}", self.url.path().trim_end_matches('/')));
        let mut request = self.http.get(url).timeout(PATIENCE);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.current().expose_secret());
        }
        let silent =
            |error: reqwest::Error| PeerError::Silent { url: self.url.clone(), reason: causes(&error.without_url()) };
        let mut answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > LIMIT {
                let reason = format!("it is longer than {LIMIT} bytes");
                return Err(PeerError::Unexpected { url: self.url.clone(), reason });
            }
            body.extend_from_slice(&chunk);
        }
        match status.as_u16() {
            200 => serde_json::from_slice(&body)
                .map_err(|error| PeerError::Unexpected { url: self.url.clone(), reason: error.to_string() }),
            401 | 403 => Err(PeerError::Refused { url: self.url.clone(), status: status.as_u16() }),
            code => {
                let value: Value = serde_json::from_slice(&body).unwrap_or_default();
                let said = value["error"].as_str().map(|said| format!(": {said}")).unwrap_or_default();
                Err(PeerError::Status { url: self.url.clone(), status: code, said })
            }
        }
    }
}

/// The last of the causes says the most.
fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
