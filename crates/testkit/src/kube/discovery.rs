//! Discovery: which groups, versions and resources are served, in the plain and the aggregated form.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::failure::Failure;
use super::reviews::REVIEWS;
use super::store::State;
use super::types::{ResourceType, api_version};

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const STATUS_VERBS: &[&str] = &["get", "patch", "update"];

/// Answers a path that is no resource.
pub(crate) fn answer(state: &State, path: &str, accept: &str) -> Result<Value, Failure> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let aggregated = wants_aggregated(path, accept);
    match segments.as_slice() {
        ["version"] => Ok(json!({
            "major": "1", "minor": "34", "gitVersion": "v1.34.2", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2025-11-01T00:00:00Z", "goVersion": "go1.24.9", "compiler": "gc", "platform": "linux/amd64",
        })),
        ["api"] if aggregated => Ok(aggregate(state, true)),
        ["apis"] if aggregated => Ok(aggregate(state, false)),
        ["api"] => Ok(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => {
            let groups: Vec<Value> = groups(state)
                .into_iter()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, versions)| group(&name, &versions))
                .collect();
            Ok(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => groups(state)
            .get(*name)
            .map(|versions| {
                let mut group = group(name, versions);
                group["kind"] = json!("APIGroup");
                group["apiVersion"] = json!("v1");
                group
            })
            .ok_or(Failure::PageNotFound),
        ["api", "v1"] => resources(state, "", "v1"),
        ["apis", group, version] => resources(state, group, version),
        _ => Err(Failure::PageNotFound),
    }
}

/// Whether this is a discovery that the caller wants in one answer, whose content type then says so.
pub(crate) fn wants_aggregated(path: &str, accept: &str) -> bool {
    matches!(path.trim_end_matches('/'), "/api" | "/apis")
        && accept.split(',').any(|media| {
            let mut parts = media.split(';').map(str::trim);
            media.contains("as=APIGroupDiscoveryList") && parts.any(|part| part == "v=v2")
        })
}

/// Every served group with its versions, the preferred one first.
fn groups(state: &State) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let served = state
        .types
        .iter()
        .flat_map(|known| known.versions.iter().map(|version| (known.group.as_str(), version.as_str())));
    for (group, version) in served.chain(REVIEWS.iter().map(|(group, _, _)| (*group, "v1"))) {
        let versions = groups.entry(group.to_owned()).or_default();
        if !versions.iter().any(|known| known == version) {
            versions.push(version.to_owned());
        }
    }
    for versions in groups.values_mut() {
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
    }
    groups
}

/// Stable before beta before alpha, then the higher number, as Kubernetes ranks versions.
fn priority(version: &str) -> (u32, u32, u32) {
    let rest = version.strip_prefix('v').unwrap_or_default();
    let (major, stage) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let number = |text: &str| text.parse().unwrap_or_default();
    let (rank, minor) = match (stage.strip_prefix("beta"), stage.strip_prefix("alpha")) {
        (Some(minor), _) => (2, number(minor)),
        (_, Some(minor)) => (1, number(minor)),
        _ => (3, 0),
    };
    (rank, number(major), minor)
}

fn group(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn served<'a>(state: &'a State, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a ResourceType> {
    state.types.iter().filter(move |known| known.group == group && known.versions.iter().any(|v| v == version))
}

fn resources(state: &State, group: &str, version: &str) -> Result<Value, Failure> {
    let mut list = Vec::new();
    for known in served(state, group, version) {
        let namespaced = known.is_namespaced();
        list.push(json!({
            "name": known.plural, "singularName": known.singular, "namespaced": namespaced, "kind": known.kind,
            "verbs": VERBS, "shortNames": known.short_names,
        }));
        if known.has_status {
            list.push(json!({
                "name": format!("{}/status", known.plural), "singularName": "", "namespaced": namespaced,
                "kind": known.kind, "verbs": STATUS_VERBS,
            }));
        }
    }
    for (_, plural, kind) in reviews(group, version) {
        list.push(json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"]}));
    }
    if list.is_empty() {
        return Err(Failure::PageNotFound);
    }
    Ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": list}),
    )
}

fn reviews(group: &str, version: &str) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    REVIEWS.iter().filter(move |(of, _, _)| *of == group && version == "v1")
}

fn aggregate(state: &State, core: bool) -> Value {
    let items: Vec<Value> = groups(state)
        .into_iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| json!({"version": version, "freshness": "Current", "resources": aggregated_resources(state, &name, version)}))
                .collect();
            json!({"metadata": {"name": name}, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resources(state: &State, group: &str, version: &str) -> Vec<Value> {
    let scope = |namespaced: bool| if namespaced { "Namespaced" } else { "Cluster" };
    let kind_of = |kind: &str| json!({"group": group, "version": version, "kind": kind});
    let stored = served(state, group, version).map(|known| {
        let mut resource = json!({
            "resource": known.plural, "singularResource": known.singular, "responseKind": kind_of(&known.kind),
            "scope": scope(known.is_namespaced()), "verbs": VERBS, "shortNames": known.short_names,
        });
        if known.has_status {
            resource["subresources"] =
                json!([{"subresource": "status", "responseKind": kind_of(&known.kind), "verbs": STATUS_VERBS}]);
        }
        resource
    });
    let answered = reviews(group, version).map(|(_, plural, kind)| {
        json!({"resource": plural, "singularResource": kind.to_lowercase(), "responseKind": kind_of(kind), "scope": "Cluster", "verbs": ["create"]})
    });
    stored.chain(answered).collect()
}
