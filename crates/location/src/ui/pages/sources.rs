//! The page of sources: how fresh what is shown is, and what could not be shown.

use bridge_api::NormalizerStatus;
use bridge_api::status::SourceReport;
use jiff::Timestamp;
use maud::{Markup, html};

use super::{Context, count, grouped};
use crate::snapshot::Snapshot;
use crate::ui::view::clipped;

/// So many problems are shown; the log and `/status` of the normalizer have them all.
const MAX_PROBLEMS: usize = 200;
/// How often the page is made anew, in seconds: that a source was read changes no entry.
const REFRESH: u32 = 15;

/// The page with what the normalizer says, or why it says nothing; `unready` is why location shows nothing yet.
pub(in crate::ui) fn sources(
    context: &Context,
    snapshot: &Snapshot,
    unready: Option<&str>,
    status: &Result<NormalizerStatus, String>,
    now: Timestamp,
) -> Markup {
    let content = html! {
        h1 { "Sources" }
        div #status.stack data-live="quiet" data-refresh=(REFRESH) {
            @match status {
                Err(reason) => { (unknown(reason)) }
                Ok(status) => {
                    (table(status, now))
                    (problems("Held removals", &held(status, now)))
                    (problems("Refused by storage", &status.refused))
                    (diagnostics(status))
                }
            }
            (own(context, snapshot, unready))
        }
    };
    context.page("Sources", &content)
}

fn unknown(reason: &str) -> Markup {
    html! {
        section.panel {
            h2 { "Nothing is known of the sources" }
            p { "location serves what storage holds; which registries and clusters that came from, only the normalizer knows, and it could not be asked:" }
            p.reason { (clipped(reason, 400)) }
            p {
                "Set " code { "NORMALIZER_URL" } " of location to the admin address of the normalizer, as location reaches it ("
                code { "NORMALIZER_ADMIN_ADDRESS" } ", port 8080 unless set otherwise). The Go bridge's normalizer has no such page."
            }
        }
    }
}

