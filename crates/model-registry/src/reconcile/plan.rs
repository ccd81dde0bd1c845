//! What is to be written so that the registry's records are as the cluster is. Nothing, where nothing differs.

use std::collections::BTreeSet;

use cluster::watch::ClusterSnapshot;
use registry_client::PropertyValue;
use serde_json::{Map, Value, json};

use super::holdings::{Held, Holdings};
use super::wanted::{CLUSTER, OWN, SERVICE, UID, Wanted, is_complete};

pub(super) const DEPLOYED: &str = "DEPLOYED";
pub(super) const UNDEPLOYED: &str = "UNDEPLOYED";

/// One thing to write.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A service has no record.
    Create {
        /// The service.
        wanted: Wanted,
        /// What the record is called.
        name: String,
        /// Its external id.
        external_id: String,
    },
    /// A record differs from its service.
    Update {
        /// The record.
        id: String,
        /// The service.
        wanted: Wanted,
        /// What differs.
        patch: Map<String, Value>,
    },
    /// What a record is of is not served any more.
    Undeploy {
        /// The record.
        id: String,
        /// Its name.
        name: String,
    },
    /// A service does not know its record.
    Label {
        /// The record.
        id: String,
        /// The service.
        wanted: Wanted,
    },
}

impl Step {
    /// What it is about: the uid of the service, or the id of the record.
    pub(super) fn subject(&self) -> &str {
        match self {
            Self::Create { wanted, .. } | Self::Update { wanted, .. } | Self::Label { wanted, .. } => {
                &wanted.service.uid
            }
            Self::Undeploy { id, .. } => id,
        }
    }

    /// What is not so as long as it is not carried out, for messages.
    pub(super) fn undone(&self) -> String {
        match self {
            Self::Create { wanted, .. } => format!("InferenceService {} is not recorded", wanted.at()),
            Self::Update { id, wanted, .. } => {
                format!("record {id} of InferenceService {} is not brought up to date", wanted.at())
            }
            Self::Undeploy { id, name } => format!("record {id} ({name}) is not {UNDEPLOYED}"),
            Self::Label { wanted, .. } => format!("InferenceService {} is not labelled", wanted.at()),
        }
    }

    /// What it would do, as far as a refusal of it depends on that.
    pub(super) fn fingerprint(&self) -> String {
        match self {
            Self::Create { wanted, .. } => format!("record {} {:?}", wanted.model, wanted.version),
            Self::Update { wanted, patch, .. } => format!("record {} {:?} {patch:?}", wanted.model, wanted.version),
            Self::Undeploy { .. } => UNDEPLOYED.to_owned(),
            Self::Label { id, .. } => format!("label {id}"),
        }
    }
}

/// What a plan is made from.
pub(super) struct Situation<'a> {
    /// What the cluster shows.
    pub(super) snapshot: &'a ClusterSnapshot,
    /// What it asks for.
    pub(super) wanted: &'a [Wanted],
    /// What the registry holds.
    pub(super) holdings: &'a Holdings,
    /// What the cluster is called.
    pub(super) cluster: &'a str,
}

