//! What a reader learns from a document, the same for both formats.

use model_catalog::render::Format;
use serde::Deserialize as _;
use serde_json::Value;

/// A model, and its server where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The entity's name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Without the kind.
    pub owner: String,
    /// Where the model is.
    pub artifact: Option<String>,
    /// Where it is served.
    pub server: Option<ShownServer>,
}

/// A model server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownServer {
    /// Its API's address.
    pub url: Option<String>,
    /// Whether callers must authenticate.
    pub authentication: bool,
}

impl Shown {
    /// Reads a document; says what is wrong with one that a reader could not use.
    pub fn read(format: Format, text: &str) -> Result<Self, String> {
        match format {
            Format::ModelCatalogJson => {
                let document: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
                Self::from_document(&document).ok_or_else(|| format!("not a catalog document: {text}"))
            }
            Format::CatalogInfoYaml => {
                let entities: Result<Vec<Value>, _> =
                    serde_yaml::Deserializer::from_str(text).map(Value::deserialize).collect();
                let entities = entities.map_err(|error| format!("{error}: {text}"))?;
                Self::from_entities(&entities).ok_or_else(|| format!("not the entities of a model: {text}"))
            }
        }
    }

    fn from_document(document: &Value) -> Option<Self> {
        let [model] = document["models"].as_array()?.as_slice() else { return None };
        let server = document.get("modelServer").map(|server| ShownServer {
            url: string(&server["API"]["url"]),
            authentication: server["authentication"] == true,
        });
        Some(Self {
            name: string(&model["name"])?,
            description: string(&model["description"])?,
            owner: string(&model["owner"])?,
            artifact: string(&model["artifactLocationURL"]),
            server,
        })
    }

    fn from_entities(entities: &[Value]) -> Option<Self> {
        let of_kind = |kind: &str| entities.iter().find(|entity| entity["kind"] == kind);
        let link = |entity: &Value, title: &str| {
            let links = entity["metadata"]["links"].as_array()?;
            links.iter().find(|link| link["title"] == title).and_then(|link| string(&link["url"]))
        };
        let model = of_kind("Resource")?;
        let server = of_kind("Component").map(|component| ShownServer {
            url: of_kind("API").and_then(|api| link(api, "API")),
            authentication: component["metadata"]["annotations"]["rhdh.modelcatalog.io/authentication"] == "true",
        });
        Some(Self {
            name: string(&model["metadata"]["name"])?,
            description: string(&model["metadata"]["description"]).unwrap_or_default(),
            owner: string(&model["spec"]["owner"])?.trim_start_matches("user:").to_owned(),
            artifact: link(model, "Artifact"),
            server,
        })
    }
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
