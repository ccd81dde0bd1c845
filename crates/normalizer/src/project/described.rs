//! What is said of a model, by whichever of its sources, on its way into a catalog document.
//!
//! The same properties come from a registry's custom properties and from an InferenceService's annotations; here each
//! is made valid, or left out with a diagnostic that names the rule.

use std::collections::{BTreeMap, BTreeSet};

use model_catalog::document::{Api, ApiSpec, ApiType, Catalog, Model, ModelServer};
use model_catalog::entities::{
    Extra, MODEL_NAME, OWNER_ANNOTATION, PROVIDER_ANNOTATION, SERVED_MODELS, SERVER_TYPE_ANNOTATION, SYSTEM_ANNOTATION,
};
use model_catalog::links::{ArtifactUrl, WebUrl, license_url};
use model_catalog::names::{AnnotationKey, EntityName, NonEmpty, Owner, Tag, clean_text};

use super::naming::Naming;
use super::server::Server;
use super::serving::Adapter;
use super::{Notes, ProjectionSettings};
use crate::inventory::ServedApi;

const EXTERNAL_URL: &str = "rhdh.modelcatalog.io/external-route-url";
const INTERNAL_URL: &str = "rhdh.modelcatalog.io/internal-service-url";

/// The properties that have a field of their own in the document, and so never become tags.
pub(super) const FIELDS: &[&str] = &[
    "Owner",
    "Lifecycle",
    "Ethics",
    "How to use",
    "Support",
    "Training",
    "Usage",
    "Homepage URL",
    "API Spec",
    "License",
    "TechDocs",
    "techdocs",
    "backstage.io/techdocs-ref",
    "Description",
    MODEL_NAME,
];

/// What people call the property that leads to their own documentation, the one that counts most first.
const DOCUMENTATION: [&str; 3] = ["TechDocs", "techdocs", "backstage.io/techdocs-ref"];

/// A model's description, every part of it valid; see the types of [`model_catalog::document`] for what they mean.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) description: String,
    pub(super) owner: Owner,
    pub(super) lifecycle: NonEmpty,
    pub(super) artifact: Option<ArtifactUrl>,
    pub(super) license: Option<WebUrl>,
    pub(super) tags: BTreeSet<Tag>,
    /// `None`: the entry's own name.
    pub(super) model_name: Option<String>,
    ethics: Option<String>,
    how_to_use: Option<WebUrl>,
    support: Option<String>,
    training: Option<String>,
    usage: Option<String>,
    homepage: Option<WebUrl>,
    api_spec: Option<String>,
    api_type: ApiType,
    techdocs: Option<WebUrl>,
    provider: Option<String>,
    system: Option<String>,
}

/// Reads properties by their names, and notes what cannot be used.
pub(super) struct Reader<'a, 'n> {
    /// The values that a property has, the one that counts most first.
    pub(super) get: &'a dyn Fn(&str) -> Vec<String>,
    pub(super) subject: &'a str,
    pub(super) notes: &'a mut Notes<'n>,
}

impl Reader<'_, '_> {
    /// A text; `None` where it is missing or blank.
    pub(super) fn text(&self, property: &str) -> Option<String> {
        (self.get)(property).iter().map(|text| clean_text(text)).find(|text| !text.is_empty())
    }

    /// A URL that a browser may open.
    fn web_url(&mut self, property: &str) -> Option<WebUrl> {
        let text = self.text(property)?;
        self.parsed_url(property, &text)
    }

    /// Where the user's own documentation is. As a reference of Backstage's it may have its type before it.
    fn documentation(&mut self) -> Option<WebUrl> {
        let (property, text) = DOCUMENTATION.iter().find_map(|name| Some((*name, self.text(name)?)))?;
        self.parsed_url(property, text.strip_prefix("url:").unwrap_or(&text))
    }

    fn parsed_url(&mut self, property: &str, text: &str) -> Option<WebUrl> {
        text.parse()
            .map_err(|error| self.notes.add(self.subject, format!("property `{property}` left out: {error}")))
            .ok()
    }

    /// Where an artifact is stored.
    pub(super) fn artifact(&mut self, uri: Option<String>) -> Option<ArtifactUrl> {
        let uri = uri.filter(|uri| !uri.trim().is_empty())?;
        uri.parse().map_err(|error| self.notes.add(self.subject, format!("artifact location left out: {error}"))).ok()
    }

