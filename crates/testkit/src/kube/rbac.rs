//! Who is calling, and whether the stored Roles and bindings allow it.

use serde_json::Value;

use super::failure::Failure;
use super::object::name;
use super::request::Target;
use super::store::State;
use super::types::{TypeId, strings};

const GROUP: &str = "rbac.authorization.k8s.io";
const SUPERUSERS: &str = "system:masters";
/// Readable by everybody who is authenticated, as `system:discovery` and `system:public-info-viewer` grant it.
const OPEN_PATHS: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user name, such as `system:serviceaccount:bridge:default`.
    pub name: String,
    /// The groups, `system:authenticated` included.
    pub groups: Vec<String>,
    /// For whom the token is meant, when that is not the API server.
    pub audience: Option<String>,
}

impl User {
    /// A user with the groups that the server adds by itself for such a name.
    pub fn named(name: &str) -> Self {
        let mut groups = vec!["system:authenticated".to_owned()];
        if let Some(account) = name.strip_prefix("system:serviceaccount:") {
            groups.push("system:serviceaccounts".to_owned());
            if let Some((namespace, _)) = account.split_once(':') {
                groups.push(format!("system:serviceaccounts:{namespace}"));
            }
        }
        Self { name: name.to_owned(), groups, audience: None }
    }

    /// The administrator, who may do everything.
    pub fn admin() -> Self {
        Self {
            name: "kubernetes-admin".to_owned(),
            groups: vec![SUPERUSERS.to_owned(), "system:authenticated".to_owned()],
            audience: None,
        }
    }

    fn is_superuser(&self) -> bool {
        self.groups.iter().any(|group| group == SUPERUSERS)
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Attributes {
    pub(crate) fn of(target: &Target) -> Self {
        Self {
            verb: target.verb.to_owned(),
            group: target.group.clone(),
            resource: target.resource.clone(),
            subresource: target.subresource.clone(),
            namespace: target.namespace.clone(),
            name: target.authorised_name.clone(),
        }
    }

    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The refusal in the words of a real server.
    pub(crate) fn forbidden(&self, user: &User) -> Failure {
        let qualified =
            if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) };
        let object = if self.name.is_empty() { qualified } else { format!("{qualified} {:?}", self.name) };
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        let message = format!(
            "{object} is forbidden: User {:?} cannot {} resource {:?} in API group {:?} {place}",
            user.name,
            self.verb,
            self.full_resource(),
            self.group
        );
        let mut details = serde_json::json!({"kind": self.resource});
        for (field, value) in [("name", &self.name), ("group", &self.group)] {
            if !value.is_empty() {
                details[field] = serde_json::json!(value);
            }
        }
        Failure::detailed(403, "Forbidden", message, Some(details))
    }
}

impl State {
    /// Whether the user may do this to a resource.
    pub(crate) fn allows(&self, user: &User, wanted: &Attributes) -> bool {
        if user.is_superuser() {
            return true;
        }
        // Granted to everybody by `system:basic-user`.
        if wanted.verb == "create"
            && wanted.group == "authorization.k8s.io"
            && wanted.resource == "selfsubjectaccessreviews"
        {
            return true;
        }
        self.rules_for(user, &wanted.namespace).iter().any(|rule| rule_allows(rule, wanted))
    }

    /// Whether the user may call a path that is no resource.
    pub(crate) fn allows_path(&self, user: &User, verb: &str, path: &str) -> bool {
        user.is_superuser()
            || (verb == "get" && OPEN_PATHS.iter().any(|open| path_matches(open, path)))
            || self.rules_for(user, "").iter().any(|rule| {
                covers(&rule["verbs"], verb)
                    && strings(&rule["nonResourceURLs"]).iter().any(|pattern| path_matches(pattern, path))
            })
    }

    /// Every rule that binds the user, cluster-wide and in one namespace.
    fn rules_for(&self, user: &User, namespace: &str) -> Vec<&Value> {
        let mut rules = Vec::new();
        for binding in self.rbac("clusterrolebindings") {
            if binds(binding, user, "") {
                rules.extend(self.role_rules(binding, ""));
            }
        }
        if !namespace.is_empty() {
            let bindings = self.rbac("rolebindings").filter(|binding| binding["metadata"]["namespace"] == *namespace);
            for binding in bindings {
                if binds(binding, user, namespace) {
                    rules.extend(self.role_rules(binding, namespace));
                }
            }
        }
        rules
    }

    fn rbac(&self, plural: &str) -> impl Iterator<Item = &Value> {
        let type_id = TypeId { group: GROUP.to_owned(), plural: plural.to_owned() };
        self.all(&type_id).map(AsRef::as_ref)
    }

    fn role_rules(&self, binding: &Value, namespace: &str) -> Vec<&Value> {
        let reference = &binding["roleRef"];
        let plural = if reference["kind"] == "Role" { "roles" } else { "clusterroles" };
        self.rbac(plural)
            .filter(|role| reference["name"] == name(role))
            .filter(|role| plural == "clusterroles" || role["metadata"]["namespace"] == *namespace)
            .flat_map(|role| role["rules"].as_array().into_iter().flatten())
            .collect()
    }
}

fn binds(binding: &Value, user: &User, binding_namespace: &str) -> bool {
    binding["subjects"].as_array().into_iter().flatten().any(|subject| {
        let wanted = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("User") => user.name == wanted,
            Some("Group") => user.groups.iter().any(|group| group == wanted),
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().unwrap_or(binding_namespace);
                user.name == format!("system:serviceaccount:{namespace}:{wanted}")
            }
            _ => false,
        }
    })
}

fn rule_allows(rule: &Value, wanted: &Attributes) -> bool {
    covers(&rule["verbs"], &wanted.verb)
        && covers(&rule["apiGroups"], &wanted.group)
        && covers_resource(&strings(&rule["resources"]), wanted)
        && covers_name(&strings(&rule["resourceNames"]), &wanted.name)
}

fn covers(list: &Value, wanted: &str) -> bool {
    strings(list).iter().any(|entry| entry == "*" || entry == wanted)
}

fn covers_resource(resources: &[String], wanted: &Attributes) -> bool {
    let full = wanted.full_resource();
    let any_parent = format!("*/{}", wanted.subresource);
    resources
        .iter()
        .any(|entry| entry == "*" || *entry == full || (!wanted.subresource.is_empty() && *entry == any_parent))
}

fn covers_name(names: &[String], wanted: &str) -> bool {
    names.is_empty() || names.iter().any(|entry| entry == wanted)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}
