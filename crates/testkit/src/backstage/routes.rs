//! The routes: what is checked, done and answered.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::{BRIDGE_LOCATION_TYPE, Fault, Inner, ReceivedRequest, RegisteredLocation, Shared, lock, query};

impl Inner {
    fn answer(&mut self, request: &ReceivedRequest) -> Response {
        let path = request.path.trim_start_matches('/').to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["locations"]) => {
                let listed = self.locations.iter().filter(|item| !self.hidden.contains(&item.id));
                Json(listed.map(|item| json!({ "data": flat(item) })).collect::<Vec<Value>>()).into_response()
            }
            ("POST", ["locations"]) if request.query == "dryRun=true" => self.rehearse(&request.body),
            ("POST", ["locations"]) => self.create(&request.body),
            ("GET", ["locations", id]) => match self.locations.iter().find(|item| item.id == *id) {
                Some(location) => Json(flat(location)).into_response(),
                None => failure(StatusCode::NOT_FOUND, "NotFoundError", &format!("Found no location with ID {id}")),
            },
            ("GET", ["locations", "by-entity", "location", "default", name]) => {
                match self.locations.iter().find(|item| entity_name(item) == *name) {
                    Some(location) => Json(flat(location)).into_response(),
                    None => failure(StatusCode::NOT_FOUND, "NotFoundError", &format!("found no entity {name}")),
                }
            }
            ("DELETE", ["locations", id]) => self.delete(id),
            ("POST", ["refresh"]) => self.refresh(&request.body),
            ("GET", ["entities", "by-query"]) => query::answer(&self.entities, &request.query),
            ("DELETE", ["entities", "by-uid", uid]) => {
                self.entities.retain(|item| item.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid));
                StatusCode::NO_CONTENT.into_response()
            }
            _ => failure(StatusCode::NOT_FOUND, "NotFoundError", "Not found"),
        }
    }

    /// A location takes the entities that came from it along.
    fn delete(&mut self, id: &str) -> Response {
        let Some(index) = self.locations.iter().position(|item| item.id == id) else {
            return failure(StatusCode::NOT_FOUND, "NotFoundError", &format!("Found no location with ID {id}"));
        };
        let RegisteredLocation { kind, target, .. } = self.locations.remove(index);
        let origin = format!("{kind}:{target}");
        self.entities.retain(|item| {
            item.pointer("/metadata/annotations/backstage.io~1managed-by-origin-location") != Some(&json!(origin))
                || item.pointer("/metadata/annotations/backstage.io~1orphan").is_some()
        });
        StatusCode::NO_CONTENT.into_response()
    }

    fn refresh(&mut self, body: &Value) -> Response {
        let Some(entity_ref) = body.get("entityRef").and_then(Value::as_str) else {
            return failure(StatusCode::BAD_REQUEST, "InputError", "entityRef is required");
        };
        let known = |item: &RegisteredLocation| format!("location:default/{}", entity_name(item)) == entity_ref;
        if !self.locations.iter().any(known) {
            let message = format!("Failed to schedule {entity_ref} for refresh");
            return failure(StatusCode::NOT_FOUND, "NotFoundError", &message);
        }
        self.refreshed.push(entity_ref.to_owned());
        StatusCode::OK.into_response()
    }

    /// Judges a location as if it were to be registered, and says what reading it would say.
    fn rehearse(&self, body: &Value) -> Response {
        let (kind, target) = match self.checked(body) {
            Ok(checked) => checked,
            Err(refusal) => return *refusal,
        };
        if let Some((_, said)) = self.unreadable.iter().find(|(prefix, _)| target.starts_with(prefix.as_str())) {
            return failure(StatusCode::BAD_REQUEST, "InputError", said);
        }
        let exists = self.locations.iter().any(|item| item.kind == kind && item.target == target);
        let location = json!({ "id": format!("{kind}:{target}"), "type": kind, "target": target });
        (StatusCode::CREATED, Json(json!({ "exists": exists, "location": location, "entities": [] }))).into_response()
    }

    fn checked<'a>(&self, body: &'a Value) -> Result<(&'a str, &'a str), Box<Response>> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
        let (Some(kind), Some(target)) = (text("type"), text("target")) else {
            return Err(Box::new(failure(StatusCode::BAD_REQUEST, "InputError", "type and target are required")));
        };
        if kind == BRIDGE_LOCATION_TYPE && !self.knows_bridge_type {
            let message = "Registered locations must be of type 'url'";
            return Err(Box::new(failure(StatusCode::BAD_REQUEST, "InputError", message)));
        }
        Ok((kind, target))
    }

    fn create(&mut self, body: &Value) -> Response {
        let (kind, target) = match self.checked(body) {
            Ok(checked) => checked,
            Err(refusal) => return *refusal,
        };
        if self.refused.contains(target) {
            return failure(StatusCode::BAD_REQUEST, "InputError", "The target is refused");
        }
        if self.locations.iter().any(|item| item.kind == kind && item.target == target) {
            let message = format!("Location {kind}:{target} already exists");
            return failure(StatusCode::CONFLICT, "ConflictError", &message);
        }
        let location = self.add(kind, target);
        (StatusCode::CREATED, Json(json!({ "location": flat(&location), "entities": [] }))).into_response()
    }
}

pub(super) async fn handle(State(inner): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let Some(path) = parts.uri.path().strip_prefix("/api/catalog") else {
        return failure(StatusCode::NOT_FOUND, "NotFoundError", "Not found");
    };
    let mut inner = lock(&inner);
    let received = ReceivedRequest {
        authorized: inner.is_authorized(&parts.headers),
        traceparent: parts.headers.get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned),
        method: parts.method,
        path: path.to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    inner.requests.push(received.clone());
    let fault = inner.take_fault(&received.method, &received.path);
    if let Some(Fault::Status(status)) = fault {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return failure(status, "ScriptedError", "a scripted fault");
    }
    if fault == Some(Fault::Html) {
        return axum::response::Html("<!doctype html><title>Sign in</title>").into_response();
    }
    if !received.authorized {
        return failure(StatusCode::UNAUTHORIZED, "AuthenticationError", "Illegal token");
    }
    let answer = inner.answer(&received);
    if fault == Some(Fault::LostAnswer) { broken_off(answer) } else { answer }
}

/// The same status and headers, with a body that breaks off before its first byte.
fn broken_off(answer: Response) -> Response {
    let (mut parts, _) = answer.into_parts();
    if parts.status == StatusCode::NO_CONTENT {
        parts.status = StatusCode::OK;
    }
    parts.headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("1000"));
    let lost = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("the answer was lost")) });
    Response::from_parts(parts, Body::from_stream(lost))
}

/// The name of the entity that Backstage makes for a location.
fn entity_name(location: &RegisteredLocation) -> String {
    let hash = Sha1::digest(format!("{}:{}", location.kind, location.target).as_bytes());
    format!("generated-{}", crate::hex(&hash))
}

fn flat(location: &RegisteredLocation) -> Value {
    json!({ "id": location.id, "type": location.kind, "target": location.target })
}

pub(super) fn failure(status: StatusCode, name: &str, message: &str) -> Response {
    let body = json!({
        "error": { "name": name, "message": message },
        "response": { "statusCode": status.as_u16() },
    });
    (status, Json(body)).into_response()
}
