//! From a resource to its JSON, as the tables of [`crate::model`] say. What it does not have is left out.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::decode::ARTIFACT_TYPE;
use super::metadata::{FIELD as CUSTOM_PROPERTIES, Written};
use super::version::Version;
use crate::model::{Form, Parent, Record, Value};

/// A resource, as a version of the API shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) record: &'a Record,
    pub(super) version: Version,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &Text(record.id))?;
        map.serialize_entry("name", &record.name)?;
        entry(&mut map, "externalId", record.external_id.as_ref())?;
        entry(&mut map, "description", record.description.as_ref())?;
        map.serialize_entry(CUSTOM_PROPERTIES, &Written(&record.properties))?;
        entry(&mut map, ARTIFACT_TYPE, record.kind.artifact_type())?;
        if let Parent::Named(_, field) = record.kind.parent() {
            entry(&mut map, field, record.parent.map(Text))?;
        }
        if let Some(of) = record.run.filter(|_| self.version.shows_runs()) {
            map.serialize_entry("experimentId", &Text(of.experiment))?;
            map.serialize_entry("experimentRunId", &Text(of.run))?;
        }
        for field in record.kind.fields() {
            if let Some(value) = record.fields.get(field.name) {
                map.serialize_entry(field.name, &Field { value, form: field.form, version: self.version })?;
            }
        }
        map.serialize_entry("createTimeSinceEpoch", &Text(record.created))?;
        map.serialize_entry("lastUpdateTimeSinceEpoch", &Text(record.updated))?;
        map.end()
    }
}

fn entry<M: SerializeMap>(map: &mut M, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

/// What JSON holds as a string though it is a number.
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Field<'a> {
    value: &'a Value,
    form: Form,
    version: Version,
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.form, self.version) {
            (Value::Text(text), ..) => serializer.serialize_str(text),
            (Value::Texts(texts), ..) => texts.serialize(serializer),
            (Value::Number(number), ..) => serializer.serialize_f64(*number),
            (Value::Integer(number), Form::Integer, Version::V1Alpha3) => serializer.serialize_i64(*number),
            (Value::Integer(number), ..) => serializer.collect_str(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Fields, Id, Kind, OfRun, Properties, Property};

    fn record(kind: Kind) -> Record {
        Record {
            kind,
            id: Id::kept(5),
            parent: Some(Id::kept(3)),
            run: None,
            name: "n".to_owned(),
            external_id: None,
            description: None,
            created: 1000,
            updated: 2000,
            fields: Fields::new(),
            properties: Properties::new(),
        }
    }

    fn json(record: &Record, version: Version) -> serde_json::Value {
        serde_json::to_value(Shown { record, version }).unwrap()
    }

    #[test]
    fn what_a_resource_does_not_have_is_left_out() {
        let expected = json!({
            "id": "5", "name": "n", "customProperties": {}, "registeredModelId": "3",
            "createTimeSinceEpoch": "1000", "lastUpdateTimeSinceEpoch": "2000",
        });
        assert_eq!(json(&record(Kind::ModelVersion), Version::V1Alpha3), expected);
    }

    #[test]
    fn numbers_are_strings_where_the_api_says_so() {
        let mut metric = record(Kind::Metric);
        metric.fields = Fields::from([
            ("value", Value::Number(0.25)),
            ("timestamp", Value::Integer(7)),
            ("step", Value::Integer(8)),
            ("state", Value::Text("LIVE".to_owned())),
        ]);
        metric.run = Some(OfRun { experiment: Id::kept(11), run: Id::kept(12) });
        metric.properties.insert("p".to_owned(), Property::Int(1));
        let mut expected = json!({
            "id": "5", "name": "n", "artifactType": "metric", "value": 0.25, "timestamp": "7", "step": 8,
            "state": "LIVE", "experimentId": "11", "experimentRunId": "12",
            "customProperties": {"p": {"metadataType": "MetadataIntValue", "int_value": "1"}},
            "createTimeSinceEpoch": "1000", "lastUpdateTimeSinceEpoch": "2000",
        });
        assert_eq!(json(&metric, Version::V1Alpha3), expected);
        let fields = expected.as_object_mut().unwrap();
        fields.insert("step".to_owned(), json!("8"));
        fields.remove("experimentId");
        fields.remove("experimentRunId");
        assert_eq!(json(&metric, Version::V1), expected);
    }

    #[test]
    fn fields_come_in_the_same_order_each_time() {
        let mut version = record(Kind::ModelVersion);
        version.fields =
            Fields::from([("state", Value::Text("LIVE".to_owned())), ("author", Value::Text("a".to_owned()))]);
        let text = serde_json::to_string(&Shown { record: &version, version: Version::V1 }).unwrap();
        let expected = r#"{"id":"5","name":"n","customProperties":{},"registeredModelId":"3","author":"a","state":"LIVE","createTimeSinceEpoch":"1000","lastUpdateTimeSinceEpoch":"2000"}"#;
        assert_eq!(text, expected);
    }
}
