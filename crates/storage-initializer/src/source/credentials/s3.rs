//! S3: the variables that KServe sets, and those of Amazon's own tools.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::{endpoint, first, says_no, says_yes};
use crate::environment::Environment;
use crate::source::network::{Network, Trust};
use crate::uri::ObjectUri;
use crate::{Failure, Kind};

/// Where KServe mounts the bundle of a `ConfigMap`, unless it says so.
const BUNDLE_DIRECTORY: &str = "/etc/ssl/custom-certs";
const BUNDLE_FILE: &str = "cabundle.crt";

/// How S3 is reached, and as whom.
#[derive(Debug)]
pub struct S3 {
    /// The endpoint; none for Amazon's own.
    pub endpoint: Option<Url>,
    /// The region.
    pub region: String,
    /// Where the bucket's name goes.
    pub addressing: Addressing,
    /// As whom.
    pub identity: Identity,
    /// Whom to trust.
    pub trust: Trust,
}

/// Where the bucket's name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// Into the path.
    Path,
    /// Into the host's name.
    Virtual,
    /// Into the name of Amazon's accelerated hosts.
    Accelerated,
}

/// As whom.
#[derive(Debug)]
pub enum Identity {
    /// Nobody: requests are not signed.
    Anonymous,
    /// Who has these keys.
    Keys {
        /// The access key.
        id: String,
        /// Its secret.
        secret: SecretString,
        /// The token of a session.
        token: Option<SecretString>,
    },
    /// Who a token of this pod lets us be.
    WebIdentity {
        /// The role.
        role: String,
        /// The file with the token.
        token_file: String,
        /// The session's name.
        session: Option<String>,
        /// Who exchanges the token, where it is not Amazon's usual endpoint.
        sts: Option<Url>,
    },
    /// Who the container platform says.
    Container {
        /// Where it says so: a path of its usual address.
        relative: Option<String>,
        /// The same as a whole address.
        full: Option<String>,
        /// The file with the token for it.
        token_file: Option<String>,
    },
    /// Who the machine is.
    Instance,
}

impl S3 {
    /// Reads the environment. What the URI says itself comes first.
    pub fn read(uri: &ObjectUri, environment: &Environment, network: &Network) -> Result<Self, Failure> {
        let region = uri.region.as_deref();
        let region = region.or_else(|| Some(first(environment, &["AWS_DEFAULT_REGION", "AWS_REGION"])?.1));
        let endpoint = endpoint_of(uri, environment)?;
        let addressing = addressing(environment, endpoint.as_ref());
        Ok(Self {
            endpoint,
            region: region.unwrap_or("us-east-1").to_owned(),
            addressing,
            identity: identity(environment)?,
            trust: trust(environment, network),
        })
    }
}

fn endpoint_of(uri: &ObjectUri, environment: &Environment) -> Result<Option<Url>, Failure> {
    let given = first(environment, &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
    let given = match (given, environment.get("S3_ENDPOINT")) {
        (Some((name, value)), _) => Some(endpoint(name, value)?),
        (None, Some(host)) if host.contains("://") => Some(endpoint("S3_ENDPOINT", host)?),
        (None, Some(host)) => {
            let scheme = if says_no(environment, "S3_USE_HTTPS") { "http" } else { "https" };
            Some(endpoint("S3_ENDPOINT", &format!("{scheme}://{host}"))?)
        }
        (None, None) => None,
    };
    if let (Some(ours), Some(other)) = (&uri.endpoint, &given)
        && ours != other
    {
        tracing::info!(endpoint = %ours, "the endpoint of the URI is used, not the one of the environment");
    }
    // Amazon's old endpoint knows the buckets of one region only; the regions' own know theirs.
    let is_amazon = |url: &Url| url.host_str() == Some("s3.amazonaws.com");
    Ok(uri.endpoint.clone().or(given).filter(|url| !is_amazon(url)))
}

fn addressing(environment: &Environment, endpoint: Option<&Url>) -> Addressing {
    // KServe's own spelling is the first.
    let names = ["S3_USER_VIRTUAL_BUCKET", "S3_USE_VIRTUAL_BUCKET", "s3UseVirtualBucket"];
    if endpoint.is_none() && says_yes(environment, "S3_USE_ACCELERATE") {
        Addressing::Accelerated
    } else if names.iter().any(|name| says_yes(environment, name)) {
        Addressing::Virtual
    } else {
        Addressing::Path
    }
}

fn identity(environment: &Environment) -> Result<Identity, Failure> {
    let get = |name: &str| environment.get(name).map(str::to_owned);
    if says_yes(environment, "awsAnonymousCredential") {
        return Ok(Identity::Anonymous);
    }
    match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let token = first(environment, &["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"]);
            let token = token.map(|(_, token)| token.into());
            return Ok(Identity::Keys { id, secret: secret.into(), token });
        }
        (Some(_), None) => return Err(lacking("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (None, Some(_)) => return Err(lacking("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        (None, None) => {}
    }
    if let (Some(role), Some(token_file)) = (get("AWS_ROLE_ARN"), get("AWS_WEB_IDENTITY_TOKEN_FILE")) {
        let sts =
            environment.get("AWS_ENDPOINT_URL_STS").map(|url| endpoint("AWS_ENDPOINT_URL_STS", url)).transpose()?;
        return Ok(Identity::WebIdentity { role, token_file, session: get("AWS_ROLE_SESSION_NAME"), sts });
    }
    let relative = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let full = get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let token_file = get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if relative.is_some() || (full.is_some() && token_file.is_some()) {
        return Ok(Identity::Container { relative, full, token_file });
    }
    if says_yes(environment, "AWS_EC2_METADATA_DISABLED") {
        let what = "there are no credentials for S3 in the environment, and AWS_EC2_METADATA_DISABLED is set";
        return Err(Failure::new(Kind::Permission, what, NO_CREDENTIALS));
    }
    Ok(Identity::Instance)
}

/// What to do where there are none.
pub(crate) const NO_CREDENTIALS: &str = "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY with a secret of the service \
     account, or set awsAnonymousCredential=true for a public bucket";

fn lacking(given: &str, lacking: &str) -> Failure {
    let what = format!("{given} is set, and {lacking} is not");
    Failure::new(Kind::Usage, what, "see whether the secret has both")
}

fn trust(environment: &Environment, network: &Network) -> Trust {
    let mut trust = Trust::of(network);
    if says_no(environment, "S3_VERIFY_SSL") {
        trust.tls.insecure_skip_verify = true;
        return trust;
    }
    let bundle = environment.get("AWS_CA_BUNDLE").map(PathBuf::from);
    let is_mounted = first(environment, &["CA_BUNDLE_CONFIGMAP_NAME", "AWS_CA_BUNDLE_CONFIGMAP"]).is_some();
    let directory = environment.get("CA_BUNDLE_VOLUME_MOUNT_POINT").unwrap_or(BUNDLE_DIRECTORY);
    let mounted = is_mounted.then(|| PathBuf::from(directory).join(BUNDLE_FILE));
    if let Some(bundle) = bundle.or(mounted) {
        trust.tls.ca_file = Some(bundle);
    } else if let Some(pem) = environment.get("AWS_CA_CERTIFICATE") {
        trust.certificate = Some(pem.to_owned());
    }
    trust
}

#[cfg(test)]
mod tests;
