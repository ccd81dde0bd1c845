//! The table of what queries find, `tests/fixtures/filter_cases.yaml`, which every database is held to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::model::{Field, Fields, Form, Id, Kind, Properties, Property, Record, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    resources: Vec<Resource>,
    pub(super) cases: Vec<Cases>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    kind: String,
    of: Option<String>,
    body: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    kind: String,
    pub(super) finds: BTreeMap<String, Vec<String>>,
}

pub(super) fn table() -> Table {
    serde_yaml::from_str(include_str!("../../../tests/fixtures/filter_cases.yaml")).unwrap()
}

/// All queries of the table.
pub(super) fn queries() -> impl Iterator<Item = String> {
    table().cases.into_iter().flat_map(|cases| cases.finds.into_keys())
}

impl Cases {
    pub(super) fn kinds(&self) -> Vec<Kind> {
        match self.kind.as_str() {
            "Artifact" => Kind::ARTIFACTS.to_vec(),
            name => vec![Kind::named(name).unwrap()],
        }
    }
}

/// A text of the table with what its places stand for.
pub(super) fn filled(text: &str, records: &[Record]) -> String {
    let long = text.replace("{191 x}", &"x".repeat(191));
    records.iter().fold(long, |text, record| text.replace(&format!("{{{}}}", record.name), &record.id.to_string()))
}

impl Table {
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for resource in &self.resources {
            let record = resource.record(&records);
            records.push(record);
        }
        records
    }
}

impl Resource {
    fn record(&self, before: &[Record]) -> Record {
        let kind = Kind::named(&self.kind).unwrap();
        let text = |name: &str| self.body.get(name).map(|value| filled(value.as_str().unwrap(), before));
        let parent = self.of.as_ref().map(|of| before.iter().find(|record| record.name == *of).unwrap());
        let field = |field: &Field| self.body.get(field.name).map(|json| (field.name, value(field.form, json, before)));
        let properties = self.body.get("customProperties").and_then(Json::as_object).into_iter().flatten();
        let number = i64::try_from(before.len()).unwrap() + 1;
        Record {
            kind,
            id: Id::kept(number),
            parent: parent.map(|parent| parent.id),
            run: None,
            name: text("name").unwrap(),
            external_id: text("externalId"),
            description: text("description"),
            created: 1_700_000_000_000 + number,
            updated: 1_700_000_000_000 + number,
            fields: kind.fields().iter().filter_map(field).collect::<Fields>(),
            properties: properties.map(|(name, json)| (name.clone(), property(json))).collect::<Properties>(),
        }
    }
}

fn value(form: Form, json: &Json, before: &[Record]) -> Value {
    match form {
        Form::Text | Form::Uri | Form::Word(_) => Value::Text(json.as_str().unwrap().to_owned()),
        Form::Texts => Value::Texts(serde_json::from_value(json.clone()).unwrap()),
        Form::Id | Form::Millis => Value::Integer(filled(json.as_str().unwrap(), before).parse().unwrap()),
        Form::Integer => Value::Integer(json.as_i64().unwrap()),
        Form::Number => Value::Number(json.as_f64().unwrap()),
    }
}

fn property(json: &Json) -> Property {
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    match json["metadataType"].as_str().unwrap() {
        "MetadataIntValue" => Property::Int(text("int_value").parse().unwrap()),
        "MetadataDoubleValue" => Property::Double(json["double_value"].as_f64().unwrap()),
        "MetadataStringValue" => Property::String(filled(&text("string_value"), &[])),
        "MetadataBoolValue" => Property::Bool(json["bool_value"].as_bool().unwrap()),
        other => {
            assert_eq!(other, "MetadataStructValue");
            Property::Struct(text("struct_value"))
        }
    }
}
