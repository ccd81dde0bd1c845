//! The page of a model: all that is known of it.

use bridge_api::EntryKey;
use maud::{Markup, html};

use super::{Context, outward};
use crate::snapshot::{Card, Entry};
use crate::ui::card;
use crate::ui::index::title_of;
use crate::ui::query::Filter;
use crate::ui::view::{Shown, ShownModel, ShownServer, clipped};

/// So much of a document is shown, in bytes; the rest is behind a link.
const MAX_DOCUMENT: usize = 256 << 10;
/// The annotations that have a place of their own on the page.
const PLACED: [&str; 12] = [
    "rhdh.modelcatalog.io/model-name",
    "rhdh.modelcatalog.io/provider",
    "rhdh.modelcatalog.io/usage",
    "rhdh.modelcatalog.io/ethics",
    "rhdh.modelcatalog.io/training",
    "rhdh.modelcatalog.io/support",
    "rhdh.modelcatalog.io/authentication",
    "rhdh.modelcatalog.io/served-models",
    "rhdh.io/serverType",
    "TechDocs",
    "techdocs",
    "backstage.io/techdocs-ref",
];

/// The page of an entry.
pub(in crate::ui) fn model(context: &Context, key: &EntryKey, entry: &Entry) -> Markup {
    let read = Shown::read(context.format, entry.document().bytes());
    let nothing = Shown::default();
    let shown = read.as_ref().unwrap_or(&nothing);
    let title = title_of(key, shown);
    let content = html! {
        nav.path aria-label="Where you are" { a href=(context.place.root()) { "Models" } " / " bdi { (clipped(&title, 80)) } }
        div #entry data-live {
            (heading(&title, shown))
            @if let Err(error) = &read {
                p.warning role="note" { "This document cannot be shown but as it is: " (clipped(&error.to_string(), 300)) }
            }
            div.columns {
                div.main {
                    @if let Some(server) = &shown.server { (server_section(server, shown.models.first())) }
                    @if let Some(first) = shown.models.first() { (texts(first)) }
                    @for further in shown.models.iter().skip(1) { (further_model(further)) }
                    @if let Some(card) = entry.card() { (card_section(context, card)) }
                    (document(context, key, entry))
                }
                aside aria-label="Facts" { (facts(context, key, shown)) }
            }
        }
    };
    context.page(&clipped(&title, 80), &content)
}

/// The page of an entry that is not there.
pub(in crate::ui) fn no_model(context: &Context) -> Markup {
    let content = html! {
        div.empty #entry data-live {
            h1 { "There is no such model" }
            p { "It may have been archived, or its server stopped. " a href=(context.place.root()) { "Show all models" } "." }
        }
    };
    context.page("No such model", &content)
}

fn heading(title: &str, shown: &Shown) -> Markup {
    let lifecycle = shown.first(|model| model.lifecycle.as_ref(), |server| server.lifecycle.as_ref());
    let description = shown.models.first().map(|model| model.description.as_str()).unwrap_or_default();
    html! {
        h1 { bdi dir="auto" { (title) } }
        p.facts {
            @if shown.server.is_some() { span.badge.served { "Served" } } @else { span.badge { "Not served" } }
            @if let Some(lifecycle) = lifecycle { span.badge { bdi { (lifecycle) } } }
        }
        @if !description.is_empty() { p.lead dir="auto" { (description) } }
    }
}

fn facts(context: &Context, key: &EntryKey, shown: &Shown) -> Markup {
    let owner = shown.first(|model| model.owner.as_ref(), |server| server.owner.as_ref());
    let provider = shown.first(|model| model.provider.as_ref(), |_| None);
    let links = shown.models.iter().flat_map(|model| &model.links);
    let tags = shown.tags();
    let filtered =
        |change: &dyn Fn(&mut Filter)| format!("{}{}", context.place.root(), Filter::default().with(change).href());
    html! {
        dl.facts-list {
            @if let Some(owner) = owner {
                dt { "Owner" } dd { a href=(filtered(&|f| f.owner = Some(owner.to_owned()))) { bdi { (owner) } } }
            }
            @if let Some(provider) = provider {
                dt { "Provider" } dd { a href=(filtered(&|f| f.provider = Some(provider.to_owned()))) { bdi { (provider) } } }
            }
            @for link in links { dt { bdi { (link.title) } } dd { (outward(&link.url, &link.url)) } }
            @for model in &shown.models { dt { "Entity" } dd { code { "resource:" bdi { (model.name) } } } }
            @if let Some(server) = &shown.server { dt { "Entity" } dd { code { "component:" bdi { (server.name) } } } }
            dt { "Key" } dd { code { (key) } }
        }
        @if !tags.is_empty() {
            h2 { "Tags" }
            ul.tags {
                @for tag in tags {
                    li { a href=(filtered(&|f| f.tags = vec![tag.to_owned()])) { bdi { (tag) } } }
                }
            }
        }
        (annotations(shown))
    }
}

fn annotations(shown: &Shown) -> Markup {
    let of_models = shown.models.iter().flat_map(|model| &model.annotations);
    let all = of_models.chain(shown.server.iter().flat_map(|server| &server.annotations));
    let mut rest: Vec<&(String, String)> = all.filter(|(key, _)| !PLACED.contains(&key.as_str())).collect();
    rest.sort_unstable();
    rest.dedup();
    html! {
        @if !rest.is_empty() {
            h2 { "Annotations" }
            dl.facts-list {
                @for (key, value) in rest { dt { bdi { (key) } } dd { (outward(value, value)) } }
            }
        }
    }
}

