//! The services that run: each answers, takes the token, and uses the same format. Those that don't run are left out,
//! unless a setting says where they are.

use futures::future::join_all;
use serde_json::Value;

use super::report::Finding;
use super::tls::{self, Verification};
use super::{Bench, within};
use crate::peers::{Peer, PeerError};

const FORMATS: &str = "formats";

/// What there is to say of all three.
pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    let peers = match Peer::all(bench.settings) {
        Ok(peers) => peers,
        Err(error) => return vec![Finding::failure("settings", format!("{error:#}"), "mend this setting")],
    };
    let asked = join_all(peers.iter().map(|peer| async move {
        let answer = tokio::time::timeout(bench.deadline, peer.status()).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(PeerError::Silent { url: peer.url.clone(), reason: "it does not answer in time".to_owned() })
        });
        let findings = within(bench.deadline, peer.name, judge(bench, peer, &answer)).await;
        (peer.name, findings, answer.ok().and_then(|status| format_of(&status)))
    }))
    .await;
    let mut formats = vec![("these settings", bench.settings.storage.format.to_string())];
    let mut findings = Vec::new();
    for (name, found, format) in asked {
        findings.extend(found);
        formats.extend(format.map(|format| (name, format)));
    }
    findings.push(compared(&formats));
    findings
}

fn format_of(status: &Value) -> Option<String> {
    status["format"].as_str().map(str::to_owned)
}

async fn judge(bench: &Bench<'_>, peer: &Peer, answer: &Result<Value, PeerError>) -> Vec<Finding> {
    let error = match answer {
        Ok(status) => {
            let said = format!("{} answers{}", peer.url, troubles(status));
            let finding = match status["failure"].as_str() {
                Some(failure) => Finding::warning(peer.name, format!("{} reports: {failure}", peer.url), advice(peer)),
                None => Finding::ok(peer.name, said),
            };
            return vec![finding];
        }
        Err(error) => error,
    };
    let (setting, verification) = match peer.name {
        "storage-rest" => ("--storage-ca / STORAGE_CA", bench.settings.normalizer.storage_insecure_skip_tls_verify),
        _ => ("--location-ca / LOCATION_CA", bench.settings.storage.location_insecure_skip_tls_verify),
    };
    let verification = if verification { Verification::Off } else { Verification::On };
    vec![match error {
        PeerError::Silent { reason, .. } if tls::is_about_tls(reason) => {
            let explained = tls::examine(peer.name, &peer.url, verification, setting, Some(reason)).await;
            explained.unwrap_or_else(|| Finding::failure(peer.name, error.to_string(), advice(peer)))
        }
        PeerError::Silent { .. } if !is_given(bench, peer) => {
            Finding::skipped(peer.name, format!("it does not run here: {error}"))
        }
        PeerError::Silent { .. } => Finding::failure(peer.name, error.to_string(), advice(peer)),
        PeerError::Refused { .. } => {
            Finding::failure(peer.name, error.to_string(), "BRIDGE_TOKEN must be the same for all three services")
        }
        PeerError::Status { status: 404, .. } => {
            let message = format!("{} answers, and does not tell its status: it may be a Go bridge's", peer.url);
            Finding::ok(peer.name, message)
        }
        PeerError::Status { .. } | PeerError::Unexpected { .. } => {
            Finding::failure(peer.name, error.to_string(), advice(peer))
        }
    }]
}

fn advice(peer: &Peer) -> String {
    format!("look at its log and at GET {}/readyz; its address is set by {}", origin(peer), peer.setting)
}

fn origin(peer: &Peer) -> &str {
    peer.url.as_str().trim_end_matches('/')
}

/// Whether a setting, and no default, says where it is.
fn is_given(bench: &Bench<'_>, peer: &Peer) -> bool {
    match peer.name {
        "storage-rest" => bench.settings.normalizer.storage_url.is_some(),
        "location" => bench.settings.storage.location_url.is_some(),
        _ => false,
    }
}

/// What a status tells that someone should look at.
fn troubles(status: &Value) -> String {
    let mut troubles = Vec::new();
    if let Some(reason) = status["notReady"].as_str() {
        troubles.push(format!("not ready: {reason}"));
    }
    let stale = status["sources"]
        .as_object()
        .map_or(0, |sources| sources.values().filter(|source| source["stale"].as_bool() == Some(true)).count());
    if stale > 0 {
        troubles.push(format!("{stale} sources can't be read"));
    }
    let held = status["heldRemovals"].as_array().map_or(0, Vec::len);
    if held > 0 {
        troubles.push(format!("{held} removals are held"));
    }
    if troubles.is_empty() { String::new() } else { format!("; {}", troubles.join(", ")) }
}

fn compared(formats: &[(&str, String)]) -> Finding {
    let told: Vec<String> = formats.iter().map(|(name, format)| format!("{name}: {format}")).collect();
    let first = formats.first().map(|(_, format)| format);
    if formats.iter().all(|(_, format)| Some(format) == first) {
        return Finding::ok(FORMATS, told.join(", "));
    }
    let message = format!("they differ, so that entries are not served: {}", told.join(", "));
    Finding::failure(FORMATS, message, "give all three the same --format / NORMALIZER_FORMAT")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::Level;
    use super::*;

    #[test]
    fn formats_must_be_equal() {
        let format = |name, format: &str| (name, format.to_owned());
        let yaml = format("these settings", "CatalogInfoYamlFormat");
        assert_eq!(compared(std::slice::from_ref(&yaml)).level, Level::Ok);
        let differing = compared(&[yaml, format("location", "JsonArrayFormat")]);
        assert_eq!(differing.level, Level::Failure);
        assert!(differing.message.contains("location: JsonArrayFormat"), "{}", differing.message);
    }

    #[test]
    fn troubles_of_a_status_are_told() {
        let status = json!({"sources": {"a": {"stale": true}, "b": {"stale": false}}, "heldRemovals": [{}]});
        assert_eq!(troubles(&status), "; 1 sources can't be read, 1 removals are held");
        assert_eq!(troubles(&json!({"format": "x"})), "");
    }
}
