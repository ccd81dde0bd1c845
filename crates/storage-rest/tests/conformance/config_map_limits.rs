//! What fits into ConfigMaps, and what is said when something does not: sizes, quotas, permissions, a Go bridge's needs.

use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use storage_rest::store::config_map::{CONFIG_MAP_NAME, ConfigMapStore, GoCompatible, Layout, Retries};
use storage_rest::store::{Outcome, Store, StoreError, StoredEntry};
use testkit::kube::Fault;

use crate::beds::{ConfigMapBed, NAMESPACE, QUICK};
use crate::small_config_maps::{SMALL, SmallBed, document, homes, is_write, kept, sized, value};
use crate::suite::{entry, key, location};

#[tokio::test]
async fn a_go_bridge_finds_everything_while_it_fits_and_what_does_not_is_compressed() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    let plain = |number: usize| StoredEntry { body: testkit::noise(100 << 10), ..document(number) };
    for number in 0..4 {
        store.upsert(&key(&format!("big_{number}")), plain(number)).await.unwrap();
    }
    let card = "# Granite\n".repeat(2_000);
    let with_card = StoredEntry { model_card: card.clone(), ..document(1) };
    store.upsert(&key("small_1"), with_card.clone()).await.unwrap();
    assert_eq!(kept(&bed).len(), 1);
    let stored = value(&bed, CONFIG_MAP_NAME, "small_1");
    assert!(!stored["body"].as_str().unwrap().is_empty() && stored["bodyGzip"].is_null(), "{stored}");
    assert!(stored["modelCard"].is_null() && stored["modelCardGzip"].as_str().unwrap().len() < 1_000, "{stored}");
    assert_eq!(store.fetch(&key("small_1")).await.unwrap(), Some(with_card));

    for number in 4..12 {
        store.upsert(&key(&format!("big_{number}")), plain(number)).await.unwrap();
    }
    store.upsert(&key("small_2"), document(2)).await.unwrap();
    assert!(kept(&bed).len() > 2);
    let home = homes(&bed, "small_2");
    let stored = value(&bed, &home[0], "small_2");
    assert!(stored["body"] == "" && stored["bodyGzip"].is_string(), "{stored}");
    assert_eq!(store.fetch(&key("small_2")).await.unwrap(), Some(document(2)));
    let first: ConfigMap =
        serde_json::from_value(bed.api.get_object("ConfigMap", NAMESPACE, CONFIG_MAP_NAME).unwrap()).unwrap();
    let size: usize = first.binary_data.unwrap().values().map(|value| value.0.len()).sum();
    assert!(size < 1 << 20, "{size}");

    // The way back: what fits comes home, in a form that a Go bridge reads.
    store.remove(&(0..10).map(|number| key(&format!("big_{number}"))).collect::<Vec<_>>()).await.unwrap();
    drop(store);
    let layout = Layout { go_compatible: GoCompatible::Always, ..Layout::default() };
    let store = bed.store_with(layout).await;
    for name in ["big_10", "big_11", "small_1", "small_2"] {
        assert_eq!(homes(&bed, name), [CONFIG_MAP_NAME], "{name}");
        assert!(value(&bed, CONFIG_MAP_NAME, name)["body"].as_str().is_some_and(|body| !body.is_empty()));
    }
    assert_eq!(store.fetch(&key("small_2")).await.unwrap(), Some(document(2)));
    assert_eq!(store.index().await.unwrap().len(), 4);
    let refused = join_all((20..30).map(|number| {
        let store = &store;
        async move { store.upsert(&key(&format!("big_{number}")), plain(number)).await }
    }))
    .await;
    let (done, refused): (Vec<_>, Vec<_>) = refused.into_iter().partition(Result::is_ok);
    assert!(done.len() == 5 && refused.len() == 5, "{} {}", done.len(), refused.len());
    assert!(refused.iter().all(|refused| matches!(refused, Err(StoreError::TooLarge { .. }))), "{refused:?}");
}

