//! The in-memory Kubernetes API, as a real kube client sees it: objects, patches, refusals and reviews.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test's helpers may panic, and read best with values"
)]

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use testkit::kube::samples::InferenceService;
use testkit::kube::{Definition, KubeApi};

fn config_map(name: &str, data: Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap()
}

fn config_maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "default")
}

fn inference_services(client: Client) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("serving.kserve.io", "v1beta1", "InferenceService");
    Api::namespaced_with(client, "models", &ApiResource::from_gvk(&gvk))
}

/// Code, reason and message of a refusal.
fn refusal<T: std::fmt::Debug>(answer: kube::Result<T>) -> (u16, String, String) {
    match answer {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

async fn code_of(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

fn http() -> reqwest::Client {
    // reqwest wants a provider even for plain HTTP; another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

#[tokio::test]
async fn objects_are_created_read_replaced_and_deleted() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    let created = maps.create(&PostParams::default(), &config_map("a", json!({"k": "1"}))).await.unwrap();
    assert!(created.uid().is_some() && created.creation_timestamp().is_some());
    let mut changed = maps.get("a").await.unwrap();
    assert_eq!(changed, created);
    changed.data.as_mut().unwrap().insert("k".to_owned(), "2".to_owned());
    let replaced = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(replaced.resource_version(), created.resource_version());
    assert_eq!(replaced.uid(), created.uid());
    let again = maps.replace("a", &PostParams::default(), &replaced).await.unwrap();
    assert_eq!(again.resource_version(), replaced.resource_version(), "an update without a change is no write");
    assert!(maps.delete("a", &DeleteParams::default()).await.unwrap().is_right());
    assert_eq!(refusal(maps.get("a").await), (404, "NotFound".into(), "configmaps \"a\" not found".into()));
    assert_eq!(refusal(maps.delete("a", &DeleteParams::default()).await).0, 404);
}

#[tokio::test]
async fn conflicting_writes_are_refused() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    let first = maps.create(&PostParams::default(), &config_map("a", json!({"k": "1"}))).await.unwrap();
    let duplicate = maps.create(&PostParams::default(), &config_map("a", json!({}))).await;
    assert_eq!(refusal(duplicate), (409, "AlreadyExists".into(), "configmaps \"a\" already exists".into()));
    api.edit("ConfigMap", "default", "a", |map| map["data"]["k"] = json!("2"));
    let stale = maps.replace("a", &PostParams::default(), &first).await;
    let message = "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again";
    assert_eq!(refusal(stale), (409, "Conflict".into(), message.into()));
    let patch = json!({"metadata": {"resourceVersion": first.resource_version()}, "data": {"k": "3"}});
    let stale = maps.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await;
    assert_eq!(refusal(stale).1, "Conflict");
    let preconditions = Preconditions { resource_version: first.resource_version(), uid: None };
    let stale = maps.delete("a", &DeleteParams { preconditions: Some(preconditions), ..Default::default() }).await;
    assert_eq!(refusal(stale).1, "Conflict");
    assert_eq!(api.get_object("ConfigMap", "default", "a").unwrap()["data"]["k"], "2");
}

#[tokio::test]
async fn creation_follows_the_rules_of_names_and_namespaces() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    let params = PostParams::default();
    let (code, reason, message) = refusal(maps.create(&params, &config_map("Not_Valid", json!({}))).await);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(message.starts_with("ConfigMap \"Not_Valid\" is invalid: metadata.name: Invalid value:"), "{message}");
    let elsewhere: Api<ConfigMap> = Api::namespaced(api.client(), "missing");
    let missing = refusal(elsewhere.create(&params, &config_map("a", json!({}))).await);
    assert_eq!(missing, (404, "NotFound".into(), "namespaces \"missing\" not found".into()));
    let mut generated = config_map("", json!({}));
    generated.metadata.name = None;
    generated.metadata.generate_name = Some("bridge-".to_owned());
    let name = maps.create(&params, &generated).await.unwrap().name_any();
    assert!(name.starts_with("bridge-") && name.len() == 12, "{name}");
    let dry_run = PostParams { dry_run: true, ..Default::default() };
    maps.create(&dry_run, &config_map("dry", json!({}))).await.unwrap();
    assert!(maps.get_opt("dry").await.unwrap().is_none());
    let mut misplaced = config_map("a", json!({}));
    misplaced.metadata.namespace = Some("other".to_owned());
    assert_eq!(refusal(maps.create(&params, &misplaced).await).0, 400);
}

#[tokio::test]
async fn a_config_map_keeps_the_rules_of_its_keys_and_size() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    let params = PostParams::default();
    let mebibyte = 1024 * 1024;
    let mut full = config_map("full", json!({}));
    full.binary_data = Some([("a_b".to_owned(), ByteString(vec![7; mebibyte]))].into());
    maps.create(&params, &full).await.unwrap();
    let patch = json!({"data": {"more": "x"}});
    let (code, reason, message) = refusal(maps.patch("full", &PatchParams::default(), &Patch::Merge(&patch)).await);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert_eq!(message, "ConfigMap \"full\" is invalid: []: Too long: may not be more than 1048576 bytes");
    for bad in ["with space", "a/b", "..", "..data", "", &"x".repeat(254)] {
        let answer = maps.create(&params, &config_map("bad", json!({bad: "v"}))).await;
        assert_eq!(refusal(answer).0, 422, "{bad:?}");
    }
    let mut doubled = config_map("doubled", json!({"k": "v"}));
    doubled.binary_data = Some([("k".to_owned(), ByteString(vec![1]))].into());
    assert!(refusal(maps.create(&params, &doubled).await).2.contains("duplicate of key present in"));
    let url = api.url().join("api/v1/namespaces/default/configmaps").unwrap();
    let post = |body: String| {
        let request = http().post(url.clone()).bearer_auth(testkit::kube::ADMIN_TOKEN);
        code_of(request.header("content-type", "application/json").body(body))
    };
    let no_base64 =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "binaryData": {"k": "%%"}});
    assert_eq!(post(no_base64.to_string()).await, 400);
    assert_eq!(post(" ".repeat(3 * mebibyte + 1)).await, 413);
    assert_eq!(post("{".to_owned()).await, 400);
}

