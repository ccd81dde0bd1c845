//! The pages as HTML. Whatever is put into the templates is escaped by them; texts of others stand in elements of their own
//! direction, so that none of them turns around what is beside it.

use maud::{DOCTYPE, Markup, html};
use model_catalog::links::WebUrl;
use model_catalog::render::Format;

mod filters;
mod list;
mod model;
mod sources;

pub(super) use list::list;
pub(super) use model::{model, no_model};
pub(super) use sources::sources;

/// A page, and how it refers to the others: by relative addresses, because a proxy may serve all of them below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Models,
    Model,
    Sources,
}

impl Place {
    /// Where the page of models is, seen from here; addresses of other pages begin with it.
    const fn root(self) -> &'static str {
        match self {
            Self::Models => "./",
            Self::Model | Self::Sources => "../",
        }
    }
}

/// What all pages say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) place: Place,
    /// Of which snapshot the page is.
    pub(super) generation: u64,
    pub(super) format: Format,
}

impl Context {
    /// The address of another page or file.
    fn to(&self, path: &str) -> String {
        format!("{}{path}", self.place.root())
    }

    fn page(&self, title: &str, content: &Markup) -> Markup {
        self.page_with(title, content, &html! {})
    }

    fn page_with(&self, title: &str, content: &Markup, head: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    (head)
                    title { (title) " · Model catalog" }
                    link rel="icon" type="image/svg+xml" href=(self.to("ui/icon.svg"));
                    link rel="stylesheet" href=(self.to("ui/style.css"));
                    script defer src=(self.to("ui/script.js")) {}
                }
                body data-generation=(self.generation) data-changes=(self.to("ui/changes")) {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        div.bar {
                            a.brand href=(self.place.root()) { "Model catalog" }
                            nav aria-label="Pages" {
                                (self.tab("Models", Place::Models))
                                (self.tab("Sources", Place::Sources))
                            }
                        }
                    }
                    main #content tabindex="-1" { (content) }
                    footer.bottom {
                        p {
                            "Served by location in " (self.format) ". For programs: "
                            a href=(self.to("list")) { "list of documents" } ", "
                            a href=(self.to("metrics")) { "metrics" } ", "
                            a href=(self.to("readyz")) { "readiness" } "."
                        }
                    }
                    p #announcement.unseen role="status" {}
                }
            }
        }
    }

    fn tab(&self, title: &str, place: Place) -> Markup {
        let href = if place == Place::Sources { self.to("ui/sources") } else { self.to("") };
        let current = (place == self.place).then_some("page");
        html! { a href=(href) aria-current=[current] { (title) } }
    }
}

/// The page while there is nothing to show yet.
pub(super) fn loading(context: &Context, reason: &str, seconds: u64) -> Markup {
    let explanation = html! {
        p { "location shows nothing before it has read all of storage, so that nobody takes a part for the whole." }
        p.reason { (reason) }
    };
    waiting(context, "The catalog is being loaded", &explanation, seconds)
}

/// The page while entries are read that nobody has looked at before.
pub(super) fn listing(context: &Context, seconds: u64) -> Markup {
    let explanation =
        html! { p { "There are many models, and this is the first look at them: that takes a while, once." } };
    waiting(context, "The models are being listed", &explanation, seconds)
}

/// It looks again by itself, with or without the script.
fn waiting(context: &Context, title: &str, explanation: &Markup, seconds: u64) -> Markup {
    let content = html! {
        div.empty {
            h1 { (title) }
            (explanation)
            p { "This page looks again every " (seconds) " seconds." }
        }
    };
    let head = html! { meta http-equiv="refresh" content=(seconds); };
    context.page_with(title, &content, &head)
}

/// A link out of the page, if its address is one that may be followed; else the address as a text.
fn outward(url: &str, label: &str) -> Markup {
    match url.parse::<WebUrl>() {
        Ok(_) => html! { a.out href=(url) rel="noopener nofollow noreferrer" { bdi { (label) } } },
        Err(_) => html! { code { bdi { (label) } } },
    }
}

/// How many there are of something, with thousands apart.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(1, "model", "models"), "1 model");
        assert_eq!(count(0, "model", "models"), "0 models");
        assert_eq!([grouped(999), grouped(1000), grouped(1_234_567)], ["999", "1,000", "1,234,567"]);
    }

    #[test]
    fn only_addresses_of_the_web_are_links() {
        assert!(outward("https://example.com/a", "x").into_string().contains("href=\"https://example.com/a\""));
        for url in [
            "javascript:alert(1)",
            "data:text/html,x",
            "oci://r.example.com/m",
            "not a url",
            "https://u:p@h.example.com",
        ] {
            assert!(!outward(url, url).into_string().contains("href"), "{url}");
        }
    }
}
