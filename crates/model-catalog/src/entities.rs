//! The Backstage entities of a catalog document: `Resource` `ai-model`, `Component` `model-server` and `API`, and on
//! demand RHDH's `AiModelServerAPI`.
//!
//! A document and its entities say the same: what has a field of its own in the entity model goes there, links are
//! links, and the texts that it has no field for become annotations under `rhdh.modelcatalog.io/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::document::{Annotations, Api, Catalog, Model, ModelServer};
use crate::names::{EntityName, NonEmpty, Owner, Tag};

/// An entity as Backstage ingests it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// Always `backstage.io/v1alpha1`.
    pub api_version: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Name, description, tags, links and annotations.
    pub metadata: Metadata,
    /// What depends on the kind.
    pub spec: Spec,
}

/// The kinds of entity that the bridge makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// A model.
    Resource,
    /// A model server.
    Component,
    /// A model server's API.
    #[serde(rename = "API")]
    Api,
}

/// `metadata` of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Unique within the kind.
    pub name: EntityName,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Sorted and without doubles.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    /// What the portal links to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// By annotation keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A link of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// An absolute URL.
    pub url: String,
    /// What it leads to.
    pub title: &'static str,
    /// `website`, as the Go bridge has it.
    #[serde(rename = "type")]
    pub link_type: &'static str,
}

/// `spec` of an entity; which fields there are depends on its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// `ai-model`, `model-server`, or the kind of API.
    #[serde(rename = "type")]
    pub spec_type: &'static str,
    /// Where it stands in its life.
    pub lifecycle: NonEmpty,
    /// An entity reference to a user or group.
    pub owner: String,
    /// Of a server: its models.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Of a model: its server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependency_of: Vec<String>,
    /// Of a server: its API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provides_apis: Vec<String>,
    /// Of an API: its definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
}

/// The entities of `catalog`: its models in their order, then the server, then the API.
pub fn from_catalog(catalog: &Catalog) -> Vec<Entity> {
    let server = catalog.model_server.as_ref();
    let mut entities: Vec<Entity> = catalog.models.iter().map(|model| resource(model, server)).collect();
    if let Some(server) = server {
        entities.push(component(server, &catalog.models));
        entities.extend(server.api.as_ref().map(|api| api_entity(api, server)));
    }
    entities
}

fn resource(model: &Model, server: Option<&ModelServer>) -> Entity {
    let mut metadata = metadata(&model.name, &model.description, &model.tags, &model.annotations);
    metadata.push_link("Artifact", model.artifact_location_url.as_ref().map(ToString::to_string));
    metadata.push_link("How to use", model.how_to_use_url.as_ref().map(ToString::to_string));
    metadata.push_link("License", model.license.as_ref().map(ToString::to_string));
    for (key, text) in
        [("ethics", &model.ethics), ("support", &model.support), ("training", &model.training), ("usage", &model.usage)]
    {
        metadata.annotate(key, text.as_ref());
    }
    let dependency_of = server.iter().map(|server| format!("component:{}", server.name)).collect();
    let spec = Spec { dependency_of, ..spec("ai-model", &model.lifecycle, owner(&model.owner, &model.annotations)) };
    entity(Kind::Resource, metadata, spec)
}

fn component(server: &ModelServer, models: &[Model]) -> Entity {
    let mut metadata = metadata(&server.name, &server.description, &server.tags, &server.annotations);
    metadata.push_link("API", server.api.as_ref().map(|api| api.url.to_string()));
    metadata.push_link("Homepage", server.homepage_url.as_ref().map(ToString::to_string));
    metadata.annotate("usage", server.usage.as_ref());
    metadata.annotate("authentication", server.authentication.map(|on| on.to_string()).as_ref());
    let spec = Spec {
        depends_on: models.iter().map(|model| format!("resource:{}", model.name)).collect(),
        provides_apis: server.api.iter().map(|_| server.name.to_string()).collect(),
        ..spec("model-server", &server.lifecycle, owner(&server.owner, &server.annotations))
    };
    entity(Kind::Component, metadata, spec)
}

