//! From an authenticated request to the operation that it asks for.

use std::sync::Arc;

use bytes::Bytes;
use http::{header, request::Parts};
use serde_json::{Value, json};

use super::discovery;
use super::failure::Failure;
use super::patch::Patch;
use super::rbac::{Attributes, User};
use super::read::Form;
use super::request::{Query, Route, Target, route};
use super::reviews::{self, REVIEWS};
use super::selectors::Selector;
use super::server::{Shared, text_header};
use super::store::State;
use super::types::{Origin, ResourceType};
use super::watch::WatchBody;
use super::write::{Applier, Effect, Part, Place, Written};

/// An authenticated request.
pub(crate) struct Call<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) user: User,
    pub(crate) body: Bytes,
    pub(crate) is_too_large: bool,
}

/// A successful answer.
pub(crate) enum Answer {
    Object(u16, Value),
    AggregatedDiscovery(Value),
    Text(&'static str),
    Watch(WatchBody),
}

/// Authorises and performs a request.
pub(crate) fn dispatch(shared: &Arc<Shared>, call: &Call<'_>) -> Result<Answer, Failure> {
    let query = Query::parse(call.parts.uri.query().unwrap_or_default());
    let path = call.parts.uri.path();
    match route(&call.parts.method, path, &query) {
        Route::Path(verb) => plain_path(&shared.state(), call, verb, path),
        Route::Resource(target) => {
            let attributes = Attributes::of(&target);
            if !shared.state().allows(&call.user, &attributes) {
                return Err(attributes.forbidden(&call.user));
            }
            if call.is_too_large {
                let message = "Request entity too large: limit is 3145728";
                return Err(Failure::status(413, "RequestEntityTooLarge", message));
            }
            on_resource(shared, call, &target, &query)
        }
    }
}

fn plain_path(state: &State, call: &Call<'_>, verb: &'static str, path: &str) -> Result<Answer, Failure> {
    if !state.allows_path(&call.user, verb, path) {
        let message = format!("forbidden: User {:?} cannot {verb} path {path:?}", call.user.name);
        return Err(Failure::detailed(403, "Forbidden", message, Some(json!({}))));
    }
    if matches!(path, "/healthz" | "/livez" | "/readyz") {
        return Ok(Answer::Text("ok"));
    }
    let accept = text_header(&call.parts.headers, header::ACCEPT);
    let object = discovery::answer(state, path, accept)?;
    if discovery::wants_aggregated(path, accept) {
        return Ok(Answer::AggregatedDiscovery(object));
    }
    Ok(Answer::Object(200, object))
}

fn on_resource(shared: &Arc<Shared>, call: &Call<'_>, target: &Target, query: &Query) -> Result<Answer, Failure> {
    let review = REVIEWS
        .iter()
        .find(|(group, plural, _)| target.group == *group && target.resource == *plural && target.version == "v1");
    if let Some((_, _, kind)) = review {
        if target.verb != "create" {
            return Err(not_allowed());
        }
        let review = parse_body(call)?;
        let state = shared.state();
        return reviews::answer(kind, review, &call.user, &state, |token| shared.user_of(token))
            .map(|review| Answer::Object(201, review));
    }
    let mut state = shared.state();
    let resource = find_resource(&state, target)?;
    let part = match target.subresource.as_str() {
        "" => Part::Main,
        "status" if resource.has_status && matches!(target.verb, "get" | "update" | "patch") => Part::Status,
        "status" if resource.has_status => return Err(not_allowed()),
        _ => return Err(Failure::no_such_resource()),
    };
    let place = Place {
        resource: &resource,
        version: &target.version,
        namespace: if resource.is_namespaced() { &target.namespace } else { "" },
        name: &target.name,
    };
    let accept = text_header(&call.parts.headers, header::ACCEPT);
    let form = Form::wanted(accept, &resource, &target.version);
    let effect = if query.get("dryRun") == Some("All") { Effect::DryRun } else { Effect::Commit };
    match target.verb {
        "get" => state.read(&place, query).map(|object| Answer::Object(200, form.write(&object))),
        "list" => {
            let (items, metadata) = state.list(&resource, &selector(&place, query)?, query)?;
            Ok(Answer::Object(200, form.list(&resource, &items, &metadata)))
        }
        "watch" => {
            let opened = state.watch(&resource, selector(&place, query)?, query)?;
            drop(state);
            let kind = resource.kind.clone();
            Ok(Answer::Watch(WatchBody::new(Arc::clone(shared), opened, form, kind, query)))
        }
        "deletecollection" => {
            let doomed = state.delete_collection(&resource, &selector(&place, query)?, effect);
            let doomed: Vec<Arc<Value>> = doomed.into_iter().map(Arc::new).collect();
            let metadata = json!({"resourceVersion": state.revision.to_string()});
            Ok(Answer::Object(200, form.list(&resource, &doomed, &metadata)))
        }
        "delete" => {
            let options = if call.body.is_empty() { Value::Null } else { parse_body(call)? };
            state.delete(&place, &options, effect).map(|answer| Answer::Object(200, answer))
        }
        _ => write(&mut state, call, &place, part, effect, query, target.verb).map(|written| match written {
            Written::Created(object) => Answer::Object(201, form.write(&object)),
            Written::Updated(object) => Answer::Object(200, form.write(&object)),
        }),
    }
}

fn write(
    state: &mut State,
    call: &Call<'_>,
    place: &Place<'_>,
    part: Part,
    effect: Effect,
    query: &Query,
    verb: &str,
) -> Result<Written, Failure> {
    match verb {
        "create" => {
            let is_placed = place.resource.is_namespaced() != place.namespace.is_empty();
            if !is_placed || !place.name.is_empty() {
                return Err(not_allowed());
            }
            state.create(place, parse_body(call)?, effect).map(Written::Created)
        }
        "update" => state.update(place, parse_body(call)?, part, effect),
        _ => {
            let content_type = text_header(&call.parts.headers, header::CONTENT_TYPE);
            let patch = Patch::parse(place.resource, content_type, &call.body)?;
            let applier = Applier {
                manager: query.get("fieldManager").filter(|name| !name.is_empty()).map(str::to_owned),
                force: query.flag("force"),
            };
            state.patch(place, patch, &applier, part, effect)
        }
    }
}

fn find_resource(state: &State, target: &Target) -> Result<ResourceType, Failure> {
    let Some(resource) = state.find_type(&target.group, &target.version, &target.resource) else {
        let is_built_in =
            state.types.iter().any(|known| known.group == target.group && known.origin == Origin::BuiltIn);
        return Err(if is_built_in && state.serves(&target.group, &target.version) {
            Failure::no_such_resource()
        } else {
            Failure::PageNotFound
        });
    };
    let is_in_namespace = !target.namespace.is_empty();
    let fits = if resource.is_namespaced() {
        is_in_namespace || target.name.is_empty()
    } else {
        !is_in_namespace || target.resource == "namespaces"
    };
    if fits { Ok(resource) } else { Err(Failure::no_such_resource()) }
}

fn selector(place: &Place<'_>, query: &Query) -> Result<Selector, Failure> {
    let namespace = Some(place.namespace).filter(|namespace| !namespace.is_empty());
    let text = |name: &str| query.get(name).unwrap_or_default();
    // A watch on one object names it in its path.
    let named = format!("metadata.name={}", place.name);
    let fields = if place.name.is_empty() { text("fieldSelector") } else { &named };
    Selector::parse(place.resource, namespace, text("labelSelector"), fields)
}

fn not_allowed() -> Failure {
    Failure::status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
}

/// The body as JSON; YAML is taken too.
fn parse_body(call: &Call<'_>) -> Result<Value, Failure> {
    let content_type = text_header(&call.parts.headers, header::CONTENT_TYPE);
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" => serde_json::from_slice(&call.body)
            .map_err(|problem| Failure::bad_request(format!("couldn't get version/kind; json parse error: {problem}"))),
        "application/yaml" => serde_yaml::from_slice(&call.body)
            .map_err(|problem| Failure::bad_request(format!("error converting YAML to JSON: {problem}"))),
        _ => Err(Failure::status(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
        )),
    }
}
