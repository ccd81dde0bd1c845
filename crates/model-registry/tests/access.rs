//! Who may use a registry, who may archive, and what is noted of whom.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model_registry::run::{self, Registry};
use model_registry::settings::{AccessSettings, DatabaseSettings, ProxySettings};
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use service::Shutdown;
use service::http_client::install_crypto_provider;
use service::settings::GoDuration;
use service::telemetry::LogSettings;
use tempfile::TempDir;
use testkit::eventually;
use testkit::kube::{Fault, KubeApi};

const MODELS: &str = "/api/model_registry/v1alpha3/registered_models";
const CHANGES: &str = "/api/model_registry/v1/changes";
const CATALOG: &str = "/api/model_catalog/v1alpha1/sources";
const SOON: Duration = Duration::from_secs(20);

const EDITOR: &str = "planted-token-of-ada";
const ADMIN: &str = "planted-token-of-grace";

/// A registry, and who asks it.
struct Served {
    registry: Registry,
    http: reqwest::Client,
    directory: TempDir,
    shutdown: Shutdown,
}

struct Answer {
    status: u16,
    challenge: Option<String>,
    body: Value,
}

impl Served {
    async fn with(access: impl FnOnce(&Path) -> AccessSettings) -> Self {
        install_crypto_provider();
        let directory = tempfile::tempdir().unwrap();
        let sources = directory.path().join("sources.yaml");
        std::fs::write(&sources, "catalogs: []\n").unwrap();
        let settings = ProxySettings {
            access: access(directory.path()),
            catalogs_path: Some(sources),
            ..ProxySettings::here(DatabaseSettings::sqlite_in(directory.path()), LogSettings::default())
        };
        let shutdown = Shutdown::new();
        let registry = run::start(settings, shutdown.clone()).await.unwrap();
        registry.readiness.until_ready().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { registry, http, directory, shutdown }
    }