#[tokio::test]
async fn keys_count_for_what_etcd_takes() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    let keys = |count: usize| (0..count).map(|number| (format!("{number:0>250}"), json!("x".repeat(200)))).collect();
    maps.create(&PostParams::default(), &config_map("many", Value::Object(keys(2_000)))).await.unwrap();
    let (code, _, message) =
        refusal(maps.create(&PostParams::default(), &config_map("more", Value::Object(keys(2_500)))).await);
    assert_eq!((code, message.as_str()), (500, "etcdserver: request is too large"));
}

#[tokio::test]
async fn patches_change_only_what_they_name() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    maps.create(&PostParams::default(), &config_map("a", json!({"keep": "1", "drop": "2"}))).await.unwrap();
    let merge = json!({"data": {"drop": null, "new": "3"}});
    let merged = maps.patch("a", &PatchParams::default(), &Patch::Merge(&merge)).await.unwrap();
    assert_eq!(json!(merged.data), json!({"keep": "1", "new": "3"}));
    let nothing = maps.patch("a", &PatchParams::default(), &Patch::Merge(&merge)).await.unwrap();
    assert_eq!(nothing.resource_version(), merged.resource_version());
    let strategic = json!({"data": {"new": "4"}});
    maps.patch("a", &PatchParams::default(), &Patch::Strategic(&strategic)).await.unwrap();
    let missing = maps.patch("b", &PatchParams::default(), &Patch::Merge(&merge)).await;
    assert_eq!(refusal(missing).0, 404);
    let url = api.url().join("api/v1/namespaces/default/configmaps/a").unwrap();
    let json_patch = |patch: Value| {
        let request = http().patch(url.clone()).bearer_auth(testkit::kube::ADMIN_TOKEN);
        code_of(request.header("content-type", "application/json-patch+json").body(patch.to_string()))
    };
    assert_eq!(json_patch(json!([{"op": "remove", "path": "/data/keep"}])).await, 200);
    assert_eq!(json_patch(json!([{"op": "test", "path": "/data/new", "value": "x"}])).await, 422);
    assert_eq!(json!(maps.get("a").await.unwrap().data), json!({"new": "4"}));
}

#[tokio::test]
async fn applying_creates_changes_and_releases_fields() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    let wanted =
        |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let apply = async |manager: &str, data: Value| {
        maps.patch("a", &PatchParams::apply(manager), &Patch::Apply(wanted(data))).await
    };
    apply("one", json!({"x": "1", "y": "1"})).await.unwrap();
    apply("two", json!({"z": "2"})).await.unwrap();
    let applied = apply("one", json!({"x": "3"})).await.unwrap();
    assert_eq!(json!(applied.data), json!({"x": "3", "z": "2"}));
    let (code, reason, message) = refusal(apply("two", json!({"x": "9"})).await);
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    assert!(message.contains("conflict with \"one\": .data.x"), "{message}");
    let forced = PatchParams::apply("two").force();
    maps.patch("a", &forced, &Patch::Apply(wanted(json!({"x": "9"})))).await.unwrap();
}

