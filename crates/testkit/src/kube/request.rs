//! What a request asks for, read from its method, path and query as the API server reads it.

use http::Method;
use url::form_urlencoded;

use super::selectors::selected_name;

/// The decoded query parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(raw: &str) -> Self {
        Self(form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }
}

/// A request on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) verb: &'static str,
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty for cluster-wide requests.
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    /// Empty for collections.
    pub(crate) name: String,
    /// The name that authorisation goes by: a field selector counts there.
    pub(crate) authorised_name: String,
}

/// What a path addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Resource(Target),
    /// Discovery, health, version; with the verb that authorisation goes by.
    Path(&'static str),
}

/// Reads a request line.
pub(crate) fn route(method: &Method, path: &str, query: &Query) -> Route {
    let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
    let mut parts = segments.iter().map(String::as_str);
    let (group, version) = match (parts.next(), parts.next(), parts.clone().next()) {
        (Some("api"), Some(version), Some(_)) => ("", version),
        (Some("apis"), Some(group), Some(version)) => {
            parts.next();
            (group, version)
        }
        _ => return Route::Path(plain_verb(method)),
    };
    let rest: Vec<&str> = parts.collect();
    let (namespace, rest) = match rest.as_slice() {
        [] => return Route::Path(plain_verb(method)),
        // A request on the namespace itself counts as one inside it.
        ["namespaces", name] | ["namespaces", name, "status" | "finalize"] => (*name, rest.as_slice()),
        ["namespaces", name, inner @ ..] => (*name, inner),
        _ => ("", rest.as_slice()),
    };
    let text = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
    let name = text(1);
    let selected = || query.get("fieldSelector").and_then(selected_name).unwrap_or_default();
    Route::Resource(Target {
        verb: verb(method, &name, query),
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.to_owned(),
        resource: text(0),
        subresource: rest.get(2..).unwrap_or_default().join("/"),
        authorised_name: if name.is_empty() && *method != Method::POST { selected() } else { name.clone() },
        name,
    })
}

fn decode(segment: &str) -> String {
    // A plus is a plus in a path, but a space in a form.
    let pair = format!("x={}", segment.replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn verb(method: &Method, name: &str, query: &Query) -> &'static str {
    match (method.as_str(), name.is_empty()) {
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ if query.flag("watch") => "watch",
        (_, true) => "list",
        (_, false) => "get",
    }
}

fn plain_verb(method: &Method) -> &'static str {
    match method.as_str() {
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "get",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &Method, path: &str, query: &str) -> Target {
        match route(method, path, &Query::parse(query)) {
            Route::Resource(target) => target,
            Route::Path(_) => panic!("{path} should be a resource"),
        }
    }

    #[test]
    fn paths_are_read_as_the_server_reads_them() {
        let watch = target(
            &Method::GET,
            "/apis/serving.kserve.io/v1beta1/inferenceservices",
            "watch=1&fieldSelector=metadata.name%3Da",
        );
        assert_eq!((watch.verb, watch.name.as_str(), watch.authorised_name.as_str()), ("watch", "", "a"));
        let status = target(&Method::PATCH, "/apis/g/v1/namespaces/n/things/t/status", "");
        assert_eq!(
            (status.namespace.as_str(), status.name.as_str(), status.subresource.as_str()),
            ("n", "t", "status")
        );
        let namespace = target(&Method::GET, "/api/v1/namespaces/n", "");
        assert_eq!(
            (namespace.resource.as_str(), namespace.name.as_str(), namespace.namespace.as_str()),
            ("namespaces", "n", "n")
        );
        let pods = target(&Method::DELETE, "/api/v1/namespaces/n/pods", "");
        assert_eq!((pods.verb, pods.resource.as_str()), ("deletecollection", "pods"));
    }

    #[test]
    fn discovery_is_no_resource() {
        for path in ["/", "/api", "/api/v1", "/apis", "/apis/g", "/apis/g/v1", "/version"] {
            assert_eq!(route(&Method::GET, path, &Query::default()), Route::Path("get"), "{path}");
        }
    }
}