    /// A registry with these lines in its file of tokens.
    async fn with_tokens(lines: &str) -> Self {
        Self::with(|directory| AccessSettings {
            auth_token_file: Some(write_tokens(directory, lines)),
            ..AccessSettings::default()
        })
        .await
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, self.registry.url().unwrap().join(path).unwrap());
        match token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        answer(self.request(Method::GET, path, token)).await
    }

    /// The id of a new model.
    async fn create(&self, name: &str, token: Option<&str>) -> String {
        let created = answer(self.request(Method::POST, MODELS, token).json(&json!({ "name": name }))).await;
        assert_eq!(created.status, 201, "{}", created.body);
        created.body["id"].as_str().unwrap().to_owned()
    }

    async fn patch(&self, id: &str, patch: &Value, token: Option<&str>) -> Answer {
        answer(self.request(Method::PATCH, &format!("{MODELS}/{id}"), token).json(patch)).await
    }

    /// All changes: by whom, and what.
    async fn changes(&self, token: Option<&str>) -> Vec<(Option<String>, Value)> {
        let answer = self.get(&format!("{CHANGES}?since=0"), token).await;
        let actor = |item: &Value| item["actor"].as_str().map(str::to_owned);
        answer.body["items"].as_array().unwrap().iter().map(|item| (actor(item), item["detail"].clone())).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    Answer { status, challenge, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

fn write_tokens(directory: &Path, lines: &str) -> std::path::PathBuf {
    let (file, new) = (directory.join("tokens"), directory.join("tokens.new"));
    std::fs::write(&new, lines).unwrap();
    std::fs::rename(new, &file).unwrap();
    file
}

fn two_tokens() -> String {
    format!("ada:{EDITOR}\ngrace:{ADMIN}:admin\n")
}

#[tokio::test]
async fn a_registry_asks_for_no_token_and_believes_no_header_unless_it_is_told_to() {
    let served = Served::with(|_| AccessSettings::default()).await;
    let id = served.create("iris", Some("whatever")).await;
    let named = served.request(Method::POST, MODELS, None).header("X-Forwarded-User", "mallory");
    assert_eq!(answer(named.json(&json!({"name": "rose"}))).await.status, 201);
    assert_eq!(served.patch(&id, &json!({"state": "ARCHIVED"}), None).await.status, 200);
    assert!(served.changes(None).await.iter().all(|(actor, _)| actor.is_none()));
}

#[tokio::test]
async fn with_tokens_everything_but_probes_and_documentation_takes_one() {
    let served = Served::with_tokens(&two_tokens()).await;
    let version = "/api/model_registry/v1/registered_models";
    let artifact = "/api/model_registry/v1alpha3/artifact?externalId=a";
    for (path, status) in [(MODELS, 200), (version, 200), (CHANGES, 200), (artifact, 404), (CATALOG, 200)] {
        for token in [None, Some("wrong"), Some("ada"), Some("planted-token-of-ad")] {
            let refused = served.get(path, token).await;
            assert_eq!((refused.status, refused.challenge.as_deref()), (401, Some("Bearer")), "{path} {token:?}");
            assert_eq!(refused.body["code"], "Unauthorized", "{path}: {}", refused.body);
            assert!(refused.body["message"].as_str().unwrap().contains("token"), "{}", refused.body);
        }
        assert_eq!(served.get(path, Some(EDITOR)).await.status, status, "{path}");
    }
    let create = served.request(Method::POST, MODELS, None).json(&json!({"name": "iris"}));
    assert_eq!(answer(create).await.status, 401);
    for open in ["/healthz", "/readyz", "/metrics", "/readyz/health", "/readyz/isDirty", "/openapi.json", "/docs/"] {
        assert_eq!(served.get(open, None).await.status, 200, "{open}");
    }
    let document = served.get("/openapi.json", None).await.body;
    let operation = &document["paths"][MODELS]["get"];
    assert_eq!(operation["security"], json!([{"Bearer": []}]));
    assert!(operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object());
}

#[tokio::test]
async fn admins_archive_and_bring_back_and_others_do_the_rest() {
    let served = Served::with_tokens(&two_tokens()).await;
    let id = served.create("iris", Some(EDITOR)).await;
    for patch in [json!({"description": "flowers"}), json!({"state": "LIVE", "owner": "ada"})] {
        assert_eq!(served.patch(&id, &patch, Some(EDITOR)).await.status, 200, "{patch}");
    }
    let archive = json!({"state": "ARCHIVED"});
    let refused = served.patch(&id, &archive, Some(EDITOR)).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("Forbidden")), "{}", refused.body);
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.contains("ada") && message.contains("admin"), "{message}");
    let born_archived = json!({"name": "rose", "state": "ARCHIVED"});
    let create = served.request(Method::POST, MODELS, Some(EDITOR)).json(&born_archived);
    assert_eq!(answer(create).await.status, 403);

    assert_eq!(served.patch(&id, &archive, Some(ADMIN)).await.body["state"], "ARCHIVED");
    assert_eq!(served.patch(&id, &json!({"state": "LIVE"}), Some(EDITOR)).await.status, 403);
    let described = served.patch(&id, &json!({"state": "ARCHIVED", "description": "old"}), Some(EDITOR)).await;
    assert_eq!(described.status, 200, "{}", described.body);
    assert_eq!(served.patch(&id, &json!({"state": "LIVE"}), Some(ADMIN)).await.body["state"], "LIVE");
}

#[tokio::test]
async fn the_log_of_changes_says_who_changed_what_from_what_to_what() {
    let served = Served::with_tokens(&two_tokens()).await;
    let id = served.create("iris", Some(EDITOR)).await;
    let lifecycle = |value: &str| json!({"metadataType": "MetadataStringValue", "string_value": value});
    let promote = json!({"customProperties": {"Lifecycle": lifecycle("production")}});
    served.patch(&id, &promote, Some(EDITOR)).await;
    served.patch(&id, &json!({"state": "ARCHIVED"}), Some(ADMIN)).await;
    let (ada, grace) = (Some("ada".to_owned()), Some("grace".to_owned()));
    let expected = [
        (ada.clone(), json!({"name": "iris"})),
        (ada, json!({"name": "iris", "changed": {"customProperties": {"Lifecycle": {"to": "production"}}}})),
        (grace, json!({"name": "iris", "changed": {"state": {"from": "LIVE", "to": "ARCHIVED"}}})),
    ];
    assert_eq!(served.changes(Some(EDITOR)).await, expected);
}

