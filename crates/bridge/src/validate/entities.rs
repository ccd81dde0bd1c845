//! catalog-info files: each document an entity, whose envelope follows Backstage's rules. What is in `spec` is judged by
//! [`super::kinds`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::finding::{Finding, Severity};
use super::kinds;
use super::rules::{self, Rule};
use super::source::{self, Document, Place, escaped};

/// The fields that an entity may have at its top.
const ROOT_FIELDS: [&str; 6] = ["apiVersion", "kind", "metadata", "spec", "relations", "status"];

/// Which entities the files have had so far, by reference, and where.
pub(super) type Known = BTreeMap<String, (String, Place)>;

/// What is wrong with the entities of one file.
pub(super) fn check(file: &str, text: &str, known: &mut Known) -> Vec<Finding> {
    let documents = match source::yaml(text) {
        Ok(documents) => documents,
        Err(unparsed) => return vec![Finding::of_file(file, unparsed.place, unparsed.message)],
    };
    if documents.is_empty() {
        return vec![Finding::of_file(file, Place::START, "there is no entity in this file")];
    }
    let mut findings = Vec::new();
    for document in &documents {
        let mut judge = Judge { file, document, findings: Vec::new() };
        judge.entity();
        findings.append(&mut judge.findings);
        findings.extend(double(file, document, known));
    }
    findings
}

/// Says so when an entity was there before, and keeps it in mind.
pub(super) fn remember(
    file: &str,
    place: Place,
    pointer: &str,
    reference: String,
    known: &mut Known,
) -> Option<Finding> {
    let message = known.get(&reference).map(|(file, first)| {
        format!("{reference} is at {file}:{}:{}, too: Backstage keeps one of the two", first.line, first.column)
    });
    known.entry(reference).or_insert_with(|| (file.to_owned(), place));
    message.map(|message| Finding::of_field(file, place, pointer, message))
}

fn double(file: &str, document: &Document, known: &mut Known) -> Option<Finding> {
    let text = |pointer: &str| document.value.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/kind")?, text("/metadata/name")?);
    let namespace = text("/metadata/namespace").unwrap_or("default");
    let reference = format!("{kind}:{namespace}/{name}").to_lowercase();
    remember(file, document.place("/metadata/name"), "/metadata/name", reference, known)
}

/// Judges one document.
pub(super) struct Judge<'a> {
    file: &'a str,
    document: &'a Document,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn entity(&mut self) {
        let Some(root) = self.object("") else { return };
        for key in root.keys().filter(|key| !ROOT_FIELDS.contains(&key.as_str())) {
            self.at_key(&format!("/{}", escaped(key)), "Backstage takes no such field at the top of an entity");
        }
        self.required("/apiVersion", &rules::API_VERSION);
        self.required("/kind", &rules::KIND);
        if self.get("/metadata").is_none() {
            self.missing("/metadata");
        } else if self.object("/metadata").is_some() {
            self.metadata();
        }
        kinds::judge(self);
    }

    fn metadata(&mut self) {
        self.required("/metadata/name", &rules::NAME);
        self.optional("/metadata/namespace", &rules::NAMESPACE);
        self.optional("/metadata/title", &rules::TEXT);
        self.optional("/metadata/description", &rules::ANY_TEXT);
        self.entries("/metadata/labels", &rules::LABEL);
        self.entries("/metadata/annotations", &rules::ANY_TEXT);
        self.each("/metadata/tags", &rules::TAG);
        for link in self.items("/metadata/links") {
            if self.object(&link).is_some() {
                self.required(&format!("{link}/url"), &rules::URL);
                self.optional(&format!("{link}/title"), &rules::TEXT);
                self.optional(&format!("{link}/icon"), &rules::NAME);
                self.optional(&format!("{link}/type"), &rules::TEXT);
            }
        }
    }

    /// The keys and values of an object that may be missing.
    fn entries(&mut self, pointer: &str, value: &Rule) {
        if self.get(pointer).is_none() {
            return;
        }
        let object = self.object(pointer).unwrap_or_default();
        for key in object.keys() {
            let inner = format!("{pointer}/{}", escaped(key));
            if !(rules::KEY.holds)(key) {
                self.at_key(&inner, &format!("this key must be {}", rules::KEY.expected));
            }
            self.text(&inner, value);
        }
    }

    /// The value at a JSON pointer.
    pub(super) fn get(&self, pointer: &str) -> Option<&Value> {
        self.document.value.pointer(pointer)
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, pointer: &str, rule: &Rule) {
        if self.get(pointer).is_some_and(|value| !value.is_null()) {
            self.text(pointer, rule);
        } else {
            self.missing(pointer);
        }
    }

    /// A text that may be missing.
    pub(super) fn optional(&mut self, pointer: &str, rule: &Rule) {
        if self.get(pointer).is_some() {
            self.text(pointer, rule);
        }
    }

    /// A list of texts that may be missing.
    pub(super) fn each(&mut self, pointer: &str, rule: &Rule) {
        for item in self.items(pointer) {
            self.text(&item, rule);
        }
    }

    /// The items of a list that may be missing, by their pointers.
    fn items(&mut self, pointer: &str) -> Vec<String> {
        match self.get(pointer) {
            None => Vec::new(),
            Some(Value::Array(items)) => (0..items.len()).map(|index| format!("{pointer}/{index}")).collect(),
            Some(_) => {
                self.at(pointer, "this must be a list");
                Vec::new()
            }
        }
    }

    fn text(&mut self, pointer: &str, rule: &Rule) {
        match self.get(pointer) {
            Some(Value::String(text)) if (rule.holds)(text) => {}
            Some(value) if is_placeholder(value) => {}
            Some(Value::String(_)) => self.at(pointer, &format!("this must be {}", rule.expected)),
            Some(other) => {
                let hint = if other.is_object() || other.is_array() { "" } else { "; quote it" };
                let message = format!("this must be {}, and is {}{hint}", rule.expected, name_of(other));
                self.at(pointer, &message);
            }
            None => {}
        }
    }

    fn object(&mut self, pointer: &str) -> Option<Map<String, Value>> {
        let found = self.get(pointer).and_then(Value::as_object).cloned();
        if found.is_none() {
            self.at(pointer, "this must be an object");
        }
        found
    }

    /// A field that is not there: shown where its parent stands.
    pub(super) fn missing(&mut self, pointer: &str) {
        let place = pointer.rsplit_once('/').map_or(Place::START, |(parent, _)| self.document.key_place(parent));
        self.findings.push(Finding::of_field(self.file, place, pointer, "this field is missing"));
    }

    /// Something about a value.
    pub(super) fn at(&mut self, pointer: &str, message: &str) {
        let place = self.document.place(pointer);
        self.findings.push(Finding::of_field(self.file, place, pointer, message));
    }

    /// Something that depends on the Backstage.
    pub(super) fn warn(&mut self, pointer: &str, message: &str) {
        let place = self.document.place(pointer);
        let finding = Finding::of_field(self.file, place, pointer, message);
        self.findings.push(Finding { severity: Severity::Warning, ..finding });
    }

    fn at_key(&mut self, pointer: &str, message: &str) {
        let place = self.document.key_place(pointer);
        self.findings.push(Finding::of_field(self.file, place, pointer, message));
    }
}

/// What Backstage replaces by a text that it reads elsewhere, such as `{$text: ./openapi.yaml}`.
fn is_placeholder(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.len() == 1 && object.keys().all(|key| key.starts_with('$')))
}

fn name_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the truth value {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
