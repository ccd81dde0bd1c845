//! What Backstage entities say: those of this bridge, and those of the Go bridge, which puts names and links elsewhere.

use model_catalog::entities::{MODEL_NAME, PROVIDER_ANNOTATION, SERVER_TYPE_ANNOTATION};
use serde_json::Value;

use super::{
    EXTERNAL_URL, INTERNAL_URL, MAX_ITEMS, Shown, ShownLink, ShownModel, ShownServer, annotations, find, items, name,
    served_models, short, tags, text,
};

/// Texts that have no field of their own in an entity.
const TEXTS: [(&str, &str); 4] = [
    ("Usage", "rhdh.modelcatalog.io/usage"),
    ("Ethics", "rhdh.modelcatalog.io/ethics"),
    ("Training", "rhdh.modelcatalog.io/training"),
    ("Support", "rhdh.modelcatalog.io/support"),
];
const AUTHENTICATION: &str = "rhdh.modelcatalog.io/authentication";
const DOCUMENTATION: &str = "backstage.io/techdocs-ref";

pub(super) fn read(entities: &[Value]) -> Shown {
    let of_kind = |kind: &'static str| {
        entities.iter().filter(move |entity| entity.get("kind").and_then(Value::as_str) == Some(kind))
    };
    let models = of_kind("Resource").take(MAX_ITEMS).map(model).collect();
    let api = of_kind("API").next();
    // The Go bridge writes a Component and an API for each model, served or not; only an API that can be called has a link.
    let is_served = api.is_none_or(|api| !links(metadata(api)).is_empty());
    Shown { models, server: of_kind("Component").next().filter(|_| is_served).map(|found| server(found, api)) }
}

fn metadata(entity: &Value) -> &Value {
    entity.get("metadata").unwrap_or(&Value::Null)
}

fn spec(entity: &Value) -> &Value {
    entity.get("spec").unwrap_or(&Value::Null)
}

/// The owner's name, as documents of the other format have it.
fn owner(entity: &Value) -> Option<String> {
    let owner = short(spec(entity), "owner")?;
    let name = owner.strip_prefix("user:").or_else(|| owner.strip_prefix("group:")).unwrap_or(&owner);
    Some(name.strip_prefix("default/").unwrap_or(name).to_owned())
}

fn links(metadata: &Value) -> Vec<ShownLink> {
    let shown = |link: &Value| {
        Some(ShownLink { title: short(link, "title").unwrap_or_else(|| "Link".to_owned()), url: text(link, "url")? })
    };
    items(metadata, "links").iter().take(MAX_ITEMS).filter_map(shown).collect()
}

fn model(entity: &Value) -> ShownModel {
    let metadata = metadata(entity);
    let annotations = annotations(metadata.get("annotations"));
    let mut links = links(metadata);
    let docs = find(&annotations, DOCUMENTATION).and_then(|text| text.strip_prefix("url:").map(str::to_owned));
    links.extend(docs.map(|url| ShownLink { title: "Documentation".to_owned(), url }));
    ShownModel {
        name: name(metadata),
        model_name: find(&annotations, MODEL_NAME),
        description: text(metadata, "description").unwrap_or_default(),
        owner: owner(entity),
        lifecycle: short(spec(entity), "lifecycle"),
        provider: find(&annotations, PROVIDER_ANNOTATION),
        tags: tags(metadata),
        links,
        texts: TEXTS.into_iter().filter_map(|(title, key)| Some((title, find(&annotations, key)?))).collect(),
        annotations,
    }
}

fn server(component: &Value, api: Option<&Value>) -> ShownServer {
    let about = metadata(component);
    let of_server = annotations(about.get("annotations"));
    let of_api = api.map(|api| annotations(metadata(api).get("annotations"))).unwrap_or_default();
    let url = api.and_then(|api| links(metadata(api)).into_iter().next()).map(|link| link.url);
    let homepage = links(about).into_iter().find(|link| link.title == "Homepage").map(|link| link.url);
    ShownServer {
        name: name(about),
        owner: owner(component),
        lifecycle: short(spec(component), "lifecycle"),
        authentication: find(&of_server, AUTHENTICATION).and_then(|text| text.parse().ok()),
        url,
        external_url: find(&of_api, EXTERNAL_URL),
        internal_url: find(&of_api, INTERNAL_URL),
        homepage,
        api_type: api.and_then(|api| short(spec(api), "type")),
        api_spec: api.and_then(|api| text(spec(api), "definition")),
        server_type: find(&of_server, SERVER_TYPE_ANNOTATION),
        usage: find(&of_server, TEXTS[0].1),
        served_models: served_models(&of_server),
        tags: tags(about),
        annotations: of_server,
    }
}