#[tokio::test]
async fn an_artifact_that_is_given_to_another_version_too_is_noted_as_linked() {
    let served = Served::with(|_| AccessSettings::default()).await;
    let model = served.create("iris", None).await;
    let post = async |path: String, body: Value| {
        let answer = answer(served.request(Method::POST, &path, None).json(&body)).await;
        assert!(answer.status < 300, "{}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    };
    let mut versions = Vec::new();
    for name in ["1", "2"] {
        versions
            .push(post(format!("{MODELS}/{model}/versions"), json!({"name": name, "registeredModelId": model})).await);
    }
    let artifacts = |version: &str| format!("/api/model_registry/v1alpha3/model_versions/{version}/artifacts");
    let artifact = json!({"artifactType": "model-artifact", "name": "weights", "uri": "s3://a/b"});
    let id = post(artifacts(&versions[0]), artifact).await;
    let again = json!({"artifactType": "model-artifact", "id": id});
    post(artifacts(&versions[1]), again.clone()).await;
    post(artifacts(&versions[1]), again).await;
    let changes = served.changes(None).await;
    let told: Vec<&Value> = changes.iter().map(|(_, detail)| detail).skip(3).collect();
    assert_eq!(told[0], &json!({"name": "weights", "parentId": versions[0]}));
    assert_eq!(told[1], &json!({"name": "weights", "changed": {}, "linkedTo": versions[1]}));
    assert_eq!(told[2], &json!({"name": "weights", "changed": {}}));
}

#[tokio::test]
async fn tokens_are_replaced_while_the_registry_runs_and_names_that_are_gone_are_out() {
    let served = Served::with_tokens("ada:first\ngrace:of-grace:admin\nalan:of-alan").await;
    let knows = async |token: &str| served.get(MODELS, Some(token)).await.status == 200;
    assert!(knows("first").await && knows("of-alan").await && !knows("second").await);
    write_tokens(served.directory.path(), "ada:second\ngrace:of-grace");
    eventually(SOON, "the new token is known", async || knows("second").await).await;
    assert!(knows("first").await, "for the grace");
    assert!(!knows("of-alan").await, "alan is gone");
    let id = served.create("iris", Some("of-grace")).await;
    let archive = json!({"state": "ARCHIVED"});
    assert_eq!(served.patch(&id, &archive, Some("of-grace")).await.status, 403, "grace is no admin any more");

    write_tokens(served.directory.path(), "ada:third");
    eventually(SOON, "the third token is known", async || knows("third").await).await;
    assert!(knows("second").await && !knows("first").await && !knows("of-grace").await);
}

#[tokio::test]
async fn without_a_grace_the_previous_token_is_out_at_once() {
    let served = Served::with(|directory| AccessSettings {
        auth_token_file: Some(write_tokens(directory, "first")),
        auth_token_grace: GoDuration(Duration::ZERO),
        ..AccessSettings::default()
    })
    .await;
    assert_eq!(served.get(MODELS, Some("first")).await.status, 200);
    write_tokens(served.directory.path(), "second");
    let knows_second = async || served.get(MODELS, Some("second")).await.status == 200;
    eventually(SOON, "the new token is known", knows_second).await;
    assert_eq!(served.get(MODELS, Some("first")).await.status, 401);
}

#[tokio::test]
async fn a_header_names_the_user_where_that_is_wanted() {
    let served = Served::with(|_| AccessSettings {
        trust_user_header: Some("x-forwarded-user".parse().unwrap()),
        ..AccessSettings::default()
    })
    .await;
    let create = |name: &str| served.request(Method::POST, MODELS, None).json(&json!({ "name": name }));
    let user = "X-Forwarded-User";
    for request in [
        create("by-ada").header(user, "ada"),
        create("by-nobody"),
        create("by-two").header(user, "ada").header(user, "grace"),
        create("by-blank").header(user, " "),
    ] {
        assert_eq!(answer(request).await.status, 201);
    }
    let actors: Vec<Option<String>> = served.changes(None).await.into_iter().map(|(actor, _)| actor).collect();
    assert_eq!(actors, [Some("ada".to_owned()), None, None, None]);
}

const ROLES: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: auth-delegator}
rules:
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: registry}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: auth-delegator}
subjects: [{kind: ServiceAccount, name: registry, namespace: models}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: registry-user, namespace: models}
rules: [{apiGroups: [''], resources: [services], resourceNames: [registry], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: registry-users, namespace: models}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: registry-user}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:science'}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: registry-admin, namespace: models}
rules: [{apiGroups: [''], resources: [services], resourceNames: [registry], verbs: [update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: registry-admins, namespace: models}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: registry-admin}
subjects: [{kind: ServiceAccount, name: grace, namespace: science}]
";

async fn cluster() -> KubeApi {
    install_crypto_provider();
    KubeApi::builder()
        .namespace("models")
        .namespace("science")
        .token("of-registry", "system:serviceaccount:models:registry")
        .token("of-ada", "system:serviceaccount:science:ada")
        .token("of-grace", "system:serviceaccount:science:grace")
        .token("of-stranger", "system:serviceaccount:elsewhere:stranger")
        .manifests(ROLES)
        .start()
        .await
}

fn reviewed_by(cluster: &KubeApi, directory: &Path) -> AccessSettings {
    let kubeconfig = cluster.write_kubeconfig_for(directory, "of-registry", "models");
    let mut settings = AccessSettings {
        auth_kubernetes_service: Some("models/registry".parse().unwrap()),
        ..AccessSettings::default()
    };
    settings.cluster.kubeconfig = Some(kubeconfig.to_str().unwrap().to_owned());
    settings
}

#[tokio::test]
async fn a_cluster_says_who_uses_the_registry_and_who_administers_it() {
    let cluster = cluster().await;
    let served = Served::with(|directory| reviewed_by(&cluster, directory)).await;
    assert_eq!(served.get(MODELS, None).await.status, 401);
    assert_eq!(served.get(MODELS, Some("made-up")).await.status, 401);
    let stranger = served.get(MODELS, Some("of-stranger")).await;
    assert_eq!((stranger.status, &stranger.body["code"]), (403, &json!("Forbidden")));
    let message = stranger.body["message"].as_str().unwrap();
    assert!(message.contains("elsewhere:stranger") && message.contains("models/registry"), "{message}");

    let id = served.create("iris", Some("of-ada")).await;
    let archive = json!({"state": "ARCHIVED"});
    assert_eq!(served.patch(&id, &archive, Some("of-ada")).await.status, 403);
    assert_eq!(served.patch(&id, &archive, Some("of-grace")).await.status, 200);
    let actors: Vec<Option<String>> =
        served.changes(Some("of-ada")).await.into_iter().map(|(actor, _)| actor).collect();
    let account = |name: &str| Some(format!("system:serviceaccount:science:{name}"));
    assert_eq!(actors, [account("ada"), account("grace")]);

    let asked = cluster.count(|request| request.path.ends_with("reviews"));
    for _ in 0..20 {
        assert_eq!(served.get(MODELS, Some("of-ada")).await.status, 200);
    }
    assert_eq!(cluster.count(|request| request.path.ends_with("reviews")), asked, "verdicts are kept");
}

#[tokio::test]
async fn a_cluster_in_trouble_makes_nobody_known_and_refuses_nobody_for_good() {
    let cluster = cluster().await;
    let served = Served::with(|directory| reviewed_by(&cluster, directory)).await;
    let trouble = cluster.fail_while(|_| true, Fault::Status(500));
    let answer = served.get(MODELS, Some("of-ada")).await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("Service Unavailable")), "{}", answer.body);
    drop(trouble);
    let is_known = async || served.get(MODELS, Some("of-ada")).await.status == 200;
    eventually(SOON, "the cluster answers again", is_known).await;
}

