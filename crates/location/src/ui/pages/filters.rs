//! The form that narrows the list of models, and what it is narrowed to.

use maud::{Markup, html};

use super::{Context, grouped};
use crate::ui::index::{Choice, Choices, MAX_CHOICES};
use crate::ui::query::{Filter, Served, Sort};

/// The form: plain fields of an address, so it works without a script.
pub(super) fn form(context: &Context, filter: &Filter, choices: &Choices, entries: usize) -> Markup {
    let named = |wanted: &Option<String>| wanted.iter().cloned().collect::<Vec<_>>();
    html! {
        form #filters.filters role="search" method="get" action=(context.place.root()) aria-label="Models" data-live {
            div.field.search {
                label for="q" { "Search" }
                input #q type="search" name="q" value=(filter.text) placeholder="Name, description, tag or owner"
                    autocomplete="off" maxlength="200";
            }
            (select("owner", "Owner", &choices.owners, &named(&filter.owner)))
            (select("lifecycle", "Lifecycle", &choices.lifecycles, &named(&filter.lifecycle)))
            (select("provider", "Provider", &choices.providers, &named(&filter.provider)))
            (select("tag", "Tag", &choices.tags, &filter.tags))
            (served(filter, choices.served, entries))
            div.field {
                label for="sort" { "Order" }
                select #sort name="sort" {
                    @for sort in Sort::ALL {
                        option value=(sort.as_str()) selected[sort == filter.sort] { (sort.title()) }
                    }
                }
            }
            div.field.apply { button type="submit" { "Apply" } }
        }
    }
}

/// What is chosen first stands in the field; further choices of the same kind go along unseen.
fn select(name: &str, title: &str, choices: &[Choice], chosen: &[String]) -> Markup {
    let first = chosen.first().map(String::as_str);
    let is_listed = first.is_none_or(|first| choices.iter().any(|choice| &*choice.name == first));
    html! {
        div.field {
            label for=(name) { (title) }
            select id=(name) name=(name) disabled[choices.is_empty() && chosen.is_empty()] {
                option value="" { "Any" }
                @if let (Some(first), false) = (first, is_listed) {
                    option value=(first) selected { (first) }
                }
                @for choice in choices {
                    option value=(choice.name) selected[first == Some(&*choice.name)] {
                        (choice.name) " (" (grouped(choice.entries)) ")"
                    }
                }
                @if choices.len() == MAX_CHOICES {
                    option value="" disabled { "the " (MAX_CHOICES) " most common; others: search" }
                }
            }
            @for further in chosen.iter().skip(1) {
                input type="hidden" name=(name) value=(further);
            }
        }
    }
}

fn served(filter: &Filter, served: usize, entries: usize) -> Markup {
    let number = |choice| if choice == Served::Yes { served } else { entries.saturating_sub(served) };
    html! {
        div.field {
            label for="served" { "Serving" }
            select #served name="served" {
                option value="" { "Any" }
                @for choice in Served::ALL {
                    option value=(choice.as_str()) selected[filter.served == Some(choice)] {
                        (choice.title()) " (" (grouped(number(choice))) ")"
                    }
                }
            }
        }
    }
}

/// What the list is narrowed to, each with a way to do without it.
pub(super) fn chosen(context: &Context, filter: &Filter) -> Markup {
    let singles = [
        ("Search", Some(filter.text.clone()).filter(|text| !text.is_empty()), filter.with(|f| f.text.clear())),
        ("Owner", filter.owner.clone(), filter.with(|f| f.owner = None)),
        ("Lifecycle", filter.lifecycle.clone(), filter.with(|f| f.lifecycle = None)),
        ("Provider", filter.provider.clone(), filter.with(|f| f.provider = None)),
        ("Serving", filter.served.map(|served| served.title().to_owned()), filter.with(|f| f.served = None)),
    ];
    let tags =
        filter.tags.iter().map(|tag| ("Tag", Some(tag.clone()), filter.with(|f| f.tags.retain(|own| own != tag))));
    html! {
        @if filter.narrows() {
            ul.chosen aria-label="Filters in use" {
                @for (title, value, without) in singles.into_iter().chain(tags) {
                    @if let Some(value) = value {
                        li {
                            a href=(without.href()) aria-label={ "Remove filter " (title) " " (value) } {
                                span.what { (title) } " " bdi { (value) } span.cross aria-hidden="true" { "×" }
                            }
                        }
                    }
                }
                li { a.all href=(context.place.root()) { "Remove all" } }
            }
        }
    }
}