fn api_entity(api: &Api, server: &ModelServer) -> Entity {
    let mut metadata = metadata(&server.name, &server.description, &api.tags, &api.annotations);
    metadata.push_link("API", Some(api.url.to_string()));
    let spec = Spec {
        definition: Some(api.spec.as_str().to_owned()),
        ..spec(api.api_type.as_str(), &server.lifecycle, owner(&server.owner, &server.annotations))
    };
    entity(Kind::Api, metadata, spec)
}

/// The annotation that carries an owner's full reference where the document's `owner` can hold only the name. It is
/// not `rhdh.io/owner`: RHDH's provider takes that for a name, too, and puts `user:` before it.
pub const OWNER_ANNOTATION: &str = "rhdh.modelcatalog.io/owner";
/// The annotation with the name under which people, tools and the model's server know the model.
pub const MODEL_NAME: &str = "rhdh.modelcatalog.io/model-name";
/// The annotation with who made the model.
pub const PROVIDER_ANNOTATION: &str = "rhdh.modelcatalog.io/provider";
/// The annotation of a server with the models that it serves, as callers name them: a JSON list.
pub const SERVED_MODELS: &str = "rhdh.modelcatalog.io/served-models";
/// The annotation of a server with what it speaks.
pub const SERVER_TYPE_ANNOTATION: &str = "rhdh.io/serverType";
/// The annotation of a server with the system that it belongs to.
pub const SYSTEM_ANNOTATION: &str = "rhdh.io/system";
/// The server type of whatever speaks as OpenAI's API does: the one that RHDH knows.
pub const OPENAI: &str = "openai-v1";

/// What is written on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extra {
    /// RHDH's entity of a model server, and the annotations by which it makes one.
    AiModelServerApi,
}

impl FromStr for Extra {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ai-model-server-api" => Ok(Self::AiModelServerApi),
            _ => Err(format!("`{text}` is nothing that can be emitted: use ai-model-server-api")),
        }
    }
}

impl fmt::Display for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AiModelServerApi => f.write_str("ai-model-server-api"),
        }
    }
}

/// RHDH's entity of a model server: how an assistant calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerApiEntity {
    /// Always `backstage.io/v1alpha1`.
    pub api_version: &'static str,
    /// Always `AiModelServerAPI`.
    pub kind: &'static str,
    /// Name, description, tags, links and annotations.
    pub metadata: Metadata,
    /// How it is called.
    pub spec: ServerApiSpec,
}

/// `spec` of an `AiModelServerAPI`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerApiSpec {
    /// Always `ai-model-server`.
    #[serde(rename = "type")]
    pub spec_type: &'static str,
    /// Where it stands in its life.
    pub lifecycle: NonEmpty,
    /// An entity reference to a user or group.
    pub owner: String,
    /// The system that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What it speaks.
    pub server_type: String,
    /// Where it is called.
    pub server_url: String,
    /// Whether callers must authenticate.
    pub requires_api_key: bool,
    /// The entity of its API.
    pub api_entity_ref: String,
    /// What it serves.
    pub models: ServedModels,
}

/// `spec.models` of an `AiModelServerAPI`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServedModels {
    /// Whether the server lists its models; left out where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discoverable: Option<bool>,
    /// By the names that callers use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub available: Vec<String>,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// RHDH's entity of the server of `catalog`, where it has one that can be called.
pub fn ai_model_server_api(catalog: &Catalog) -> Option<ServerApiEntity> {
    let server = catalog.model_server.as_ref()?;
    let api = server.api.as_ref()?;
    let mut metadata = metadata(&server.name, &server.description, &server.tags, &server.annotations);
    metadata.push_link("API", Some(api.url.to_string()));
    metadata.push_link("Homepage", server.homepage_url.as_ref().map(ToString::to_string));
    let spec = ServerApiSpec {
        spec_type: "ai-model-server",
        lifecycle: server.lifecycle.clone(),
        owner: owner(&server.owner, &server.annotations),
        system: find(&server.annotations, SYSTEM_ANNOTATION).map(str::to_owned),
        server_type: server_type(server).to_owned(),
        server_url: api.url.to_string(),
        requires_api_key: server.authentication.unwrap_or(false),
        api_entity_ref: api_entity_ref(server),
        models: served_models(catalog, server),
    };
    Some(ServerApiEntity { api_version: "backstage.io/v1alpha1", kind: "AiModelServerAPI", metadata, spec })
}

