//! Entities that nothing emits any more: those of this bridge are deleted where that is wanted, and no others.

use http::Method;
use testkit::backstage::Fault;
use testkit::eventually;

use crate::scene::{BRIDGE, Scene, target};
use crate::support::DEADLINE;

/// Of everything that might be mistaken for an orphan of this bridge.
async fn scene() -> Scene {
    let scene = Scene::new().await;
    let backstage = &scene.backstage;
    backstage.add_orphan_of("ours", &format!("url:{}", target("gone_1")));
    backstage.add_orphan_of("elsewhere", "url:https://git.example.com/catalog-info.yaml");
    backstage.add_orphan_of("beside", &format!("url:{BRIDGE}0/gone/1/catalog-info.yaml"));
    backstage.add_orphan_of("by-hand", &format!("file:{}", target("gone_1")));
    backstage.add_entity_of("alive", &format!("url:{}", target("gone_1")));
    scene
}

const OTHERS: [&str; 4] = ["elsewhere", "beside", "by-hand", "alive"];

#[tokio::test]
async fn orphans_of_this_bridge_are_deleted_by_uid_and_no_others() {
    let scene = scene().await;
    let storage = scene.storage(&["--prune-orphans"]).await;
    storage.upsert("a_1", "one").await;
    scene.backstage_has(&["a_1"]).await;
    // Not before it is known what there is.
    scene.requests_of_passes(3).await;
    assert_eq!(scene.backstage.entity_names().len(), 5);
    storage.keep_only(&["a_1"]).await;
    eventually(DEADLINE, "the orphan is deleted", async || {
        let names = scene.backstage.entity_names();
        if names == OTHERS { Ok(()) } else { Err(names) }
    })
    .await;
    eventually(DEADLINE, "it is counted", async || {
        let counted = "storage_rest_deliveries_total{target=\"backstage\",outcome=\"pruned\"} 1";
        storage.metrics().await.contains(counted)
    })
    .await;
    let deletions = || scene.backstage.requests().into_iter().filter(|request| request.method == Method::DELETE);
    assert_eq!(deletions().map(|request| request.path).collect::<Vec<_>>(), ["/entities/by-uid/ours"]);
    scene.requests_of_passes(3).await;
    assert_eq!(deletions().count(), 1);
}

#[tokio::test]
async fn orphans_stay_unless_it_is_asked_for() {
    let scene = scene().await;
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    storage.keep_only(&["a_1"]).await;
    scene.backstage_has(&["a_1"]).await;
    scene.requests_of_passes(3).await;
    assert_eq!(scene.backstage.count(&Method::GET, "/entities"), 0);
    assert_eq!(scene.backstage.entity_names().len(), 5);
}

#[tokio::test]
async fn orphans_that_can_not_be_deleted_hold_up_no_entry_and_are_tried_again() {
    let scene = scene().await;
    scene.backstage.fail_next(&Method::DELETE, "/entities", Fault::Status(403), 1);
    scene.backstage.fail_next(&Method::GET, "/entities", Fault::Status(500), 1);
    let storage = scene.storage(&["--prune-orphans"]).await;
    storage.upsert("a_1", "one").await;
    storage.keep_only(&["a_1"]).await;
    scene.backstage_has(&["a_1"]).await;
    eventually(DEADLINE, "the orphan is deleted", async || {
        let names = scene.backstage.entity_names();
        if names == OTHERS { Ok(()) } else { Err(names) }
    })
    .await;
}