fn server_section(server: &ShownServer, model: Option<&ShownModel>) -> Markup {
    let url = |title: &str, url: &Option<String>| {
        html! { @if let Some(url) = url { dt { (title) } dd { (outward(url, url)) } } }
    };
    // Where the API is called is one of these, as a rule.
    let other_url =
        server.url.clone().filter(|url| ![&server.external_url, &server.internal_url].contains(&&Some(url.clone())));
    // As a rule it is what is said of the model, which is on the page anyhow.
    let of_model = |usage: &&String| model.is_some_and(|model| model.texts.iter().any(|(_, text)| text == *usage));
    let usage = server.usage.as_ref().filter(|usage| !of_model(usage));
    html! {
        section.panel {
            h2 #server { "Server" }
            dl.facts-list {
                (url("API", &other_url))
                (url("From outside", &server.external_url))
                (url("In the cluster", &server.internal_url))
                @if [&server.url, &server.external_url, &server.internal_url].iter().all(|url| url.is_none()) {
                    dt { "API" } dd { "No address is known yet" }
                }
                dt { "State" } dd {
                    @match &server.lifecycle { Some(lifecycle) => { "Served, " bdi { (lifecycle) } }, None => { "Served" } }
                }
                dt { "Authentication" } dd {
                    @match server.authentication {
                        Some(true) => { "Callers need a token" },
                        Some(false) => { "None: anyone who reaches it may call it" },
                        None => { "Not known" },
                    }
                }
                @if let Some(speaks) = &server.server_type { dt { "Speaks" } dd { bdi { (speaks) } } }
                @if let Some(kind) = &server.api_type { dt { "Kind of API" } dd { bdi { (kind) } } }
                (url("Homepage", &server.homepage))
                @if !server.served_models.is_empty() {
                    dt { "Models by name" }
                    dd { ul.names { @for name in &server.served_models { li { code { bdi { (name) } } } } } }
                }
                @if let Some(usage) = usage { dt { "Usage" } dd.prose dir="auto" { (usage) } }
            }
            @if let Some(spec) = server.api_spec.as_deref().filter(|spec| !matches!(*spec, "TBD" | "no-definition-yet")) {
                details #definition { summary { "Definition of the API" } pre tabindex="0" role="region" aria-label="Definition of the API" { code { (spec) } } }
            }
        }
    }
}

fn texts(model: &ShownModel) -> Markup {
    html! {
        @if !model.texts.is_empty() {
            section.panel {
                @for (title, text) in &model.texts { h2 { (title) } p.prose dir="auto" { (text_or_link(text)) } }
            }
        }
    }
}

/// A text that is nothing but an address is a link.
fn text_or_link(text: &str) -> Markup {
    if text.starts_with("http") && !text.contains(char::is_whitespace) {
        outward(text, text)
    } else {
        html! { (text) }
    }
}

fn further_model(model: &ShownModel) -> Markup {
    let name = model.model_name.as_ref().unwrap_or(&model.name);
    html! {
        section.panel {
            h2 { "Also: " bdi { (name) } }
            @if !model.description.is_empty() { p.prose dir="auto" { (model.description) } }
        }
    }
}

fn card_section(context: &Context, model_card: &Card) -> Markup {
    let text = String::from_utf8_lossy(model_card.text().bytes());
    let query: String = url::form_urlencoded::byte_serialize(model_card.key().as_bytes()).collect();
    html! {
        section.panel {
            div.title-row {
                h2 #card { "Model card" }
                a href=(context.to(&format!("modelcard?key={query}"))) { "Markdown" }
            }
            div.model-card dir="auto" role="region" aria-label="Text of the model card" tabindex="0" { (card::render(&text)) }
            @if text.len() > card::MAX_CARD {
                p.note { "Only the first " (card::MAX_CARD >> 10) " KiB of the card are shown." }
            }
        }
    }
}

fn document(context: &Context, key: &EntryKey, entry: &Entry) -> Markup {
    let bytes = entry.document().bytes();
    let shown = String::from_utf8_lossy(bytes.get(..MAX_DOCUMENT).unwrap_or(bytes));
    let uri = key.uri(context.format);
    html! {
        section.panel {
            div.title-row {
                h2 #document { "Document" }
                a href=(context.to(uri.trim_start_matches('/'))) { (context.format.file_name()) }
            }
            details #raw {
                summary { "As Backstage reads it (" (super::grouped(bytes.len())) " bytes)" }
                pre tabindex="0" role="region" aria-label="Text of the document" { code { (indented(context, &shown)) } }
                @if bytes.len() > MAX_DOCUMENT { p.note { "Only the beginning is shown." } }
            }
        }
    }
}

/// JSON is served in one line, which nobody can read.
fn indented(context: &Context, text: &str) -> String {
    let value = match context.format {
        model_catalog::render::Format::ModelCatalogJson => serde_json::from_str::<serde_json::Value>(text).ok(),
        model_catalog::render::Format::CatalogInfoYaml => None,
    };
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}