#[tokio::test]
async fn tokens_of_a_file_and_of_a_cluster_go_together() {
    let cluster = cluster().await;
    let served = Served::with(|directory| AccessSettings {
        auth_token_file: Some(write_tokens(directory, "robot:of-robot")),
        ..reviewed_by(&cluster, directory)
    })
    .await;
    for (token, status) in [("of-robot", 200), ("of-ada", 200), ("of-stranger", 403), ("made-up", 401)] {
        assert_eq!(served.get(MODELS, Some(token)).await.status, status, "{token}");
    }
    assert_eq!(cluster.count(|request| String::from_utf8_lossy(&request.body).contains("of-robot")), 0);
}

#[tokio::test]
async fn settings_that_cannot_hold_stop_the_start_and_say_why() {
    install_crypto_provider();
    let directory = tempfile::tempdir().unwrap();
    let refused = async |access: AccessSettings| {
        let here = ProxySettings::here(DatabaseSettings::sqlite_in(directory.path()), LogSettings::default());
        let started = run::start(ProxySettings { access, ..here }, Shutdown::new()).await;
        format!("{:#}", started.unwrap_err())
    };
    let in_file = |lines: &str| AccessSettings {
        auth_token_file: Some(write_tokens(directory.path(), lines)),
        ..AccessSettings::default()
    };
    let missing = AccessSettings { auth_token_file: Some(directory.path().join("none")), ..AccessSettings::default() };
    assert!(refused(missing).await.contains("MR_AUTH_TOKEN_FILE"));
    let broken = refused(in_file("ada:planted token")).await;
    assert!(
        broken.contains("MR_AUTH_TOKEN_FILE") && broken.contains("line 1") && !broken.contains("planted"),
        "{broken}"
    );
    let header = Some("x-forwarded-user".parse().unwrap());
    assert!(
        refused(AccessSettings { trust_user_header: header, ..in_file("one") }).await.contains("MR_TRUST_USER_HEADER")
    );
    let mut unreachable = AccessSettings {
        auth_kubernetes_service: Some("models/registry".parse().unwrap()),
        ..AccessSettings::default()
    };
    unreachable.cluster.kubeconfig = Some(directory.path().join("kubeconfig").to_str().unwrap().to_owned());
    assert!(refused(unreachable).await.contains("kubeconfig"));
}

