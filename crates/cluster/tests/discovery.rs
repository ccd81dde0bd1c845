//! Discovery of registries and catalogs against a Kubernetes API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may fail like tests")]

use cluster::{
    Cluster, Discovery, DiscoveryError, Endpoint, EndpointKind, FoundBy, discover_registries,
    discovery::{Reach, Subject},
    find_backstage_route, resolve_routes,
    routes::get_route,
};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::kube::{
    Fault, KubeApi,
    samples::{registry_route, registry_service, route},
};

const NAMESPACE: &str = "rhoai-model-registries";
const USER: &str = "system:serviceaccount:bridge:bridge";

async fn openshift() -> KubeApi {
    KubeApi::builder().with_routes().start().await
}

fn outside(api: &KubeApi) -> Cluster {
    Cluster::new(api.client(), "bridge")
}

async fn discover(cluster: &Cluster) -> Discovery {
    discover_registries(cluster).await.unwrap()
}

fn shown(endpoints: &[Endpoint]) -> Vec<(String, FoundBy)> {
    endpoints
        .iter()
        .map(|found| (format!("{}/{} {}", found.namespace, found.name, found.url), found.found_by))
        .collect()
}

fn hostless(mut route: Value) -> Value {
    route["status"] = json!({"ingress": []});
    route
}

fn subject(name: &str, kind: EndpointKind) -> Subject {
    Subject::Endpoint { namespace: NAMESPACE.to_owned(), name: name.to_owned(), kind }
}

#[tokio::test]
async fn services_are_found_by_their_labels() {
    let api = openshift().await;
    api.apply(registry_service(NAMESPACE, "b", "model-registry", "https-api", Some("b.example.com:443")));
    api.apply(registry_service("elsewhere", "a", "model-registry", "https-api", Some("gateway.example.com/a")));
    api.apply(registry_service(NAMESPACE, "model-catalog", "model-catalog", "https-api", Some("c.example.com:8443")));
    api.apply(registry_service(NAMESPACE, "unrelated", "database", "https-api", Some("d.example.com:443")));
    let found = discover(&outside(&api)).await;
    assert_eq!(
        shown(&found.registries),
        [
            ("elsewhere/a https://gateway.example.com/a".to_owned(), FoundBy::Service),
            (format!("{NAMESPACE}/b https://b.example.com/"), FoundBy::Service),
        ]
    );
    assert_eq!(shown(&found.catalogs)[0].0, format!("{NAMESPACE}/model-catalog https://c.example.com:8443/"));
    assert!(found.is_complete());
    assert_eq!(api.count(|request| request.is_on("routes")), 0, "Routes are not needed");
}

#[tokio::test]
async fn inside_the_cluster_the_service_itself_is_the_address() {
    let api = openshift().await;
    api.apply(registry_service(NAMESPACE, "plain", "model-registry", "http-api", None));
    api.apply(registry_service(NAMESPACE, "safe", "model-registry", "https-api", None));
    let found = discover(&outside(&api).inside()).await;
    assert_eq!(found.registries[0].url.as_str(), format!("http://plain.{NAMESPACE}.svc.cluster.local:8080/"));
    assert_eq!(found.registries[1].url.as_str(), format!("https://safe.{NAMESPACE}.svc.cluster.local:8443/"));
}

#[tokio::test]
async fn a_service_that_cannot_be_used_is_a_problem_and_not_absent() {
    let api = KubeApi::builder().start().await;
    api.apply(registry_service(NAMESPACE, "hidden", "model-registry", "https-api", None));
    api.apply(registry_service(NAMESPACE, "model-catalog", "model-catalog", "grpc", None));
    let found = discover(&outside(&api)).await;
    assert!(found.registries.is_empty() && found.catalogs.is_empty() && !found.is_complete());
    let hidden = found.problems.iter().find(|p| p.subject == subject("hidden", EndpointKind::Registry)).unwrap();
    assert!(hidden.message.contains("MR_URL"), "{hidden}");
    let inside = discover(&outside(&api).inside()).await;
    let catalog =
        inside.problems.iter().find(|p| p.subject == subject("model-catalog", EndpointKind::Catalog)).unwrap();
    assert!(catalog.message.contains("https-api"), "{catalog}");

    let earlier = inside.registries[0].clone();
    assert!(!found.proves_absent(&earlier));
    api.delete("Service", NAMESPACE, "hidden");
    assert!(discover(&outside(&api)).await.proves_absent(&earlier));
}

#[tokio::test]
async fn routes_serve_where_no_service_does() {
    let api = openshift().await;
    api.apply(registry_route("istio-system", "registry-rest", "rest.example.com"));
    api.apply(registry_route("istio-system", "registry-grpc", "grpc.example.com"));
    api.apply(registry_route(NAMESPACE, "model-catalog-https", "catalog.example.com"));
    api.apply(route(NAMESPACE, "unlabelled", "other.example.com"));
    let mut plain = registry_route("istio-system", "registry-plain", "rest.example.com");
    plain["spec"]["tls"] = Value::Null;
    api.apply(plain);
    let found = discover(&outside(&api)).await;
    let expected = [("istio-system/registry-rest https://rest.example.com/".to_owned(), FoundBy::Route)];
    assert_eq!(shown(&found.registries), expected);
    assert_eq!(found.catalogs[0].url.as_str(), "https://catalog.example.com/");
    assert_eq!(found.routes_read, Reach::AllNamespaces);
}

