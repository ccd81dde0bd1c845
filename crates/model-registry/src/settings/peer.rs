//! How another registry is reached, as all commands say that talk to one.

use std::path::Path;

use anyhow::Context as _;
use bearer::Token;
use reqwest::Client;
use secrecy::SecretString;
use service::http_client::{TlsSettings, client};
use service::secret::{Secret, SecretError, SecretSetting, source_of};

const TOKEN: SecretSetting = SecretSetting { value: "--token / MR_TOKEN", file: "--token-file / MR_TOKEN_FILE" };

/// A client that trusts whom `tls` says.
pub(crate) fn http(tls: &TlsSettings) -> anyhow::Result<Client> {
    client(tls, "the registry").context("--ca / MR_CA")
}

/// The token to send, if any, as the settings give it: itself, or its file.
pub(crate) fn token(value: Option<&SecretString>, file: Option<&Path>) -> Result<Token, SecretError> {
    Secret::from_settings(value, file, TOKEN).map(|secret| Token::from_source(source_of(secret)))
}