#[tokio::test]
async fn lists_are_selected_and_paged_from_one_snapshot() {
    let api = KubeApi::builder().start().await;
    for index in 0..5 {
        let parity = if index % 2 == 0 { "even" } else { "odd" };
        api.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{index}"), "labels": {"parity": parity}}}));
    }
    api.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m0", "namespace": "other"}}));
    let maps = config_maps(api.client());
    let names = |list: &[ConfigMap]| list.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
    let odd = maps.list(&ListParams::default().labels("parity in (odd),!absent")).await.unwrap();
    assert_eq!(names(&odd.items), ["m1", "m3"]);
    let all: Api<ConfigMap> = Api::all(api.client());
    assert_eq!(all.list(&ListParams::default().fields("metadata.name=m0")).await.unwrap().items.len(), 2);
    assert_eq!(refusal(maps.list(&ListParams::default().fields("data.x=1")).await).0, 400);

    let page = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((names(&page.items), page.metadata.remaining_item_count), (vec!["m0".into(), "m1".into()], Some(3)));
    api.delete("ConfigMap", "default", "m2");
    let token = page.metadata.continue_.unwrap();
    let next = maps.list(&ListParams::default().limit(9).continue_token(&token)).await.unwrap();
    assert_eq!(names(&next.items), ["m2", "m3", "m4"], "a page shows the moment of the first page");
    assert_eq!(next.metadata.resource_version, page.metadata.resource_version);
    let exact = ListParams::default()
        .at(page.metadata.resource_version.as_deref().unwrap())
        .matching(kube::api::VersionMatch::Exact);
    assert_eq!(maps.list(&exact).await.unwrap().items.len(), 5);
    api.compact();
    let expired = maps.list(&ListParams::default().limit(9).continue_token(&token)).await;
    assert_eq!(refusal(expired).0, 410);
    assert_eq!(refusal(maps.list(&exact).await).1, "Expired");
    let future = ListParams::default().at("999999");
    assert_eq!(refusal(maps.list(&future).await).0, 504);

    let dropped = maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("parity=even")).await;
    assert_eq!(dropped.unwrap().left().unwrap().items.len(), 2);
    assert_eq!(names(&maps.list(&ListParams::default()).await.unwrap().items), ["m1", "m3"]);
}

#[tokio::test]
async fn a_kind_without_its_definition_is_a_plain_404() {
    let api = KubeApi::builder().namespace("models").start().await;
    let services = inference_services(api.client());
    let (code, _, message) = refusal(services.list(&ListParams::default()).await);
    assert_eq!((code, message.as_str()), (404, "404 page not found"));
    let unknown = api.url().join("api/v1/namespaces/default/gadgets").unwrap();
    let answer = http().get(unknown).bearer_auth(testkit::kube::ADMIN_TOKEN).send().await.unwrap();
    let status: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(status["message"], "the server could not find the requested resource");

    let definitions: Api<DynamicObject> = Api::all_with(
        api.client(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition")),
    );
    let definition: DynamicObject = serde_json::from_value(Definition::inference_services().object()).unwrap();
    let made = definitions.create(&PostParams::default(), &definition).await.unwrap();
    assert_eq!(made.data["status"]["conditions"][1]["type"], "Established");
    assert_eq!(services.list(&ListParams::default()).await.unwrap().items.len(), 0);
    api.apply(InferenceService::new("models", "granite").build());
    definitions.delete(&made.name_any(), &DeleteParams::default()).await.unwrap();
    assert_eq!(refusal(services.list(&ListParams::default()).await).0, 404);
    api.install_crd(&Definition::inference_services());
    assert_eq!(
        services.list(&ListParams::default()).await.unwrap().items.len(),
        0,
        "objects went with their definition"
    );
}

#[tokio::test]
async fn discovery_tells_what_is_served() {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2", "v1alpha1"]).start().await;
    let client = api.client();
    assert_eq!(client.apiserver_version().await.unwrap().major, "1");
    let plain = kube::discovery::Discovery::new(client.clone()).run().await.unwrap();
    let aggregated = kube::discovery::Discovery::new(client.clone()).run_aggregated().await.unwrap();
    for discovery in [plain, aggregated] {
        let group = discovery.get("serving.kserve.io").unwrap();
        assert_eq!(group.versions().collect::<Vec<_>>(), ["v1beta1", "v1alpha2", "v1alpha1"]);
        let kinds: Vec<String> =
            group.versioned_resources("v1alpha1").into_iter().map(|(resource, _)| resource.kind).collect();
        assert_eq!(kinds, ["LLMInferenceService"]);
        assert!(discovery.get("route.openshift.io").is_none());
    }
    let groups = client.list_api_groups().await.unwrap();
    assert!(groups.groups.iter().any(|group| group.name == "rbac.authorization.k8s.io"));
}

#[tokio::test]
async fn versions_of_a_kind_share_their_objects() {
    let api = KubeApi::builder().with_llm(&["v1alpha2", "v1alpha1"]).start().await;
    api.apply(testkit::kube::samples::llm_inference_service("v1alpha1", "models", "llama", "hf://meta/llama"));
    for version in ["v1alpha1", "v1alpha2"] {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("serving.kserve.io", version, "LLMInferenceService"));
        let all: Api<DynamicObject> = Api::all_with(api.client(), &resource);
        let found = all.list(&ListParams::default()).await.unwrap();
        let types = found.items[0].types.clone().unwrap();
        assert_eq!(types.api_version, format!("serving.kserve.io/{version}"));
        assert_eq!(found.items[0].data["status"]["addresses"][0]["name"], "gateway-external");
    }
}

