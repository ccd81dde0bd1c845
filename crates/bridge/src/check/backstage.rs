//! Backstage: where it is, whether it knows us, and whether it would take our locations. It is asked to try one, which
//! registers nothing.

use backstage_client::{BackstageError, CatalogClient};
use bridge_api::UriList;
use http::StatusCode;
use model_catalog::render::Format;
use service::http_client;
use service::secret::source_of;
use storage_rest::deliver::backstage::BridgeUrl;
use url::Url;

use super::report::Finding;
use super::tls::{self, Verification};
use super::{Bench, view, within};

const CHECK: &str = "Backstage";
const URL: &str = "--bkstg-url / BKSTG_URL";
const CA: &str = "--bkstg-ca / BKSTG_CA";
const READING: &str = "backend.reading.allow";

/// What there is to say of Backstage, and of location as it sees it.
pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    let place = place(bench).await;
    let (seen, list) = view::examine(bench, place.as_ref().ok()).await;
    let url = match place {
        Ok(url) => url,
        Err(finding) => return seen.into_iter().chain(std::iter::once(*finding)).collect(),
    };
    let asked = within(bench.deadline, CHECK, ask(bench, &url, list.as_ref())).await;
    seen.into_iter().chain(asked).collect()
}

/// Where it is: given, or by its Route.
async fn place(bench: &Bench<'_>) -> Result<Url, Box<Finding>> {
    let settings = &bench.settings.storage;
    if let Some(url) = &settings.backstage.access.bkstg_url {
        return Ok(url.clone());
    }
    if !settings.backstage.push_to_rhdh {
        let message =
            format!("PUSH_TO_RHDH is off, and no URL is given: Backstage reads by itself ({URL} has it checked)");
        return Err(Box::new(Finding::skipped(CHECK, message)));
    }
    let advice = format!("give its URL with {URL}");
    let Some(cluster) = bench.cluster else {
        let message = "PUSH_TO_RHDH is on, and there is neither a URL nor a cluster to find it in";
        return Err(Box::new(Finding::failure(CHECK, message, advice)));
    };
    let namespace = settings.cluster.pod_namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    let found = cluster::find_backstage_route(&cluster.client, &namespace);
    let problem = match tokio::time::timeout(bench.deadline, found).await {
        Ok(Ok(Some(route))) => match route.url() {
            Ok(url) => return Ok(url),
            Err(reason) => format!("the Route {} {reason}", route.name),
        },
        Ok(Ok(None)) => {
            format!("no Route in namespace {namespace} has a label app.kubernetes.io/name that contains `backstage`")
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "its Route was not found in time".to_owned(),
    };
    Err(Box::new(Finding::failure(CHECK, problem, advice)))
}

async fn ask(bench: &Bench<'_>, url: &Url, list: Option<&UriList>) -> Vec<Finding> {
    let access = &bench.settings.storage.backstage.access;
    let client = match client(bench, url) {
        Ok(client) => client,
        Err(error) => return vec![Finding::failure(CHECK, format!("{error:#}"), "mend this setting")],
    };
    let read = client.locations().await;
    let refusal = match &read {
        Err(error @ BackstageError::Transport { source, .. }) => {
            let said = chain(source);
            tls::is_about_tls(&said).then(|| format!("{error}: {said}"))
        }
        _ => None,
    };
    let verification = if access.bkstg_insecure_skip_tls_verify { Verification::Off } else { Verification::On };
    let certificate = tls::examine(CHECK, url, verification, CA, refusal.as_deref()).await;
    let mut findings = Vec::new();
    match read {
        Ok(locations) => {
            let message = format!("{url} answers and accepts the token; it has {} locations", locations.len());
            findings.push(Finding::ok(CHECK, message));
            findings.extend(certificate);
            findings.extend(rehearse(bench, &client, list).await);
        }
        Err(_) if refusal.is_some() && certificate.is_some() => findings.extend(certificate),
        Err(error) => {
            findings.push(unread(url, &error, access.token().is_ok_and(|token| token.is_none())));
            findings.extend(certificate);
        }
    }
    findings
}

fn client(bench: &Bench<'_>, url: &Url) -> anyhow::Result<CatalogClient> {
    let access = &bench.settings.storage.backstage.access;
    let http = http_client::client(&access.tls(), "Backstage")?;
    Ok(CatalogClient::new(url, http, None)?.with_token_source(source_of(access.token()?)))
}

fn unread(url: &Url, error: &BackstageError, is_without_token: bool) -> Finding {
    let advice = match error {
        BackstageError::Unauthorized { status: StatusCode::UNAUTHORIZED, .. } if is_without_token => {
            "give a static token of its backend.auth.externalAccess with --rhdh-token / RHDH_TOKEN".to_owned()
        }
        BackstageError::Unauthorized { status: StatusCode::UNAUTHORIZED, .. } => {
            "give a token that is in its backend.auth.externalAccess with --rhdh-token / RHDH_TOKEN".to_owned()
        }
        BackstageError::Unauthorized { .. } => {
            "the token's accessRestrictions, or a permission policy, must let it use the catalog".to_owned()
        }
        BackstageError::Unexpected { .. } | BackstageError::Status { .. } => {
            format!("give the URL of its backend with {URL}, which may differ from the one that people open")
        }
        BackstageError::Transport { .. } | BackstageError::BaseUrl { .. } => {
            format!("see whether it runs and can be reached from here: curl {url}")
        }
    };
    Finding::failure(CHECK, format!("{error}"), advice)
}

/// Has Backstage try a location as storage-rest would register it.
async fn rehearse(bench: &Bench<'_>, client: &CatalogClient, list: Option<&UriList>) -> Vec<Finding> {
    let settings = &bench.settings.storage;
    let (kind, reading) = ("location type", "reading from location");
    let location_type = settings.backstage.location_type(settings.format);
    if !settings.backstage.push_to_rhdh {
        return vec![Finding::skipped(kind, "PUSH_TO_RHDH is off: nothing is registered")];
    }
    let Ok(bridge) = settings.bridge_url() else { return Vec::new() };
    let base = BridgeUrl::from(&bridge);
    let uri = list.and_then(|list| list.uris.first());
    let target = match uri {
        Some(uri) => format!("{}{uri}", base.as_str()),
        None => format!("{}/not-there/v1/{}", base.as_str(), settings.format.file_name()),
    };
    let host = bridge.host_str().unwrap_or_default();
    let host = bridge.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let taken = Finding::ok(kind, format!("`{location_type}` is taken"));
    match client.try_location(location_type, &target).await {
        Ok(()) => vec![taken, Finding::ok(reading, format!("Backstage reads {target}"))],
        Err(BackstageError::Status { status: StatusCode::BAD_REQUEST, message, .. }) => match Trial::of(&message) {
            Trial::Type => vec![wrong_type(location_type, settings.format, &message)],
            Trial::NotAllowed => vec![
                taken,
                Finding::failure(
                    reading,
                    format!("Backstage may not read from {host}: {message}"),
                    format!("list it in Backstage's app-config: `{READING}: [{{host: \"{host}\"}}]`"),
                ),
            ],
            Trial::NotFound if uri.is_none() => {
                vec![taken, Finding::ok(reading, format!("Backstage may read from {host}; no entry is served yet"))]
            }
            Trial::NotFound | Trial::Other => vec![
                taken,
                Finding::failure(
                    reading,
                    format!("Backstage can't read {target}: {message}"),
                    "location must be reached from where Backstage runs: --bridge-url / BRIDGE_URL, NetworkPolicies, DNS",
                ),
            ],
        },
        Err(error) => {
            let advice = "the token must be allowed to register locations (catalog.location.create)";
            vec![Finding::failure(kind, error.to_string(), advice)]
        }
    }
}

/// What a location that was tried and not taken failed of, by Backstage's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    Type,
    NotAllowed,
    NotFound,
    Other,
}