fn table(status: &NormalizerStatus, now: Timestamp) -> Markup {
    let in_step = match (&status.failure, &status.last_sync) {
        (Some(failure), _) => html! { span.badge.bad { "Storage is behind" } " " (clipped(failure, 400)) },
        (None, Some(time)) => html! { span.badge.served { "Storage is in step" } " as of " (when(time, now)) },
        (None, None) => {
            html! { span.badge.warn { "Not yet in step" } " Storage was not brought in step since the normalizer's start" }
        }
    };
    html! {
        section.panel {
            h2 #registries { "Registries and clusters" }
            p { (in_step) }
            @if status.sources.is_empty() {
                p { "The normalizer has found no registry and no cluster yet." }
            } @else {
                div.wide role="region" aria-labelledby="registries" tabindex="0" {
                    table {
                        thead { tr { th scope="col" { "Source" } th scope="col" { "State" } th scope="col" { "Last read" } th scope="col" { "Read completely" } th scope="col" { "Records" } th scope="col" { "Models" } } }
                        tbody {
                            @for (id, source) in &status.sources {
                                (row(id, source, status.entries_by_source.get(id).copied().unwrap_or_default(), now))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(id: &str, source: &SourceReport, entries: usize, now: Timestamp) -> Markup {
    let (kind, name) = id.split_once('/').unwrap_or(("", id));
    let time =
        |time: &Option<String>| html! { @match time { Some(time) => { (when(time, now)) }, None => { "never" } } };
    html! {
        tr {
            td { bdi { (clipped(name, 120)) } span.sub { (clipped(kind, 40)) } }
            td {
                @if source.stale || source.failure.is_some() { span.badge.bad { "Stale" } }
                @else if source.last_read.is_none() { span.badge.warn { "Not read yet" } }
                @else { span.badge.served { "Current" } }
                @if let Some(failure) = &source.failure { span.sub { (clipped(failure, 300)) } }
            }
            td { (time(&source.last_read)) }
            td {
                (time(&source.last_complete_read))
                @if source.complete_reads > 1 { span.sub { (source.complete_reads) " times" } }
            }
            td { (grouped(source.records)) }
            td { (grouped(entries)) }
        }
    }
}

fn held(status: &NormalizerStatus, now: Timestamp) -> Vec<String> {
    let line = |held: &bridge_api::status::HeldReport| {
        let since = ago(&held.since, now).unwrap_or_else(|| held.since.clone());
        let entries = count(held.entries, "model", "models");
        format!(
            "{entries} of {}, since {since}: gone from their source, and removed when a second complete read agrees",
            held.source
        )
    };
    status.held_removals.iter().map(line).collect()
}

fn problems(title: &str, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() {
            section.panel {
                h2 { (title) }
                ul.problems { @for line in lines.iter().take(MAX_PROBLEMS) { li { bdi { (clipped(line, 500)) } } } }
            }
        }
    }
}

fn diagnostics(status: &NormalizerStatus) -> Markup {
    let all = &status.diagnostics;
    html! {
        section.panel {
            h2 { "Diagnostics" }
            @if all.is_empty() {
                p { "Everything is shown as it was given." }
            } @else {
                p.note {
                    (count(all.len(), "thing", "things")) " could not be shown as given"
                    @if all.len() > MAX_PROBLEMS { ", the first " (MAX_PROBLEMS) " are here; all are at " code { "/status" } " of the normalizer" }
                    "."
                }
                ul.problems {
                    @for problem in all.iter().take(MAX_PROBLEMS) {
                        li {
                            strong { bdi { (clipped(&problem.subject, 200)) } } " " bdi { (clipped(&problem.problem, 500)) }
                            span.sub { bdi { (clipped(&problem.source, 120)) } }
                        }
                    }
                }
            }
        }
    }
}

fn own(context: &Context, snapshot: &Snapshot, unready: Option<&str>) -> Markup {
    html! {
        section.panel {
            h2 { "This location" }
            dl.facts-list {
                dt { "State" } dd {
                    @match unready {
                        None => { span.badge.served { "Serving" } },
                        Some(reason) => { span.badge.warn { "Not serving yet" } " " (clipped(reason, 400)) },
                    }
                }
                dt { "Models served" } dd { (grouped(snapshot.entries())) }
                dt { "Model cards" } dd { (grouped(snapshot.cards())) }
                dt { "Documents" } dd { code { (context.format.file_name()) } " (" (context.format) ")" }
            }
        }
    }
}

/// A time, and how long ago it was.
fn when(time: &str, now: Timestamp) -> Markup {
    html! {
        @match ago(time, now) {
            Some(ago) => { time datetime=(time) title=(time) { (ago) } }
            None => { bdi { (clipped(time, 60)) } }
        }
    }
}

/// How long before `now` it was, in its largest unit; `None` for what is no time.
fn ago(time: &str, now: Timestamp) -> Option<String> {
    let seconds = now.as_second() - time.parse::<Timestamp>().ok()?.as_second();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let unit = units.into_iter().find(|(length, _)| seconds >= *length);
    Some(unit.map_or_else(|| "now".to_owned(), |(length, unit)| format!("{} {unit} ago", seconds / length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_how_long_ago_they_were() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        for (time, expected) in [
            ("2026-01-02T00:00:00Z", Some("now")),
            ("2026-01-02T00:05:00Z", Some("now")),
            ("2026-01-01T23:59:18.5Z", Some("42 s ago")),
            ("2026-01-01T23:58:59Z", Some("1 min ago")),
            ("2026-01-01T21:00:00Z", Some("3 h ago")),
            ("2025-12-30T00:00:00Z", Some("3 d ago")),
            ("yesterday", None),
        ] {
            assert_eq!(ago(time, now).as_deref(), expected, "{time}");
        }
    }
}
