//! What it means when a registry does not lead to a model, and what to do.

use std::collections::BTreeMap;

use registry_client::{Failure as Cause, RegistryError};

use super::address::Address;
use crate::uri::RegistryUri;
use crate::{Failure, Kind};

/// The registry failed.
pub(super) fn of_registry(address: &Address, has_token: bool, error: &RegistryError) -> Failure {
    let what = format!("{} cannot be resolved: {error}", address.reading);
    let host = address.host();
    let (kind, advice) = match &error.failure {
        Cause::Status { code: 401, .. } if has_token => (Kind::Permission, "see whether the token is valid".to_owned()),
        Cause::Status { code: 401, .. } if !address.may_have_token => {
            (Kind::Permission, format!("the token is not sent to {host}, unless --registry-token-hosts names it"))
        }
        Cause::Status { code: 401, .. } => {
            (Kind::Permission, "give a token with --registry-token-file / MODEL_REGISTRY_TOKEN_FILE".to_owned())
        }
        Cause::Status { code: 403, .. } => {
            (Kind::Permission, "let the account of the token read the registry".to_owned())
        }
        Cause::Status { code: 404, .. } => (Kind::NotFound, "see whether there is a model registry".to_owned()),
        Cause::Tls(_) => (
            Kind::Permission,
            "name the CA's file with --registry-ca / MODEL_REGISTRY_CA, or see the scheme".to_owned(),
        ),
        Cause::Connect(_) | Cause::Timeout(_) | Cause::Interrupted(_) => (
            Kind::Unavailable,
            "see whether the registry runs, and MODEL_REGISTRY_BASE_URL or the URI's host".to_owned(),
        ),
        Cause::Status { .. } => (Kind::Unavailable, "see what is wrong with the registry".to_owned()),
        Cause::Request(_) => (Kind::Usage, "see the registry's address".to_owned()),
        Cause::NotJson { .. } | Cause::WrongShape(_) | Cause::TooLarge { .. } => {
            (Kind::Integrity, "see whether that is a model registry, and no login page".to_owned())
        }
        Cause::RepeatedToken { .. } | Cause::TooManyPages { .. } => {
            (Kind::Integrity, "see what is wrong with the registry".to_owned())
        }
    };
    let failure = Failure::new(kind, what, advice);
    Failure { is_transient: error.is_transient(), retry_after: error.retry_after(), ..failure }
}

/// There is something, but no registry.
pub(super) fn no_registry(address: &Address, error: &RegistryError) -> Failure {
    let what =
        format!("{} cannot be resolved: there is no model registry at {}: {error}", address.reading, address.host());
    Failure::new(Kind::NotFound, what, "see the registry's address, and that its path leads to no other service")
}

/// The registry has no such model.
pub(super) fn no_model(address: &Address, name: &str) -> Failure {
    let what = format!("the registry at {} has no model {name:?}", address.host());
    Failure::new(Kind::NotFound, what, "see its name in the registry; a / in a name is written %2F")
}

/// The model has no such version.
pub(super) fn no_version(address: &Address, name: &str, examples: &[String]) -> Failure {
    let model = &address.reading.model;
    let what = format!("model {model:?} in the registry at {} has no version {name:?}", address.host());
    let advice = match examples {
        [] => "it has no LIVE version at all".to_owned(),
        names => format!("name one of its versions, such as {}", quoted(names)),
    };
    Failure::new(Kind::NotFound, what, advice)
}

/// The model was put away, and no version is named.
pub(super) fn archived_model(address: &Address, name: &str, state: &str) -> Failure {
    let what = format!("model {name:?} in the registry at {} is {state}", address.host());
    Failure::new(Kind::NotFound, what, "restore it, or name a version, which is then fetched all the same")
}

/// The model has no version that is in use.
pub(super) fn no_live_version(address: &Address, name: &str, passed_over: &BTreeMap<String, usize>) -> Failure {
    let what =
        format!("model {name:?} in the registry at {} has no LIVE version{}", address.host(), counted(passed_over));
    Failure::new(Kind::NotFound, what, "register one, or name one, which is then fetched whatever its state")
}

/// The version has no model to fetch.
pub(super) fn no_artifact(
    address: &Address,
    model: &str,
    version: &str,
    passed_over: &BTreeMap<String, usize>,
) -> Failure {
    let what = format!(
        "version {version:?} of model {model:?} in the registry at {} has no LIVE model artifact with a uri{}",
        address.host(),
        counted(passed_over)
    );
    Failure::new(Kind::NotFound, what, "register the model's artifact with its uri")
}

fn counted(passed_over: &BTreeMap<String, usize>) -> String {
    if passed_over.is_empty() {
        return String::new();
    }
    let counts: Vec<String> = passed_over.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!(" (but {})", counts.join(", "))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// No reading led to a model. Of several, what somebody can do something about is what it failed by.
pub(super) fn of_all_readings(uri: &RegistryUri, failed: Vec<(Address, Failure)>) -> Failure {
    let readings: Vec<String> = failed
        .iter()
        .map(|(address, failure)| match &address.reading.host {
            Some(host) => format!("read as a host, {host:?}: {}", failure.what),
            None => format!("read as a model: {}", failure.what),
        })
        .collect();
    let is_one = failed.len() == 1;
    let gravest = failed.into_iter().map(|(_, failure)| failure).max_by_key(|failure| gravity(failure.kind));
    match gravest {
        Some(failure) if is_one => failure,
        Some(failure) => Failure { what: format!("{uri} has two readings; {}", readings.join("; ")), ..failure },
        None => Failure::new(Kind::Internal, format!("{uri} has no readings"), ""),
    }
}

const fn gravity(kind: Kind) -> u8 {
    match kind {
        Kind::NotFound => 0,
        Kind::Integrity => 1,
        Kind::Permission => 2,
        Kind::Unavailable => 3,
        Kind::Usage | Kind::Internal | Kind::DiskFull => 4,
    }
}