#[tokio::test]
async fn what_does_not_fit_home_stays_where_it_is_and_true() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store_with(Layout { go_compatible: GoCompatible::Never, ..Layout::default() }).await;
    for number in 0..12 {
        store.upsert(&key(&format!("big_{number}")), sized(100 << 10, &number.to_string())).await.unwrap();
    }
    let layout = Layout { go_compatible: GoCompatible::Always, ..Layout::default() };
    let store = bed.store_with(layout).await;
    assert_eq!(store.index().await.unwrap().len(), 12);
    assert_eq!(kept(&bed)[CONFIG_MAP_NAME].len(), 7);
    for number in 0..12 {
        let name = key(&format!("big_{number}"));
        let wanted = sized(90 << 10, "again");
        store.upsert(&name, wanted.clone()).await.unwrap();
        assert_eq!(store.fetch(&name).await.unwrap(), Some(wanted));
    }
}

#[tokio::test]
async fn an_entry_that_fits_into_no_config_map_is_refused_with_its_name_and_size_and_the_rest_goes_on() {
    let bed = SmallBed::new().await;
    let store = bed.store().await;
    let (a, huge, b) = (key("a_1"), key("huge_1"), key("b_1"));
    let (first, refused, second) = tokio::join!(
        store.upsert(&a, entry("a")),
        store.upsert(&huge, sized(1 << 20, "huge")),
        store.upsert(&b, sized(700 << 10, "b")),
    );
    assert_eq!((first.unwrap(), second.unwrap()), (Outcome::Created, Outcome::Created));
    let error = refused.unwrap_err();
    assert!(
        matches!(&error, StoreError::TooLarge { key, size, limit: 1_048_576, .. } if *key == huge && *size > 1 << 20)
    );
    assert!(error.to_string().contains("huge_1") && error.to_string().contains("1048576"), "{error}");
    assert_eq!(store.index().await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_the_api_finds_too_large_is_found_in_halves() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    // As a proxy with a limit of its own does, and etcd.
    for (prefix, fault) in [("p", Fault::Status(413)), ("e", Fault::Refusal(500, "etcdserver: request is too large"))] {
        let limit = bed.api.fail_while(|request| is_write(request) && request.body.len() > 20_000, fault);
        let results = join_all((0..100).map(|number| {
            let (store, name) = (&store, key(&format!("{prefix}_{number}")));
            let wanted = if number == 42 { sized(30_000, "x") } else { sized(100, "x") };
            async move { store.upsert(&name, wanted).await }
        }))
        .await;
        drop(limit);
        for (number, result) in results.into_iter().enumerate() {
            match number {
                42 => assert!(matches!(result, Err(StoreError::TooLarge { .. })), "{result:?}"),
                _ => assert_eq!(result.unwrap(), Outcome::Created),
            }
        }
    }
    assert_eq!(bed.store().await.index().await.unwrap().len(), 198);
}

#[tokio::test]
async fn where_no_further_config_map_may_be_made_the_others_are_filled_and_then_it_is_said_why() {
    const QUOTA: &str = "configmaps \"bac-import-model-1\" is forbidden: exceeded quota: objects, requested: \
                         count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1";
    const WEBHOOK: &str = "admission webhook \"policy.example.com\" denied the request: too many ConfigMaps";
    for fault in [Fault::Refusal(403, QUOTA), Fault::Refusal(400, WEBHOOK), Fault::Status(403)] {
        let bed = ConfigMapBed::new().await;
        let store = bed.store_with(Layout { go_compatible: GoCompatible::Never, ..Layout::default() }).await;
        let refusing = bed.api.fail_while(|request| is_write(request) && request.method == "POST", fault.clone());
        let results = join_all((0..4).map(|number| {
            let store = &store;
            async move { store.upsert(&key(&format!("big_{number}")), sized(240 << 10, "x")).await }
        }))
        .await;
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), 1, "three fit into the first: {refused:?}");
        let text = refused[0].to_string();
        assert!(text.contains("create configmaps in namespace rhdh") && !refused[0].is_retryable(), "{text}");
        match fault {
            Fault::Status(_) => assert!(matches!(refused[0], StoreError::Permission { .. }), "{text}"),
            _ => assert!(matches!(refused[0], StoreError::Refused { .. }), "{text}"),
        }
        store.upsert(&key("small_1"), entry("small")).await.unwrap();
        drop(refusing);
        store.upsert(&key("big_9"), sized(240 << 10, "x")).await.unwrap();
        assert_eq!(bed.store().await.index().await.unwrap().len(), 5);
    }
}

