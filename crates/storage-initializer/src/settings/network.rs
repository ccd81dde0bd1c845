//! How storage is reached.

use std::path::PathBuf;

use clap::Args;
use service::http_client::TlsSettings;
use service::settings::{CommaList, GoDuration};

use crate::source::network::Network;
use crate::source::oci::{OciOptions, Platform};
use crate::source::retry::Retries;

/// How storage is reached. What KServe injects for a kind of storage comes first.
#[derive(Debug, Clone, Args)]
pub struct NetworkSettings {
    /// A PEM file, or a directory of them, with certificates to trust in storage besides those of the system, where KServe's
    /// variables name none
    #[arg(long, env = "STORAGE_INITIALIZER_CA", value_name = "PATH", help_heading = "Network")]
    pub storage_ca: Option<PathBuf>,

    /// How long making a connection to storage may take
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_CONNECT_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        help_heading = "Network"
    )]
    pub connect_timeout: GoDuration,

    /// How long storage may be silent in the middle of an answer
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_READ_TIMEOUT",
        value_name = "DURATION",
        default_value = "1m",
        help_heading = "Network"
    )]
    pub read_timeout: GoDuration,

    /// How many times a request to storage is sent that gets no answer, or one that asks to come back later
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_REQUEST_ATTEMPTS",
        value_name = "COUNT",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=100),
        help_heading = "Network"
    )]
    pub request_attempts: u16,

    /// A Docker configuration with credentials of container registries [default: that of the environment]
    #[arg(long, env = "STORAGE_INITIALIZER_OCI_AUTH_FILE", value_name = "FILE", help_heading = "Network")]
    pub oci_auth_file: Option<PathBuf>,

    /// Container registries that are asked without TLS, by HOST or HOST:PORT, separated by commas
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_OCI_PLAIN_HTTP",
        value_name = "HOSTS",
        default_value = "",
        hide_default_value = true,
        help_heading = "Network"
    )]
    pub oci_plain_http: CommaList<String>,

    /// The platform of images that are there for several, as in linux/amd64 [default: this one, else any]
    #[arg(long, env = "STORAGE_INITIALIZER_OCI_PLATFORM", value_name = "PLATFORM", help_heading = "Network")]
    pub oci_platform: Option<Platform>,
}

impl NetworkSettings {
    /// What sources are opened with.
    pub fn network(&self) -> Network {
        Network {
            tls: TlsSettings { ca_file: self.storage_ca.clone(), ..TlsSettings::default() },
            connect_timeout: self.connect_timeout.0,
            silence: self.read_timeout.0,
            retries: Retries { attempts: usize::from(self.request_attempts), ..Retries::default() },
            ..Network::default()
        }
    }

    /// The same for images.
    pub fn images(&self) -> OciOptions {
        OciOptions {
            auth_file: self.oci_auth_file.clone(),
            plain_http: self.oci_plain_http.0.clone(),
            platform: self.oci_platform.clone(),
        }
    }
}
