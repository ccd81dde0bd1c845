//! Where credentials are found, in which order, and what is said when they cannot be used.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use kube::config::AuthInfo;
use rstest::rstest;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

const SECRET: &str = "sha256~very-secret";
/// Any DER in PEM will do: the certificate is parsed only when a connection is made.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

fn kubeconfig(server: &str, namespace: Option<&str>) -> String {
    let namespace = namespace.map(|name| format!("\n    namespace: {name}")).unwrap_or_default();
    format!(
        "apiVersion: v1
kind: Config
current-context: main
contexts:
- name: main
  context:
    cluster: one
    user: dev{namespace}
clusters:
- name: one
  cluster:
    server: {server}
users:
- name: dev
  user:
    token: from-file
"
    )
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let file = directory.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn nothing() -> Environment {
    Environment::of::<&str, &str>([])
}

async fn found(settings: &ClusterSettings, environment: &Environment) -> Found {
    sources::find(settings, environment).await.unwrap().expect("a cluster is configured")
}

fn token(auth: &AuthInfo) -> Option<&str> {
    auth.token.as_ref().map(ExposeSecret::expose_secret)
}

#[tokio::test]
async fn no_cluster_anywhere_is_normal() {
    let home = TempDir::new().unwrap();
    let environment = Environment::of([("HOME", home.path().display().to_string())]);
    assert!(connect_with(&ClusterSettings::default(), &environment).await.unwrap().is_none());
    assert!(connect_with(&ClusterSettings::default(), &nothing()).await.unwrap().is_none());
}

#[tokio::test]
async fn blank_settings_count_as_unset() {
    let settings = ClusterSettings {
        calls: Calls::default(),
        kubeconfig: Some(String::new()),
        kube_context: Some(" ".to_owned()),
        kube_contexts: vec![String::new(), " ".to_owned()],
        k8s_token: Some(SecretString::from("")),
        k8s_token_file: Some(PathBuf::new()),
        namespace: Some(String::new()),
        pod_namespace: Some(String::new()),
        watch_namespaces: vec![String::new()],
    };
    assert!(connect_with(&settings, &nothing()).await.unwrap().is_none());
    assert!(settings.watched_namespaces().unwrap().is_empty());
    assert!(settings.contexts().is_empty());
    assert!(connect_all_with(&settings, &nothing()).await.is_empty());
}

#[tokio::test]
async fn an_explicit_kubeconfig_comes_before_the_pod() {
    let directory = TempDir::new().unwrap();
    let file = write(directory.path(), "config", &kubeconfig("http://127.0.0.1:1", None));
    let environment = Environment::of([("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("token", SECRET), ("ca.crt", PEM)]);
    let explicit = ClusterSettings { kubeconfig: Some(file.clone()), ..ClusterSettings::default() };
    let from_file = found(&explicit, &environment).await;
    assert!(!from_file.in_cluster);
    assert_eq!(token(&from_file.config.auth_info), Some("from-file"));
    assert!(from_file.description.contains(&file), "{}", from_file.description);
    let from_pod = found(&ClusterSettings::default(), &environment).await;
    assert!(from_pod.in_cluster);
}

#[tokio::test]
async fn the_sidecar_variables_are_used_with_their_authority() {
    let environment = Environment::of([
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "6443"),
        ("token", &format!("{SECRET}\n")),
        ("ca.crt", PEM),
        ("namespace", "from-secret"),
    ]);
    let found = found(&ClusterSettings::default(), &environment).await;
    assert_eq!(found.config.cluster_url.to_string(), "https://10.0.0.1:6443/");
    assert_eq!(token(&found.config.auth_info), Some(SECRET));
    assert_eq!(found.config.root_cert.as_ref().map(Vec::len), Some(1));
    assert_eq!(found.service_account_namespace.as_deref(), Some("from-secret"));
    assert!(!found.description.contains(SECRET));
}

#[tokio::test]
async fn the_service_account_files_are_used_and_reread() {
    let account = TempDir::new().unwrap();
    write(account.path(), "token", "first\n");
    write(account.path(), "ca.crt", PEM);
    write(account.path(), "namespace", "mounted\n");
    let environment = Environment::of([("KUBERNETES_SERVICE_HOST", "fd00::1")]).with_service_account(account.path());
    let found = found(&ClusterSettings::default(), &environment).await;
    assert_eq!(found.config.cluster_url.to_string(), "https://[fd00::1]:443/");
    assert_eq!(own_namespace(&ClusterSettings::default(), &found).unwrap(), "mounted");
    let cluster = Cluster {
        token: token_source(&found.config),
        ..Cluster::new(Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap(), "n")
    };
    let read = || cluster.bearer_token().unwrap().unwrap().expose_secret().to_owned();
    assert_eq!(read(), "first");
    write(account.path(), "token", "rotated");
    assert_eq!(read(), "rotated");
    fs::remove_file(account.path().join("token")).unwrap();
    assert!(cluster.bearer_token().unwrap_err().to_string().contains("token"));
}

#[tokio::test]
async fn half_of_the_sidecar_variables_is_an_error_that_names_the_other() {
    let environment = Environment::of([("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("token", SECRET)]);
    let error = connect_with(&ClusterSettings::default(), &environment).await.unwrap_err().to_string();
    assert!(error.contains("ca.crt") && !error.contains(SECRET), "{error}");
    let elsewhere = Environment::of([("token", SECRET), ("ca.crt", PEM)]);
    assert!(connect_with(&ClusterSettings::default(), &elsewhere).await.unwrap().is_none());
}

#[rstest]
#[case::no_pem("no certificate here", "ca.crt")]
#[case::broken("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "ca.crt")]
#[tokio::test]
async fn a_broken_authority_is_named(#[case] pem: &str, #[case] setting: &str) {
    let environment = Environment::of([("KUBERNETES_SERVICE_HOST", "h"), ("token", SECRET), ("ca.crt", pem)]);
    let error = connect_with(&ClusterSettings::default(), &environment).await.unwrap_err().to_string();
    assert!(error.starts_with(setting), "{error}");
}

#[tokio::test]
async fn the_given_token_replaces_every_other_identity() {
    let directory = TempDir::new().unwrap();
    let text = kubeconfig("http://127.0.0.1:1", None).replace("token: from-file", "username: a\n    password: b");
    let file = write(directory.path(), "config", &text);
    let settings = ClusterSettings {
        kubeconfig: Some(file),
        k8s_token: Some(SecretString::from(SECRET)),
        ..ClusterSettings::default()
    };
    let cluster = connect_with(&settings, &nothing()).await.unwrap().unwrap();
    assert_eq!(cluster.bearer_token().unwrap().unwrap().expose_secret(), SECRET);
    assert!(cluster.description.contains("K8S_TOKEN"), "{}", cluster.description);
    assert!(!format!("{cluster:?} {settings:?}").contains(SECRET));
    assert_eq!(found(&settings, &nothing()).await.config.auth_info.username, None);
}

#[rstest]
#[case::setting(Some("set"), Some("pod"), true, "set")]
#[case::pod(None, Some("pod"), true, "pod")]
#[case::service_account(None, None, true, "mounted")]
#[case::context(None, None, false, "from-context")]
#[tokio::test]
async fn the_namespace_follows_its_order(
    #[case] namespace: Option<&str>,
    #[case] pod: Option<&str>,
    #[case] mounted: bool,
    #[case] expected: &str,
) {
    let directory = TempDir::new().unwrap();
    let file = write(directory.path(), "config", &kubeconfig("http://127.0.0.1:1", Some("from-context")));
    if mounted {
        write(directory.path(), "account/namespace", "mounted");
    }
    let settings = ClusterSettings {
        kubeconfig: Some(file),
        namespace: namespace.map(str::to_owned),
        pod_namespace: pod.map(str::to_owned),
        ..ClusterSettings::default()
    };
    let environment = nothing().with_service_account(directory.path().join("account"));
    let cluster = connect_with(&settings, &environment).await.unwrap().unwrap();
    assert_eq!(cluster.namespace, expected);
}

#[tokio::test]
async fn without_any_hint_the_namespace_is_default() {
    let directory = TempDir::new().unwrap();
    let file = write(directory.path(), "config", &kubeconfig("http://127.0.0.1:1", None));
    let settings = ClusterSettings { kubeconfig: Some(file), ..ClusterSettings::default() };
    assert_eq!(connect_with(&settings, &nothing()).await.unwrap().unwrap().namespace, "default");
}

#[tokio::test]
async fn several_files_are_merged_and_a_context_can_be_chosen() {
    let directory = TempDir::new().unwrap();
    let first = write(directory.path(), "one", &kubeconfig("http://127.0.0.1:1", None));
    let second = kubeconfig("http://127.0.0.2:1", Some("elsewhere"))
        .replace("main", "other")
        .replace("one", "two")
        .replace("dev", "ops");
    let second = write(directory.path(), "two", &second);
    let missing = directory.path().join("missing").display().to_string();
    let mut settings =
        ClusterSettings { kubeconfig: Some(format!("{missing}:{first}::{second}")), ..ClusterSettings::default() };
    assert_eq!(found(&settings, &nothing()).await.config.cluster_url.host(), Some("127.0.0.1"));
    settings.kube_context = Some("other".to_owned());
    let other = found(&settings, &nothing()).await;
    assert_eq!(other.config.cluster_url.host(), Some("127.0.0.2"));
    assert_eq!(other.context_namespace.as_deref(), Some("elsewhere"));
    settings.kube_context = Some("third".to_owned());
    let error = connect_with(&settings, &nothing()).await.unwrap_err().to_string();
    assert!(error.contains("KUBECONFIG") && error.contains("third"), "{error}");
}

#[tokio::test]
async fn an_unusable_kubeconfig_names_setting_and_file_and_quotes_nothing() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing").display().to_string();
    let settings = ClusterSettings { kubeconfig: Some(missing.clone()), ..ClusterSettings::default() };
    let error = connect_with(&settings, &nothing()).await.unwrap_err().to_string();
    assert!(error.contains("KUBECONFIG") && error.contains(&missing), "{error}");

    let broken = format!("users:\n- name: a\n  user:\n    token: {SECRET}\n   bad: [\n");
    let file = write(directory.path(), "broken", &broken);
    let settings = ClusterSettings { kubeconfig: Some(file.clone()), ..ClusterSettings::default() };
    let error = connect_with(&settings, &nothing()).await.unwrap_err().to_string();
    assert!(error.contains(&file) && error.contains("line"), "{error}");
    assert!(!error.contains("very-secret"), "{error}");
}

#[tokio::test]
async fn the_default_kubeconfig_is_the_last_resort() {
    let home = TempDir::new().unwrap();
    let environment = Environment::of([("HOME", home.path().display().to_string())]);
    write(home.path(), ".kube/config", "apiVersion: v1\nkind: Config\n");
    assert!(connect_with(&ClusterSettings::default(), &environment).await.unwrap().is_none());
    write(home.path(), ".kube/config", &kubeconfig("http://127.0.0.1:1", None));
    assert!(connect_with(&ClusterSettings::default(), &environment).await.unwrap().is_some());
}

#[rstest]
#[case("Has-Capital")]
#[case("a/b")]
#[case("-a")]
fn a_namespace_must_be_one(#[case] name: &str) {
    let settings = ClusterSettings { watch_namespaces: vec![name.to_owned()], ..ClusterSettings::default() };
    let error = settings.watched_namespaces().unwrap_err().to_string();
    assert!(error.contains("WATCH_NAMESPACES") && error.contains(name), "{error}");
}

#[rstest]
#[case::https("https://api.example.com:6443", &[("HTTPS_PROXY", "http://proxy:3128")], Some("http://proxy:3128/"))]
#[case::excluded("https://api.example.com", &[("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", "localhost, .example.com")], None)]
#[case::plain_http("http://127.0.0.1:1", &[("HTTPS_PROXY", "http://proxy:3128")], None)]
#[case::none("https://api.example.com", &[], None)]
fn a_proxy_is_used_unless_excluded(
    #[case] cluster: &str,
    #[case] variables: &[(&str, &str)],
    #[case] expected: Option<&str>,
) {
    let environment = Environment::of(variables.iter().copied());
    let proxy = proxy::from_environment(&cluster.parse().unwrap(), &environment).unwrap();
    assert_eq!(proxy.map(|uri| uri.to_string()).as_deref(), expected);
}

#[test]
fn the_settings_are_flags_and_help_shows_no_token() {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        cluster: ClusterSettings,
    }
    let cli = Cli::try_parse_from(["x", "--watch-namespaces", "b, a,b", "--k8s-token", SECRET]).unwrap();
    assert_eq!(cli.cluster.watched_namespaces().unwrap(), ["a", "b"]);
    assert_eq!(cli.cluster.k8s_token().unwrap().expose_secret(), SECRET);
    let help = <Cli as clap::CommandFactory>::command().render_long_help().to_string();
    assert!(help.contains("K8S_TOKEN") && help.contains("--kubeconfig"), "{help}");
    assert!(help.contains("KUBE_CONTEXT=") && help.contains("KUBE_CONTEXTS="), "{help}");
    let cli = Cli::try_parse_from(["x", "--kube-contexts", "b, a,,b"]).unwrap();
    assert_eq!(cli.cluster.contexts(), [ContextName::new("b"), ContextName::new("a")]);
}