/// The token of somebody who may do that with ConfigMaps.
fn allowed(bed: &ConfigMapBed, token: &str, verbs: &[&str]) -> kube::Client {
    bed.api.apply_yaml(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {token}, namespace: {NAMESPACE}}}\n\
         rules: [{{apiGroups: [\"\"], resources: [configmaps], verbs: {verbs:?}}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {token}, namespace: {NAMESPACE}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {token}}}\n\
         subjects: [{{kind: User, apiGroup: rbac.authorization.k8s.io, name: {token}}}]\n"
    ));
    bed.api.add_token(token, token);
    bed.api.client_for(token)
}

#[tokio::test]
async fn four_verbs_are_enough_and_without_list_one_config_map_is() {
    let bed = ConfigMapBed::new().await;
    let without_list = allowed(&bed, "without-list", &["get", "create", "patch"]);
    let open = |client: &kube::Client| ConfigMapStore::open(client.clone(), NAMESPACE, QUICK, SMALL);
    let store = open(&without_list).await.unwrap();
    let big = |number: usize| (key(&format!("big_{number}")), sized(300 << 10, "x"));
    for (name, entry) in [big(0), big(1)] {
        store.upsert(&name, entry).await.unwrap();
    }
    let (name, entry) = big(2);
    let error = store.upsert(&name, entry.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Permission { verb: "list", .. }), "{error}");
    assert!(error.to_string().contains("may not list configmaps in namespace rhdh"), "{error}");
    assert_eq!(store.index().await.unwrap().len(), 2);

    let enough = open(&allowed(&bed, "enough", &["get", "list", "create", "patch"])).await.unwrap();
    enough.upsert(&name, entry).await.unwrap();
    enough.set_location(&name, Some(location("a"))).await.unwrap();
    enough.remove(&[key("big_0")]).await.unwrap();
    assert_eq!(enough.index().await.unwrap().len(), 2);

    // It knows that there is more than it can see, and says so.
    let error = store.index().await.unwrap_err();
    assert!(matches!(error, StoreError::Permission { verb: "list", .. }), "{error}");
    assert!(open(&without_list).await.is_err());
}

#[tokio::test]
async fn the_api_is_left_alone_for_as_long_as_it_asks() {
    let bed = ConfigMapBed::new().await;
    let patient = Retries { longest_asked: Duration::from_secs(5), ..QUICK };
    let store = ConfigMapStore::open(bed.api.client(), NAMESPACE, patient, Layout::default()).await.unwrap();
    bed.api.fail_next(is_write, Fault::Status(429));
    let began = Instant::now();
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "the answer says `Retry-After: 1`");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for_and_not_taken_for_one() {
    let bed = ConfigMapBed::new().await;
    let hasty = Retries { request_timeout: Duration::from_secs(1), ..QUICK };
    let store = ConfigMapStore::open(bed.api.client(), NAMESPACE, hasty, Layout::default()).await.unwrap();
    bed.api.fail_next(is_write, Fault::Hang);
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
    let hanging = bed.api.fail_while(is_write, Fault::Hang);
    let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_retryable(), "{error}");
    drop(hanging);
    assert_eq!(store.index().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_expands_without_end_is_no_entry() {
    use std::io::Write as _;
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for _ in 0..20 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = k8s_openapi::ByteString(bomb.finish().unwrap());
    let value = json!({ "body": "", "bodyGzip": bomb, "reconcilerType": "kubeflow" });
    let value = k8s_openapi::ByteString(value.to_string().into_bytes());
    bed.api.edit("ConfigMap", NAMESPACE, CONFIG_MAP_NAME, |map| map["binaryData"] = json!({ "bomb_1": value }));
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    assert_eq!(store.index().await.unwrap().len(), 1);
    let error = store.fetch(&key("bomb_1")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { .. }) && error.to_string().contains("expands"), "{error}");
}
