//! The OpenAPI document, made of the same tables as the routes and what they read and write.

mod schemas;

use http::{Method, StatusCode};
use serde_json::json;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, Header, InfoBuilder, ObjectBuilder, OpenApi, Paths, Ref, RefOr, Required, Response,
    ResponseBuilder, Responses, ResponsesBuilder, Schema,
};

use super::route::{self, Asks, Branch, Collection, Route};
use super::version::Version;
use crate::model::{Kind, Parent};
use schemas::{ID_PATTERN, Shape, reference, text};

const JSON: &str = "application/json";
const PRINTABLE: &str = r"^[\x20-\x7E]+$";
const PRINTABLE_OR_EMPTY: &str = r"^[\x20-\x7E]*$";
const PAGE_SIZE: &str = "^[1-9][0-9]{0,8}$";
const STEPS: &str = "^[0-9]{1,9}(,[0-9]{1,9})*$";

/// What is answered when a request fails.
pub(super) fn error() -> RefOr<Schema> {
    let shape = Shape::new().required("code", text()).required("message", text());
    RefOr::T(Schema::Object(shape.build()))
}

/// The document of all versions.
pub(super) fn document() -> OpenApi {
    let mut paths = Paths::new();
    for version in Version::ALL {
        for route in route::routes(version) {
            let method = match route.method {
                Method::POST => HttpMethod::Post,
                Method::PATCH => HttpMethod::Patch,
                _ => HttpMethod::Get,
            };
            paths.add_path_operation(&route.path, vec![method], operation(&route, version));
        }
    }
    let mut document = OpenApi::new(InfoBuilder::new().build(), paths);
    document.components.get_or_insert_default().schemas.extend(schemas::all());
    document
}

/// What the document says of what a request asks for.
struct About {
    /// What the operations are grouped by.
    group: &'static str,
    summary: String,
    /// The schema of the body.
    body: Option<String>,
    /// The schema of what is answered.
    answer: String,
}

fn operation(route: &Route, version: Version) -> Operation {
    let about = about(route.asks);
    let (id, group) = match version {
        Version::V1Alpha3 => (route.operation.clone(), about.group.to_owned()),
        Version::V1 => (format!("{}V1", route.operation), format!("{} v1", about.group)),
    };
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id))
        .tag(group)
        .summary(Some(about.summary))
        .parameters(Some(parameters(route)))
        .responses(responses(route, &reference(&about.answer, version)));
    if let Some(body) = about.body {
        let content = ContentBuilder::new().schema(Some(reference(&body, version))).build();
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, content).build();
        operation = operation.request_body(Some(body));
    }
    operation.build()
}

fn about(asks: Asks) -> About {
    match asks {
        Asks::Find(collection) => {
            let by = if is_beneath_something(collection.kinds) { "its parent and name" } else { "its name" };
            of_collection(collection, format!("Find the {} of {by}, or external id", title(collection.kinds)), "")
        }
        Asks::List(collection) => {
            let about = of_collection(collection, format!("List {}s", title(collection.kinds)), "");
            About { answer: format!("{}List", collection.schema), ..about }
        }
        Asks::Get(collection) => of_collection(collection, format!("The {} of an id", title(collection.kinds)), ""),
        Asks::Create(collection) => {
            let article = if title(collection.kinds).starts_with(['a', 'e', 'i']) { "an" } else { "a" };
            of_collection(collection, format!("Register {article} {}", title(collection.kinds)), "Create")
        }
        Asks::Update(collection) => {
            let summary = format!("Change the {} of an id; what is not said stays", title(collection.kinds));
            of_collection(collection, summary, "Update")
        }
        Asks::Children(branch) => {
            let about = of_branch(branch, format!("List the {}s of a {}", title(branch.kinds), branch.of.title()));
            About { body: None, answer: format!("{}List", about.answer), ..about }
        }
        Asks::CreateChild(branch) => {
            of_branch(branch, format!("Register one more {} of a {}", title(branch.kinds), branch.of.title()))
        }
        Asks::Offer(branch) => {
            of_branch(branch, format!("Register, change or link an artifact of a {}", branch.of.title()))
        }
        Asks::History => history("What the metrics of all runs were over time"),
        Asks::HistoryOfRun => history("What the metrics of a run were over time"),
        Asks::ServedVersion => served(Kind::ModelVersion, "The version that is served: the newest, if none is named"),
        Asks::ServedModel => served(Kind::RegisteredModel, "The model that is served"),
    }
}