#[tokio::test]
async fn status_is_a_part_of_its_own() {
    let api = KubeApi::builder().with_kserve().namespace("models").start().await;
    let services = inference_services(api.client());
    let wanted: DynamicObject = serde_json::from_value(InferenceService::new("models", "granite").build()).unwrap();
    let created = services.create(&PostParams::default(), &wanted).await.unwrap();
    assert!(created.data.get("status").is_none(), "a status is not taken at creation");
    assert_eq!(created.metadata.generation, Some(1));
    let merge = Patch::Merge(json!({"status": {"url": "http://x"}, "spec": {"ignored": true}}));
    let patched = services.patch_status("granite", &PatchParams::default(), &merge).await.unwrap();
    assert_eq!(patched.data["status"]["url"], "http://x");
    assert_eq!(patched.data["spec"], created.data["spec"]);
    let merge = Patch::Merge(json!({"status": {"url": "http://other"}, "spec": {"more": true}}));
    let changed = services.patch("granite", &PatchParams::default(), &merge).await.unwrap();
    assert_eq!(changed.data["status"]["url"], "http://x");
    assert_eq!(changed.metadata.generation, Some(2));
    let mut blind = changed.clone();
    blind.metadata.resource_version = None;
    let answer = services.replace("granite", &PostParams::default(), &blind).await;
    assert!(refusal(answer).2.contains("metadata.resourceVersion: Invalid value"));
    let status = api.set_status("InferenceService", "models", "granite", json!({"url": "http://y"}));
    assert_eq!(status["status"], json!({"url": "http://y"}));
    let strategic = Patch::Strategic(json!({"spec": {}}));
    assert_eq!(refusal(services.patch("granite", &PatchParams::default(), &strategic).await).0, 415);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_gone() {
    let api = KubeApi::builder().start().await;
    let maps = config_maps(api.client());
    let mut held = config_map("held", json!({}));
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    let answer = maps.delete("held", &DeleteParams::default()).await.unwrap();
    assert!(answer.left().unwrap().metadata.deletion_timestamp.is_some());
    assert!(maps.get_opt("held").await.unwrap().is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &release).await.unwrap();
    assert!(maps.get_opt("held").await.unwrap().is_none());
}

#[tokio::test]
async fn a_namespace_takes_its_objects_along() {
    let api = KubeApi::builder().start().await;
    api.apply_yaml("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: gone}\nstringData: {token: abc}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: gone}\nspec: {ports: [{port: 80}]}\n");
    let secrets: Api<Secret> = Api::namespaced(api.client(), "gone");
    assert_eq!(secrets.get("s").await.unwrap().data.unwrap()["token"].0, b"abc");
    let namespaces: Api<Namespace> = Api::all(api.client());
    namespaces.delete("gone", &DeleteParams::default()).await.unwrap();
    assert!(secrets.get_opt("s").await.unwrap().is_none());
    let services: Api<Service> = Api::namespaced(api.client(), "gone");
    assert!(services.list(&ListParams::default()).await.unwrap().items.is_empty());
}

const BRIDGE_ROLES: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: storage, namespace: default}
rules:
- {apiGroups: [''], resources: [configmaps], resourceNames: [bac-import-model], verbs: [get, patch]}
- {apiGroups: [''], resources: [configmaps], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: storage, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: storage}
subjects: [{kind: ServiceAccount, name: bridge, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [serving.kserve.io], resources: ['*'], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: Group, name: 'system:serviceaccounts:default', apiGroup: rbac.authorization.k8s.io}]
";

