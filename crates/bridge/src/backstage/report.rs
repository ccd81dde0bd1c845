//! What was found and what became of it, for people and for programs.

use serde_json::{Value, json};

use super::leftovers::Leftover;
use crate::table::Table;

/// What became of a leftover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was only looked at.
    Found,
    Removed,
    Failed(String),
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Self::Found => "would be removed".to_owned(),
            Self::Removed => "removed".to_owned(),
            Self::Failed(reason) => format!("FAILED: {reason}"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(Leftover, Outcome)>,
}

impl Report {
    pub(super) fn of_findings(found: Vec<Leftover>) -> Self {
        Self { rows: found.into_iter().map(|leftover| (leftover, Outcome::Found)).collect() }
    }

    pub(super) fn extend(&mut self, rows: Vec<(Leftover, Outcome)>) {
        self.rows.extend(rows);
    }

    pub(super) fn failed(&self) -> usize {
        self.rows.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_))).count()
    }

    pub(super) fn table(&self) -> String {
        if self.rows.is_empty() {
            return "nothing is left over\n".to_owned();
        }
        let mut table = Table::new(&["KIND", "REF", "WHY", "RESULT"]);
        for (leftover, outcome) in &self.rows {
            let Leftover { kind, reference, why, .. } = leftover;
            table.row(vec![kind.clone(), reference.clone(), why.clone(), outcome.text()]);
        }
        table.to_string()
    }

    pub(super) fn json(&self) -> Value {
        let row = |(leftover, outcome): &(Leftover, Outcome)| {
            let Leftover { kind, reference, why, .. } = leftover;
            let mut row = json!({ "kind": kind, "ref": reference, "why": why });
            match outcome {
                Outcome::Found => {}
                Outcome::Removed => row["removed"] = true.into(),
                Outcome::Failed(reason) => {
                    row["removed"] = false.into();
                    row["error"] = reason.as_str().into();
                }
            }
            row
        };
        json!({ "leftovers": self.rows.iter().map(row).collect::<Vec<Value>>(), "failed": self.failed() })
    }
}