fn of_collection(collection: &Collection, summary: String, body: &str) -> About {
    let schema = collection.schema;
    let body = (!body.is_empty()).then(|| format!("{schema}{body}"));
    About { group: collection.many, summary, body, answer: schema.to_owned() }
}

fn of_branch(branch: &Branch, summary: String) -> About {
    let answer =
        if branch.is_of_artifacts() { "Artifact" } else { branch.kinds.first().map_or("", |kind| kind.name()) };
    About { group: group(branch.of), summary, body: Some(branch.body.to_owned()), answer: answer.to_owned() }
}

fn history(summary: &str) -> About {
    let answer = format!("{}List", Kind::Metric.name());
    About { group: group(Kind::ExperimentRun), summary: summary.to_owned(), body: None, answer }
}

fn served(kind: Kind, summary: &str) -> About {
    let answer = kind.name().to_owned();
    About { group: group(Kind::InferenceService), summary: summary.to_owned(), body: None, answer }
}

fn group(kind: Kind) -> &'static str {
    Collection::of(kind).map_or("", |collection| collection.many)
}

fn title(kinds: &[Kind]) -> &'static str {
    match kinds {
        [kind] => kind.title(),
        _ => "artifact",
    }
}

fn is_beneath_something(kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| kind.parent() != Parent::None)
}

fn parameters(route: &Route) -> Vec<Parameter> {
    let id = route.path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
    let mut parameters: Vec<Parameter> = id.map(path_id).into_iter().collect();
    match route.asks {
        Asks::Find(collection) => {
            parameters.extend([printable("name"), printable("externalId")]);
            if is_beneath_something(collection.kinds) {
                let id = text().format(Some(schemas::INT64)).pattern(Some(ID_PATTERN));
                parameters.push(query("parentResourceId", schemas::object(id)));
            }
        }
        Asks::List(collection) => parameters.extend(listed(collection.kinds)),
        Asks::Children(branch) => {
            parameters.extend([printable("name"), printable("externalId")]);
            parameters.extend(listed(branch.kinds));
        }
        Asks::History | Asks::HistoryOfRun => {
            parameters.extend([printable("name"), query("stepIds", schemas::object(text().pattern(Some(STEPS))))]);
            parameters.extend(listed(&[Kind::Metric]));
        }
        _ => {}
    }
    match route.method {
        Method::GET => {
            parameters.push(header("If-None-Match", "What is known, by its ETag: 304 if it has not changed"));
        }
        Method::PATCH => {
            parameters.push(header("If-Match", "What is to be changed, by its ETag: 412 if it has changed since"));
        }
        _ => {}
    }
    parameters
}

fn listed(kinds: &[Kind]) -> Vec<Parameter> {
    let enumeration = |schema: &str| Ref::from_schema_name(schema).into();
    let size = text().format(Some(schemas::INT32)).pattern(Some(PAGE_SIZE));
    let mut parameters = vec![query("filterQuery", schemas::object(text().pattern(Some(PRINTABLE_OR_EMPTY))))];
    if kinds == Kind::ARTIFACTS {
        parameters.push(query("artifactType", enumeration("ArtifactTypeQueryParam")));
    }
    parameters.extend([
        query("pageSize", schemas::object(size)),
        query("orderBy", enumeration("OrderByField")),
        query("sortOrder", enumeration("SortOrder")),
        query("nextPageToken", schemas::object(text())),
    ]);
    parameters
}