#[tokio::test]
async fn roles_and_bindings_decide() {
    let api = KubeApi::builder()
        .token("bridge-token", "system:serviceaccount:default:bridge")
        .manifests(BRIDGE_ROLES)
        .namespace("models")
        .start()
        .await;
    let maps = config_maps(api.client_for("bridge-token"));
    maps.create(&PostParams::default(), &config_map("bac-import-model", json!({"a": "b"}))).await.unwrap();
    let merge = Patch::Merge(json!({"data": {"a": "c"}}));
    maps.patch("bac-import-model", &PatchParams::default(), &merge).await.unwrap();
    let (code, reason, message) = refusal(maps.patch("x", &PatchParams::default(), &merge).await);
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        message,
        "configmaps \"x\" is forbidden: User \"system:serviceaccount:default:bridge\" cannot patch resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let everywhere: Api<ConfigMap> = Api::all(api.client_for("bridge-token"));
    let (_, _, message) = refusal(everywhere.list(&ListParams::default()).await);
    assert!(message.starts_with("configmaps is forbidden: ") && message.ends_with("at the cluster scope"), "{message}");
    // Allowed, but not there: authorisation comes first.
    assert_eq!(refusal(inference_services(api.client_for("bridge-token")).list(&ListParams::default()).await).0, 404);
    api.apply_yaml(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader}\nrules: []\n",
    );
    assert_eq!(refusal(inference_services(api.client_for("bridge-token")).list(&ListParams::default()).await).0, 403);
    let users: Vec<Option<String>> = api.requests().into_iter().map(|request| request.user).collect();
    assert!(users.iter().all(|user| user.as_deref() == Some("system:serviceaccount:default:bridge")));
}

#[tokio::test]
async fn access_reviews_answer_as_requests_do() {
    let api = KubeApi::builder()
        .token("bridge-token", "system:serviceaccount:default:bridge")
        .manifests(BRIDGE_ROLES)
        .start()
        .await;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(api.client_for("bridge-token"));
    let may = async |verb: &str, name: &str| {
        let attributes = ResourceAttributes {
            namespace: Some("default".to_owned()),
            verb: Some(verb.to_owned()),
            resource: Some("configmaps".to_owned()),
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
    };
    assert!(may("patch", "bac-import-model").await);
    assert!(!may("patch", "other").await);
    assert!(!may("delete", "bac-import-model").await);

    let tokens: Api<TokenReview> = Api::all(api.client());
    let review = |token: &str| TokenReview {
        spec: TokenReviewSpec { token: token.to_owned(), ..Default::default() },
        ..Default::default()
    };
    let known = tokens.create(&PostParams::default(), &review("bridge-token")).await.unwrap().status.unwrap();
    assert_eq!(known.user.unwrap().username.as_deref(), Some("system:serviceaccount:default:bridge"));
    let unknown = tokens.create(&PostParams::default(), &review("nonsense")).await.unwrap().status.unwrap();
    assert_ne!(unknown.authenticated, Some(true));
}

#[tokio::test]
async fn an_unknown_token_is_unauthorized() {
    let api = KubeApi::builder().token("short-lived", "somebody").start().await;
    let unauthorized = (401, "Unauthorized".to_owned(), "Unauthorized".to_owned());
    assert_eq!(refusal(config_maps(api.client_for("wrong")).get("a").await), unauthorized);
    assert_eq!(refusal(config_maps(api.client_for("short-lived")).get("a").await).0, 403);
    api.revoke_token("short-lived");
    assert_eq!(refusal(config_maps(api.client_for("short-lived")).get("a").await), unauthorized);
    let anonymous = http().get(api.url().join("api/v1/pods").unwrap());
    assert_eq!(code_of(anonymous).await, 401);
}

#[tokio::test]
async fn a_written_kubeconfig_works() {
    let api = KubeApi::builder().start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = api.write_kubeconfig(directory.path());
    let kubeconfig = Kubeconfig::read_from(&file).unwrap();
    let client = Client::try_from(
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap(),
    )
    .unwrap();
    assert_eq!(client.default_namespace(), "default");
    assert_eq!(config_maps(client).list(&ListParams::default()).await.unwrap().items.len(), 0);
}