#[tokio::test]
async fn a_route_gives_its_address_to_the_service_behind_it() {
    let api = openshift().await;
    api.apply(registry_service(NAMESPACE, "registry", "model-registry", "https-api", None));
    api.apply(registry_route(NAMESPACE, "registry", "registry.example.com"));
    let found = discover(&outside(&api)).await;
    assert_eq!(
        shown(&found.registries),
        [(format!("{NAMESPACE}/registry https://registry.example.com/"), FoundBy::Route)]
    );
    assert!(found.is_complete(), "{:?}", found.problems);
}

#[tokio::test]
async fn a_route_without_an_ingress_host_is_a_problem_and_not_absent() {
    let api = openshift().await;
    api.apply(registry_route(NAMESPACE, "registry", "registry.example.com"));
    let earlier = discover(&outside(&api)).await.registries[0].clone();
    api.apply(hostless(registry_route(NAMESPACE, "registry", "registry.example.com")));
    let found = discover(&outside(&api)).await;
    assert!(found.registries.is_empty());
    assert_eq!(found.problems[0].subject, subject("registry", EndpointKind::Registry));
    assert!(found.problems[0].message.contains("ingress"), "{}", found.problems[0]);
    assert!(!found.proves_absent(&earlier));
    api.delete("Route", NAMESPACE, "registry");
    assert!(discover(&outside(&api)).await.proves_absent(&earlier));
}

#[tokio::test]
async fn a_cluster_without_registries_is_normal() {
    let api = KubeApi::builder().start().await;
    let found = discover(&outside(&api)).await;
    assert!(found.registries.is_empty() && found.is_complete());
}

#[rstest]
#[case::services("services", Fault::Status(500))]
#[case::services_garbage("services", Fault::Garbage)]
#[case::services_reset("services", Fault::Reset)]
#[case::services_unauthorized("services", Fault::Status(401))]
#[case::routes("routes", Fault::Status(500))]
#[case::routes_not_found_though_installed("routes", Fault::Status(404))]
#[tokio::test]
async fn a_failed_list_is_an_error_and_not_an_empty_answer(#[case] resource: &'static str, #[case] fault: Fault) {
    let api = openshift().await;
    let _guard = api.fail_while(move |request| request.is_on(resource), fault);
    let error = discover_registries(&outside(&api)).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Request(_)));
    assert!(error.to_string().contains(resource), "{error}");
}

#[tokio::test]
async fn failing_routes_do_not_hide_registries_found_by_service() {
    let api = openshift().await;
    api.apply(registry_service(NAMESPACE, "a", "model-registry", "https-api", Some("a.example.com:443")));
    api.apply(registry_route(NAMESPACE, "model-catalog", "catalog.example.com"));
    let earlier = discover(&outside(&api)).await.catalogs[0].clone();
    let _guard = api.fail_while(|request| request.is_on("routes"), Fault::Status(500));
    let found = discover(&outside(&api)).await;
    assert_eq!(found.registries.len(), 1);
    assert!(!found.is_complete() && !found.proves_absent(&earlier));
}

fn grant(namespace: &str) -> String {
    format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: bridge, namespace: {namespace}}}
rules: [{{apiGroups: ['', route.openshift.io], resources: [services, routes], verbs: [get, list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: bridge, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: bridge}}
subjects: [{{kind: ServiceAccount, name: bridge, namespace: bridge}}]
"
    )
}

#[tokio::test]
async fn without_cluster_wide_access_the_usual_namespaces_are_read() {
    let api = KubeApi::builder().with_routes().token("limited", USER).start().await;
    api.apply_yaml(&grant(NAMESPACE));
    api.apply_yaml(&grant("bridge"));
    api.apply(registry_service(NAMESPACE, "a", "model-registry", "https-api", Some("a.example.com:443")));
    api.apply(registry_service("bridge", "b", "model-registry", "https-api", Some("b.example.com:443")));
    api.apply(registry_service("far", "c", "model-registry", "https-api", Some("c.example.com:443")));
    let everything = discover(&outside(&api)).await;
    let found = discover(&Cluster::new(api.client_for("limited"), "bridge")).await;
    let names = found.registries.iter().map(|found| found.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["b", "a"], "by namespace");
    assert_eq!(found.services_read, Reach::Namespaces(vec![NAMESPACE.to_owned(), "bridge".to_owned()]));
    let far = everything.registries.iter().find(|found| found.name == "c").unwrap();
    assert!(!found.proves_absent(far), "its namespace was not read");
    let unread = found
        .problems
        .iter()
        .any(|problem| matches!(&problem.subject, Subject::Unread(what) if what.contains("odh-model-registries")));
    assert!(unread, "{:?}", found.problems);
}

