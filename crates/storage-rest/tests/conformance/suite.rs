//! What is true of every store.

use std::sync::Arc;

use bridge_api::messages::Origin;
use bridge_api::{EntryKey, PostBody, ReconcilerType};
use futures::future::join_all;
use storage_rest::store::{Filling, ImportedLocation, Outcome, StoredEntry};

use crate::beds::Bed;

pub(crate) fn key(text: &str) -> EntryKey {
    text.parse().unwrap()
}

pub(crate) fn entry(body: &str) -> StoredEntry {
    let post = PostBody {
        body: body.as_bytes().to_vec(),
        last_update_time_since_epoch: "1743681600000".to_owned(),
        ..PostBody::default()
    };
    StoredEntry::new(ReconcilerType::Kubeflow, post)
}

fn origin(child: &str) -> Origin {
    let [source, parent, first, second] = ["registry", "1", "granite", "v1"].map(str::to_owned);
    Origin { source, parent, child: child.to_owned(), first, second, served_by: None }
}

pub(crate) fn location(id: &str) -> ImportedLocation {
    let target = format!("http://bridge:9090/{id}/v1/catalog-info.yaml");
    ImportedLocation { id: id.to_owned(), target, told: Some(entry(id).digest()) }
}

pub(crate) async fn an_upsert_creates_updates_or_changes_nothing(bed: &dyn Bed) {
    let store = bed.open().await;
    let granite = key("granite_v1");
    assert_eq!(store.upsert(&granite, entry("one")).await.unwrap(), Outcome::Created);
    assert_eq!(store.upsert(&granite, entry("one")).await.unwrap(), Outcome::Unchanged);
    assert_eq!(store.upsert(&granite, entry("two")).await.unwrap(), Outcome::Updated);
    assert_eq!(store.fetch(&granite).await.unwrap(), Some(entry("two")));
    let with_card = StoredEntry { model_card: "# Granite".to_owned(), ..entry("two") };
    assert_eq!(store.upsert(&granite, with_card.clone()).await.unwrap(), Outcome::Updated);
    assert_eq!(store.fetch(&granite).await.unwrap(), Some(with_card));
}

pub(crate) async fn other_metadata_alone_is_written_or_not_as_it_matters(bed: &dyn Bed) {
    let store = bed.open().await;
    let granite = key("granite_v1");
    store.upsert(&granite, entry("one")).await.unwrap();
    let later = StoredEntry { last_update: "1743681600001".to_owned(), ..entry("one") };
    assert_eq!(store.upsert(&granite, later).await.unwrap(), Outcome::Unchanged);
    let served = StoredEntry { reconciler_type: ReconcilerType::Kserve, ..entry("one") };
    assert_eq!(store.upsert(&granite, served.clone()).await.unwrap(), Outcome::Updated);
    let known = StoredEntry { origin: Some(origin("2")), ..served.clone() };
    assert_eq!(store.upsert(&granite, known.clone()).await.unwrap(), Outcome::Updated);
    assert_eq!(store.index().await.unwrap()[0].origin, Some(origin("2")));
    // A sender that can't say the origin does not deny it.
    assert_eq!(store.upsert(&granite, served).await.unwrap(), Outcome::Unchanged);
    assert_eq!(store.fetch(&granite).await.unwrap(), Some(known));
}