fn path_id(name: &str) -> Parameter {
    let id = text().format(Some(schemas::INT64)).pattern(Some(ID_PATTERN));
    parameter(name, ParameterIn::Path, schemas::object(id)).required(Required::True).build()
}

fn printable(name: &str) -> Parameter {
    query(name, schemas::object(text().pattern(Some(PRINTABLE))))
}

fn query(name: &str, schema: RefOr<Schema>) -> Parameter {
    parameter(name, ParameterIn::Query, schema).build()
}

fn header(name: &str, description: &str) -> Parameter {
    parameter(name, ParameterIn::Header, schemas::object(text())).description(Some(description)).build()
}

fn parameter(name: &str, place: ParameterIn, schema: RefOr<Schema>) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).required(Required::False).schema(Some(schema))
}

fn responses(route: &Route, answer: &RefOr<Schema>) -> Responses {
    let answered = |description: &str| {
        let content = ContentBuilder::new().schema(Some(answer.clone())).build();
        let response = ResponseBuilder::new().description(description).content(JSON, content);
        response.header("ETag", Header::new(schemas::object(text()))).build()
    };
    let mut responses = ResponsesBuilder::new();
    for (status, description) in successes(route) {
        responses = responses.response(status.as_str(), answered(description));
    }
    if route.method == Method::GET {
        responses = responses.response("304", Response::new("What the caller has is what there is"));
    }
    for (status, description) in failures(route) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
        let response = ResponseBuilder::new().description(description).content(JSON, content).build();
        responses = responses.response(status.as_str(), response);
    }
    responses.build()
}

fn successes(route: &Route) -> Vec<(StatusCode, &'static str)> {
    match route.asks {
        Asks::Create(_) | Asks::CreateChild(_) => vec![(StatusCode::CREATED, "It is registered")],
        Asks::Offer(_) => vec![
            (StatusCode::OK, "It was there, and is changed; or it is a data set, a metric or a parameter"),
            (StatusCode::CREATED, "It is new: a model or a document"),
        ],
        Asks::Update(_) => vec![(StatusCode::OK, "What it is now")],
        _ => vec![(StatusCode::OK, "What was asked for")],
    }
}

fn failures(route: &Route) -> Vec<(StatusCode, &'static str)> {
    let mut failures = vec![
        (StatusCode::BAD_REQUEST, "The request is wrong: the message says what of it"),
        (StatusCode::UNAUTHORIZED, "There is no token, or it is not known"),
        (StatusCode::NOT_FOUND, "There is no such resource, or nothing that it could belong to"),
        (StatusCode::INTERNAL_SERVER_ERROR, "The registry is wrong: its log says more"),
        (StatusCode::SERVICE_UNAVAILABLE, "Not now: ask again later"),
    ];
    if route.method != Method::GET {
        failures.push((StatusCode::CONFLICT, "There is another one of that name or external id"));
    }
    match route.asks {
        Asks::Create(_) | Asks::CreateChild(_) => {
            failures.push((StatusCode::UNPROCESSABLE_ENTITY, "A field is missing that has to be there"));
        }
        Asks::Update(_) => failures.push((StatusCode::PRECONDITION_FAILED, "It was changed since the caller saw it")),
        _ => {}
    }
    failures
}

/// The lists that are answered, by the schema of what is in them.
fn lists(version: Version) -> impl Iterator<Item = String> {
    let answers = route::routes(version).into_iter().map(|route| about(route.asks).answer);
    answers.filter_map(|answer| answer.strip_suffix("List").map(str::to_owned))
}

/// An enumeration of words.
fn words(words: &[&str], default: Option<&str>) -> Schema {
    let schema: ObjectBuilder = text().enum_values(Some(words.iter().copied()));
    Schema::Object(schema.default(default.map(|word| json!(word))).build())
}

#[cfg(test)]
mod tests;