/// Access is decided before existence: without Routes in the cluster a right on them is neither needed nor missed.
#[tokio::test]
async fn a_right_on_routes_is_missed_only_where_there_are_routes() {
    let rights = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bridge}
rules: [{apiGroups: [''], resources: [services], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bridge}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bridge}
subjects: [{kind: ServiceAccount, name: bridge, namespace: bridge}]
";
    let api = KubeApi::builder().token("limited", USER).manifests(rights).start().await;
    api.apply(registry_service("kubeflow", "a", "model-registry", "http-api", Some("a.example.com:8080")));
    let limited = Cluster::new(api.client_for("limited"), "bridge");
    let found = discover(&limited).await;
    assert_eq!(found.registries.len(), 1);
    assert!(found.is_complete(), "{:?}", found.problems);
    assert_eq!(find_backstage_route(&limited.client, "bridge").await.unwrap(), None);
    api.install_crd(&testkit::kube::Definition::routes());
    assert!(!discover(&limited).await.is_complete());
}

#[tokio::test]
async fn being_refused_everywhere_is_an_error_that_names_the_permission() {
    let api = KubeApi::builder().with_routes().token("limited", USER).start().await;
    let error = discover_registries(&Cluster::new(api.client_for("limited"), "bridge")).await.unwrap_err().to_string();
    assert!(error.contains("list services") && error.contains("403") && error.contains("MR_URL"), "{error}");
}

#[tokio::test]
async fn configured_routes_are_resolved_by_name_and_namespace() {
    let api = openshift().await;
    api.apply(route("odh-model-registries", "registry", "odh.example.com"));
    api.apply(route("mine", "registry", "mine.example.com"));
    let mut plain = route("bridge", "plain", "plain.example.com");
    plain["spec"]["tls"] = Value::Null;
    api.apply(plain);
    let entries = ["registry", "mine:registry", " plain ", ""].map(str::to_owned);
    let found = resolve_routes(&outside(&api), &entries).await.unwrap();
    let urls = found.registries.iter().map(|found| found.url.as_str()).collect::<Vec<_>>();
    assert_eq!(urls, ["http://plain.example.com/", "https://mine.example.com/", "https://odh.example.com/"]);
    assert!(found.is_complete());
}

#[tokio::test]
async fn a_configured_route_that_cannot_be_resolved_is_a_problem_of_its_entry() {
    let api = openshift().await;
    api.apply(hostless(route(NAMESPACE, "pending", "x.example.com")));
    api.apply(route(NAMESPACE, "fine", "fine.example.com"));
    let _guard = api.fail_while(|request| request.path.ends_with("/broken"), Fault::Status(500));
    let entries = ["pending", "missing", "far:missing", "broken", "fine"].map(str::to_owned);
    let found = resolve_routes(&outside(&api), &entries).await.unwrap();
    assert_eq!(found.registries.len(), 1);
    let told = found.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(found.problems.len(), 4, "{told}");
    for part in ["ingress host", "no Route missing in far", "istio-system", "broken: get Route", "500"] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
}

#[rstest]
#[case("a:b:c")]
#[case(":b")]
#[case("a:")]
#[case("a/b")]
#[tokio::test]
async fn a_malformed_entry_is_an_error_that_names_it(#[case] entry: &str) {
    let api = openshift().await;
    let error = resolve_routes(&outside(&api), &[entry.to_owned()]).await.unwrap_err().to_string();
    assert!(error.contains("MR_ROUTE") && error.contains(entry), "{error}");
}

#[tokio::test]
async fn the_route_of_backstage_is_found_by_its_label() {
    let api = openshift().await;
    let labelled = |name: &str, label: &str| {
        let mut object = route("rhdh", name, &format!("{name}.example.com"));
        object["metadata"]["labels"] = json!({"app.kubernetes.io/name": label});
        object
    };
    api.apply(labelled("other", "database"));
    api.apply(hostless(labelled("a-pending", "backstage")));
    api.apply(labelled("developer-hub", "my-backstage-app"));
    let found = find_backstage_route(&api.client(), "rhdh").await.unwrap().unwrap();
    assert_eq!(found.url().unwrap().as_str(), "https://developer-hub.example.com/");
    assert!(find_backstage_route(&api.client(), "elsewhere").await.unwrap().is_none());
}

#[tokio::test]
async fn no_route_api_means_no_routes() {
    let api = KubeApi::builder().start().await;
    assert!(find_backstage_route(&api.client(), "rhdh").await.unwrap().is_none());
    assert!(get_route(&api.client(), "rhdh", "a").await.unwrap().is_none());
    let found = resolve_routes(&outside(&api), &["a".to_owned()]).await.unwrap();
    assert_eq!(found.problems.len(), 1);
}
