//! What the ledger tells of a change: what was there before, and what is there now, of no more than a few kilobytes.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use crate::model::{Id, Property, Record, Value};

/// The most that is told of one value, in characters.
const LONGEST_VALUE: usize = 200;
/// How many bytes all values and their names may take together; of what would exceed that, only the number is told.
const MOST_BYTES: usize = 8 << 10;

/// Of a resource that was made.
pub(super) fn of_new(record: &Record) -> String {
    let mut detail = json!({ "name": record.name });
    if let Some(parent) = record.parent {
        detail["parentId"] = parent.to_string().into();
    }
    detail.to_string()
}

/// Of a resource that was changed, and linked to that one if any.
pub(super) fn of_change(before: &Record, after: &Record, linked: Option<Id>) -> String {
    let mut told = Told { left: MOST_BYTES, more: 0 };
    let mut changed = Map::new();
    let text = |text: &Option<String>| text.clone().map(Json::from);
    told.add(&mut changed, "externalId", text(&before.external_id), text(&after.external_id));
    told.add(&mut changed, "description", text(&before.description), text(&after.description));
    for field in after.kind.fields() {
        let value = |record: &Record| record.fields.get(field.name).map(of_field);
        told.add(&mut changed, field.name, value(before), value(after));
    }
    let mut properties = Map::new();
    let names: BTreeSet<&String> = before.properties.keys().chain(after.properties.keys()).collect();
    for name in names {
        let value = |record: &Record| record.properties.get(name).map(of_property);
        told.add(&mut properties, name, value(before), value(after));
    }
    if !properties.is_empty() {
        changed.insert("customProperties".to_owned(), properties.into());
    }
    let mut detail = json!({ "name": after.name, "changed": changed });
    if told.more > 0 {
        detail["more"] = told.more.into();
    }
    if let Some(owner) = linked {
        detail["linkedTo"] = owner.to_string().into();
    }
    detail.to_string()
}

struct Told {
    left: usize,
    more: usize,
}

impl Told {
    fn add(&mut self, changes: &mut Map<String, Json>, name: &str, from: Option<Json>, to: Option<Json>) {
        if from == to {
            return;
        }
        let sides = [("from", from), ("to", to)];
        let change: Map<String, Json> =
            sides.into_iter().filter_map(|(side, value)| Some((side.to_owned(), shortened(value?)))).collect();
        let change = Json::Object(change);
        let bytes = Json::from(name).to_string().len() + change.to_string().len() + 2;
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            changes.insert(name.to_owned(), change);
        } else {
            self.more += 1;
        }
    }
}

fn shortened(value: Json) -> Json {
    let text = match value {
        Json::String(text) => text,
        Json::Array(_) if value.to_string().chars().count() > LONGEST_VALUE => value.to_string(),
        short => return short,
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

fn of_field(value: &Value) -> Json {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Texts(texts) => texts.as_slice().into(),
        Value::Integer(number) => (*number).into(),
        Value::Number(number) => (*number).into(),
    }
}

fn of_property(property: &Property) -> Json {
    match property {
        Property::Int(number) => (*number).into(),
        Property::Double(number) => (*number).into(),
        Property::String(text) | Property::Struct(text) => text.as_str().into(),
        Property::Bool(truth) => (*truth).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fields, Kind, Properties};

    fn model() -> Record {
        Record {
            kind: Kind::RegisteredModel,
            id: Id::kept(7),
            parent: None,
            run: None,
            name: "iris".to_owned(),
            external_id: None,
            description: Some("flowers".to_owned()),
            created: 1,
            updated: 1,
            fields: Fields::from([("state", Value::Text("LIVE".to_owned()))]),
            properties: Properties::from([("Lifecycle".to_owned(), Property::String("test".to_owned()))]),
        }
    }

    fn change(after: &Record) -> Json {
        serde_json::from_str(&of_change(&model(), after, None)).unwrap()
    }

    #[test]
    fn what_changed_is_told_with_what_was_there_before() {
        let mut after = model();
        after.external_id = Some("x-1".to_owned());
        after.fields.insert("state", Value::Text("ARCHIVED".to_owned()));
        after.fields.insert("tasks", Value::Texts(vec!["a".to_owned()]));
        after.properties = Properties::from([
            ("Lifecycle".to_owned(), Property::String("production".to_owned())),
            ("size".to_owned(), Property::Int(3)),
        ]);
        let expected = json!({
            "name": "iris",
            "changed": {
                "externalId": {"to": "x-1"},
                "state": {"from": "LIVE", "to": "ARCHIVED"},
                "tasks": {"to": ["a"]},
                "customProperties": {
                    "Lifecycle": {"from": "test", "to": "production"},
                    "size": {"to": 3},
                },
            },
        });
        assert_eq!(change(&after), expected);
        assert_eq!(change(&model()), json!({"name": "iris", "changed": {}}));
    }

    #[test]
    fn a_property_that_is_gone_was_there_before() {
        let after = Record { properties: Properties::new(), ..model() };
        assert_eq!(change(&after)["changed"]["customProperties"], json!({"Lifecycle": {"from": "test"}}));
    }

    #[test]
    fn however_much_changes_little_is_told() {
        let long = "\u{e4}".repeat(100_000);
        let many = |n: usize| (format!("property-{n:04}"), Property::String(long.clone()));
        let after = Record {
            description: Some(long.clone()),
            fields: Fields::from([("tasks", Value::Texts(vec![long.clone(); 3]))]),
            properties: (0..1000).map(many).collect(),
            ..model()
        };
        let told = of_change(&model(), &after, Some(Id::kept(9)));
        assert!(told.len() < MOST_BYTES + 1024, "{}", told.len());
        let told: Json = serde_json::from_str(&told).unwrap();
        let description = told["changed"]["description"]["to"].as_str().unwrap();
        assert_eq!(description.chars().count(), LONGEST_VALUE + 3);
        assert_eq!(told["changed"]["state"], json!({"from": "LIVE"}));
        let properties = told["changed"]["customProperties"].as_object().unwrap().len();
        // Those of before and of after, without those that are told.
        assert_eq!(told["more"], 1001 - properties);
        assert_eq!(told["linkedTo"], "9");
    }
}