impl Trial {
    fn of(message: &str) -> Self {
        let says = |words: &str| message.contains(words);
        if says("Registered locations must be of") {
            Self::Type
        } else if says(READING) || says("NotAllowedError") || (says("Reading from") && says("is not allowed")) {
            Self::NotAllowed
        } else if says("NotFoundError") || says("could not be found") || says("404") {
            Self::NotFound
        } else {
            Self::Other
        }
    }
}

fn wrong_type(location_type: &str, format: Format, message: &str) -> Finding {
    let advice = match format {
        Format::ModelCatalogJson => {
            "only RHDH with its model catalog provider knows this type: install that, or use \
             NORMALIZER_FORMAT=CatalogInfoYamlFormat, or give a type that is taken with --bkstg-location-type / \
             BKSTG_LOCATION_TYPE"
        }
        Format::CatalogInfoYaml => "give a type that is taken with --bkstg-location-type / BKSTG_LOCATION_TYPE",
    };
    Finding::failure("location type", format!("Backstage does not take `{location_type}`: {message}"), advice)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_trial_is_told_by_the_words_of_backstage() {
        for (message, trial) in [
            ("Registered locations must be of type 'url'", Trial::Type),
            ("Registered locations must be of an allowed type [\"url\"]", Trial::Type),
            (
                "Error: Unable to read url, NotAllowedError: Reading from 'http://b:9090/x' is not allowed. You may need \
                 to configure an integration for the target host, or add it to the configured list of allowed hosts at \
                 'backend.reading.allow'",
                Trial::NotAllowed,
            ),
            ("NotFoundError: Unable to read url, could not read http://b:9090/x, 404 Not Found", Trial::NotFound),
            (
                "Error: Unable to read url, Error: Unable to read http://b:9090/x, FetchError: ECONNREFUSED",
                Trial::Other,
            ),
        ] {
            assert_eq!(Trial::of(message), trial, "{message}");
        }
    }
}
