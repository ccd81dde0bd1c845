//! Pull: RHDH's providers ask location, and read JSON.

use rstest::rstest;
use system_tests::{Backstage, Service, Shape, Sources};

use crate::portal::Portal;

async fn asked_by(shape: Shape) -> Portal {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 3);
    sources.serve_unregistered("alone");
    let served = sources.register("served", "v1");
    sources.serve(&served, "served-service");
    Portal::new(shape, sources).started().await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_appear_change_and_disappear(#[values(Shape::Rhdh, Shape::Rhdh09)] shape: Shape) {
    if !Backstage::is_installed() {
        return;
    }
    // The bridge is there first: what a provider says of one that is not is another test's matter.
    let sources = Sources::with_cluster().await;
    let mut portal = Portal::new(shape, sources);
    let versions = portal.sources.register_many("model", 2);
    portal.sources.serve(&versions[0], "first");
    portal.bridge.start_all();
    portal.bridge.serves_truth_of(&portal.sources).await;
    portal.backstage.start().await;
    portal.shows_the_truth().await;

    let newcomer = portal.sources.register("newcomer", "v1");
    portal.sources.serve(&newcomer, "newcomer-service");
    portal.sources.describe(&versions[1], "Described anew.");
    portal.shows_the_truth().await;
    // Of what is removed between the list and the document a provider complains, and asks again.
    portal.was_taken_without_complaint();

    portal.sources.kube().delete("InferenceService", "ai-models", "first");
    portal.sources.registry().edit().archive_version(&versions[1].version).unwrap();
    portal.shows_the_truth().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_any_side_loses_nothing(#[values(Shape::Rhdh, Shape::Rhdh09)] shape: Shape) {
    if !Backstage::is_installed() {
        return;
    }
    let mut portal = asked_by(shape).await;
    portal.shows_the_truth().await;
    let uids = portal.backstage.uids().await.unwrap();

    for service in Service::ALL {
        portal.bridge.restart(service);
        portal.polls().await;
        assert_eq!(portal.backstage.uids().await.unwrap(), uids, "after a restart of {service:?}");
    }
    portal.backstage.restart().await;
    portal.polls().await;
    assert_eq!(portal.backstage.uids().await.unwrap(), uids, "after a restart of Backstage");

    let later = portal.sources.register("later", "v1");
    portal.sources.serve(&later, "later-service");
    portal.shows_the_truth().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_down_or_empty_when_backstage_starts_deletes_nothing(
    #[values(Shape::Rhdh, Shape::Rhdh09)] shape: Shape,
) {
    if !Backstage::is_installed() {
        return;
    }
    let mut portal = asked_by(shape).await;
    portal.shows_the_truth().await;
    let uids = portal.backstage.uids().await.unwrap();

    portal.bridge.kill_all();
    portal.backstage.restart().await;
    portal.polls().await;
    assert_eq!(portal.backstage.uids().await.unwrap(), uids, "while the bridge is down");

    portal.bridge.start(Service::Location);
    portal.polls().await;
    assert_eq!(portal.backstage.uids().await.unwrap(), uids, "while location has nothing to load from");

    portal.forget_storage();
    portal.sources.registry().stop().await;
    portal.bridge.start(Service::Storage);
    portal.bridge.start(Service::Normalizer);
    portal.bridge.fails_to_read().await;
    portal.polls().await;
    assert_eq!(portal.backstage.uids().await.unwrap(), uids, "while storage is empty and nobody can fill it");

    portal.sources.registry().restart().await;
    let later = portal.sources.register("later", "v1");
    portal.sources.serve(&later, "later-service");
    portal.shows_the_truth().await;
    let after = portal.backstage.uids().await.unwrap();
    assert!(uids.is_subset(&after), "what was there was removed and added anew");
}
