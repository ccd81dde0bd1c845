//! Azure: the variables that KServe sets, the older ones of its secrets, and those of Azure's own tools.

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

use super::{endpoint, first, says_yes};
use crate::environment::Environment;
use crate::uri::ObjectUri;
use crate::{Failure, Kind};

/// Hosts to which tokens may be sent, whoever wrote the URI.
const CLOUDS: [&str; 5] = [
    ".core.windows.net",
    ".storage.azure.net",
    ".core.chinacloudapi.cn",
    ".core.usgovcloudapi.net",
    ".fabric.microsoft.com",
];

/// How Azure's storage is reached, and as whom.
#[derive(Debug)]
pub struct Azure {
    /// The storage account.
    pub account: String,
    /// Its address; none for the usual one.
    pub endpoint: Option<Url>,
    /// As whom.
    pub identity: Identity,
}

/// As whom.
#[derive(Debug)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// Who has a shared access signature.
    Signature(SecretString),
    /// Who has a key of the account.
    AccessKey(SecretString),
    /// Who has this token.
    Token(SecretString),
    /// A service principal with a secret.
    Secret {
        /// The application.
        principal: Principal,
        /// Its secret.
        secret: SecretString,
    },
    /// A service principal that trusts a token of this pod.
    Workload {
        /// The application.
        principal: Principal,
        /// The file with the token.
        token_file: String,
    },
    /// Who the platform says.
    Managed {
        /// The application.
        client: String,
    },
}

/// An application of a directory.
#[derive(Debug)]
pub struct Principal {
    /// The directory.
    pub tenant: String,
    /// The application.
    pub client: String,
    /// Who exchanges tokens, where it is not the usual one.
    pub authority: Option<String>,
}

impl Azure {
    /// Reads the environment. What the URI says itself comes first.
    pub fn read(uri: &ObjectUri, environment: &Environment) -> Result<Self, Failure> {
        let connection = Connection::parse(environment.get("AZURE_STORAGE_CONNECTION_STRING").unwrap_or_default());
        let names = ["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT", "AZURE_ACCOUNT_NAME"];
        let account = uri.account.clone();
        let account = account.or_else(|| Some(first(environment, &names)?.1.to_owned())).or(connection.account);
        let Some(account) = account else {
            let what = format!("nothing says in which storage account the container {} is", uri.bucket);
            let advice = "write abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH, or set AZURE_STORAGE_ACCOUNT_NAME";
            return Err(Failure::new(Kind::Usage, what, advice));
        };
        let given = first(environment, &["AZURE_SERVICE_URL", "AZURE_STORAGE_ENDPOINT"]);
        let given = given.map(|(name, value)| endpoint(name, value)).transpose()?.or(connection.endpoint);
        let identity = match &uri.signature {
            Some(signature) => Identity::Signature(signature.expose().to_owned().into()),
            None => identity(environment, connection.key, connection.signature),
        };
        if let Some(foreign) = uri.endpoint.as_ref().filter(|url| !is_known(url, given.as_ref()))
            && !matches!(identity, Identity::Anonymous | Identity::AccessKey(_))
        {
            let what = format!("the URI names {foreign}, to which no token is sent: it is no address of Azure's");
            return Err(Failure::new(Kind::Permission, what, "set AZURE_SERVICE_URL to it, if it is to be trusted"));
        }
        Ok(Self { account, endpoint: uri.endpoint.clone().or(given), identity })
    }
}

fn is_known(url: &Url, given: Option<&Url>) -> bool {
    let is_azure = url.host_str().is_some_and(|host| CLOUDS.iter().any(|cloud| host.ends_with(cloud)));
    (is_azure && url.scheme() == "https") || given.is_some_and(|given| given.origin() == url.origin())
}

fn identity(environment: &Environment, key: Option<SecretString>, signature: Option<SecretString>) -> Identity {
    let get = |names: &[&'static str]| first(environment, names).map(|(_, value)| value.to_owned());
    if says_yes(environment, "AZURE_SKIP_SIGNATURE") {
        return Identity::Anonymous;
    }
    if let Some(identity) = principal(environment) {
        return identity;
    }
    let key =
        get(&["AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"]).map(Into::into).or(key);
    if let Some(key) = key {
        return Identity::AccessKey(key);
    }
    let signature = get(&["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"]).map(Into::into).or(signature);
    if let Some(signature) = signature {
        return Identity::Signature(signature);
    }
    match get(&["AZURE_ACCESS_TOKEN"]) {
        Some(token) => Identity::Token(token.into()),
        None => Identity::Anonymous,
    }
}

/// As KServe: a client's id is what says that there is one.
fn principal(environment: &Environment) -> Option<Identity> {
    let get = |names: &[&'static str]| first(environment, names).map(|(_, value)| value.to_owned());
    let client = get(&["AZ_CLIENT_ID", "AZURE_CLIENT_ID"])?;
    let tenant = get(&["AZ_TENANT_ID", "AZURE_TENANT_ID"]);
    let authority = get(&["AZURE_AUTHORITY_HOST"]);
    let principal = |tenant: String| Principal { tenant, client: client.clone(), authority };
    match (tenant, get(&["AZ_CLIENT_SECRET", "AZURE_CLIENT_SECRET"]), get(&["AZURE_FEDERATED_TOKEN_FILE"])) {
        (Some(tenant), Some(secret), _) => {
            Some(Identity::Secret { principal: principal(tenant), secret: secret.into() })
        }
        (Some(tenant), None, Some(token_file)) => Some(Identity::Workload { principal: principal(tenant), token_file }),
        _ => Some(Identity::Managed { client }),
    }
}

/// `AccountName=…;AccountKey=…;BlobEndpoint=…`
#[derive(Default)]
struct Connection {
    account: Option<String>,
    key: Option<SecretString>,
    signature: Option<SecretString>,
    endpoint: Option<Url>,
}

impl Connection {
    fn parse(text: &str) -> Self {
        let mut connection = Self::default();
        for (name, value) in text.split(';').filter_map(|pair| pair.split_once('=')) {
            match name.trim() {
                "AccountName" => connection.account = Some(value.to_owned()),
                "AccountKey" => connection.key = Some(value.into()),
                "SharedAccessSignature" => connection.signature = Some(value.into()),
                "BlobEndpoint" => connection.endpoint = value.parse().ok(),
                _ => {}
            }
        }
        connection
    }
}

/// The pairs of a shared access signature, decoded.
pub(crate) fn pairs(signature: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = signature.trim().trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

#[cfg(test)]
mod tests;
