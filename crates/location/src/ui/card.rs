//! Model cards as HTML. A card is anyone's Markdown, with any HTML in it: what is left of it has no script, no style, no
//! form and no frame, loads nothing, and links only to http, https and mail.

use std::collections::HashSet;

use ammonia::{Builder, UrlRelative};
use maud::{Markup, PreEscaped};
use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

/// So much of a card is shown, in bytes.
pub(super) const MAX_CARD: usize = 128 << 10;
/// How deep quotes and lists may nest: to read HTML costs depth times length.
const MAX_DEPTH: usize = 24;
/// How many tags of HTML a card may have.
const MAX_HTML_TAGS: usize = 2_000;

/// The beginning of `card`, as much as is shown.
pub(super) fn render(card: &str) -> Markup {
    let end = card.floor_char_boundary(MAX_CARD.min(card.len()));
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut unsafe_html = String::new();
    let events = Quiet { events: Parser::new_ext(&card[..end], options), in_metadata: false, depth: 0, tags: 0 };
    html::push_html(&mut unsafe_html, events);
    PreEscaped(sanitizer().clean(&unsafe_html).to_string())
}

fn sanitizer() -> Builder<'static> {
    let mut builder = Builder::default();
    builder
        .rm_tags(["img", "map", "area"])
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener nofollow noreferrer"));
    builder
}

/// The events of a card that are shown: no metadata, links in place of images, and headings below those of the page.
struct Quiet<I> {
    events: I,
    in_metadata: bool,
    /// How many elements are open.
    depth: usize,
    /// How many tags of HTML there were.
    tags: usize,
}

impl<I> Quiet<I> {
    /// Whether an element is shown, or only what is in it.
    fn is_too_deep(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::Start(_) => {
                self.depth += 1;
                self.depth > MAX_DEPTH
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.depth >= MAX_DEPTH
            }
            _ => false,
        }
    }

    fn html_or_text<'a>(&mut self, event: Event<'a>) -> Event<'a> {
        let (Event::Html(html) | Event::InlineHtml(html)) = &event else { return event };
        self.tags += html.matches('<').count();
        if self.tags > MAX_HTML_TAGS { Event::Text(html.clone()) } else { event }
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for Quiet<I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            let event = match self.events.next()? {
                Event::Start(Tag::MetadataBlock(_)) => {
                    self.in_metadata = true;
                    continue;
                }
                Event::End(TagEnd::MetadataBlock(_)) => {
                    self.in_metadata = false;
                    continue;
                }
                _ if self.in_metadata => continue,
                event if self.is_too_deep(&event) => continue,
                Event::Start(Tag::Image { dest_url, title, id, .. }) => {
                    Event::Start(Tag::Link { link_type: LinkType::Inline, dest_url, title, id })
                }
                Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
                Event::Start(Tag::Heading { level, .. }) => {
                    Event::Start(Tag::Heading { level: below(level), id: None, classes: Vec::new(), attrs: Vec::new() })
                }
                Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
                event => event,
            };
            return Some(self.html_or_text(event));
        }
    }
}

/// The page's own title and sections have the first two levels.
fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(card: &str) -> String {
        render(card).into_string()
    }

    #[test]
    fn markdown_becomes_html_below_the_headings_of_the_page() {
        let html = shown("# Granite\n\nIt *reads*.\n\n## Use\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n");
        for part in ["<h3>Granite</h3>", "<em>reads</em>", "<h4>Use</h4>", "<table>", "<td>1</td>"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn metadata_is_not_shown() {
        let html = shown("---\nlicense: apache-2.0\ntags: [x]\n---\n# Title\n");
        assert!(!html.contains("apache") && html.contains("Title"), "{html}");
    }

    #[test]
    fn nothing_in_a_card_runs_or_loads() {
        let hostile = r#"
<script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)><a xlink:href="javascript:alert(1)">x</a></svg>
<iframe src="https://evil.example.com"></iframe><form action="https://evil.example.com"><input name=a><button>b</button></form>
<a href="javascript:alert(1)" onclick="alert(1)" style="position:fixed" id="content" class="skip">j</a>
<a href="JaVaScRiPt&#58;alert(1)">k</a><a href="data:text/html,<script>alert(1)</script>">d</a><a href="//evil.example.com">p</a>
<style>body{display:none}</style><link rel=stylesheet href=x><meta http-equiv=refresh content="0;url=//evil"><base href="//evil">
<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>

[m](javascript:alert(1)) [v](vbscript:x) ![pixel](https://evil.example.com/pixel.png) <https://ok.example.com> <javascript:alert(1)>
[data](data:text/html;base64,PHNjcmlwdD4=) [relative](/remove?key=x) [ref]

[ref]: javascript:alert(1)
"#;
        let html = shown(hostile).to_lowercase();
        for part in [
            "<script",
            "<img",
            "<svg",
            "<iframe",
            "<form",
            "<input",
            "<button",
            "<style",
            "<link",
            "<meta",
            "<base",
            "<math",
            "href=\"javascript",
            "href=\"vbscript",
            "href=\"data",
            "onerror",
            "onclick",
            "onload",
            "style=",
            "id=",
            "class=",
            "href=\"/",
            "src=",
        ] {
            assert!(!html.contains(part), "{part}: {html}");
        }
        assert!(html.contains(r#"href="https://evil.example.com/pixel.png""#), "an image is a link: {html}");
        assert!(html.contains(r#"rel="noopener nofollow noreferrer""#), "{html}");
    }

    #[test]
    fn deep_and_long_cards_end() {
        for part in [">", "<b>", "<div>", "[", "*a_", "- ", "ü", "<table><tr><td>", "<b><div>", "1. > "] {
            let html = shown(&part.repeat(2 * MAX_CARD / part.len()));
            assert!(html.len() < 16 * MAX_CARD, "{part}: {}", html.len());
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_shown_without_its_nesting() {
        let html = shown(&format!("{}the end", "> ".repeat(5_000)));
        assert!(html.contains("the end"), "{html}");
        assert_eq!(html.matches("<blockquote>").count(), MAX_DEPTH);
    }

    #[test]
    fn html_beyond_measure_is_shown_as_text() {
        let html = shown(&format!("{}\n\n<i>late</i>", "<i>\n\n".repeat(MAX_HTML_TAGS)));
        assert!(html.contains("&lt;i&gt;late"), "{html}");
    }
}
