//! The Backstage entities of a catalog document: `Resource` `ai-model`, `Component` `model-server` and `API`.
//!
//! A document and its entities say the same: what has a field of its own in the entity model goes there, links are
//! links, and the texts that it has no field for become annotations under `rhdh.modelcatalog.io/`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::document::{Api, Catalog, Model, ModelServer};
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

fn owner(owner: &Owner, annotations: &crate::document::Annotations) -> String {
    let full = annotations.iter().find(|(key, _)| key.as_str() == OWNER_ANNOTATION);
    full.and_then(|(_, value)| value.parse::<Owner>().ok()).as_ref().unwrap_or(owner).reference()
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

fn metadata(
    name: &EntityName,
    description: &str,
    tags: &BTreeSet<Tag>,
    annotations: &crate::document::Annotations,
) -> Metadata {
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
