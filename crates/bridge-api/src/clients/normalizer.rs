//! The client of the normalizer's admin address.

use reqwest::Client;
use url::Url;

use super::ClientError;
use super::transport::Transport;
use crate::status::NormalizerStatus;

/// Asks a normalizer of ours how it is.
#[derive(Debug, Clone)]
pub struct NormalizerClient {
    transport: Transport,
}

impl NormalizerClient {
    /// A client of the normalizer whose admin address is at `base`.
    pub fn new(base: Url, http: Client) -> Self {
        Self { transport: Transport::new("normalizer", base, http) }
    }

    /// Its sources, and what it waits for.
    pub async fn status(&self) -> Result<NormalizerStatus, ClientError> {
        let url = self.transport.url("status", &[])?;
        self.transport.get(url).await?.json()
    }
}
