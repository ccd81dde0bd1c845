//! Puts the kinds together: each InferenceService with the objects that it owns.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    cache::KindView,
    kinds::{InferenceServices, ServiceAccounts, Services},
    state::{KindState, Scope},
};
use crate::{
    kserve::{InferenceService, ParseError},
    owned::{OwnedService, OwnedServiceAccount, Owner},
};

/// What is known of a cluster at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSnapshot {
    /// The change counter when it was taken.
    pub version: u64,
    /// InferenceServices with what they own, by namespace and name.
    pub services: Vec<ObservedInferenceService>,
    /// InferenceServices that exist but could not be read.
    pub unreadable: Vec<ParseError>,
    /// Where InferenceServices are watched.
    pub scope: Scope,
    /// How much is known of InferenceServices.
    pub inference_services: KindState,
    /// How much is known of Services.
    pub owned_services: KindState,
    /// How much is known of ServiceAccounts.
    pub service_accounts: KindState,
}

/// An InferenceService and what it owns.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedInferenceService {
    /// The service itself.
    pub service: Arc<InferenceService>,
    /// Services that it owns, by name.
    pub services: Vec<Arc<OwnedService>>,
    /// ServiceAccounts that it owns, by name.
    pub service_accounts: Vec<Arc<OwnedServiceAccount>>,
}

impl ClusterSnapshot {
    /// Whether each kind was read once. Services and ServiceAccounts that may not be listed do not hold this up: only
    /// details depend on them.
    pub fn is_known(&self) -> bool {
        let optional = |state: &KindState| state.is_known() || matches!(state, KindState::Forbidden { .. });
        self.inference_services.is_known() && optional(&self.owned_services) && optional(&self.service_accounts)
    }

    /// Whether an InferenceService that is not in this snapshot does not exist.
    pub fn proves_absent(&self, namespace: &str, name: &str) -> bool {
        let listed = self.services.iter().any(|seen| seen.service.namespace == namespace && seen.service.name == name);
        let unreadable = self.unreadable.iter().any(|error| error.namespace == namespace && error.name == name);
        let covered = self.inference_services == KindState::Absent || self.scope.covers(namespace);
        self.inference_services.is_current() && covered && !listed && !unreadable
    }
}

pub(super) fn assemble(
    version: u64,
    inference_services: KindView<InferenceServices>,
    services: KindView<Services>,
    service_accounts: KindView<ServiceAccounts>,
) -> ClusterSnapshot {
    let by_owner = Owned::new(&services.objects, |object| (&object.namespace, &object.owner));
    let accounts_by_owner = Owned::new(&service_accounts.objects, |object| (&object.namespace, &object.owner));
    let mut snapshot = ClusterSnapshot {
        version,
        services: Vec::new(),
        unreadable: Vec::new(),
        scope: inference_services.scope,
        inference_services: inference_services.state,
        owned_services: services.state,
        service_accounts: service_accounts.state,
    };
    for seen in inference_services.objects {
        match seen.as_ref() {
            Err(error) => snapshot.unreadable.push(error.clone()),
            Ok(service) => snapshot.services.push(ObservedInferenceService {
                services: by_owner.of(service),
                service_accounts: accounts_by_owner.of(service),
                service: Arc::clone(service),
            }),
        }
    }
    snapshot
}

type WithOwner<'a, T> = (&'a Owner, &'a Arc<T>);

/// Owned objects, found by their owner's namespace and name.
struct Owned<'a, T> {
    by_name: BTreeMap<(&'a str, &'a str), Vec<WithOwner<'a, T>>>,
}

impl<'a, T> Owned<'a, T> {
    fn new(all: &'a [Arc<T>], place: impl Fn(&'a T) -> (&'a String, &'a Owner)) -> Self {
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for object in all {
            let (namespace, owner) = place(object.as_ref());
            by_name.entry((namespace.as_str(), owner.name.as_str())).or_default().push((owner, object));
        }
        Self { by_name }
    }

    fn of(&self, service: &InferenceService) -> Vec<Arc<T>> {
        let candidates = self.by_name.get(&(service.namespace.as_str(), service.name.as_str()));
        candidates
            .into_iter()
            .flatten()
            .filter(|(owner, _)| owner.is(&service.namespace, service))
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }
}
