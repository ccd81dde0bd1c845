//! What the API answers when it refuses: `Status` objects with the reasons and words of a real server.

use serde_json::{Value, json};

use super::types::ResourceType;

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// The plain text answer for a path that nobody serves.
    PageNotFound,
    /// A `Status` object.
    Status(Box<Status>),
}

/// The fields of a failing `Status`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
}

/// One broken rule of an object, for 422 answers.
#[derive(Clone, Debug)]
pub(crate) struct FieldError {
    field: String,
    reason: &'static str,
    problem: String,
}

impl FieldError {
    /// `value` of `field` breaks a rule.
    pub(crate) fn invalid(field: impl Into<String>, value: &str, rule: &str) -> Self {
        Self { field: field.into(), reason: "FieldValueInvalid", problem: format!("Invalid value: {value:?}: {rule}") }
    }

    pub(crate) fn required(field: impl Into<String>, rule: &str) -> Self {
        Self { field: field.into(), reason: "FieldValueRequired", problem: format!("Required value: {rule}") }
    }

    pub(crate) fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueTooLong",
            problem: format!("Too long: may not be more than {limit} bytes"),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, rule: &str) -> Self {
        Self { field: field.into(), reason: "FieldValueForbidden", problem: format!("Forbidden: {rule}") }
    }

    fn text(&self) -> String {
        format!("{}: {}", self.field, self.problem)
    }
}

impl Failure {
    pub(crate) fn status(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self::detailed(code, reason, message, None)
    }

    pub(crate) fn detailed(
        code: u16,
        reason: &'static str,
        message: impl Into<String>,
        details: Option<Value>,
    ) -> Self {
        Self::Status(Box::new(Status { code, reason, message: message.into(), details }))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::status(400, "BadRequest", message)
    }

    pub(crate) fn not_found(resource: &ResourceType, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::detailed(404, "NotFound", message, Some(details(resource, name)))
    }

    /// The path belongs to a served API, but the resource does not exist there.
    pub(crate) fn no_such_resource() -> Self {
        Self::detailed(404, "NotFound", "the server could not find the requested resource", Some(json!({})))
    }

    pub(crate) fn already_exists(resource: &ResourceType, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::detailed(409, "AlreadyExists", message, Some(details(resource, name)))
    }

    pub(crate) fn conflict(resource: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::detailed(409, "Conflict", message, Some(details(resource, name)))
    }

    pub(crate) fn modified(resource: &ResourceType, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(crate) fn invalid(resource: &ResourceType, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> = errors.iter().map(FieldError::text).collect();
        let problems = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let kind = if resource.group.is_empty() {
            resource.kind.clone()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|error| json!({"reason": error.reason, "message": error.problem, "field": error.field}))
            .collect();
        let mut details = details(resource, name);
        details["kind"] = json!(resource.kind);
        details["causes"] = json!(causes);
        let message = format!("{kind} {name:?} is invalid: {problems}");
        Self::detailed(422, "Invalid", message, Some(details))
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::status(410, "Expired", message)
    }

    pub(crate) fn too_large_revision(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let details = json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        });
        Self::detailed(504, "Timeout", message, Some(details))
    }

    /// The HTTP status code.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::PageNotFound => 404,
            Self::Status(status) => status.code,
        }
    }

    /// The `Status` object (a page that does not exist has none on the wire).
    pub(crate) fn object(&self) -> Value {
        match self {
            Self::PageNotFound => Value::Null,
            Self::Status(status) => {
                let mut object = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": status.message, "reason": status.reason,
                });
                if let Some(details) = &status.details {
                    object["details"] = details.clone();
                }
                object["code"] = json!(status.code);
                object
            }
        }
    }
}

/// What a status tells about the object: its name, group and (in lower case plural) kind.
pub(crate) fn details(resource: &ResourceType, name: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource.plural});
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    details
}

/// The reason a real server gives for a code of its own accord.
pub(crate) fn reason_of(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    }
}
