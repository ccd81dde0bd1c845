//! The places where cluster credentials may be, in their order.

use std::path::{Path, PathBuf};

use kube::{
    Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::SecretString;

use super::{ClusterSettings, CredentialsError, Environment, proxy, settings::checked_namespace};

const DEFAULT_KUBECONFIG: &str = "~/.kube/config";

/// Credentials, and what is known about where they come from.
pub(super) struct Found {
    pub(super) config: Config,
    pub(super) in_cluster: bool,
    pub(super) description: String,
    pub(super) service_account_namespace: Option<String>,
    pub(super) context_namespace: Option<String>,
}

pub(super) async fn find(
    settings: &ClusterSettings,
    environment: &Environment,
) -> Result<Option<Found>, CredentialsError> {
    if let Some(list) = settings.kubeconfig() {
        let files = std::env::split_paths(list).filter(|file| !file.as_os_str().is_empty()).collect::<Vec<_>>();
        return from_kubeconfig("KUBECONFIG", &files, settings, environment).await.map(Some);
    }
    // A context is a kubeconfig's: naming one asks for a kubeconfig even inside a pod.
    if settings.kube_context().is_none()
        && let Some(found) = from_pod(settings, environment)?
    {
        return Ok(Some(found));
    }
    match environment.default_kubeconfig().filter(|file| file.is_file()) {
        Some(file) if names_no_cluster(&file, settings)? => Ok(None),
        Some(file) => from_kubeconfig(DEFAULT_KUBECONFIG, &[file], settings, environment).await.map(Some),
        None if settings.kube_context().is_some() => Err(CredentialsError::Invalid {
            setting: "--kube-context / KUBE_CONTEXT",
            reason: "there is no kubeconfig to look the context up in; set KUBECONFIG".to_owned(),
        }),
        None => Ok(None),
    }
}

/// An empty default kubeconfig is what `logout` leaves behind: nobody configured a cluster.
fn names_no_cluster(file: &Path, settings: &ClusterSettings) -> Result<bool, CredentialsError> {
    let kubeconfig = read_kubeconfig(DEFAULT_KUBECONFIG, file)?;
    Ok(kubeconfig.contexts.is_empty() && settings.kube_context().is_none())
}

async fn from_kubeconfig(
    setting: &'static str,
    files: &[PathBuf],
    settings: &ClusterSettings,
    environment: &Environment,
) -> Result<Found, CredentialsError> {
    let listed = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    let unusable = |reason: String| CredentialsError::Kubeconfig { setting, files: listed.clone(), reason };
    let kubeconfig = merged(setting, files)?;
    let context = settings
        .kube_context()
        .map(str::to_owned)
        .or_else(|| kubeconfig.current_context.clone().filter(|name| !name.is_empty()))
        .ok_or_else(|| {
            unusable("no current-context is set; choose one with --kube-context / KUBE_CONTEXT".to_owned())
        })?;
    let context_namespace = context_namespace(&kubeconfig, &context);
    let own_proxy = has_proxy(&kubeconfig, &context);
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| unusable(format!("context {context:?}: {}", explain(&error))))?;
    if !own_proxy {
        config.proxy_url = proxy::from_environment(&config.cluster_url, environment)?;
    }
    let overridden = override_token(&mut config, settings)?;
    Ok(Found {
        description: format!("kubeconfig {listed}, context {context}, {}{overridden}", config.cluster_url),
        config,
        in_cluster: false,
        service_account_namespace: service_account_namespace(environment)?,
        context_namespace,
    })
}

/// As kubectl does: of several files, missing ones are skipped and the first to define something wins.
fn merged(setting: &'static str, files: &[PathBuf]) -> Result<Kubeconfig, CredentialsError> {
    let mut merged: Option<Kubeconfig> = None;
    let mut missing = None;
    for file in files {
        let next = match read_kubeconfig(setting, file) {
            Err(CredentialsError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                missing.get_or_insert(CredentialsError::Unreadable { setting, file: file.clone(), source });
                continue;
            }
            read => read?,
        };
        merged = Some(match merged {
            None => next,
            Some(first) => first.merge(next).map_err(|error| CredentialsError::Kubeconfig {
                setting,
                files: file.display().to_string(),
                reason: explain(&error),
            })?,
        });
    }
    match (merged, missing) {
        (Some(kubeconfig), _) => Ok(kubeconfig),
        (None, Some(error)) => Err(error),
        (None, None) => Err(CredentialsError::Invalid { setting, reason: "names no file".to_owned() }),
    }
}

fn read_kubeconfig(setting: &'static str, file: &Path) -> Result<Kubeconfig, CredentialsError> {
    Kubeconfig::read_from(file).map_err(|error| match error {
        KubeconfigError::ReadConfig(source, file) => CredentialsError::Unreadable { setting, file, source },
        other => CredentialsError::Kubeconfig { setting, files: file.display().to_string(), reason: explain(&other) },
    })
}

/// YAML errors quote the lines around them, where tokens are: only the position is told.
fn explain(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(parse) => match parse.location() {
            Some(at) => format!("not a valid kubeconfig at line {}, column {}", at.line(), at.column()),
            None => "not a valid kubeconfig".to_owned(),
        },
        other => crate::request::chain(other),
    }
}

fn context_namespace(kubeconfig: &Kubeconfig, name: &str) -> Option<String> {
    let context = kubeconfig.contexts.iter().find(|context| context.name == name)?.context.as_ref()?;
    context.namespace.clone().filter(|namespace| !namespace.is_empty())
}

