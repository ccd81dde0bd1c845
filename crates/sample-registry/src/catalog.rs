//! The Model Catalog beside the registry: sources, their models, and the model cards (`readme`).

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde_json::{Map, Value, json};

use crate::{
    SampleRegistry,
    http::{Answer, list_answer, not_found, refusal},
    paging::{ListParams, page_of_names},
};

const DEFAULT_PAGE_SIZE: usize = 10;

/// The catalog's sources by id.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) sources: BTreeMap<String, Source>,
}

/// A catalog source and its models by name.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) fields: Map<String, Value>,
    pub(crate) models: BTreeMap<String, Map<String, Value>>,
}

impl Catalog {
    /// The source, created when it is new.
    pub(crate) fn source(&mut self, id: &str) -> &mut Source {
        self.sources.entry(id.to_owned()).or_insert_with(|| Source {
            fields: Map::from_iter([
                ("id".to_owned(), json!(id)),
                ("name".to_owned(), json!(id)),
                ("enabled".to_owned(), json!(true)),
                ("labels".to_owned(), json!([])),
                ("status".to_owned(), json!("available")),
            ]),
            models: BTreeMap::new(),
        })
    }
}

pub(crate) fn router() -> Router<SampleRegistry> {
    Router::new()
        .route("/sources", get(sources))
        .route("/models", get(models))
        .route("/sources/{source}/models/{*name}", get(model))
}

async fn sources(State(registry): State<SampleRegistry>, Query(params): Query<ListParams>) -> Answer {
    let sources = registry.read(|state| {
        let sources = state.catalog.sources.iter();
        sources.map(|(id, source)| (id.clone(), Value::Object(source.fields.clone()))).collect::<Vec<_>>()
    });
    let page = page_of_names(&sources, &params, DEFAULT_PAGE_SIZE).map_err(refusal)?;
    Ok(list_answer(page))
}

async fn models(State(registry): State<SampleRegistry>, Query(params): Query<ListParams>) -> Answer {
    let mut models = registry.read(|state| {
        let sources = state.catalog.sources.iter();
        sources
            .filter(|(id, _)| params.source.as_ref().is_none_or(|wanted| wanted == *id))
            .flat_map(|(_, source)| &source.models)
            .map(|(name, fields)| (name.clone(), Value::Object(fields.clone())))
            .collect::<Vec<_>>()
    });
    models.sort_by(|(a, _), (b, _)| a.cmp(b));
    let page = page_of_names(&models, &params, DEFAULT_PAGE_SIZE).map_err(refusal)?;
    Ok(list_answer(page))
}

async fn model(State(registry): State<SampleRegistry>, Path((source, name)): Path<(String, String)>) -> Answer {
    registry
        .read(|state| {
            let model = state.catalog.sources.get(&source)?.models.get(&name)?;
            Some(Value::Object(model.clone()).into())
        })
        .ok_or_else(|| not_found("catalog model", &name))
}
