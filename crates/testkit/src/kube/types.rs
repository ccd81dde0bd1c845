//! The kinds the API knows: the built-in table, and custom kinds read from CustomResourceDefinition objects.

use serde_json::Value;

/// Whether objects live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Namespaced,
    Cluster,
}

/// Which rule an object's name follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// A DNS subdomain (RFC 1123), the usual rule.
    Subdomain,
    /// A DNS label (RFC 1123).
    Label,
    /// A DNS label that starts with a letter (RFC 1035).
    ServiceLabel,
    /// Anything that can be one segment of a path.
    PathSegment,
}

/// Where a kind comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    BuiltIn,
    Custom,
}

/// One served resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResourceType {
    pub(crate) group: String,
    pub(crate) versions: Vec<String>,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) origin: Origin,
    pub(crate) name_rule: NameRule,
    /// There is a `/status` subresource.
    pub(crate) has_status: bool,
    /// An update need not carry a resource version.
    pub(crate) unconditional_update: bool,
    /// A PUT on a missing object creates it.
    pub(crate) create_on_update: bool,
}

impl ResourceType {
    /// `plural.group`, or the plural alone in the core group.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub(crate) fn id(&self) -> TypeId {
        TypeId { group: self.group.clone(), plural: self.plural.clone() }
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(crate) fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub(crate) fn api_version(&self, version: &str) -> String {
        api_version(&self.group, version)
    }
}

/// What identifies a resource, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TypeId {
    pub(crate) group: String,
    pub(crate) plural: String,
}

/// `group/version`, or the version alone in the core group.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// A row of the built-in table: group, version, plural, kind, and what differs from the usual.
struct Row(&'static str, &'static str, &'static str, &'static str, &'static [Trait]);

#[derive(Clone, Copy, PartialEq)]
enum Trait {
    Cluster,
    Status,
    Conditional,
    CreateOnUpdate,
    Short(&'static str),
    Name(NameRule),
}

use Trait::{Cluster, Conditional, CreateOnUpdate, Name, Short, Status};

const RBAC: &str = "rbac.authorization.k8s.io";
const PATH_SEGMENT: Trait = Name(NameRule::PathSegment);

const BUILT_IN: &[Row] = &[
    Row("", "v1", "configmaps", "ConfigMap", &[Short("cm")]),
    Row("", "v1", "events", "Event", &[CreateOnUpdate, Short("ev")]),
    Row("", "v1", "namespaces", "Namespace", &[Cluster, Status, Short("ns"), Name(NameRule::Label)]),
    Row("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", &[Status, Short("pvc")]),
    Row("", "v1", "pods", "Pod", &[Status, Short("po")]),
    Row("", "v1", "secrets", "Secret", &[]),
    Row("", "v1", "serviceaccounts", "ServiceAccount", &[Conditional, Short("sa")]),
    Row("", "v1", "services", "Service", &[Status, CreateOnUpdate, Short("svc"), Name(NameRule::ServiceLabel)]),
    Row(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        &[Cluster, Status, Conditional, Short("crd")],
    ),
    Row("apps", "v1", "deployments", "Deployment", &[Status, Short("deploy")]),
    Row("batch", "v1", "jobs", "Job", &[Status]),
    Row("coordination.k8s.io", "v1", "leases", "Lease", &[Conditional, CreateOnUpdate]),
    Row("networking.k8s.io", "v1", "ingresses", "Ingress", &[Status, Short("ing")]),
    Row("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", &[Short("netpol")]),
    Row("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", &[Status, Short("pdb")]),
    Row(RBAC, "v1", "roles", "Role", &[CreateOnUpdate, PATH_SEGMENT]),
    Row(RBAC, "v1", "rolebindings", "RoleBinding", &[CreateOnUpdate, PATH_SEGMENT]),
    Row(RBAC, "v1", "clusterroles", "ClusterRole", &[Cluster, CreateOnUpdate, PATH_SEGMENT]),
    Row(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", &[Cluster, CreateOnUpdate, PATH_SEGMENT]),
];

/// The kinds that are always served and stored.
pub(crate) fn built_in() -> Vec<ResourceType> {
    BUILT_IN.iter().map(from_row).collect()
}

fn from_row(Row(group, version, plural, kind, traits): &Row) -> ResourceType {
    let has = |wanted: Trait| traits.contains(&wanted);
    ResourceType {
        group: (*group).to_owned(),
        versions: vec![(*version).to_owned()],
        plural: (*plural).to_owned(),
        singular: kind.to_lowercase(),
        kind: (*kind).to_owned(),
        short_names: traits.iter().filter_map(short_name).collect(),
        scope: if has(Cluster) { Scope::Cluster } else { Scope::Namespaced },
        origin: Origin::BuiltIn,
        name_rule: traits.iter().find_map(name_rule).unwrap_or(NameRule::Subdomain),
        has_status: has(Status),
        unconditional_update: !has(Conditional),
        create_on_update: has(CreateOnUpdate),
    }
}

fn short_name(row_trait: &Trait) -> Option<String> {
    match row_trait {
        Short(name) => Some((*name).to_owned()),
        _ => None,
    }
}

fn name_rule(row_trait: &Trait) -> Option<NameRule> {
    match row_trait {
        Name(rule) => Some(*rule),
        _ => None,
    }
}

/// The kind that a CustomResourceDefinition object defines, with its served versions (the stored one first).
pub(crate) fn from_definition(definition: &Value) -> Option<ResourceType> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut versions: Vec<&Value> =
        spec["versions"].as_array()?.iter().filter(|version| version["served"] == true).collect();
    versions.sort_by_key(|version| version["storage"] != true);
    let kind = text(&names["kind"])?;
    Some(ResourceType {
        group: text(&spec["group"])?,
        plural: text(&names["plural"])?,
        singular: text(&names["singular"]).unwrap_or_else(|| kind.to_lowercase()),
        short_names: strings(&names["shortNames"]),
        scope: if spec["scope"] == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
        origin: Origin::Custom,
        name_rule: NameRule::Subdomain,
        has_status: versions.iter().any(|version| version["subresources"]["status"].is_object()),
        unconditional_update: false,
        create_on_update: false,
        versions: versions.iter().filter_map(|version| text(&version["name"])).collect(),
        kind,
    })
}

/// The strings of a JSON array; nothing for anything else.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
