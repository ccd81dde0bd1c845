//! What the services tell at one moment, as rows to show.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use url::Url;

use crate::peers::PeerError;
use crate::table::Table;

/// The heads of the two tables.
pub(super) const SERVICES: [&str; 5] = ["SERVICE", "STATE", "ENTRIES", "FORMAT", "URL"];
pub(super) const SOURCES: [&str; 5] = ["SOURCE", "STATE", "ENTRIES", "RECORDS", "LAST READ"];

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Well,
    Unwell,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) state: State,
    pub(super) cells: [String; 5],
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) services: Vec<Row>,
    pub(super) sources: Vec<Row>,
    /// What waits: deliveries, removals.
    pub(super) queues: Vec<String>,
    /// What went wrong last.
    pub(super) problems: Vec<String>,
    told: Map<String, Value>,
}

impl Snapshot {
    pub(super) fn of(told: impl IntoIterator<Item = (&'static str, Url, Result<Value, PeerError>)>) -> Self {
        let mut snapshot = Self::default();
        for (name, url, told) in told {
            match told {
                Ok(status) => {
                    snapshot.service(name, &url, &status);
                    snapshot.told.insert(name.to_owned(), status);
                }
                Err(error) => {
                    let cells = [name, "silent", "-", "-", url.as_str()].map(str::to_owned);
                    snapshot.services.push(Row { state: State::Unwell, cells });
                    snapshot.problems.push(format!("{name}: {error}"));
                    snapshot.told.insert(name.to_owned(), json!({"silent": error.to_string()}));
                }
            }
        }
        snapshot
    }

    fn service(&mut self, name: &str, url: &Url, status: &Value) {
        let failure = status["notReady"].as_str().or_else(|| status["failure"].as_str());
        let state = if failure.is_none() { State::Well } else { State::Unwell };
        let word = if state == State::Well { "ready" } else { "not ready" };
        let cells =
            [name.to_owned(), word.to_owned(), number(status, "entries"), text(status, "format"), url.to_string()];
        self.services.push(Row { state, cells });
        self.problems.extend(failure.map(|failure| format!("{name}: {failure}")));
        self.sources(status);
        self.waiting(status);
    }

    fn sources(&mut self, status: &Value) {
        for (source, told) in status["sources"].as_object().into_iter().flatten() {
            let failure = told["failure"].as_str();
            let state = if failure.is_none() { State::Well } else { State::Unwell };
            let word = match (state, told["lastRead"].is_null()) {
                (State::Well, false) => "read",
                (State::Well, true) => "awaited",
                (State::Unwell, _) => "failing",
            };
            let entries = &status["entriesBySource"][source];
            let cells = [
                source.clone(),
                word.to_owned(),
                entries.as_u64().map_or_else(|| "-".to_owned(), |count| count.to_string()),
                number(told, "records"),
                text(told, "lastRead"),
            ];
            self.sources.push(Row { state, cells });
            self.problems.extend(failure.map(|failure| format!("{source}: {failure}")));
        }
    }

    fn waiting(&mut self, status: &Value) {
        for (target, count) in status["undelivered"].as_object().into_iter().flatten() {
            if let Some(count @ 1..) = count.as_i64() {
                self.queues.push(format!("{count} entries to be delivered to {target}"));
            }
        }
        if status["settled"].as_bool() == Some(false) {
            self.queues.push("storage is being filled for the first time".to_owned());
        }
        for held in status["heldRemovals"].as_array().into_iter().flatten() {
            let (entries, source) = (number(held, "entries"), text(held, "source"));
            self.queues.push(format!("{entries} removals of {source} are held since {}", text(held, "since")));
        }
        for refused in status["refused"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.problems.push(format!("refused by storage: {refused}"));
        }
        for found in status["diagnostics"].as_array().into_iter().flatten() {
            let [source, subject, problem] = ["source", "subject", "problem"].map(|name| text(found, name));
            self.problems.push(format!("{source}: {subject}: {problem}"));
        }
    }

    /// Whether all three are there and ready.
    pub(super) fn is_well(&self) -> bool {
        self.services.iter().all(|row| row.state == State::Well)
    }

    /// What each service tells.
    pub(super) fn json(&self) -> Value {
        Value::Object(self.told.clone())
    }

    /// As plain tables.
    pub(super) fn text(&self) -> String {
        let mut text = table(&SERVICES, &self.services);
        if !self.sources.is_empty() {
            let _ = write!(text, "\n{}", table(&SOURCES, &self.sources));
        }
        for (head, lines) in [("WAITING", &self.queues), ("PROBLEMS", &self.problems)] {
            if !lines.is_empty() {
                let _ = write!(text, "\n{head}\n{}\n", lines.join("\n"));
            }
        }
        text
    }
}

fn table(head: &[&str; 5], rows: &[Row]) -> String {
    let mut table = Table::new(head);
    for row in rows {
        table.row(row.cells.to_vec());
    }
    table.to_string()
}

fn number(value: &Value, name: &str) -> String {
    value[name].as_i64().map_or_else(|| "-".to_owned(), |count| count.to_string())
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or("-").to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two services that answer and one that does not.
    pub(crate) fn sample() -> Snapshot {
        let url = |port: u16| Url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let storage = json!({
            "format": "JsonArrayFormat", "entries": 7, "settled": false, "undelivered": {"location": 2, "backstage": 0},
        });
        let normalizer = json!({
            "format": "JsonArrayFormat", "entries": 7, "failure": null,
            "entriesBySource": {"registry:main": 7},
            "sources": {
                "registry:main": {"lastRead": "2026-01-01T00:00:00Z", "records": 9, "failure": null},
                "registry:other": {"lastRead": null, "records": 0, "failure": "401 Unauthorized"},
            },
            "heldRemovals": [{"source": "registry:main", "entries": 12, "since": "2026-01-01T00:00:00Z"}],
            "refused": [], "diagnostics": [{"source": "registry:main", "subject": "a v1", "problem": "no license"}],
        });
        let silent = PeerError::Silent { url: url(9), reason: "Connection refused".to_owned() };
        Snapshot::of([
            ("storage-rest", url(7070), Ok(storage)),
            ("location", url(9), Err(silent)),
            ("normalizer", url(8080), Ok(normalizer)),
        ])
    }

    #[test]
    fn all_that_someone_should_look_at_is_in_the_tables() {
        let snapshot = sample();
        assert!(!snapshot.is_well());
        let expected = "\
SERVICE       STATE   ENTRIES  FORMAT           URL
storage-rest  ready   7        JsonArrayFormat  http://127.0.0.1:7070/
location      silent  -        -                http://127.0.0.1:9/
normalizer    ready   7        JsonArrayFormat  http://127.0.0.1:8080/

SOURCE          STATE    ENTRIES  RECORDS  LAST READ
registry:main   read     7        9        2026-01-01T00:00:00Z
registry:other  failing  -        0        -

WAITING
2 entries to be delivered to location
storage is being filled for the first time
12 removals of registry:main are held since 2026-01-01T00:00:00Z

PROBLEMS
location: nothing answers at http://127.0.0.1:9/: Connection refused
registry:other: 401 Unauthorized
registry:main: a v1: no license
";
        assert_eq!(snapshot.text(), expected);
        assert_eq!(snapshot.json()["storage-rest"]["entries"], 7);
    }
}
