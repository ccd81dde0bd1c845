//! Puts the kinds together: each InferenceService with the objects that it owns.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    cache::KindView,
    kinds::{InferenceServices, LlmInferenceServices, Namespaces, ServiceAccounts, Services},
    state::{KindState, Scope},
};
use crate::{
    kserve::{InferenceService, ParseError, ServiceKind},
    llm::LlmInferenceService,
    owned::{OwnedService, OwnedServiceAccount, Owner},
};

/// What is known of a cluster at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSnapshot {
    /// The change counter when it was taken.
    pub version: u64,
    /// InferenceServices with what they own, by namespace and name.
    pub services: Vec<ObservedInferenceService>,
    /// LLMInferenceServices, by namespace and name.
    pub llm_services: Vec<Arc<LlmInferenceService>>,
    /// Services of either kind that exist but could not be read.
    pub unreadable: Vec<ParseError>,
    /// Where InferenceServices are watched.
    pub scope: Scope,
    /// Where LLMInferenceServices are watched.
    pub llm_scope: Scope,
    /// How much is known of InferenceServices.
    pub inference_services: KindState,
    /// How much is known of LLMInferenceServices; in many clusters they are absent.
    pub llm_inference_services: KindState,
    /// How much is known of Services.
    pub owned_services: KindState,
    /// How much is known of ServiceAccounts.
    pub service_accounts: KindState,
    /// How much is known of namespaces; `None`: they are not watched.
    pub namespaces: Option<KindState>,
    /// The annotations of namespaces that are meant for the bridge (`rhdh.io/`, `modelcatalogbridge.rhdh.io/`), by the
    /// namespace's name. A namespace without any is not in it.
    pub namespace_annotations: BTreeMap<String, BTreeMap<String, String>>,
    /// How many complete reads this has seen: the first one, and each that [`super::ClusterWatch::relist`] (or the
    /// interval) asked for. One counts once InferenceServices and LLMInferenceServices were both listed from beginning
    /// to end after it was asked for; a kind that may not be listed is left out of this.
    pub complete_lists: u64,
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
    /// Whether each kind was read once. Only InferenceServices must be listed: without a permission for the others
    /// there is nothing to wait for.
    pub fn is_known(&self) -> bool {
        self.inference_services.is_known() && self.others().all(|state| state.is_known() || state.is_forbidden())
    }

    /// The states of all kinds but InferenceServices.
    fn others(&self) -> impl Iterator<Item = &KindState> {
        let always = [&self.llm_inference_services, &self.owned_services, &self.service_accounts];
        always.into_iter().chain(&self.namespaces)
    }

    /// Whether an InferenceService that is not in this snapshot does not exist.
    pub fn proves_absent(&self, namespace: &str, name: &str) -> bool {
        self.proves_absent_of(ServiceKind::InferenceService, namespace, name)
    }

    /// Whether a service of that kind that is not in this snapshot does not exist.
    pub fn proves_absent_of(&self, kind: ServiceKind, namespace: &str, name: &str) -> bool {
        let (state, scope) = match kind {
            ServiceKind::InferenceService => (&self.inference_services, &self.scope),
            ServiceKind::LlmInferenceService => (&self.llm_inference_services, &self.llm_scope),
        };
        let covered = *state == KindState::Absent || scope.covers(namespace);
        state.is_current() && covered && !self.holds(kind, namespace, name)
    }

    /// Whether a service of that kind exists, be it readable or not.
    fn holds(&self, kind: ServiceKind, namespace: &str, name: &str) -> bool {
        let here = |of: &str, called: &str| of == namespace && called == name;
        let listed = match kind {
            ServiceKind::InferenceService => {
                self.services.iter().any(|seen| here(&seen.service.namespace, &seen.service.name))
            }
            ServiceKind::LlmInferenceService => self.llm_services.iter().any(|seen| here(&seen.namespace, &seen.name)),
        };
        listed || self.unreadable.iter().any(|error| error.kind == kind && here(&error.namespace, &error.name))
    }
}

/// The watched kinds at one moment.
pub(super) struct Views {
    pub(super) inference_services: KindView<InferenceServices>,
    pub(super) llm_inference_services: KindView<LlmInferenceServices>,
    pub(super) services: KindView<Services>,
    pub(super) service_accounts: KindView<ServiceAccounts>,
    pub(super) namespaces: Option<KindView<Namespaces>>,
}

pub(super) fn assemble(version: u64, views: Views) -> ClusterSnapshot {
    let Views { inference_services, llm_inference_services, services, service_accounts, namespaces } = views;
    let by_owner = Owned::new(&services.objects, |object| (&object.namespace, &object.owner));
    let accounts_by_owner = Owned::new(&service_accounts.objects, |object| (&object.namespace, &object.owner));
    let reads = [
        (&inference_services.state, inference_services.read),
        (&llm_inference_services.state, llm_inference_services.read),
    ];
    let complete_lists = reads.into_iter().filter(|(state, _)| !state.is_forbidden()).map(|(_, read)| read).min();
    let mut snapshot = ClusterSnapshot {
        version,
        services: Vec::new(),
        llm_services: Vec::new(),
        unreadable: Vec::new(),
        scope: inference_services.scope,
        llm_scope: llm_inference_services.scope,
        inference_services: inference_services.state,
        llm_inference_services: llm_inference_services.state,
        owned_services: services.state,
        service_accounts: service_accounts.state,
        namespaces: namespaces.as_ref().map(|view| view.state.clone()),
        namespace_annotations: namespaces.map(annotations).unwrap_or_default(),
        complete_lists: complete_lists.unwrap_or_default(),
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
    for seen in llm_inference_services.objects {
        match seen.as_ref() {
            Err(error) => snapshot.unreadable.push(error.clone()),
            Ok(service) => snapshot.llm_services.push(Arc::clone(service)),
        }
    }
    snapshot
}

fn annotations(view: KindView<Namespaces>) -> BTreeMap<String, BTreeMap<String, String>> {
    view.objects.into_iter().map(|seen| (seen.name.clone(), seen.annotations.clone())).collect()
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