fn has_proxy(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let named = kubeconfig.contexts.iter().find(|named| named.name == context);
    named.and_then(|named| named.context.as_ref()).is_some_and(|context| {
        let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
        cluster
            .and_then(|named| named.cluster.as_ref())
            .and_then(|cluster| cluster.proxy_url.as_ref())
            .is_some_and(|url| !url.is_empty())
    })
}

/// With an own token the bridge acts as that token's identity alone: a client certificate would win over it.
fn override_token(config: &mut Config, settings: &ClusterSettings) -> Result<&'static str, CredentialsError> {
    match (settings.k8s_token(), settings.k8s_token_file()) {
        (Some(_), Some(_)) => Err(CredentialsError::Invalid {
            setting: "--k8s-token-file / K8S_TOKEN_FILE",
            reason: "K8S_TOKEN is set, too: choose one".to_owned(),
        }),
        (Some(token), None) => {
            config.auth_info = with_token(token);
            Ok(", token from K8S_TOKEN")
        }
        (None, Some(file)) => {
            // From now on the client reads it by itself, again and again; whether it can is said now.
            let setting = "--k8s-token-file / K8S_TOKEN_FILE";
            let token = read_text(setting, file)?;
            if token.is_empty() || token.contains(char::is_whitespace) {
                let reason = format!("{} must hold the token and nothing else, no end of line either", file.display());
                return Err(CredentialsError::Invalid { setting, reason });
            }
            config.auth_info = AuthInfo { token_file: Some(file.display().to_string()), ..AuthInfo::default() };
            Ok(", token from K8S_TOKEN_FILE")
        }
        (None, None) => Ok(""),
    }
}

fn with_token(token: SecretString) -> AuthInfo {
    AuthInfo { token: Some(token), ..AuthInfo::default() }
}

/// Inside a pod: the API server's address is in the environment; the credentials are variables or files.
fn from_pod(settings: &ClusterSettings, environment: &Environment) -> Result<Option<Found>, CredentialsError> {
    let Some(host) = environment.get("KUBERNETES_SERVICE_HOST") else {
        return Ok(None);
    };
    let token_file = environment.service_account_file("token");
    let authority_file = environment.service_account_file("ca.crt");
    let variables = (environment.get("token"), environment.get("ca.crt"));
    let (auth_info, place) = match &variables {
        (Some(token), Some(_)) => {
            (with_token(SecretString::from(token.trim().to_owned())), "environment variables `token` and `ca.crt`")
        }
        _ if token_file.is_file() => {
            let token_file = Some(token_file.display().to_string());
            (AuthInfo { token_file, ..AuthInfo::default() }, "service account of the pod")
        }
        _ if settings.gives_token() => (AuthInfo::default(), "address of the pod's cluster"),
        (Some(_), None) => {
            return Err(CredentialsError::Invalid {
                setting: "ca.crt",
                reason: "environment variable `token` is set but `ca.crt` is not; both come from one Secret".to_owned(),
            });
        }
        _ => return Ok(None),
    };
    let mut config = Config::new(api_server(&host, environment)?);
    config.auth_info = auth_info;
    if let (_, Some(pem)) = &variables {
        config.root_cert = Some(certificates("ca.crt", pem.as_bytes())?);
    } else if authority_file.is_file() {
        let pem = read_text("service account", &authority_file)?;
        config.root_cert = Some(certificates("service account's ca.crt", pem.as_bytes())?);
        config.root_cert_file = Some(authority_file);
    }
    let overridden = override_token(&mut config, settings)?;
    Ok(Some(Found {
        description: format!("{place}, {}{overridden}", config.cluster_url),
        config,
        in_cluster: true,
        service_account_namespace: pod_namespace(environment)?,
        context_namespace: None,
    }))
}

fn api_server(host: &str, environment: &Environment) -> Result<http::Uri, CredentialsError> {
    let port = environment.get("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    let port: u16 = port.trim().parse().map_err(|_| CredentialsError::Invalid {
        setting: "KUBERNETES_SERVICE_PORT",
        reason: format!("{port:?} is not a port"),
    })?;
    let host = host.trim();
    let address = match host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("https://[{ip}]:{port}"),
        Err(_) => format!("https://{host}:{port}"),
    };
    address.parse().map_err(|error| CredentialsError::Invalid {
        setting: "KUBERNETES_SERVICE_HOST",
        reason: format!("{host:?} is not a host: {error}"),
    })
}

fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<Vec<u8>>, CredentialsError> {
    let invalid = |reason: String| CredentialsError::Invalid { setting, reason };
    let certificates = CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(format!("not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(invalid("holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

/// The Secret of a service account token also holds the namespace, so `envFrom` may have set it.
fn pod_namespace(environment: &Environment) -> Result<Option<String>, CredentialsError> {
    if let Some(namespace) = service_account_namespace(environment)? {
        return Ok(Some(namespace));
    }
    environment.get("namespace").map(|name| checked_namespace("namespace", name.trim())).transpose()
}

fn service_account_namespace(environment: &Environment) -> Result<Option<String>, CredentialsError> {
    let file = environment.service_account_file("namespace");
    if !file.is_file() {
        return Ok(None);
    }
    let text = read_text("service account", &file)?;
    let name = text.trim();
    if name.is_empty() { Ok(None) } else { checked_namespace("service account's namespace", name).map(Some) }
}

pub(super) fn read_text(setting: &'static str, file: &Path) -> Result<String, CredentialsError> {
    std::fs::read_to_string(file).map_err(|source| CredentialsError::Unreadable {
        setting,
        file: file.to_owned(),
        source,
    })
}
