//! Credentials in use: what was found in the settings is what the API server sees.

use cluster::{ClusterSettings, DiscoveryError, Environment, RequestError, connect_with, discover_registries};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use testkit::kube::KubeApi;

const READER: &str = "system:serviceaccount:bridge:reader";

fn settings(api: &KubeApi, directory: &TempDir) -> ClusterSettings {
    let kubeconfig = api.write_kubeconfig_for(directory.path(), "from-file", "team");
    ClusterSettings { kubeconfig: Some(kubeconfig.display().to_string()), ..ClusterSettings::default() }
}

fn no_environment() -> Environment {
    Environment::of::<&str, &str>([])
}

#[tokio::test]
async fn the_kubeconfig_decides_server_identity_and_namespace() {
    let api = KubeApi::builder().token("from-file", READER).start().await;
    let directory = TempDir::new().unwrap();
    let cluster = connect_with(&settings(&api, &directory), &no_environment()).await.unwrap().unwrap();
    assert_eq!((cluster.namespace.as_str(), cluster.in_cluster), ("team", false));
    assert_eq!(cluster.bearer_token().unwrap().unwrap().expose_secret(), "from-file");
    cluster.client.list_api_groups().await.unwrap();
    assert_eq!(api.requests()[0].user.as_deref(), Some(READER));
}

#[tokio::test]
async fn the_token_setting_overrides_the_kubeconfig() {
    let api = KubeApi::builder().token("from-setting", "somebody").start().await;
    let directory = TempDir::new().unwrap();
    let mut settings = settings(&api, &directory);
    settings.k8s_token = Some(SecretString::from("from-setting"));
    let cluster = connect_with(&settings, &no_environment()).await.unwrap().unwrap();
    cluster.client.list_api_groups().await.unwrap();
    assert_eq!(api.requests()[0].user.as_deref(), Some("somebody"));
}

#[tokio::test]
async fn a_token_that_the_server_does_not_know_is_said_to_be_one() {
    let api = KubeApi::builder().start().await;
    let directory = TempDir::new().unwrap();
    let cluster = connect_with(&settings(&api, &directory), &no_environment()).await.unwrap().unwrap();
    let error = discover_registries(&cluster).await.unwrap_err();
    assert!(matches!(&error, DiscoveryError::Request(RequestError::Unauthorized { .. })), "{error}");
    assert!(error.to_string().contains("token") && !error.to_string().contains("from-file"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time() {
    let api = KubeApi::builder().token("from-file", READER).start().await;
    let directory = TempDir::new().unwrap();
    let cluster = connect_with(&settings(&api, &directory), &no_environment()).await.unwrap().unwrap();
    api.stop().await;
    let error = discover_registries(&cluster).await.unwrap_err().to_string();
    assert!(error.contains("list services"), "{error}");
}
