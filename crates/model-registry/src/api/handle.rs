//! What is done for each kind of request.

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::{FromRequest, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

use super::body::Object;
use super::conditional;
use super::decode::{self, Schema};
use super::encode::Shown;
use super::failure::Failure;
use super::listing::{self, List};
use super::params::{self, Params};
use super::route::{Asks, Branch, Collection, WithoutParent};
use super::version::Version;
use crate::model::{Id, Kind, Parent, Record};
use crate::store::{Actor, Expected, HistoryQuery, Page, PageQuery, Query, Store, StoreError, Upserted, Whom};

const JSON: &str = "application/json";

/// A version of the API over a store.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) store: Store,
    pub(super) version: Version,
}

/// A request, read.
struct Call {
    /// The id in its path.
    id: Option<Id>,
    params: Params,
    headers: HeaderMap,
    actor: Actor,
    /// Empty, if it only reads.
    body: Bytes,
}

impl Call {
    async fn read(mut request: Request) -> Result<Self, Failure> {
        let params = Params::of(request.uri())?;
        let path: RawPathParams =
            request.extract_parts().await.map_err(|_| Failure::bad_request("the path is not UTF-8"))?;
        let id = path.iter().next().map(|(name, text)| params::id(name, text)).transpose()?;
        let headers = request.headers().clone();
        let actor = request.extensions().get::<Actor>().cloned().unwrap_or_default();
        let body = match *request.method() {
            Method::GET | Method::HEAD => Bytes::new(),
            _ => Bytes::from_request(request, &())
                .await
                .map_err(|rejection| Failure::new(rejection.status(), rejection.body_text()))?,
        };
        Ok(Self { id, params, headers, actor, body })
    }

    /// The id in the path of a route that has one.
    fn id(&self) -> Result<Id, Failure> {
        self.id.ok_or_else(|| Failure::bad_request("the path has no id"))
    }
}

impl Api {
    /// Answers a request.
    pub(super) async fn answer(self, asks: Asks, request: Request) -> Response {
        self.try_answer(asks, request).await.unwrap_or_else(IntoResponse::into_response)
    }

    async fn try_answer(&self, asks: Asks, request: Request) -> Result<Response, Failure> {
        let call = Call::read(request).await?;
        match asks {
            Asks::Find(collection) => {
                let whom = whom(collection, &call.params)?;
                self.known(&call, &self.store.find(collection.kinds, &whom).await?)
            }
            Asks::Get(collection) => self.known(&call, &self.store.get(collection.kinds, call.id()?).await?),
            Asks::ServedVersion => self.known(&call, &self.store.served_version(call.id()?).await?),
            Asks::ServedModel => self.known(&call, &self.store.served_model(call.id()?).await?),
            Asks::List(collection) => self.list(&call, collection.kinds, None).await,
            Asks::Children(branch) => self.children(&call, branch).await,
            Asks::History => self.history(&call, None).await,
            Asks::HistoryOfRun => self.history(&call, Some(call.id()?)).await,
            Asks::Create(collection) => self.create(&call, collection.kinds, Schema::Create).await,
            Asks::CreateChild(branch) => self.create(&call, branch.kinds, branch.schema()).await,
            Asks::Offer(branch) => self.offer(&call, branch).await,
            Asks::Update(collection) => self.update(&call, collection).await,
        }
    }

    async fn list(&self, call: &Call, kinds: &[Kind], of: Option<Id>) -> Result<Response, Failure> {
        let kinds = kinds_in(call, kinds)?;
        let beneath = |name| of.and_then(|_| call.params.owned(name));
        let query = Query {
            filter: listing::filter(&call.params, &kinds)?,
            page: listing::page_query(&call.params)?,
            name: beneath("name"),
            external_id: beneath("externalId"),
            kinds,
            of,
        };
        let page = self.store.list(&query).await?;
        self.known_list(call, &page, &query.page)
    }

    async fn children(&self, call: &Call, branch: &Branch) -> Result<Response, Failure> {
        let id = call.id()?;
        // Beneath other kinds nothing else can be; artifacts are linked to versions and runs.
        if branch.is_of_artifacts() || branch.without_parent == WithoutParent::NotFound {
            match (self.store.check(&[branch.of], id).await, branch.without_parent) {
                (Err(StoreError::NotFound { .. }), WithoutParent::Empty) => {
                    let page = listing::page_query(&call.params)?;
                    let nothing = Page { items: Vec::new(), next: None };
                    return self.known_list(call, &nothing, &page);
                }
                (parent, _) => parent?,
            }
        }
        self.list(call, branch.kinds, Some(id)).await
    }

