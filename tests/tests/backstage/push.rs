//! Push: the bridge registers each entry as a location, and Backstage reads the YAML behind it.

use system_tests::{Backstage, Service, Shape, Sources};

use crate::portal::Portal;

async fn plain(models: usize) -> Portal {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", models);
    sources.serve_unregistered("alone");
    Portal::new(Shape::Plain, sources).started().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_appear_change_and_disappear() {
    if !Backstage::is_installed() {
        return;
    }
    let portal = plain(3).await;
    portal.shows_the_truth().await;

    let newcomer = portal.sources.register("newcomer", "v1");
    portal.sources.serve(&newcomer, "newcomer-service");
    portal.shows_the_truth().await;
    // Backstage by itself would look again after minutes.
    portal.sources.describe(&newcomer, "Described anew.");
    portal.shows_the_truth().await;
    // It complains of what it happens to read after the entry has gone and before its location has.
    portal.was_taken_without_complaint();

    portal.sources.kube().delete("InferenceService", "ai-models", "newcomer-service");
    portal.sources.kube().delete("InferenceService", "ai-models", "alone");
    portal.sources.registry().edit().archive_version(&newcomer.version).unwrap();
    portal.shows_the_truth().await;
    assert_eq!(portal.backstage.locations().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_any_side_registers_nothing_anew_and_loses_nothing() {
    if !Backstage::is_installed() {
        return;
    }
    let mut portal = plain(2).await;
    portal.shows_the_truth().await;
    let locations = portal.backstage.locations().await.unwrap();
    let uids = portal.backstage.uids().await.unwrap();

    for service in Service::ALL {
        portal.bridge.restart(service);
        portal.bridge.ready(service).await;
    }
    portal.backstage.restart().await;
    portal.bridge.compares().await;
    assert_eq!(portal.backstage.locations().await.unwrap(), locations);
    assert_eq!(portal.backstage.uids().await.unwrap(), uids);

    // And all of them go on.
    portal.sources.register("later", "v1");
    portal.shows_the_truth().await;
    let after = portal.backstage.locations().await.unwrap();
    assert!(locations.iter().all(|location| after.iter().any(|other| other == location)), "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_while_backstage_was_down_or_lost_its_database_is_told_when_it_is_back() {
    if !Backstage::is_installed() {
        return;
    }
    let mut portal = plain(2).await;
    portal.shows_the_truth().await;

    portal.backstage.kill();
    let described = portal.sources.register("described", "v1");
    portal.sources.kube().delete("InferenceService", "ai-models", "alone");
    portal.bridge.serves_truth_of(&portal.sources).await;
    portal.backstage.start().await;
    portal.shows_the_truth().await;

    portal.backstage.kill();
    portal.backstage.lose_databases();
    portal.backstage.start().await;
    portal.shows_the_truth().await;

    // A change that falls into the time in which nobody can be told of it.
    portal.backstage.kill();
    portal.sources.describe(&described, "Described while Backstage was down.");
    portal.bridge.serves_truth_of(&portal.sources).await;
    portal.backstage.start().await;
    portal.shows_the_truth().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_knows_nothing_yet_deletes_nothing() {
    if !Backstage::is_installed() {
        return;
    }
    let mut portal = plain(2).await;
    portal.shows_the_truth().await;
    let uids = portal.backstage.uids().await.unwrap();
    let locations = portal.backstage.locations().await.unwrap();

    // All of the bridge is gone, its storage too, and the registry cannot be asked.
    portal.bridge.kill_all();
    portal.forget_storage();
    portal.sources.registry().stop().await;
    portal.backstage.restart().await;
    assert_eq!(portal.backstage.uids().await.unwrap(), uids);
    portal.bridge.start_all();
    portal.bridge.fails_to_read().await;
    assert_eq!(portal.backstage.uids().await.unwrap(), uids);
    assert_eq!(portal.backstage.locations().await.unwrap(), locations);

    portal.sources.registry().restart().await;
    portal.sources.register("later", "v1");
    portal.shows_the_truth().await;
    let after = portal.backstage.locations().await.unwrap();
    assert!(locations.iter().all(|location| after.iter().any(|other| other == location)), "{after:?}");
}