impl Situation<'_> {
    /// All that is to be written: what ends first.
    pub(super) fn plan(&self) -> Vec<Step> {
        let mut taken = BTreeSet::new();
        let mut steps = Vec::new();
        for wanted in self.wanted {
            let found = self.record_of(wanted, &taken);
            taken.extend(found.map(|held| held.record.id.as_str()));
            self.follow(wanted, found, &mut steps);
        }
        let left_over = self.holdings.records.values().filter(|held| !taken.contains(held.record.id.as_str()));
        let gone = left_over.filter(|held| held.record.is_deployed() && self.is_gone(held));
        gone.map(undeploy).chain(steps).collect()
    }

    fn follow(&self, wanted: &Wanted, found: Option<&Held>, steps: &mut Vec<Step>) {
        match found {
            None if wanted.is_going() => {}
            None => steps.push(self.create(wanted)),
            Some(held) if wanted.is_going() => steps.extend(held.record.is_deployed().then(|| undeploy(held))),
            Some(held) => {
                let (id, patch) = (held.record.id.clone(), self.differences(wanted, held));
                if wanted.record.as_ref() != Some(&id) {
                    steps.push(Step::Label { id: id.clone(), wanted: wanted.clone() });
                }
                if !patch.is_empty() {
                    steps.push(Step::Update { id, wanted: wanted.clone(), patch });
                }
            }
        }
    }

    /// The record of a service: the one that is marked with it, else the one that its label names, else one of its name.
    fn record_of(&self, wanted: &Wanted, taken: &BTreeSet<&str>) -> Option<&Held> {
        let environment = self.holdings.environments.get(&wanted.service.namespace)?;
        let fit = self.holdings.records.values().filter(|held| {
            let record = &held.record;
            record.serving_environment_id == *environment
                && record.registered_model_id == wanted.model
                && !taken.contains(record.id.as_str())
        });
        fit.filter_map(|held| Some((rank(wanted, held)?, held))).min_by_key(|(rank, _)| *rank).map(|(_, held)| held)
    }

    /// Whether what a record of ours is of does not exist any more, or is no longer meant for this registry: no service
    /// took it, and all services there are known.
    fn is_gone(&self, held: &Held) -> bool {
        let is_ours = held.property(CLUSTER).as_deref() == Some(self.cluster) && held.property(UID).is_some();
        let (Some(namespace), Some(name)) = (self.holdings.environment_of(held), held.property(SERVICE)) else {
            return false;
        };
        is_ours && is_complete(self.snapshot, namespace, &name)
    }

    /// A service that came to serve another model gets another record: a record's model does not change.
    fn create(&self, wanted: &Wanted) -> Step {
        let (mut name, mut external_id) = (wanted.name(), wanted.service.uid.clone());
        let environment = self.holdings.environments.get(&wanted.service.namespace);
        let mut there = self.holdings.records.values();
        if there.any(|held| held.record.name == name && Some(&held.record.serving_environment_id) == environment) {
            name = format!("{name}/{}", wanted.model);
        }
        if self.holdings.has_external_id(&external_id) {
            external_id = format!("{external_id}/{}", wanted.model);
        }
        Step::Create { wanted: wanted.clone(), name, external_id }
    }

    fn differences(&self, wanted: &Wanted, held: &Held) -> Map<String, Value> {
        let (record, uid) = (&held.record, &wanted.service.uid);
        let mut patch = Map::new();
        if !record.is_deployed() {
            patch.insert("desiredState".to_owned(), DEPLOYED.into());
        }
        let told = [
            ("modelVersionId", &wanted.version, &record.model_version_id),
            ("runtime", &wanted.service.model.runtime, &record.runtime),
        ];
        for (field, told, known) in told {
            // What a service does not say may be anything: a registry takes no value back.
            if told.is_some() && told != known {
                patch.insert(field.to_owned(), json!(told));
            }
        }
        if held.external_id.is_none() && !self.holdings.has_external_id(uid) {
            patch.insert("externalId".to_owned(), json!(uid));
        }
        let properties = wanted.properties(self.cluster);
        if OWN.iter().any(|key| held.property(key).as_deref() != properties.get(key).copied()) {
            let mut merged = held.properties.clone();
            merged.retain(|key, _| !OWN.contains(&key.as_str()));
            merged.extend(as_metadata(wanted, self.cluster));
            patch.insert("customProperties".to_owned(), merged.into());
        }
        patch
    }
}

/// The custom properties of a service's record.
pub(super) fn as_metadata(wanted: &Wanted, cluster: &str) -> Map<String, Value> {
    let properties = wanted.properties(cluster).into_iter();
    properties.map(|(key, value)| (key.to_owned(), PropertyValue::Text(value.to_owned()).to_json())).collect()
}

fn undeploy(held: &Held) -> Step {
    Step::Undeploy { id: held.record.id.clone(), name: held.record.name.clone() }
}

/// How surely a record is that of a service; the smallest is the surest. Labels are copied with manifests, so what is
/// marked as another service's record is not taken, whatever a label says.
fn rank(wanted: &Wanted, held: &Held) -> Option<u8> {
    let (service, record) = (&wanted.service, &held.record);
    let uid = Some(service.uid.as_str());
    match held.property(UID) {
        Some(marked) if Some(marked.as_str()) == uid => return Some(0),
        Some(_) => return None,
        None => {}
    }
    let of_another = record.name.split_once('/').is_some_and(|(_, suffix)| !suffix.starts_with(&service.uid));
    if held.external_id.as_deref() == uid {
        Some(1)
    } else if of_another {
        None
    } else if wanted.record.as_deref() == Some(record.id.as_str()) {
        Some(2)
    } else if record.name == wanted.name() {
        Some(3)
    } else if record.name == service.name && held.external_id.is_none() {
        Some(4)
    } else {
        None
    }
}
