//! What a commit says: how many models it touches, and which.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bridge_api::EntryKey;

use super::super::Filling;
use super::files::Files;

/// What tools show of a first line.
const SUBJECT: usize = 72;
/// How many models the rest of the message names of each kind.
const NAMED: usize = 50;

/// Which entries a commit touches.
#[derive(Debug, Default)]
pub(super) struct Summary {
    content: BTreeSet<EntryKey>,
    location: BTreeSet<EntryKey>,
    pub(super) filling: Option<Filling>,
}

impl Summary {
    pub(super) fn note(&mut self, key: &EntryKey) {
        self.content.insert(key.clone());
    }

    pub(super) fn note_location(&mut self, key: &EntryKey) {
        self.location.insert(key.clone());
    }

    /// The message of the commit that leads from one state to another.
    pub(super) fn message(&self, before: &Files, after: &Files) -> String {
        let (mut added, mut changed, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for key in &self.content {
            match (before.find(key).is_some(), after.find(key).is_some()) {
                (false, true) => added.push(key),
                (true, true) => changed.push(key),
                (true, false) => removed.push(key),
                (false, false) => {}
            }
        }
        let kinds = [("Add", "added", added), ("Update", "changed", changed), ("Remove", "removed", removed)];
        let touched: Vec<_> = kinds.into_iter().filter(|(_, _, keys)| !keys.is_empty()).collect();
        match touched.as_slice() {
            [] => self.without_content(),
            [(verb, _, keys)] => subject(verb, keys),
            several => {
                let mut all: Vec<&EntryKey> = several.iter().flat_map(|(_, _, keys)| keys).copied().collect();
                all.sort();
                let mut message = subject("Update", &all) + "\n";
                for (_, participle, keys) in several {
                    // Writing to a String does not fail.
                    let _ = write!(message, "\n{} {participle}: {}", keys.len(), named(keys));
                }
                message
            }
        }
    }

    fn without_content(&self) -> String {
        if !self.location.is_empty() {
            return format!("Note where Backstage reads {}", models(self.location.len()));
        }
        match self.filling {
            Some(Filling::UnderWay) => "Begin to fill the model catalog".to_owned(),
            Some(Filling::Over) => "Note that the model catalog is filled".to_owned(),
            None => "Update the model catalog".to_owned(),
        }
    }
}

fn models(count: usize) -> String {
    if count == 1 { "1 model".to_owned() } else { format!("{count} models") }
}

/// As many names as there is room for.
fn subject(verb: &str, keys: &[&EntryKey]) -> String {
    const MORE: &str = ", ...";
    let mut line = format!("{verb} {}", models(keys.len()));
    for (index, key) in keys.iter().enumerate() {
        let next = format!("{}{key}", if index == 0 { ": " } else { ", " });
        let rest = if index + 1 == keys.len() { 0 } else { MORE.len() };
        if line.len() + next.len() + rest > SUBJECT {
            return if index == 0 { line } else { line + MORE };
        }
        line += &next;
    }
    line
}

fn named(keys: &[&EntryKey]) -> String {
    let shown: Vec<&str> = keys.iter().take(NAMED).map(|key| key.as_str()).collect();
    let more = keys.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<EntryKey> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn subject_of(names: &[&str]) -> String {
        let keys = keys(names);
        subject("Add", &keys.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_first_line_names_what_there_is_room_for() {
        assert_eq!(subject_of(&["granite_v1"]), "Add 1 model: granite_v1");
        assert_eq!(subject_of(&["a_1", "b_1", "c_1"]), "Add 3 models: a_1, b_1, c_1");
        let many: Vec<String> = (100..200).map(|number| format!("model-{number}_v1")).collect();
        let line = subject_of(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(line, "Add 100 models: model-100_v1, model-101_v1, model-102_v1, ...");
        let long = format!("{}_v1", "m".repeat(200));
        assert_eq!(subject_of(&[&long]), "Add 1 model");
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<EntryKey> = (0..52).map(|number| format!("m{number}_1").parse().unwrap()).collect();
        assert!(named(&many.iter().collect::<Vec<_>>()).ends_with("m49_1 and 2 more"));
    }
}
