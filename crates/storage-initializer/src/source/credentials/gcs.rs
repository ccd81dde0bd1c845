//! Google Cloud Storage: a key file of a secret, what the platform says who we are, or nobody.

use std::path::Path;

use http::HeaderValue;
use secrecy::SecretString;
use url::Url;

use super::{endpoint, says_yes};
use crate::environment::Environment;
use crate::source::network::Network;
use crate::{Failure, Kind};

const METADATA_HOST: &str = "metadata.google.internal";
const WHO: &str = "computeMetadata/v1/instance/service-accounts/default/email";

/// How Google Cloud Storage is reached, and as whom.
#[derive(Debug)]
pub struct Gcs {
    /// The address of an emulator; none for Google's own.
    pub endpoint: Option<Url>,
    /// As whom.
    pub identity: Identity,
}

/// As whom.
#[derive(Debug)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// Who the file says, in the format of application default credentials.
    File(String),
    /// The same as a text.
    Key(SecretString),
    /// Who the platform says: workload identity.
    Platform,
}

impl Gcs {
    /// Reads the environment. Where it says nothing the platform is asked whether it knows who we are.
    pub async fn read(environment: &Environment, network: &Network) -> Result<Self, Failure> {
        if let Some(host) = environment.get("STORAGE_EMULATOR_HOST") {
            let url = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
            let endpoint = Some(endpoint("STORAGE_EMULATOR_HOST", &url)?);
            return Ok(Self { endpoint, identity: Identity::Anonymous });
        }
        Ok(Self { endpoint: None, identity: identity(environment, network).await? })
    }
}

async fn identity(environment: &Environment, network: &Network) -> Result<Identity, Failure> {
    if says_yes(environment, "GOOGLE_SKIP_SIGNATURE") {
        return Ok(Identity::Anonymous);
    }
    if let Some(key) = environment.get("GOOGLE_SERVICE_ACCOUNT_KEY") {
        // An error in it is said without what is in it.
        if serde_json::from_str::<serde_json::Map<_, _>>(key).is_err() {
            let what = "the key of Google's service account is no JSON object";
            return Err(Failure::new(Kind::Usage, what, "give the file that Google makes, as it is"));
        }
        return Ok(Identity::Key(key.into()));
    }
    if let Some(path) = environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
        if !Path::new(path).is_file() {
            let what = format!("GOOGLE_APPLICATION_CREDENTIALS names {path}, which is no file");
            return Err(Failure::new(Kind::Usage, what, "see whether the secret is mounted and has the key"));
        }
        return Ok(Identity::File(path.to_owned()));
    }
    if !says_yes(environment, "NO_GCE_CHECK") && is_known_to_platform(environment, network).await {
        return Ok(Identity::Platform);
    }
    tracing::info!("no credentials for Google Cloud Storage: buckets are read as the public may read them");
    Ok(Identity::Anonymous)
}

/// Whether there is a metadata server, and it has a service account for us.
async fn is_known_to_platform(environment: &Environment, network: &Network) -> bool {
    let host = environment.get("GCE_METADATA_HOST").unwrap_or(METADATA_HOST);
    let Ok(client) = network.platform_client() else { return false };
    let request =
        client.get(format!("http://{host}/{WHO}")).header("Metadata-Flavor", HeaderValue::from_static("Google"));
    let Ok(response) = request.send().await else { return false };
    // Captive portals answer anything.
    let is_google = response.headers().get("Metadata-Flavor").is_some_and(|flavor| flavor == "Google");
    is_google && response.status().is_success()
}
