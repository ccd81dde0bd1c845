//! The page of models: as cards, a page of them at a time.

use bridge_api::EntryKey;
use maud::{Markup, html};
use model_catalog::render::Format;

use super::{Context, count, filters, grouped};
use crate::snapshot::{Entry, Snapshot};
use crate::ui::index::{Index, title_of};
use crate::ui::query::Filter;
use crate::ui::view::{Shown, Unreadable, clipped};

/// How many cards a page has: rows of two, three and four are full.
const CARDS: usize = 24;
/// How much of a description a card has; the style shows three lines of it.
const DESCRIPTION: usize = 240;
const TAGS: usize = 5;
/// How much of a name beside others.
const SHORT: usize = 40;

/// The page that `filter` asks for.
pub(in crate::ui) fn list(context: &Context, snapshot: &Snapshot, index: &Index, filter: &Filter) -> Markup {
    let found = index.find(filter);
    let pages = found.len().div_ceil(CARDS).max(1);
    let page = filter.page.clamp(1, pages);
    let first = (page - 1) * CARDS;
    let shown: Vec<(&EntryKey, &Entry)> =
        found.iter().skip(first).take(CARDS).filter_map(|key| Some((key, snapshot.entry(key)?.as_ref()))).collect();
    let content = html! {
        h1 { "Models" }
        (filters::form(context, filter, index.choices(), index.entries()))
        div #results data-live {
            (filters::chosen(context, filter))
            @if shown.is_empty() {
                (nothing(context, index.entries()))
            } @else {
                p.count { (amount(found.len(), index.entries(), first, shown.len())) }
                ul.cards {
                    @for (key, entry) in shown { li { (card(context, key, entry, filter)) } }
                }
                (turning(filter, page, pages))
            }
        }
    };
    context.page("Models", &content)
}

fn amount(found: usize, all: usize, first: usize, shown: usize) -> String {
    let of_all = if found == all { String::new() } else { format!(" of {}", grouped(all)) };
    let total = format!("{}{of_all}", count(found, "model", "models"));
    if shown == found { total } else { format!("{total}, {} to {} shown", grouped(first + 1), grouped(first + shown)) }
}

fn nothing(context: &Context, entries: usize) -> Markup {
    html! {
        div.empty {
            @if entries == 0 {
                h2 { "There are no models yet" }
                p {
                    "Models appear here when a registry has a version that is live, or when an InferenceService is ready. "
                    "The normalizer's log names each model that was left out, and why."
                }
            } @else {
                h2 { "No model is like that" }
                p {
                    "None of the " (count(entries, "model", "models")) " fits all of the filters. "
                    a href=(context.place.root()) { "Show all models" } "."
                }
            }
        }
    }
}

fn card(context: &Context, key: &EntryKey, entry: &Entry, filter: &Filter) -> Markup {
    let read = Shown::read(context.format, entry.document().bytes());
    let href = model_href(context, key);
    match read {
        Ok(shown) => readable_card(key, &shown, &href, filter),
        Err(error) => unreadable_card(key, &error, context.format, &href),
    }
}

/// The address of a model's page.
fn model_href(context: &Context, key: &EntryKey) -> String {
    // Keys consist of characters that need no escape.
    context.to(&format!("ui/model?key={key}"))
}

fn readable_card(key: &EntryKey, shown: &Shown, href: &str, filter: &Filter) -> Markup {
    let title = clipped(&title_of(key, shown), 120);
    let description = shown.models.first().map(|model| clipped(&model.description, DESCRIPTION)).unwrap_or_default();
    let owner = shown.first(|model| model.owner.as_ref(), |server| server.owner.as_ref());
    let lifecycle = shown.first(|model| model.lifecycle.as_ref(), |server| server.lifecycle.as_ref());
    let provider = shown.first(|model| model.provider.as_ref(), |_| None);
    let tags: Vec<&str> = shown.tags().into_iter().filter(|tag| !tag.starts_with("last-modified-time-")).collect();
    html! {
        article.card {
            h2 { a href=(href) { bdi dir="auto" { (title) } } }
            p.key { (key.segments().0) " / " (key.segments().1) }
            p.description dir="auto" {
                @if description.is_empty() { span.none { "No description" } } @else { (description) }
            }
            p.facts {
                @if shown.server.is_some() { span.badge.served { "Served" } }
                @if let Some(lifecycle) = lifecycle { span.badge { bdi { (clipped(lifecycle, SHORT)) } } }
                @if let Some(provider) = provider { span { "by " bdi { (clipped(provider, SHORT)) } } }
                @if let Some(owner) = owner { span { "owned by " bdi { (clipped(owner, SHORT)) } } }
            }
            @if !tags.is_empty() {
                ul.tags aria-label="Tags" {
                    @for tag in tags.iter().take(TAGS) {
                        li { a href=(filter.with(|f| f.tags = vec![(*tag).to_owned()]).href()) { bdi { (clipped(tag, SHORT)) } } }
                    }
                    @if tags.len() > TAGS { li.more { "+" (tags.len() - TAGS) span.unseen { " more tags" } } }
                }
            }
        }
    }
}

fn unreadable_card(key: &EntryKey, error: &Unreadable, format: Format, href: &str) -> Markup {
    html! {
        article.card {
            h2 { a href=(href) { (key.segments().0) " " (key.segments().1) } }
            p.key { (key.segments().0) " / " (key.segments().1) }
            p.description { "The " (format.file_name()) " of this entry cannot be read: " (clipped(&error.to_string(), 160)) }
        }
    }
}

fn turning(filter: &Filter, page: usize, pages: usize) -> Markup {
    let at = |page: usize| Filter { page, ..filter.clone() }.href();
    html! {
        @if pages > 1 {
            nav.turning aria-label="More models" {
                @if page > 1 { a rel="prev" href=(at(page - 1)) { "← Previous" } } @else { span.off { "← Previous" } }
                span { "Page " (grouped(page)) " of " (grouped(pages)) }
                @if page < pages { a rel="next" href=(at(page + 1)) { "Next →" } } @else { span.off { "Next →" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_amount_says_what_of_how_many_is_shown() {
        assert_eq!(amount(3, 3, 0, 3), "3 models");
        assert_eq!(amount(1, 3, 0, 1), "1 model of 3");
        assert_eq!(amount(2000, 10_000, 24, 24), "2,000 models of 10,000, 25 to 48 shown");
    }
}
