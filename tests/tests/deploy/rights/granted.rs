//! The rights that manifests grant, one by one, and how to leave one of them out.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use crate::manifests::{Manifests, items, text, texts};

/// One verb on one resource for one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    /// The service whose account it is.
    pub(crate) account: &'static str,
    pub(crate) verb: &'static str,
    /// With its API group, where it has one.
    pub(crate) resource: &'static str,
    /// A namespace, or `everywhere`; with `, by name` for nothing but the objects that a rule names.
    pub(crate) place: &'static str,
}

impl Right {
    /// The plural of the resource.
    pub(crate) fn plural(self) -> &'static str {
        self.resource.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, verb, resource, place } = self;
        write!(f, "{account}: {verb} {resource} in {place}")
    }
}

/// All rights that the manifests grant, as [`Right`] writes them.
pub(crate) fn rights(manifests: &Manifests) -> BTreeSet<String> {
    bindings(manifests).into_iter().flat_map(|binding| written(&binding)).collect()
}

/// A binding with one account, and a role of its own that has its rules.
struct Binding {
    account: String,
    namespace: String,
    place: String,
    rules: Vec<Value>,
}

fn bindings(manifests: &Manifests) -> Vec<Binding> {
    let bindings = manifests.of_kind("RoleBinding").chain(manifests.of_kind("ClusterRoleBinding"));
    bindings
        .flat_map(|binding| {
            let reference = &binding["roleRef"];
            let role = manifests.find(&text(&reference["kind"]), &text(&reference["name"])).expect("a role");
            let rules: Vec<Value> = items(&role["rules"]).flat_map(single).collect();
            items(&binding["subjects"]).map(move |subject| Binding {
                account: text(&subject["name"]),
                namespace: text(&subject["namespace"]),
                place: binding["metadata"]["namespace"].as_str().unwrap_or("everywhere").to_owned(),
                rules: rules.clone(),
            })
        })
        .collect()
}

/// A rule as rules of one group, resource and verb each.
fn single(rule: &Value) -> Vec<Value> {
    let keys: BTreeSet<&str> = rule.as_object().unwrap().keys().map(String::as_str).collect();
    let foreseen = BTreeSet::from(["apiGroups", "resources", "verbs", "resourceNames"]);
    assert!(keys.is_subset(&foreseen), "{rule}: other rules are not foreseen here");
    let mut all = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                assert!(![&group, &resource, &verb].contains(&&"*".to_owned()), "{rule} grants what nobody listed");
                let mut single = json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
                if keys.contains("resourceNames") {
                    // A request without a name is never allowed by such a rule.
                    assert!(!["list", "watch", "create"].contains(&verb.as_str()), "{rule} grants nothing");
                    single["resourceNames"] = rule["resourceNames"].clone();
                }
                all.push(single);
            }
        }
    }
    all
}

fn written(binding: &Binding) -> Vec<String> {
    let account = binding.account.trim_start_matches("model-catalog-");
    let written = |rule: &Value| {
        let by_name = if rule["resourceNames"].is_null() { "" } else { ", by name" };
        format!("{account}: {} in {}{by_name}", verb_and_resource(rule), binding.place)
    };
    binding.rules.iter().map(written).collect()
}

fn verb_and_resource(rule: &Value) -> String {
    let [group, resource, verb] = ["apiGroups", "resources", "verbs"].map(|field| text(&rule[field][0]));
    let dot = if group.is_empty() { "" } else { "." };
    format!("{verb} {resource}{dot}{group}")
}

/// The rights of the manifests but for one.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) right: Right,
    pub(crate) objects: Vec<Value>,
}

impl Missing {
    /// Roles and bindings that grant all but this one.
    pub(crate) fn new(right: Right, manifests: &Manifests) -> Self {
        let mut found = 0;
        let accounts = manifests.of_kind("ServiceAccount").cloned();
        let mut objects: Vec<Value> = accounts.collect();
        for (number, mut binding) in bindings(manifests).into_iter().enumerate() {
            let written = written(&binding);
            let mut kept = written.iter().map(|written| *written != right.to_string());
            let before = binding.rules.len();
            binding.rules.retain(|_| kept.next().unwrap_or(true));
            found += before - binding.rules.len();
            objects.extend(binding.objects(number));
        }
        assert_eq!(found, 1, "{right} is granted once");
        Self { right, objects }
    }
}

impl Binding {
    fn objects(&self, number: usize) -> [Value; 2] {
        let is_everywhere = self.place == "everywhere";
        let (role, binding) =
            if is_everywhere { ("ClusterRole", "ClusterRoleBinding") } else { ("Role", "RoleBinding") };
        let name = format!("right-{number}");
        let mut metadata = json!({"name": name});
        if !is_everywhere {
            metadata["namespace"] = json!(self.place);
        }
        let api = "rbac.authorization.k8s.io";
        [
            json!({"apiVersion": format!("{api}/v1"), "kind": role, "metadata": metadata, "rules": self.rules}),
            json!({
                "apiVersion": format!("{api}/v1"), "kind": binding, "metadata": metadata,
                "roleRef": {"apiGroup": api, "kind": role, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": self.account, "namespace": self.namespace}],
            }),
        ]
    }
}
