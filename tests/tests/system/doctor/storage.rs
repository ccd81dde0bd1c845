//! Storage: would it take entries, found out without a trace.

use std::fs;

use testkit::kube::{ADMIN_TOKEN, Fault, KubeApi};
use testkit::registry::ScriptedRegistry;

use super::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sqlite_file_is_neither_made_nor_changed() {
    let registry = ScriptedRegistry::start().await;
    let world = World::with_registry(&registry);
    let files =
        || fs::read_dir(world.directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>();
    world.check().await.says("Storage", "storage", "ok", &["storage.sqlite", "the first start"]);
    assert_eq!(files(), Vec::<std::ffi::OsString>::new());

    let path = world.directory.path().join("storage.sqlite");
    fs::write(&path, "this is no database, and long enough for one to be read as its head").unwrap();
    world.check().await.says("Storage", "storage", "failure", &["SQLITE_PATH"]);
    let elsewhere = world.with("SQLITE_PATH", "/nowhere/at/all/storage.sqlite");
    elsewhere.check().await.says("Storage", "storage", "failure", &["/nowhere/at/all", "SQLITE_PATH"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_that_a_policy_is_against_is_told_and_none_is_made() {
    let (registry, kube) = (ScriptedRegistry::start().await, KubeApi::builder().namespace("rhdh").start().await);
    let world = World::with_cluster(&registry, &kube, ADMIN_TOKEN);
    world.check().await.says("Storage", "storage", "ok", &["can be written"]);
    assert!(kube.get_object("ConfigMap", "rhdh", "bac-import-model").is_none());
    let denied = "admission webhook \"a.b\" denied the request: no ConfigMaps here";
    let _guard =
        kube.fail_while(|request| request.is_write() && request.is_on("configmaps"), Fault::Refusal(403, denied));
    world.check().await.says("Storage", "storage", "failure", &["denied the request", "policy"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_name_no_storage_are_told() {
    let registry = ScriptedRegistry::start().await;
    let world = World::with_registry(&registry).with("STORAGE_TYPE", "Sql");
    world.check().await.says("Storage", "storage", "failure", &["DATABASE_URL"]);
    let world = world.with("DATABASE_URL", "postgres://bridge:planted-password@127.0.0.1:9/models");
    let found = world.check().await;
    found.says("Storage", "storage", "failure", &["127.0.0.1"]);
    assert!(!found.said.contains("planted-password"));
    let world = world.with("STORAGE_TYPE", "ConfigMap");
    world.check().await.says("Storage", "storage", "failure", &["KUBECONFIG"]);
}
