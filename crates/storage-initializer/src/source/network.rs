//! How sources reach servers: whom they trust, which addresses are out of bounds, how long they wait.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use service::guard::{Guard, Loopback};
use service::http_client::{self, HttpClientError, TlsSettings};

use super::retry::Retries;
use crate::{Failure, Kind};

/// A download takes as long as it takes: what is bounded is how long a server may be silent.
const WHOLE_REQUEST: Duration = Duration::from_hours(24 * 7);
/// Credentials of the platform are asked for on the same host, or near it.
const PLATFORM_CONNECT: Duration = Duration::from_secs(1);
const PLATFORM_REQUEST: Duration = Duration::from_secs(5);

/// How sources reach servers.
#[derive(Debug, Clone)]
pub struct Network {
    /// Whom to trust, where credentials say nothing else.
    pub tls: TlsSettings,
    /// Whether addresses may lead to this very host.
    pub loopback: Loopback,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a server may be silent.
    pub silence: Duration,
    /// How patient we are.
    pub retries: Retries,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            tls: TlsSettings::default(),
            loopback: Loopback::Allowed,
            connect_timeout: Duration::from_secs(10),
            silence: Duration::from_mins(1),
            retries: Retries::default(),
        }
    }
}

/// Whom to trust, for one kind of storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Files, and whether to look at all.
    pub tls: TlsSettings,
    /// Certificates that are written out in the environment, as PEM. Left alone where there is a file.
    pub certificate: Option<String>,
}

impl Trust {
    /// What the settings say.
    pub fn of(network: &Network) -> Self {
        Self { tls: network.tls.clone(), certificate: None }
    }
}

impl Network {
    /// A client for content, named in messages by what it is for. It follows no redirects, sends no `Accept-Encoding`, and
    /// reaches no link-local or metadata address, whatever a name resolves to.
    pub fn client(&self, trust: &Trust, name: &str) -> Result<Client, Failure> {
        self.client_with(trust, name, |builder| builder)
    }

    /// The same, more restricted.
    pub fn client_with(
        &self,
        trust: &Trust,
        name: &str,
        restrict: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Result<Client, Failure> {
        let guard = Guard { loopback: self.loopback };
        let certificates = certificates(trust, name)?;
        let build = |builder: ClientBuilder| {
            let builder = guard.restrict(self.patient(builder)).redirect(Policy::none());
            restrict(certificates.iter().cloned().fold(builder, |builder, one| builder.tls_certs_merge([one])))
        };
        http_client::client_with(&trust.tls, name, build).map_err(|error| unusable(&error))
    }

    fn patient(&self, builder: ClientBuilder) -> ClientBuilder {
        builder
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.silence)
            .timeout(WHOLE_REQUEST)
            .no_gzip()
            // One connection for all would be slower than one for each.
            .http1_only()
    }

    /// A client for those who hand out credentials: always verified, whatever a storage's settings say.
    pub fn identity_client(&self, trust: &Trust, name: &str) -> Result<Client, Failure> {
        let tls = TlsSettings { insecure_skip_verify: self.tls.insecure_skip_verify, ..trust.tls.clone() };
        let restrict = |builder: ClientBuilder| builder.redirect(Policy::none()).http1_only();
        http_client::client_with(&tls, name, restrict).map_err(|error| unusable(&error))
    }

    /// A client for what the platform tells its pods on a link-local address.
    pub fn platform_client(&self) -> Result<Client, Failure> {
        let restrict = |builder: ClientBuilder| {
            builder.connect_timeout(PLATFORM_CONNECT).timeout(PLATFORM_REQUEST).redirect(Policy::none()).no_proxy()
        };
        http_client::client_with(&TlsSettings::default(), "the platform's metadata", restrict)
            .map_err(|error| unusable(&error))
    }

    /// Whether an address that is data may be asked.
    pub fn check(&self, url: &url::Url) -> Result<(), Failure> {
        let checked = Guard { loopback: self.loopback }.check(url);
        checked.map_err(|refused| Failure::new(Kind::Permission, refused.to_string(), "give the address of a server"))
    }
}

fn certificates(trust: &Trust, name: &str) -> Result<Vec<Certificate>, Failure> {
    let is_used = trust.tls.ca_file.is_none() && !trust.tls.insecure_skip_verify;
    let Some(pem) = trust.certificate.as_deref().filter(|_| is_used) else { return Ok(Vec::new()) };
    let parsed = Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
    if parsed.is_empty() {
        let what = format!("the certificate for {name} in the environment is not PEM");
        return Err(Failure::new(Kind::Usage, what, "write it as a PEM file has it, or give the path of a file"));
    }
    Ok(parsed)
}

fn unusable(error: &HttpClientError) -> Failure {
    Failure::new(Kind::Usage, error.to_string(), "see whether the file is mounted, and holds PEM certificates")
}
