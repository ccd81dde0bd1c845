//! Least privilege: with the rights of the manifests, and no others, every flow works; without any one of them the flow
//! that it is for does not.

mod flows;
pub(crate) mod granted;
pub(crate) mod world;

use std::collections::BTreeSet;

use storage_rest::store::config_map::CONFIG_MAP_NAME;

use crate::manifests::{APPLIED, EVERYTHING, items, render, root, texts};
use flows::Flow;
use granted::{Missing, Right};
use world::World;

/// The rights of the manifests, each with the flow that breaks without it, and a test of that.
macro_rules! rights {
    ($($test:ident: $account:literal $verb:literal $resource:literal in $place:literal => $flow:ident;)*) => {
        const RIGHTS: &[(Right, Flow)] = &[$((
            Right { account: $account, verb: $verb, resource: $resource, place: $place },
            Flow::$flow,
        )),*];

        mod without {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let right = Right { account: $account, verb: $verb, resource: $resource, place: $place };
                breaks(right, Flow::$flow).await;
            })*
        }
    };
}

rights! {
    list_services: "normalizer" "list" "services" in "everywhere" => FirstSync;
    watch_services: "normalizer" "watch" "services" in "everywhere" => InternalAddresses;
    list_service_accounts: "normalizer" "list" "serviceaccounts" in "everywhere" => Authentication;
    watch_service_accounts: "normalizer" "watch" "serviceaccounts" in "everywhere" => Authentication;
    list_inference_services: "normalizer" "list" "inferenceservices.serving.kserve.io" in "everywhere" => InferenceServices;
    watch_inference_services: "normalizer" "watch" "inferenceservices.serving.kserve.io" in "everywhere" => InferenceServices;
    list_llm_inference_services: "normalizer" "list" "llminferenceservices.serving.kserve.io" in "everywhere" => LlmInferenceServices;
    watch_llm_inference_services: "normalizer" "watch" "llminferenceservices.serving.kserve.io" in "everywhere" => LlmInferenceServices;
    list_namespaces: "normalizer" "list" "namespaces" in "everywhere" => NamespaceOwners;
    watch_namespaces: "normalizer" "watch" "namespaces" in "everywhere" => NamespaceOwners;
    list_routes: "normalizer" "list" "routes.route.openshift.io" in "everywhere" => RegistriesByRoutes;
    get_registry_services: "normalizer" "get" "services" in "rhoai-model-registries" => RegistryBehindProxy;
    get_registry_routes: "normalizer" "get" "routes.route.openshift.io" in "rhoai-model-registries" => NamedRoute;
    get_config_maps: "storage-rest" "get" "configmaps" in "model-catalog-bridge, by name" => Storage;
    list_config_maps: "storage-rest" "list" "configmaps" in "model-catalog-bridge" => Storage;
    create_config_maps: "storage-rest" "create" "configmaps" in "model-catalog-bridge" => Storage;
    patch_config_maps: "storage-rest" "patch" "configmaps" in "model-catalog-bridge, by name" => Storage;
    list_backstage_routes: "storage-rest" "list" "routes.route.openshift.io" in "model-catalog-bridge" => BackstageByRoute;
    review_tokens_at_storage: "storage-rest" "create" "tokenreviews.authentication.k8s.io" in "everywhere" => WritingToStorage;
    review_tokens_at_location: "location" "create" "tokenreviews.authentication.k8s.io" in "everywhere" => WritingToLocation;
}

/// With all rights a flow works.
async fn works(flow: Flow) {
    let Some(manifests) = render(EVERYTHING) else { return };
    let world = World::new(&manifests, None).await;
    if let Err(why) = flow.run(&world).await {
        panic!("{flow:?} does not work with the rights of the manifests: {why}");
    }
}

/// Without this right, and with all others, a flow does not work, and the cluster has said why.
async fn breaks(right: Right, flow: Flow) {
    let Some(manifests) = render(EVERYTHING) else { return };
    let world = World::new(&manifests, Some(Missing::new(right, &manifests))).await;
    let outcome = flow.run(&world).await;
    let why = outcome.expect_err("the flow works without that right, so it need not be granted");
    eprintln!("{flow:?} without {right}: {why}");
    assert!(world.refusals(right) > 0, "{right} was not refused, so something else is missing: {why}");
}

