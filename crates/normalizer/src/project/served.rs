//! Drafts of what only KServe knows: one for each InferenceService that serves and that no registry claims.

use std::collections::BTreeSet;

use bridge_api::messages::ReconcilerType;
use cluster::kserve::InferenceService;
use cluster::watch::{ClusterSnapshot, ObservedInferenceService};
use model_catalog::names::Tag;

use super::described::{Described, Given, Reader};
use super::matching::{Matches, is_labelled, served_by};
use super::naming::{Identity, Wish};
use super::registered::VALUE_TAGS;
use super::server::Server;
use super::{Draft, Notes, ProjectionSettings};
use crate::inventory::{SourceId, Unread};

/// The prefixes under which a service's annotations say what a registry's properties would.
const PREFIXES: [&str; 2] = ["modelcatalogbridge.rhdh.io/", "rhdh.io/"];

pub(super) fn drafts(
    source: &SourceId,
    snapshot: &ClusterSnapshot,
    matches: &Matches<'_>,
    unread: Unread,
    settings: &ProjectionSettings,
    notes: &mut Notes<'_>,
    drafts: &mut Vec<Draft>,
) {
    for error in &snapshot.unreadable {
        let subject = format!("{} `{}/{}`", error.kind, error.namespace, error.name);
        notes.add(&subject, format!("left out: it cannot be read: {}", error.reason));
    }
    for served in &snapshot.services {
        let service = &served.service;
        let subject = format!("InferenceService `{}/{}`", service.namespace, service.name);
        for problem in &service.problems {
            notes.add(&subject, problem.clone());
        }
        match service.not_ready_reason() {
            Some(reason) => notes.add(&subject, format!("not ready: {reason}")),
            None if matches.is_claimed(source, service) => {}
            None => {
                let unsettled = match unread {
                    Unread::None => false,
                    Unread::Failed => is_labelled(service),
                    Unread::Pending => true,
                };
                if unsettled {
                    notes.add(&subject, "waits, if it is new, for all registries to be read: one may know it");
                }
                drafts.push(Draft { unsettled, ..draft(source, served, &subject, settings, notes) });
            }
        }
    }
}

fn draft(
    source: &SourceId,
    served: &ObservedInferenceService,
    subject: &str,
    settings: &ProjectionSettings,
    notes: &mut Notes<'_>,
) -> Draft {
    let service = &served.service;
    let get = |property: &str| annotation(service, property);
    let mut reader = Reader { get: &get, subject, notes };
    let given = Given {
        description: description(service, &reader),
        owner: None,
        license: None,
        license_link: reader.text("License link"),
        artifact: artifact(service),
        tags: tags(service, &mut reader),
        model_name: Some(service.name.clone()),
    };
    Draft {
        wish: Wish {
            identity: Identity {
                source: source.clone(),
                parent: service.namespace.clone(),
                child: service.name.clone(),
            },
            first: service.namespace.clone(),
            second: service.name.clone(),
        },
        reconciler: ReconcilerType::Kserve,
        described: Described::read(&mut reader, given, settings),
        server: Some(Server::of(served)),
        card: None,
        card_pending: false,
        unsettled: false,
        served_by: Some(served_by(source, service)),
        last_update: service.created.map(jiff::Timestamp::as_millisecond),
    }
}

/// A property, as an annotation: its name in lower case and without spaces, behind one of the prefixes; a name that
/// has a prefix of its own is looked up as it is.
fn annotation(service: &InferenceService, property: &str) -> Vec<String> {
    if property.contains('/') {
        return service.annotations.get(property).cloned().into_iter().collect();
    }
    let name = property.to_lowercase().replace(' ', "");
    PREFIXES.iter().filter_map(|prefix| service.annotations.get(&format!("{prefix}{name}")).cloned()).collect()
}

fn description(service: &InferenceService, reader: &Reader<'_, '_>) -> String {
    let shown = |key: &str| service.annotations.get(key).filter(|text| !text.trim().is_empty()).cloned();
    reader
        .text("Description")
        .or_else(|| shown("openshift.io/description"))
        .or_else(|| shown("openshift.io/display-name"))
        .unwrap_or_else(|| format!("InferenceService {} in namespace {}", service.name, service.namespace))
}

fn artifact(service: &InferenceService) -> Option<String> {
    let model = &service.model;
    let path = model.storage_path.as_deref().map(|path| path.trim_start_matches('/')).filter(|path| !path.is_empty());
    model.storage_uri.clone().or_else(|| path.map(|path| format!("s3://{path}")))
}

/// Labels are tags, as a registry's properties are, and so are the properties whose values are, and the one framework
/// that is served.
fn tags(service: &InferenceService, reader: &mut Reader<'_, '_>) -> BTreeSet<Tag> {
    let mut tags = BTreeSet::new();
    for (key, value) in &service.labels {
        let text = if value.trim().is_empty() { key.clone() } else { format!("{key}-{value}") };
        tags.extend(reader.tag(&text));
    }
    for property in VALUE_TAGS {
        let value = reader.text(property);
        tags.extend(value.and_then(|value| reader.tag(&value)));
    }
    tags.extend(service.model.format.as_deref().and_then(|format| reader.tag(format)));
    tags
}