pub(crate) async fn an_unchanged_upsert_writes_nothing(bed: &dyn Bed) {
    let store = bed.open().await;
    for name in ["a_1", "b_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    let before = bed.writes().unwrap();
    for name in ["a_1", "b_1"] {
        assert_eq!(store.upsert(&key(name), entry(name)).await.unwrap(), Outcome::Unchanged);
    }
    store.remove(&[key("c_1")]).await.unwrap();
    store.remove(&[]).await.unwrap();
    assert_eq!(bed.writes().unwrap(), before);
}

pub(crate) async fn a_fetch_gives_back_what_was_stored(bed: &dyn Bed) {
    let store = bed.open().await;
    let full = StoredEntry {
        body: b"apiVersion: backstage.io/v1alpha1\n".to_vec(),
        reconciler_type: ReconcilerType::Kserve,
        last_update: "1743681600000".to_owned(),
        model_card_key: "redhat_ai_modelsgranite".to_owned(),
        model_card: "# Granite\n\nÜber Größe.".to_owned(),
        origin: Some(origin("2")),
        location: None,
    };
    store.upsert(&key("granite_v1"), full.clone()).await.unwrap();
    assert_eq!(store.fetch(&key("granite_v1")).await.unwrap(), Some(full));
    assert_eq!(store.fetch(&key("granite_v2")).await.unwrap(), None);
}

pub(crate) async fn several_entries_are_read_together(bed: &dyn Bed) {
    let store = bed.open().await;
    for name in ["a_1", "b_1", "c_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    store.set_location(&key("c_1"), Some(location("c"))).await.unwrap();
    let mut found = store.fetch_many(&[key("c_1"), key("never_there"), key("a_1")]).await.unwrap();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let imported = StoredEntry { location: Some(location("c")), ..entry("c_1") };
    assert_eq!(found, [(key("a_1"), entry("a_1")), (key("c_1"), imported)]);
    assert_eq!(store.fetch_many(&[]).await.unwrap(), []);
}

pub(crate) async fn the_index_is_sorted_and_has_the_digests(bed: &dyn Bed) {
    let store = bed.open().await;
    assert_eq!(store.index().await.unwrap(), []);
    for name in ["b_1", "a_2", "Z_1", "a_10", "a-b_1", "a.b_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    let index = store.index().await.unwrap();
    let keys: Vec<&str> = index.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["Z_1", "a-b_1", "a.b_1", "a_10", "a_2", "b_1"]);
    for listed in index {
        let stored = store.fetch(&listed.key).await.unwrap().unwrap();
        assert_eq!(listed.digest, stored.digest());
        assert_eq!(listed.body_len, listed.key.as_str().len());
        assert_eq!(listed.location, None);
    }
}

pub(crate) async fn removed_entries_are_gone_and_others_stay(bed: &dyn Bed) {
    let store = bed.open().await;
    for name in ["a_1", "b_1", "c_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    store.remove(&[key("a_1"), key("c_1"), key("never_there")]).await.unwrap();
    assert_eq!(store.fetch(&key("a_1")).await.unwrap(), None);
    let index = store.index().await.unwrap();
    assert_eq!(index.len(), 1);
    assert_eq!(index[0].key, key("b_1"));
    assert_eq!(store.upsert(&key("a_1"), entry("a_1")).await.unwrap(), Outcome::Created);
}

pub(crate) async fn a_reopened_store_has_everything(bed: &dyn Bed) {
    let store = bed.open().await;
    for name in ["a_1", "b_1", "c_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    store.remove(&[key("b_1")]).await.unwrap();
    store.set_location(&key("a_1"), Some(location("a"))).await.unwrap();
    let index = store.index().await.unwrap();
    drop(store);
    let reopened = bed.open().await;
    assert_eq!(reopened.index().await.unwrap(), index);
    assert_eq!(reopened.fetch(&key("c_1")).await.unwrap(), Some(entry("c_1")));
}

pub(crate) async fn the_location_survives_upserts_and_ends_with_the_entry(bed: &dyn Bed) {
    let store = bed.open().await;
    let granite = key("granite_v1");
    store.upsert(&granite, entry("one")).await.unwrap();
    store.set_location(&granite, Some(location("x"))).await.unwrap();
    store.upsert(&granite, entry("two")).await.unwrap();
    assert_eq!(store.fetch(&granite).await.unwrap().unwrap().location, Some(location("x")));
    assert_eq!(store.index().await.unwrap()[0].location, Some(location("x")));
    let untold = ImportedLocation { told: None, ..location("x") };
    store.set_location(&granite, Some(untold.clone())).await.unwrap();
    assert_eq!(store.index().await.unwrap()[0].location, Some(untold));
    store.set_location(&granite, None).await.unwrap();
    assert_eq!(store.fetch(&granite).await.unwrap(), Some(entry("two")));
    store.remove(std::slice::from_ref(&granite)).await.unwrap();
    store.set_location(&granite, Some(location("y"))).await.unwrap();
    assert_eq!(store.fetch(&granite).await.unwrap(), None);
}

pub(crate) async fn bodies_are_kept_byte_by_byte(bed: &dyn Bed) {
    let store = bed.open().await;
    let bodies: [&[u8]; 4] = ["模型 🚀 “quoted” \u{0}".as_bytes(), &[0, 159, 146, 150, 255], b"{\"a\":\r\n1}", b""];
    for (index, body) in bodies.iter().enumerate() {
        let written =
            StoredEntry { body: body.to_vec(), model_card: "模型 🚀 \u{202e}\u{0}".to_owned(), ..entry("") };
        let name = key(&format!("body_{index}"));
        store.upsert(&name, written.clone()).await.unwrap();
        assert_eq!(store.fetch(&name).await.unwrap(), Some(written));
    }
}

pub(crate) async fn big_bodies_are_kept(bed: &dyn Bed) {
    let store = bed.open().await;
    let big = StoredEntry { body: vec![b'x'; 300 << 10], model_card: "y".repeat(100 << 10), ..entry("") };
    store.upsert(&key("big_1"), big.clone()).await.unwrap();
    store.upsert(&key("small_1"), entry("small")).await.unwrap();
    assert_eq!(store.fetch(&key("big_1")).await.unwrap(), Some(big));
    assert_eq!(store.index().await.unwrap()[0].body_len, 300 << 10);
}

pub(crate) async fn concurrent_upserts_of_different_keys_are_all_kept(bed: &dyn Bed) {
    const COUNT: usize = 40;
    let store = bed.open().await;
    let upserts = (0..COUNT).map(|index| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            store.upsert(&key(&format!("model-{index}_v1")), entry(&format!("body {index}"))).await.unwrap()
        })
    });
    for upsert in upserts.collect::<Vec<_>>() {
        assert_eq!(upsert.await.unwrap(), Outcome::Created);
    }
    let reopened = bed.open().await;
    assert_eq!(reopened.index().await.unwrap().len(), COUNT);
    assert_eq!(reopened.fetch(&key("model-17_v1")).await.unwrap(), Some(entry("body 17")));
}

pub(crate) async fn of_concurrent_upserts_of_one_key_one_wins_whole(bed: &dyn Bed) {
    let store = bed.open().await;
    let granite = key("granite_v1");
    let upserts: Vec<_> = (0..10)
        .map(|index| {
            let (store, granite) = (Arc::clone(&store), granite.clone());
            tokio::spawn(async move { store.upsert(&granite, entry(&format!("body {index}"))).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for upsert in upserts {
        created += usize::from(upsert.await.unwrap() == Outcome::Created);
    }
    assert_eq!(created, 1);
    store.upsert(&granite, entry("last")).await.unwrap();
    assert_eq!(store.fetch(&granite).await.unwrap(), Some(entry("last")));
    assert_eq!(store.index().await.unwrap().len(), 1);
}

pub(crate) async fn two_processes_share_a_store(bed: &dyn Bed) {
    let (one, two) = (bed.open().await, bed.open().await);
    one.upsert(&key("a_1"), entry("a")).await.unwrap();
    two.upsert(&key("b_1"), entry("b")).await.unwrap();
    one.upsert(&key("c_1"), entry("c")).await.unwrap();
    one.upsert(&key("b_1"), entry("b by one")).await.unwrap();
    two.set_location(&key("a_1"), Some(location("a"))).await.unwrap();
    one.upsert(&key("a_1"), entry("a again")).await.unwrap();
    let index = two.index().await.unwrap();
    assert_eq!(index.len(), 3);
    assert_eq!(index, one.index().await.unwrap());
    assert_eq!(index[0].location, Some(location("a")));
    assert_eq!(two.fetch(&key("b_1")).await.unwrap(), Some(entry("b by one")));
}

pub(crate) async fn whether_it_is_being_filled_is_remembered(bed: &dyn Bed) {
    let store = bed.open().await;
    assert_eq!(store.filling().await.unwrap(), Filling::Over, "what others have filled is the whole");
    for filling in [Filling::UnderWay, Filling::UnderWay] {
        store.set_filling(filling).await.unwrap();
    }
    store.upsert(&key("granite_v1"), entry("one")).await.unwrap();
    drop(store);
    let store = bed.open().await;
    assert_eq!(store.filling().await.unwrap(), Filling::UnderWay);
    store.set_filling(Filling::Over).await.unwrap();
    store.upsert(&key("granite_v1"), entry("two")).await.unwrap();
    drop(store);
    assert_eq!(bed.open().await.filling().await.unwrap(), Filling::Over);
}

/// How many processes write in [`many_writers_lose_nothing`].
pub(crate) const WRITERS: usize = 3;
/// How much each of them writes.
pub(crate) const WRITES: usize = 8;

pub(crate) async fn many_writers_lose_nothing(bed: &dyn Bed) {
    let stores = join_all((0..WRITERS).map(|_| bed.open())).await;
    let writing = stores.iter().enumerate().map(async |(writer, store)| {
        for number in 0..WRITES {
            store.upsert(&key(&format!("w{writer}_{number}")), entry("x")).await.unwrap();
        }
    });
    join_all(writing).await;
    let index = bed.open().await.index().await.unwrap();
    assert_eq!(index.len(), WRITERS * WRITES);
    assert!(index.iter().all(|listed| listed.digest == entry("x").digest()));
}

pub(crate) async fn a_shared_write_that_fails_fails_for_all_and_later_ones_go_on(bed: &dyn Bed) {
    let store = bed.open().await;
    let keys: Vec<_> = (0..20).map(|number| key(&format!("m{number}_1"))).collect();
    let Some(down) = bed.fail_writes() else { return };
    let failed = join_all(keys.iter().map(|key| store.upsert(key, entry("x")))).await;
    assert!(failed.iter().all(|result| matches!(result, Err(error) if error.is_retryable())), "{failed:?}");
    drop(down);
    let stored = join_all(keys.iter().map(|key| store.upsert(key, entry("x")))).await;
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    assert_eq!(bed.open().await.index().await.unwrap().len(), 20);
}