    /// The first that names an owner: of the property, then of what the source says besides.
    fn owner(&mut self, others: Vec<String>, settings: &ProjectionSettings) -> Owner {
        let candidates = (self.get)("Owner").into_iter().chain(others);
        for text in candidates.filter(|text| !text.trim().is_empty()) {
            match Owner::lossy(&text) {
                Some(owner) => return settings.owners.of_kind(owner),
                None => {
                    let problem = format!("owner `{}` left out: nothing of it is allowed in an owner", shown(&text));
                    self.notes.add(self.subject, problem);
                }
            }
        }
        settings.owners.of_kind(settings.default_owner.clone())
    }

    /// An entity reference to a system, which is asked for only where it is shown.
    fn system(&mut self, settings: &ProjectionSettings) -> Option<String> {
        let text = self.text("System").filter(|_| settings.emit.contains(&Extra::AiModelServerApi))?;
        let bare = text.strip_prefix("system:").unwrap_or(&text);
        let valid = bare.splitn(2, '/').all(|part| part.parse::<EntityName>().is_ok());
        if !valid {
            self.notes.add(self.subject, format!("system `{}` left out: it is no name of an entity", shown(&text)));
        }
        valid.then_some(text)
    }

    fn api_type(&mut self) -> ApiType {
        let Some(text) = self.text("API Type") else { return ApiType::default() };
        ApiType::from_name(&text).unwrap_or_else(|| {
            let problem =
                format!("`API Type` `{}` is none of openapi, asyncapi, graphql, grpc: taken as openapi", shown(&text));
            self.notes.add(self.subject, problem);
            ApiType::default()
        })
    }

    /// A tag, or a note that there is none.
    pub(super) fn tag(&mut self, text: &str) -> Option<Tag> {
        let tag = Tag::lossy(text);
        if tag.is_none() && !text.trim().is_empty() {
            let problem = format!("tag `{}` left out: not 1 to 63 of the characters allowed in tags", shown(text));
            self.notes.add(self.subject, problem);
        }
        tag
    }
}

/// As much of a text as a diagnostic needs.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// What is given beside the properties, by fields of the sources' own.
pub(super) struct Given {
    pub(super) description: String,
    /// Who owns it unless a property says so, the one that counts most first.
    pub(super) owners: Vec<String>,
    pub(super) license: Option<String>,
    pub(super) license_link: Option<String>,
    pub(super) artifact: Option<String>,
    pub(super) tags: BTreeSet<Tag>,
    pub(super) provider: Option<String>,
    pub(super) model_name: Option<String>,
}

impl Described {
    pub(super) fn read(reader: &mut Reader<'_, '_>, given: Given, settings: &ProjectionSettings) -> Self {
        let mut tags = given.tags;
        let license = license(reader, given.license, given.license_link, &mut tags);
        let artifact = reader.artifact(given.artifact);
        let lifecycle = reader.text("Lifecycle").and_then(|text| NonEmpty::lossy(&text));
        Self {
            description: clean_text(&given.description),
            owner: reader.owner(given.owners, settings),
            lifecycle: lifecycle.unwrap_or_else(|| settings.default_lifecycle.clone()),
            artifact,
            license,
            tags,
            model_name: reader.text(MODEL_NAME).or(given.model_name),
            ethics: reader.text("Ethics"),
            how_to_use: reader.web_url("How to use"),
            support: reader.text("Support"),
            training: reader.text("Training"),
            usage: reader.text("Usage"),
            homepage: reader.web_url("Homepage URL"),
            api_spec: reader.text("API Spec"),
            api_type: reader.api_type(),
            techdocs: reader.documentation(),
            provider: reader.text("Provider").or(given.provider),
            system: reader.system(settings),
        }
    }

