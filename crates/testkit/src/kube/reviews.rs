//! The review kinds, which are answered and never stored.

use serde_json::{Value, json};

use super::failure::Failure;
use super::rbac::{Attributes, User};
use super::store::State;

/// Served reviews: group, plural, kind.
pub(crate) const REVIEWS: &[(&str, &str, &str)] = &[
    ("authentication.k8s.io", "tokenreviews", "TokenReview"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
];

const SERVER_AUDIENCE: &str = "https://kubernetes.default.svc";

/// Answers a review by adding its status.
pub(crate) fn answer(
    kind: &str,
    mut review: Value,
    caller: &User,
    state: &State,
    user_of: impl FnOnce(&str) -> Option<User>,
) -> Result<Value, Failure> {
    if review["kind"] != kind {
        return Err(Failure::bad_request(format!(
            "{} in version \"v1\" cannot be handled as a {kind}",
            review["kind"]
        )));
    }
    review["status"] = match kind {
        "TokenReview" => match user_of(review["spec"]["token"].as_str().unwrap_or_default()) {
            Some(user) => authenticated(&user, &super::types::strings(&review["spec"]["audiences"])),
            None => unauthenticated(),
        },
        "SubjectAccessReview" => {
            // Nothing is concluded from the name: whoever asks has to say in which groups the user is.
            let name = review["spec"]["user"].as_str().unwrap_or_default().to_owned();
            let user = User { name, groups: super::types::strings(&review["spec"]["groups"]), audience: None };
            access(&review, &user, state)
        }
        _ => access(&review, caller, state),
    };
    Ok(review)
}

/// A token counts for its own audience; without one, for the server's.
fn authenticated(user: &User, wanted: &[String]) -> Value {
    let own = user.audience.as_deref().unwrap_or(SERVER_AUDIENCE);
    if own != SERVER_AUDIENCE && wanted.is_empty() || !wanted.is_empty() && !wanted.iter().any(|name| name == own) {
        return unauthenticated();
    }
    json!({"authenticated": true, "user": {"username": user.name, "groups": user.groups}, "audiences": [own]})
}

fn unauthenticated() -> Value {
    json!({"user": {}, "error": "invalid bearer token"})
}

fn access(review: &Value, user: &User, state: &State) -> Value {
    let spec = &review["spec"];
    let allowed = if spec["resourceAttributes"].is_object() {
        state.allows(user, &attributes(&spec["resourceAttributes"]))
    } else {
        let path = &spec["nonResourceAttributes"];
        let text = |field: &str| path[field].as_str().unwrap_or_default();
        state.allows_path(user, text("verb"), text("path"))
    };
    if allowed { json!({"allowed": true, "reason": "RBAC: allowed"}) } else { json!({"allowed": false}) }
}

fn attributes(value: &Value) -> Attributes {
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    Attributes {
        verb: text("verb"),
        group: text("group"),
        resource: text("resource"),
        subresource: text("subresource"),
        namespace: text("namespace"),
        name: text("name"),
    }
}
