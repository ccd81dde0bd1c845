//! What `spec` must hold, by kind. Kinds that Backstage does not know by itself are left to the plugin that does.

use serde_json::Value;

use super::entities::Judge;
use super::rules::{FULL_REFERENCE, REFERENCE, Rule, TEXT, URL};

/// The versions in which Backstage knows its own kinds.
const VERSIONS: [&str; 2] = ["backstage.io/v1alpha1", "backstage.io/v1beta1"];
/// APIs that are described by their server, and have no definition.
const WITHOUT_DEFINITION: [&str; 2] = ["ai-model-server", "mcp-server"];

/// The fields of a kind.
struct Kind {
    name: &'static str,
    required: &'static [(&'static str, Rule)],
    optional: &'static [(&'static str, Rule)],
    lists: &'static [(&'static str, Rule)],
}

const KINDS: [Kind; 9] = [
    Kind {
        name: "component",
        required: &[("type", TEXT), ("lifecycle", TEXT), ("owner", REFERENCE)],
        optional: &[("system", REFERENCE), ("subcomponentOf", REFERENCE)],
        lists: &[
            ("providesApis", REFERENCE),
            ("consumesApis", REFERENCE),
            ("dependsOn", FULL_REFERENCE),
            ("dependencyOf", FULL_REFERENCE),
        ],
    },
    Kind {
        name: "api",
        required: &[("type", TEXT), ("lifecycle", TEXT), ("owner", REFERENCE)],
        optional: &[("system", REFERENCE), ("definition", TEXT)],
        lists: &[],
    },
    Kind {
        name: "resource",
        required: &[("type", TEXT), ("owner", REFERENCE)],
        optional: &[("system", REFERENCE)],
        lists: &[("dependsOn", FULL_REFERENCE), ("dependencyOf", FULL_REFERENCE)],
    },
    Kind { name: "system", required: &[("owner", REFERENCE)], optional: &[("domain", REFERENCE)], lists: &[] },
    Kind { name: "domain", required: &[("owner", REFERENCE)], optional: &[("subdomainOf", REFERENCE)], lists: &[] },
    Kind {
        name: "group",
        required: &[("type", TEXT)],
        optional: &[("parent", REFERENCE)],
        lists: &[("children", REFERENCE), ("members", REFERENCE)],
    },
    Kind { name: "user", required: &[], optional: &[], lists: &[("memberOf", REFERENCE)] },
    Kind {
        name: "location",
        required: &[],
        optional: &[("type", TEXT), ("target", TEXT)],
        lists: &[("targets", TEXT)],
    },
    Kind {
        name: "aimodelserverapi",
        required: &[
            ("type", TEXT),
            ("lifecycle", TEXT),
            ("owner", REFERENCE),
            ("serverType", TEXT),
            ("serverUrl", URL),
        ],
        optional: &[("system", REFERENCE), ("apiEntityRef", REFERENCE)],
        lists: &[],
    },
];

/// Judges `spec`, and the version of the kind.
pub(super) fn judge(judge: &mut Judge<'_>) {
    let text = |judge: &Judge<'_>, pointer: &str| judge.get(pointer).and_then(Value::as_str).map(str::to_owned);
    let Some(named) = text(judge, "/kind") else { return };
    let version = text(judge, "/apiVersion").unwrap_or_default();
    let Some(kind) = KINDS.iter().find(|kind| named.eq_ignore_ascii_case(kind.name)) else {
        // Templates have a version and a plugin of their own, and come with every Backstage.
        if !named.eq_ignore_ascii_case("template") {
            judge.warn("/kind", "Backstage does not know this kind by itself: it needs a plugin that does");
        }
        return;
    };
    if !version.is_empty() && !VERSIONS.contains(&version.as_str()) {
        judge.at("/apiVersion", &format!("Backstage knows the kind {named} as {} or {}", VERSIONS[0], VERSIONS[1]));
        return;
    }
    let is_empty = judge.get("/spec").is_none();
    if is_empty && (kind.required.is_empty() || named.eq_ignore_ascii_case("location")) {
        return;
    }
    match judge.get("/spec") {
        None => return judge.missing("/spec"),
        Some(spec) if !spec.is_object() => return judge.at("/spec", "this must be an object"),
        Some(_) => {}
    }
    for (field, rule) in kind.required {
        judge.required(&format!("/spec/{field}"), rule);
    }
    for (field, rule) in kind.optional {
        judge.optional(&format!("/spec/{field}"), rule);
    }
    for (field, rule) in kind.lists {
        judge.each(&format!("/spec/{field}"), rule);
    }
    let described = text(judge, "/spec/type").is_some_and(|name| WITHOUT_DEFINITION.contains(&name.as_str()));
    if kind.name == "api" && judge.get("/spec/definition").is_none() && !described {
        judge.missing("/spec/definition");
    }
}