    /// The document: the model, those that are served beside it, and the server where there is one.
    pub(super) fn into_catalog(
        self,
        naming: &Naming,
        server: Option<Server>,
        adapters: &[Adapter],
        card_url: Option<String>,
        served: Option<&ServedApi>,
    ) -> Catalog {
        let bare: Owner = self.owner.name().parse().unwrap_or_else(|_| self.owner.clone());
        let qualified = self.owner.is_qualified().then(|| (OWNER_ANNOTATION, self.owner.to_string()));
        let further: Vec<Model> =
            adapters.iter().filter_map(|adapter| self.adapter(adapter, naming, &bare, qualified.clone())).collect();
        let model_server = server.map(|server| {
            let server_type = server.speaks.as_ref().map(ToString::to_string);
            let listed = served.and_then(|served| served.models.as_deref());
            let models = Some(server.served_models(listed)).filter(|models| !models.is_empty());
            let facts = [
                (SERVER_TYPE_ANNOTATION, server_type),
                (SYSTEM_ANNOTATION, self.system.clone()),
                (SERVED_MODELS, models.and_then(|models| serde_json::to_string(&models).ok())),
            ];
            let facts = facts.into_iter().filter_map(|(key, value)| Some((key, value?)));
            ModelServer {
                name: naming.name.clone(),
                owner: bare.clone(),
                lifecycle: self.lifecycle.clone(),
                description: self.description.clone(),
                api: self.api(&server, served),
                authentication: Some(server.authentication),
                homepage_url: self.homepage.clone(),
                tags: self.tags.clone(),
                usage: self.usage.clone(),
                annotations: annotations(facts.chain(qualified.clone())),
            }
        });
        // A user's own documentation wins over the model card.
        let docs = self.techdocs.map(String::from).or(card_url);
        let model_name = self.model_name.unwrap_or_else(|| naming.name.to_string());
        let facts = [
            ("TechDocs", docs.clone()),
            ("techdocs", docs),
            (MODEL_NAME, Some(model_name)),
            (PROVIDER_ANNOTATION, self.provider),
        ];
        let facts = facts.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let model = Model {
            name: naming.name.clone(),
            owner: bare,
            lifecycle: self.lifecycle,
            description: self.description,
            artifact_location_url: self.artifact,
            ethics: self.ethics,
            how_to_use_url: self.how_to_use,
            license: self.license,
            support: self.support,
            tags: self.tags,
            training: self.training,
            usage: self.usage,
            annotations: annotations(facts.chain(qualified)),
        };
        Catalog { models: std::iter::once(model).chain(further).collect(), model_server }
    }

    /// An adapter as a model: it shares the owner, the place in life and the tags of the model that it adapts. What else
    /// is said of that model need not be true of it.
    fn adapter(
        &self,
        adapter: &Adapter,
        naming: &Naming,
        owner: &Owner,
        qualified: Option<(&'static str, String)>,
    ) -> Option<Model> {
        let mut tags = self.tags.clone();
        tags.extend("lora".parse::<Tag>());
        let model_name = (MODEL_NAME, clean_text(&adapter.name));
        Some(Model {
            name: naming.further.get(&adapter.name)?.clone(),
            owner: owner.clone(),
            lifecycle: self.lifecycle.clone(),
            description: clean_text(&format!("LoRA adapter {} of {}", adapter.name, adapter.base)),
            artifact_location_url: adapter.artifact.clone(),
            ethics: None,
            how_to_use_url: self.how_to_use.clone(),
            license: None,
            support: self.support.clone(),
            tags,
            training: None,
            usage: None,
            annotations: annotations(std::iter::once(model_name).chain(qualified)),
        })
    }

    /// Where no definition is given, that which the API has of itself.
    fn api(&self, server: &Server, served: Option<&ServedApi>) -> Option<Api> {
        let url = server.url.clone()?;
        let own = || served.and_then(|served| served.openapi.as_deref()).filter(|_| self.api_type == ApiType::Openapi);
        let spec = self.api_spec.clone().or_else(|| own().map(str::to_owned));
        let text = |link: &Option<WebUrl>| link.as_ref().map(ToString::to_string);
        let known = [(EXTERNAL_URL, text(&server.external)), (INTERNAL_URL, text(&server.internal))];
        let known = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Some(Api {
            url,
            api_type: self.api_type,
            spec: ApiSpec::or_placeholder(spec),
            tags: self.tags.clone(),
            annotations: annotations(known),
        })
    }
}

/// The licence as RHDH demands it, a URL; one that has none is kept as a tag.
fn license(
    reader: &mut Reader<'_, '_>,
    own: Option<String>,
    link: Option<String>,
    tags: &mut BTreeSet<Tag>,
) -> Option<WebUrl> {
    let text = reader.text("License").or(own).filter(|text| !text.trim().is_empty());
    let as_url = text.as_ref().and_then(|text| text.parse::<WebUrl>().ok());
    let link = link.and_then(|link| link.parse().ok());
    let url = as_url.or(link).or_else(|| license_url(text.as_deref()?));
    if let (None, Some(text)) = (&url, &text) {
        let problem = format!("licence `{}` is neither a URL nor a known SPDX identifier: kept as a tag", shown(text));
        reader.notes.add(reader.subject, problem);
        tags.extend(Tag::lossy(text));
    }
    url
}

fn annotations<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> BTreeMap<AnnotationKey, String> {
    pairs.into_iter().filter_map(|(key, value)| Some((key.parse().ok()?, value))).collect()
}