    async fn history(&self, call: &Call, run: Option<Id>) -> Result<Response, Failure> {
        let query = HistoryQuery {
            run,
            name: call.params.owned("name"),
            steps: listing::steps(&call.params)?,
            filter: listing::filter_for_history(&call.params)?,
            page: listing::page_query(&call.params)?,
        };
        let page = self.store.history(&query).await?;
        self.known_list(call, &page, &query.page)
    }

    async fn create(&self, call: &Call, kinds: &[Kind], schema: Schema) -> Result<Response, Failure> {
        let mut object = Object::parse(&call.body)?;
        let kind = decode::kind(&mut object, kinds)?;
        let draft = decode::draft(object, kind, schema, self.version, call.id)?;
        let record = self.store.create(draft, &call.actor).await?;
        self.resource(StatusCode::CREATED, &record)
    }

    async fn offer(&self, call: &Call, branch: &Branch) -> Result<Response, Failure> {
        let mut object = Object::parse(&call.body)?;
        let kind = decode::kind(&mut object, branch.kinds)?;
        let offered = decode::offered(object, kind, self.version)?;
        let (record, upserted) = self.store.offer((branch.of, call.id()?), offered, &call.actor).await?;
        let status = match (upserted, record.kind) {
            (Upserted::Created, Kind::ModelArtifact | Kind::DocArtifact) => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        self.resource(status, &record)
    }

    async fn update(&self, call: &Call, collection: &Collection) -> Result<Response, Failure> {
        let id = call.id()?;
        let mut object = Object::parse(&call.body)?;
        let kind = decode::kind(&mut object, collection.kinds)?;
        let patch = decode::patch(object, kind, self.version)?;
        let expected = self.expected(call, kind, id).await?;
        let record = self.store.update(&[kind], id, patch, expected, &call.actor).await?;
        self.resource(StatusCode::OK, &record)
    }

    async fn expected(&self, call: &Call, kind: Kind, id: Id) -> Result<Expected, Failure> {
        if !conditional::is_expected_at_all(&call.headers) {
            return Ok(Expected::Any);
        }
        let current = self.store.get(&[kind], id).await?;
        if conditional::is_expected(&call.headers, &conditional::of_record(&current)) {
            Ok(Expected::AsOf(current.updated))
        } else {
            Err(StoreError::Outdated { what: kind.title(), id }.into())
        }
    }

    /// A resource, unless the caller knows it.
    fn known(&self, call: &Call, record: &Record) -> Result<Response, Failure> {
        let tag = conditional::of_record(record);
        if conditional::is_known(&call.headers, &tag) {
            return Ok(unchanged(tag));
        }
        self.resource(StatusCode::OK, record)
    }

    fn resource(&self, status: StatusCode, record: &Record) -> Result<Response, Failure> {
        let json = json(&Shown { record, version: self.version })?;
        Ok((status, headers(conditional::of_record(record)), json).into_response())
    }

    /// A list, unless the caller knows it.
    fn known_list(&self, call: &Call, page: &Page, query: &PageQuery) -> Result<Response, Failure> {
        let json = json(&List::new(page, query, self.version))?;
        let tag = conditional::of_list(&json);
        if conditional::is_known(&call.headers, &tag) {
            return Ok(unchanged(tag));
        }
        Ok((headers(tag), json).into_response())
    }
}

/// By what one is asked for, of all that are in `collection`.
fn whom(collection: &Collection, params: &Params) -> Result<Whom, Failure> {
    let has_parent = collection.kinds.iter().any(|kind| kind.parent() != Parent::None);
    let parent = if has_parent { params.id("parentResourceId")? } else { None };
    match (params.owned("name"), params.owned("externalId")) {
        (Some(name), _) if parent.is_some() || !has_parent => Ok(Whom::Name { name, parent }),
        (_, Some(external_id)) => Ok(Whom::ExternalId(external_id)),
        _ if has_parent => Err(Failure::bad_request("either name and parentResourceId or externalId must be given")),
        _ => Err(Failure::bad_request("either name or externalId must be given")),
    }
}

/// Those of `kinds` that are asked for.
fn kinds_in(call: &Call, kinds: &[Kind]) -> Result<Vec<Kind>, Failure> {
    match call.params.get(decode::ARTIFACT_TYPE) {
        Some(text) if kinds == Kind::ARTIFACTS => Ok(vec![decode::artifact(text, kinds)?]),
        _ => Ok(kinds.to_vec()),
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn headers(tag: String) -> [(HeaderName, String); 2] {
    [(CONTENT_TYPE, JSON.to_owned()), (ETAG, tag)]
}

fn unchanged(tag: String) -> Response {
    (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response()
}
