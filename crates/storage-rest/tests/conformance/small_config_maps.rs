//! ConfigMaps so small that everything crosses from one to another, and a look at what is in which.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bridge_api::Digest;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;
use storage_rest::store::config_map::{CONFIG_MAP_NAME, ConfigMapStore, GoCompatible, Layout};
use storage_rest::store::{Store, StoredEntry};
use testkit::kube::RecordedRequest;

use crate::beds::{Bed, ConfigMapBed, NAMESPACE};
use crate::suite::entry;

/// So small that every second entry opens a further ConfigMap.
pub(crate) const SMALL: Layout = Layout { go_compatible: GoCompatible::Never, shard_bytes: 500 };

/// ConfigMaps in testkit's Kubernetes API that hold an entry or two each.
pub(crate) struct SmallBed(pub(crate) ConfigMapBed);

impl SmallBed {
    pub(crate) async fn new() -> Self {
        Self(ConfigMapBed::new().await)
    }

    pub(crate) async fn store(&self) -> ConfigMapStore {
        self.0.store_with(SMALL).await
    }
}

#[async_trait]
impl Bed for SmallBed {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn writes(&self) -> Option<usize> {
        self.0.writes()
    }
}

/// A document as the projection writes them, of about 1 KiB, of which half can be compressed away.
pub(crate) fn document(number: usize) -> StoredEntry {
    let field = |field: usize| {
        let digest = Digest::of(format!("{number} {field}").as_bytes());
        format!("    annotation-{field}: \"{}\"", &digest.as_str()[..24])
    };
    let head = format!("apiVersion: backstage.io/v1alpha1\nkind: Resource\nmetadata:\n  name: model-{number}\n");
    entry(&(head + &(0..20).map(field).collect::<Vec<_>>().join("\n")))
}

/// An entry whose content takes so much, however it is written.
pub(crate) fn sized(bytes: usize, seed: &str) -> StoredEntry {
    let mut body = seed.as_bytes().to_vec();
    body.extend(testkit::noise(bytes));
    StoredEntry { body, ..entry("") }
}

pub(crate) fn on_config_maps(request: &RecordedRequest) -> bool {
    request.is_on("configmaps")
}

pub(crate) fn is_write(request: &RecordedRequest) -> bool {
    request.is_write() && on_config_maps(request)
}

/// The ConfigMaps whose names begin as ours do, by name, with the keys in each.
pub(crate) fn kept(bed: &ConfigMapBed) -> BTreeMap<String, Vec<String>> {
    let maps = bed.api.list_objects("ConfigMap");
    let ours = maps.iter().filter_map(|map| Some((map["metadata"]["name"].as_str()?, map)));
    ours.filter(|(name, _)| name.starts_with(CONFIG_MAP_NAME))
        .map(|(name, map)| {
            let keys = map["binaryData"].as_object().into_iter().flatten().map(|(key, _)| key.clone());
            (name.to_owned(), keys.collect())
        })
        .collect()
}

/// The names of the ConfigMaps that hold an entry.
pub(crate) fn homes(bed: &ConfigMapBed, key: &str) -> Vec<String> {
    let kept = kept(bed).into_iter().filter(|(_, keys)| keys.iter().any(|kept| kept == key));
    kept.map(|(name, _)| name).collect()
}

/// A stored value as JSON.
pub(crate) fn value(bed: &ConfigMapBed, name: &str, key: &str) -> Value {
    let object = bed.api.get_object("ConfigMap", NAMESPACE, name).unwrap();
    let map: ConfigMap = serde_json::from_value(object).unwrap();
    serde_json::from_slice(&map.binary_data.unwrap()[key].0).unwrap()
}
