//! From the JSON in which another registry shows a resource to what it is.

use serde_json::Value;

use super::body::Object;
use super::decode::{self, GIVEN_BY_US};
use super::failure::Failure;
use super::version::Version;
use crate::model::{Draft, Id, Kind};

/// A resource as another registry shows it: all ids are its.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// Its id there.
    pub(crate) id: Id,
    /// What it is made of.
    pub(crate) draft: Draft,
    /// The run that it is an artifact of.
    pub(crate) run: Option<Id>,
    /// When it was made, in milliseconds since 1970.
    pub(crate) created: Option<i64>,
    /// When it was changed last.
    pub(crate) updated: Option<i64>,
    /// Fields that it has and that are not known here.
    pub(crate) unknown: Vec<String>,
}

/// A resource of one of `kinds`; or what is wrong with it.
pub(crate) fn told(json: Value, kinds: &[Kind], version: Version) -> Result<Told, String> {
    read(json, kinds, version).map_err(Failure::into_reason)
}

fn read(json: Value, kinds: &[Kind], version: Version) -> Result<Told, Failure> {
    let mut object = Object::of(json)?;
    let [id, created, updated] = GIVEN_BY_US;
    let id = object.id(id)?.ok_or_else(|| Failure::bad_request("it has no id"))?;
    let kind = decode::kind(&mut object, kinds)?;
    let mut time = |name| object.take(name).map(|json| decode::integer_in_a_string(name, json)).transpose();
    let (created, updated) = (time(created)?, time(updated)?);
    let draft = decode::read(&mut object, kind, version)?;
    decode::require(&draft)?;
    let run = if kind.artifact_type().is_some() {
        object.take("experimentId");
        object.id("experimentRunId")?
    } else {
        None
    };
    Ok(Told { id, draft, run, created, updated, unknown: object.left().collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Value as Kept;

    #[test]
    fn a_resource_is_read_as_it_was_written_and_what_is_new_is_named() {
        let json = json!({
            "id": "7", "name": "loss", "artifactType": "metric", "value": 0.5, "step": "3", "timestamp": "9",
            "experimentId": "1", "experimentRunId": "2", "customProperties": {}, "unit": "nats", "colour": null,
            "createTimeSinceEpoch": "1000", "lastUpdateTimeSinceEpoch": "2000",
        });
        let told = told(json, &Kind::ARTIFACTS, Version::V1).unwrap();
        assert_eq!((told.id.get(), told.run.map(Id::get)), (7, Some(2)));
        assert_eq!((told.created, told.updated), (Some(1000), Some(2000)));
        assert_eq!(told.draft.kind, Kind::Metric);
        assert_eq!(told.draft.fields["step"], Kept::Integer(3));
        assert_eq!(told.unknown, ["unit"]);
    }

    #[test]
    fn what_can_not_be_kept_is_told_by_its_field() {
        let wrong = |json| told(json, &[Kind::RegisteredModel], Version::V1Alpha3).unwrap_err();
        assert_eq!(wrong(json!({"name": "a"})), "it has no id");
        assert!(wrong(json!({"id": "1234567890", "name": "a"})).starts_with("id is not valid"));
        assert!(wrong(json!({"id": "1"})).contains("'name'"));
        assert!(wrong(json!({"id": "1", "name": "a", "state": "GONE"})).contains("'state'"));
        assert!(wrong(json!({"id": "1", "name": "a\u{0}"})).contains("NUL"));
        assert!(wrong(json!([])).contains("must be an object"));
    }
}
