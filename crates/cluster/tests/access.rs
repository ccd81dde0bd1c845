//! Credentials in use: what was found in the settings is what the API server sees.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use cluster::{
    ClusterSettings, ContextName, DiscoveryError, Environment, RequestError, connect_all_with, connect_with,
    discover_registries,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
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
async fn the_token_may_be_in_a_file() {
    let api = KubeApi::builder().token("from-token-file", "somebody").start().await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "from-token-file").unwrap();
    let mut settings = settings(&api, &directory);
    settings.k8s_token_file = Some(file.clone());
    let cluster = connect_with(&settings, &no_environment()).await.unwrap().unwrap();
    cluster.client.list_api_groups().await.unwrap();
    assert_eq!(api.requests()[0].user.as_deref(), Some("somebody"));
    assert_eq!(cluster.bearer_token().unwrap().unwrap().expose_secret(), "from-token-file");
    std::fs::write(&file, "rotated").unwrap();
    assert_eq!(cluster.bearer_token().unwrap().unwrap().expose_secret(), "rotated");

    settings.k8s_token = Some(SecretString::from("another"));
    let error = connect_with(&settings, &no_environment()).await.unwrap_err().to_string();
    assert!(error.contains("K8S_TOKEN_FILE") && error.contains("choose one"), "{error}");
    settings.k8s_token = None;
    std::fs::write(&file, "with-an-end\n").unwrap();
    let error = connect_with(&settings, &no_environment()).await.unwrap_err().to_string();
    assert!(error.contains("K8S_TOKEN_FILE") && !error.contains("with-an-end"), "{error}");
    settings.k8s_token_file = Some(directory.path().join("missing"));
    let error = connect_with(&settings, &no_environment()).await.unwrap_err().to_string();
    assert!(error.contains("K8S_TOKEN_FILE") && error.contains("missing"), "{error}");
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

/// A kubeconfig with a context for each server, and one that leads nowhere.
fn several(apis: &[(&str, &KubeApi)], directory: &TempDir) -> ClusterSettings {
    let of = |name: &str| json!({"name": name, "context": {"cluster": name, "user": name, "namespace": format!("in-{name}")}});
    let cluster = |(name, api): &(&str, &KubeApi)| json!({"name": name, "cluster": {"server": api.url()}});
    let user = |(name, _): &(&str, &KubeApi)| json!({"name": name, "user": {"token": format!("of-{name}")}});
    let contexts: Vec<Value> = apis.iter().map(|(name, _)| of(name)).chain([of("broken")]).collect();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "first", "contexts": contexts,
        "clusters": apis.iter().map(cluster).collect::<Vec<_>>(), "users": apis.iter().map(user).collect::<Vec<_>>(),
    });
    let file = directory.path().join("several");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    ClusterSettings { kubeconfig: Some(file.display().to_string()), ..ClusterSettings::default() }
}

#[tokio::test]
async fn each_context_is_a_cluster_with_its_own_identity_and_failure() {
    let one = KubeApi::builder().token("of-first", "first-user").start().await;
    let two = KubeApi::builder().token("of-second", "second-user").start().await;
    let directory = TempDir::new().unwrap();
    let mut settings = several(&[("first", &one), ("second", &two)], &directory);
    settings.kube_contexts = ["first", "broken", "missing", "second", "first"].map(str::to_owned).to_vec();
    // What is known of the pod, and the one token, are about one cluster only.
    settings.pod_namespace = Some("of-the-pod".to_owned());
    settings.k8s_token = Some(SecretString::from("of-nobody"));
    let found = connect_all_with(&settings, &no_environment()).await;
    let called = found.iter().map(|(context, _)| context.as_str()).collect::<Vec<_>>();
    assert_eq!(called, ["first", "broken", "missing", "second"]);
    for (context, cluster) in &found[1..3] {
        let error = cluster.as_ref().unwrap_err().to_string();
        assert!(error.contains("KUBECONFIG") && error.contains(context.as_str()), "{error}");
    }
    for (index, api, user) in [(0, &one, "first-user"), (3, &two, "second-user")] {
        let (context, cluster) = &found[index];
        let cluster = cluster.as_ref().unwrap();
        assert_eq!(cluster.namespace, format!("in-{context}"));
        cluster.client.list_api_groups().await.unwrap();
        assert_eq!(api.requests()[0].user.as_deref(), Some(user));
    }
}

#[tokio::test]
async fn without_contexts_there_is_the_one_cluster_as_before() {
    let api = KubeApi::builder().token("from-setting", "somebody").start().await;
    let directory = TempDir::new().unwrap();
    let mut settings = several(&[("first", &api)], &directory);
    settings.k8s_token = Some(SecretString::from("from-setting"));
    settings.pod_namespace = Some("of-the-pod".to_owned());
    let found = connect_all_with(&settings, &no_environment()).await;
    assert_eq!((found.len(), &found[0].0), (1, &ContextName::default()));
    let cluster = found[0].1.as_ref().unwrap();
    assert_eq!(cluster.namespace, "of-the-pod");
    cluster.client.list_api_groups().await.unwrap();
    assert_eq!(api.requests()[0].user.as_deref(), Some("somebody"));

    settings.kube_context = Some("broken".to_owned());
    let found = connect_all_with(&settings, &no_environment()).await;
    assert!(found.len() == 1 && found[0].1.is_err());
    assert!(connect_all_with(&ClusterSettings::default(), &no_environment()).await.is_empty());
}
