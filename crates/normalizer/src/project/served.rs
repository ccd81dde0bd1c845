//! Drafts of what only KServe knows: one for each service that serves and that no registry claims.

use std::collections::BTreeSet;

use bridge_api::messages::ReconcilerType;
use cluster::watch::ClusterSnapshot;
use model_catalog::names::Tag;

use super::described::{Described, Given, Reader};
use super::filter::Subject;
use super::matching::Matches;
use super::naming::{Identity, Wish};
use super::registered::VALUE_TAGS;
use super::serving::{Service, annotation};
use super::{Draft, Drafts, Notes, ProjectionSettings};
use crate::inventory::{Inventory, SourceId, Unread};
use crate::labels::{NamedVersion, are_of_a_registry};

pub(super) fn drafts(
    source: &SourceId,
    snapshot: &ClusterSnapshot,
    matches: &Matches<'_>,
    inventory: &Inventory,
    settings: &ProjectionSettings,
    notes: &mut Notes<'_>,
    drafts: &mut Drafts,
) {
    for error in &snapshot.unreadable {
        let subject = format!("{} `{}/{}`", error.kind, error.namespace, error.name);
        notes.add(&subject, format!("left out: it cannot be read: {}", error.reason));
    }
    let mut filtered = 0;
    for service in Service::all(snapshot) {
        let claimed = matches.is_claimed(source, service);
        if !claimed && !settings.filter.admits(&subject(service)) {
            filtered += 1;
            drafts.filtered.insert(identity(source, service));
            continue;
        }
        let subject = service.subject();
        for problem in service.problems() {
            notes.add(&subject, problem.clone());
        }
        match service.not_ready_reason() {
            Some(reason) => notes.add(&subject, format!("not ready: {reason}")),
            None if claimed => {}
            None => {
                let unsettled = match inventory.unread_registries {
                    Unread::None => false,
                    Unread::Failed => are_of_a_registry(service.labels()),
                    Unread::Pending => true,
                } || NamedVersion::of(service.labels())
                    .is_some_and(|named| inventory.unread_versions.contains(&named));
                if unsettled {
                    notes.add(&subject, "waits, if it is new, for all registries to be read: one may know it");
                }
                let owners = owners(snapshot, service, settings);
                drafts.all.push(Draft { unsettled, ..draft(source, service, owners, settings, notes) });
            }
        }
    }
    notes.add_filtered(filtered, "services");
}

/// What filters look at.
pub(super) fn subject(service: Service<'_>) -> Subject<'_> {
    Subject {
        names: vec![format!("{}/{}", service.namespace(), service.name())],
        property: Box::new(move |key| {
            let given = annotation(service.annotations(), key).into_iter().next();
            given.or_else(|| service.labels().get(key).or_else(|| service.annotations().get(key)).cloned())
        }),
    }
}

/// Who owns a service that names nobody: the first that can be one.
fn owners(snapshot: &ClusterSnapshot, service: Service<'_>, settings: &ProjectionSettings) -> Vec<String> {
    let mapped = settings.owners.of_namespace(service.namespace()).map(ToString::to_string);
    let annotated = snapshot.namespace_annotations.get(service.namespace());
    let annotated = annotated.map(|annotations| annotation(annotations, "Owner")).unwrap_or_default();
    mapped.into_iter().chain(annotated).collect()
}

fn identity(source: &SourceId, service: Service<'_>) -> Identity {
    let (namespace, id) = service.id();
    Identity { source: source.clone(), parent: namespace.to_owned(), child: id }
}

fn draft(
    source: &SourceId,
    service: Service<'_>,
    owners: Vec<String>,
    settings: &ProjectionSettings,
    notes: &mut Notes<'_>,
) -> Draft {
    let subject = service.subject();
    let get = |property: &str| annotation(service.annotations(), property);
    let mut reader = Reader { get: &get, subject: &subject, notes };
    let given = Given {
        description: description(service, &reader),
        owners,
        license: None,
        license_link: reader.text("License link"),
        artifact: service.artifact(),
        tags: tags(service, &mut reader),
        provider: None,
        model_name: Some(service.model_name().to_owned()),
    };
    let adapters = service.adapters(&mut reader);
    Draft {
        wish: Wish {
            identity: identity(source, service),
            first: service.namespace().to_owned(),
            second: service.name().to_owned(),
            further: adapters.iter().map(|adapter| adapter.name.clone()).collect(),
        },
        reconciler: ReconcilerType::Kserve,
        described: Described::read(&mut reader, given, settings),
        server: Some(service.server()),
        adapters,
        card: None,
        card_pending: false,
        unsettled: false,
        served_by: Some(service.served_by(source)),
        last_update: service.created().map(jiff::Timestamp::as_millisecond),
    }
}

fn description(service: Service<'_>, reader: &Reader<'_, '_>) -> String {
    let shown = |key: &str| service.annotations().get(key).filter(|text| !text.trim().is_empty()).cloned();
    reader
        .text("Description")
        .or_else(|| shown("openshift.io/description"))
        .or_else(|| shown("openshift.io/display-name"))
        .unwrap_or_else(|| format!("{} {} in namespace {}", service.kind(), service.name(), service.namespace()))
}

/// Labels are tags, as a registry's properties are, and so are the properties whose values are, and the one framework
/// that is served.
fn tags(service: Service<'_>, reader: &mut Reader<'_, '_>) -> BTreeSet<Tag> {
    let mut tags = BTreeSet::new();
    for (key, value) in service.labels() {
        let text = if value.trim().is_empty() { key.clone() } else { format!("{key}-{value}") };
        tags.extend(reader.tag(&text));
    }
    for property in VALUE_TAGS {
        let value = reader.text(property);
        tags.extend(value.and_then(|value| reader.tag(&value)));
    }
    tags.extend(service.format().and_then(|format| reader.tag(format)));
    tags
}