macro_rules! flows {
    ($($test:ident: $flow:ident;)*) => {
        mod with_all_rights {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                works(Flow::$flow).await;
            })*
        }
    };
}

flows! {
    the_first_sync_of_registries_found_by_services: FirstSync;
    registries_found_by_routes: RegistriesByRoutes;
    a_registry_named_by_its_route: NamedRoute;
    a_registry_behind_kube_rbac_proxy: RegistryBehindProxy;
    inference_services_are_watched: InferenceServices;
    llm_inference_services_are_watched: LlmInferenceServices;
    internal_addresses_of_models: InternalAddresses;
    whether_a_model_asks_for_authentication: Authentication;
    owners_of_namespaces: NamespaceOwners;
    entries_are_stored_in_several_config_maps: Storage;
    the_normalizer_writes_to_storage: WritingToStorage;
    storage_writes_to_location: WritingToLocation;
    backstage_is_found_by_its_route: BackstageByRoute;
}

/// Without Routes in the cluster nothing is missed for lack of a right on them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_kubernetes_needs_no_right_on_routes() {
    let Some(manifests) = render("deploy/standalone/overlays/kubernetes") else { return };
    let world = World::new(&manifests, None).await;
    flows::a_registry_goes(&world).await.unwrap();
}

#[test]
fn nothing_is_granted_that_has_no_such_test() {
    let Some(manifests) = render(EVERYTHING) else { return };
    let granted: BTreeSet<String> = granted::rights(&manifests);
    let tested: BTreeSet<String> = RIGHTS.iter().map(|(right, _)| right.to_string()).collect();
    assert_eq!(granted, tested);
}

/// What the test above does not render grants nothing else.
#[test]
fn no_kustomization_grants_more() {
    let tested: BTreeSet<String> = RIGHTS.iter().map(|(right, _)| right.to_string()).collect();
    for directory in APPLIED {
        let Some(manifests) = render(directory) else { return };
        // A sidecar's namespace is RHDH's.
        let own = format!("in {}", manifests.namespace());
        let granted = granted::rights(&manifests).into_iter();
        let granted: Vec<String> = granted.map(|right| right.replace(&own, "in model-catalog-bridge")).collect();
        let more: Vec<&String> = granted.iter().filter(|right| !tested.contains(*right)).collect();
        assert!(more.is_empty(), "{directory}: {more:?}");
    }
}

/// The rows of the table in docs/security.md, right by right.
#[test]
fn the_documentation_lists_exactly_these_rights() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let table = text.split("<!-- rights: ").nth(1).expect("the mark before the table").split("\n\n").next().unwrap();
    let mut documented = BTreeSet::new();
    for row in table.lines().skip(3) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, account, verbs, resources, place, _, _] = cells[..] else { panic!("{row}") };
        let place = match place {
            "the registries' namespace" => "rhoai-model-registries",
            "its namespace" => "model-catalog-bridge",
            "its namespace, by name" => "model-catalog-bridge, by name",
            other => other,
        };
        for verb in quoted(verbs) {
            for resource in quoted(resources) {
                let is_new = documented.insert(format!("{account}: {verb} {resource} in {place}"));
                assert!(is_new, "{row} repeats a right");
            }
        }
    }
    let tested: BTreeSet<String> = RIGHTS.iter().map(|(right, _)| right.to_string()).collect();
    assert_eq!(documented, tested);
}

/// ConfigMaps that are named are those of the store, one after the other.
#[test]
fn the_config_maps_that_may_be_changed_are_those_of_the_store() {
    let Some(manifests) = render(EVERYTHING) else { return };
    let role = manifests.find("Role", "model-catalog-storage-rest").unwrap();
    let named = items(&role["rules"]).find(|rule| rule["resourceNames"].is_array()).expect("a rule with names");
    let further = (1..32).map(|number| format!("{CONFIG_MAP_NAME}-{number}"));
    let expected: Vec<String> = std::iter::once(CONFIG_MAP_NAME.to_owned()).chain(further).collect();
    assert_eq!(texts(&named["resourceNames"]), expected);
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}
