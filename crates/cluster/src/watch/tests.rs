//! The rules of the cache, without a cluster.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch::Sender;

use super::{
    cache::{KindCache, Objects},
    kinds::{InferenceServices, Services, Watched},
    state::{KindState, Scope},
};
use crate::request::RequestError;

fn failure() -> RequestError {
    RequestError::Failed { what: "list".to_owned(), reason: "500".to_owned() }
}

fn service(name: &str, label: &str) -> <InferenceServices as Watched>::Kept {
    let object =
        json!({"metadata": {"namespace": "n", "name": name, "labels": {"a": label}, "resourceVersion": label}});
    crate::InferenceService::from_json(object).map(Arc::new)
}

fn listed(names: &[&str]) -> Objects<InferenceServices> {
    names.iter().map(|name| (("n".to_owned(), (*name).to_owned()), Arc::new(service(name, "x")))).collect()
}

fn cache() -> (KindCache<InferenceServices>, impl Fn() -> u64) {
    let version = Arc::new(Sender::new(0));
    let counter = Arc::clone(&version);
    (KindCache::new(version), move || *counter.borrow())
}

#[test]
fn a_failure_keeps_the_objects_and_a_list_replaces_them() {
    let (cache, _) = cache();
    cache.failed(&None, &failure());
    assert!(matches!(cache.view().state, KindState::NotYet { reason: Some(_) }));
    cache.replace(&None, listed(&["a", "b"]), 1);
    cache.failed(&None, &failure());
    let KindState::Stale { since, .. } = cache.view().state else { panic!("not stale") };
    assert_eq!(cache.view().objects.len(), 2);
    cache.failed(&None, &RequestError::Unauthorized { what: "list".to_owned() });
    assert!(matches!(cache.view().state, KindState::Stale { since: same, .. } if same == since));
    cache.replace(&None, listed(&["b"]), 1);
    assert!(cache.view().state.is_current());
    assert_eq!(cache.view().objects.len(), 1);
}

#[test]
fn the_counter_moves_only_when_a_reader_would_see_a_difference() {
    let (cache, version) = cache();
    let key = || ("n".to_owned(), "a".to_owned());
    cache.replace(&None, listed(&["a"]), 1);
    let before = version();
    cache.replace(&None, listed(&["a"]), 1);
    cache.apply(&None, key(), Some(service("a", "x")));
    assert_eq!(version(), before);
    cache.apply(&None, key(), Some(service("a", "y")));
    assert_eq!(version(), before + 1);
    cache.apply(&None, key(), None);
    cache.apply(&None, key(), None);
    assert_eq!(version(), before + 2);
    cache.failed(&None, &failure());
    cache.failed(&None, &failure());
    assert_eq!(version(), before + 3);
}

#[test]
fn a_new_read_is_news_for_the_kinds_that_are_counted() {
    let (counted, version) = cache();
    counted.replace(&None, listed(&["a"]), 1);
    let before = version();
    counted.replace(&None, listed(&["a"]), 2);
    assert_eq!((version(), counted.view().read), (before + 1, 2));
    counted.failed(&None, &failure());
    assert_eq!(counted.view().read, 2, "a failure is no read");
    counted.absent(&None, 3);
    assert_eq!(counted.view().read, 3);
    counted.split(&["a".to_owned(), "b".to_owned()]);
    counted.replace(&Some("a".to_owned()), listed(&[]), 4);
    assert_eq!(counted.view().read, 0, "the other namespace was not read");

    let version = Arc::new(Sender::new(0));
    let others = KindCache::<Services>::new(Arc::clone(&version));
    others.replace(&None, Objects::<Services>::new(), 1);
    let before = *version.borrow();
    others.replace(&None, Objects::<Services>::new(), 2);
    assert_eq!(*version.borrow(), before);
}

#[test]
fn absence_empties_and_a_failure_afterwards_makes_it_stale() {
    let (cache, _) = cache();
    cache.replace(&None, listed(&["a"]), 1);
    cache.absent(&None, 1);
    assert_eq!(cache.view().state, KindState::Absent);
    assert!(cache.view().objects.is_empty());
    cache.failed(&None, &failure());
    assert!(matches!(cache.view().state, KindState::Stale { .. }));
}

#[test]
fn namespaces_together_are_as_known_as_the_least_known() {
    let (cache, _) = cache();
    cache.split(&["a".to_owned(), "b".to_owned()]);
    let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
    cache.replace(&a, listed(&["x"]), 1);
    assert!(matches!(cache.view().state, KindState::NotYet { .. }));
    cache.failed(&b, &RequestError::Forbidden { what: "list".to_owned() });
    assert!(matches!(cache.view().state, KindState::Forbidden { .. }));
    cache.replace(&b, listed(&["y"]), 1);
    assert!(cache.view().state.is_current());
    cache.failed(&a, &failure());
    assert!(matches!(cache.view().state, KindState::Stale { .. }));
    assert_eq!(cache.view().scope, Scope::Namespaces(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(cache.view().objects.len(), 2);
}

#[test]
fn only_services_of_an_inference_service_are_kept() {
    let object = |api_version: &str, kind: &str| {
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": "a", "uid": "u"});
        let spec = json!({"clusterIP": "None", "ports": [
            {"name": "http", "port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "grpc"}, {"port": 0}]});
        serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "a-predictor", "ownerReferences": [owner]}, "spec": spec,
        }))
        .unwrap()
    };
    let kept = Services::keep(object("serving.kserve.io/v1beta1", "InferenceService")).unwrap();
    assert!(kept.headless);
    assert_eq!(kept.ports[0].target_port, Some(crate::owned::TargetPort::Number(8080)));
    assert_eq!(kept.ports[1].target_port, Some(crate::owned::TargetPort::Name("grpc".to_owned())));
    assert!(Services::keep(object("apps/v1", "Deployment")).is_none());
    assert!(Services::keep(object("example.com/v1", "InferenceService")).is_none());
    assert!(Services::keep(serde_json::from_value(json!({"metadata": {"name": "b"}})).unwrap()).is_none());
}