fn api_entity_ref(server: &ModelServer) -> String {
    format!("api:default/{}", server.name)
}

fn server_type(server: &ModelServer) -> &str {
    find(&server.annotations, SERVER_TYPE_ANNOTATION).unwrap_or(OPENAI)
}

/// What is known to be served, else what the models are known as.
fn served_models(catalog: &Catalog, server: &ModelServer) -> ServedModels {
    let name = |model: &Model| find(&model.annotations, MODEL_NAME).unwrap_or(model.name.as_str()).to_owned();
    let known: Vec<String> = catalog.models.iter().map(name).collect();
    let listed = find(&server.annotations, SERVED_MODELS);
    let listed: Option<Vec<String>> = listed.and_then(|text| serde_json::from_str(text).ok());
    let discoverable = listed.is_some().then_some(true);
    let available = listed.unwrap_or_else(|| known.clone());
    let default = known.into_iter().find(|name| available.contains(name)).or_else(|| available.first().cloned());
    ServedModels { discoverable, available, default }
}

/// The document with the annotations by which RHDH's provider, from 1.1.0 on, makes an `AiModelServerAPI` of its server.
pub(crate) fn annotated_for_rhdh(catalog: &Catalog) -> Catalog {
    let mut catalog = catalog.clone();
    let first = catalog.models.first().map(|model| model.name.to_string());
    let Some(server) = catalog.model_server.as_mut().filter(|server| server.api.is_some()) else { return catalog };
    let owner = owner(&server.owner, &server.annotations);
    let facts = [
        // The provider puts `user:` before whatever it finds: a group is better left to the owner that it knows.
        ("rhdh.io/owner", owner.strip_prefix("user:").map(str::to_owned)),
        ("rhdh.io/lifecycle", Some(server.lifecycle.to_string())),
        (SERVER_TYPE_ANNOTATION, Some(server_type(server).to_owned())),
        ("rhdh.io/default", first),
        ("rhdh.io/api-entity-ref", Some(api_entity_ref(server))),
    ];
    let facts = facts.into_iter().filter_map(|(key, value)| Some((key.parse().ok()?, value?)));
    server.annotations.extend(facts);
    catalog
}

fn find<'a>(annotations: &'a Annotations, key: &str) -> Option<&'a str> {
    annotations.iter().find(|(found, _)| found.as_str() == key).map(|(_, value)| value.as_str())
}

fn owner(owner: &Owner, annotations: &Annotations) -> String {
    let full = find(annotations, OWNER_ANNOTATION);
    full.and_then(|value| value.parse::<Owner>().ok()).as_ref().unwrap_or(owner).reference()
}

fn spec(spec_type: &'static str, lifecycle: &NonEmpty, owner: String) -> Spec {
    Spec {
        spec_type,
        lifecycle: lifecycle.clone(),
        owner,
        depends_on: Vec::new(),
        dependency_of: Vec::new(),
        provides_apis: Vec::new(),
        definition: None,
    }
}

fn entity(kind: Kind, metadata: Metadata, spec: Spec) -> Entity {
    Entity { api_version: "backstage.io/v1alpha1", kind, metadata, spec }
}

fn metadata(name: &EntityName, description: &str, tags: &BTreeSet<Tag>, annotations: &Annotations) -> Metadata {
    let mut own = BTreeMap::new();
    for (key, value) in annotations {
        match key.as_str() {
            // RHDH's provider makes this annotation of either spelling; plain Backstage reads it as it is.
            "TechDocs" | "techdocs" => own.insert("backstage.io/techdocs-ref".to_owned(), format!("url:{value}")),
            key => own.insert(key.to_owned(), value.clone()),
        };
    }
    Metadata {
        name: name.clone(),
        description: description.to_owned(),
        tags: tags.clone(),
        links: Vec::new(),
        annotations: own,
    }
}

impl Metadata {
    fn push_link(&mut self, title: &'static str, url: Option<String>) {
        self.links.extend(url.map(|url| Link { url, title, link_type: "website" }));
    }

    fn annotate(&mut self, key: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.annotations.insert(format!("rhdh.modelcatalog.io/{key}"), value.clone());
        }
    }
}