/// What was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_is_logged_or_kept_with_the_data() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let cluster = cluster().await;
    cluster.add_token("planted-token-of-alan", "system:serviceaccount:science:alan");
    let served = Served::with(|directory| AccessSettings {
        auth_token_file: Some(write_tokens(directory, &two_tokens())),
        ..reviewed_by(&cluster, directory)
    })
    .await;
    let id = served.create("iris", Some(EDITOR)).await;
    served.patch(&id, &json!({"state": "ARCHIVED"}), Some(EDITOR)).await;
    assert_eq!(served.get(MODELS, Some("planted-token-of-nobody")).await.status, 401);
    assert_eq!(served.get(MODELS, Some("planted-token-of-alan")).await.status, 200);
    write_tokens(served.directory.path(), "ada:planted-token-two");
    let knows = async || served.get(MODELS, Some("planted-token-two")).await.status == 200;
    eventually(SOON, "the new token is known", knows).await;
    let told = String::from_utf8_lossy(&logged.0.lock().unwrap()).into_owned();
    for said in ["refused: the registry does not know this token", "refused: ada may not archive", "has rotated"] {
        assert!(told.contains(said), "{said}");
    }
    assert!(!told.contains("planted-token"), "{:?}", told.lines().find(|line| line.contains("planted-token")));
    for entry in std::fs::read_dir(served.directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains("sqlite")) {
            let content = std::fs::read(&path).unwrap();
            assert!(!content.windows(13).any(|window| window == b"planted-token"), "{}", path.display());
        }
    }
}
