//! From the body of a request to what is to be made or changed, as the tables of [`crate::model`] say.

use serde_json::Value as Json;

use super::body::{self, Object};
use super::failure::Failure;
use super::version::Version;
use crate::model::{Draft, Field, Fields, Form, Given, Id, Kind, Parent, Patch, Value};
use crate::store::Offered;

/// The field that says which kind of artifact is meant.
pub(super) const ARTIFACT_TYPE: &str = "artifactType";
/// What a resource is given by the registry.
pub(super) const GIVEN_BY_US: [&str; 3] = ["id", "createTimeSinceEpoch", "lastUpdateTimeSinceEpoch"];

/// Which of a kind's schemas a body is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    /// That of a new resource.
    Create,
    /// That of a resource as it is answered, with what only the registry gives.
    Whole,
}

/// The one of `kinds` that a body is of.
pub(super) fn kind(object: &mut Object, kinds: &[Kind]) -> Result<Kind, Failure> {
    if let [kind] = kinds
        && kind.artifact_type().is_none()
    {
        // It has no such field: one that is there is left, to be refused.
        return Ok(*kind);
    }
    match (object.text(ARTIFACT_TYPE)?, kinds) {
        (Some(text), _) => artifact(&text, kinds),
        (None, [kind]) => Ok(*kind),
        (None, _) => Err(Failure::bad_request(format!("{ARTIFACT_TYPE} is missing: {}", one_of(kinds)))),
    }
}

/// The one of `kinds` that `text` names.
pub(super) fn artifact(text: &str, kinds: &[Kind]) -> Result<Kind, Failure> {
    let named = Kind::of_artifact_type(text).filter(|kind| kinds.contains(kind));
    named.ok_or_else(|| {
        Failure::bad_request(format!("{ARTIFACT_TYPE} is not valid, it is {}: {}", Json::from(text), one_of(kinds)))
    })
}

fn one_of(kinds: &[Kind]) -> String {
    let types: Vec<&str> = kinds.iter().filter_map(|kind| kind.artifact_type()).collect();
    format!("it must be {}", types.join(", "))
}

/// A new resource of that kind; beneath `parent`, if the path says of what.
pub(super) fn draft(
    mut object: Object,
    kind: Kind,
    schema: Schema,
    version: Version,
    parent: Option<Id>,
) -> Result<Draft, Failure> {
    let mut draft = read(&mut object, kind, version)?;
    if schema == Schema::Whole {
        let [id, times @ ..] = GIVEN_BY_US;
        if object.text(id)?.is_some() {
            let message = format!("id is given by the registry to a new {0}: to change a {0}, use PATCH", kind.title());
            return Err(Failure::bad_request(message));
        }
        for time in times {
            object.text(time)?;
        }
    }
    end(object, kind)?;
    require(&draft)?;
    match (kind.parent(), draft.parent, parent) {
        (Parent::Named(_, field), Some(said), Some(path)) if said != path => {
            Err(Failure::bad_request(format!("{field} is {said} in the body, and {path} in the path")))
        }
        (_, said, path) => {
            draft.parent = said.or(path);
            Ok(draft)
        }
    }
}

/// An artifact that is offered for a version or a run.
pub(super) fn offered(mut object: Object, kind: Kind, version: Version) -> Result<Offered, Failure> {
    let id = object.id("id")?;
    let properties = object.properties()?;
    let draft = Draft { properties: properties.clone().unwrap_or_default(), ..read(&mut object, kind, version)? };
    end(object, kind)?;
    let patch = Patch {
        external_id: draft.external_id.clone(),
        description: draft.description.clone(),
        fields: draft.fields.clone(),
        properties,
    };
    Ok(Offered { id, draft, patch })
}

/// What is to be changed of a resource of that kind.
pub(super) fn patch(mut object: Object, kind: Kind, version: Version) -> Result<Patch, Failure> {
    let changes = |given| given == Given::Always;
    let patch = Patch {
        external_id: object.text("externalId")?,
        description: description(&mut object)?,
        fields: fields(&mut object, kind, version, changes)?,
        properties: object.properties()?,
    };
    end(object, kind)?;
    Ok(patch)
}

pub(super) fn read(object: &mut Object, kind: Kind, version: Version) -> Result<Draft, Failure> {
    Ok(Draft {
        name: object.text("name")?,
        external_id: object.text("externalId")?,
        description: description(object)?,
        parent: match kind.parent() {
            Parent::Named(_, field) => object.id(field)?,
            Parent::None | Parent::OfPath(_) | Parent::Linked => None,
        },
        fields: fields(object, kind, version, |_| true)?,
        properties: object.properties()?.unwrap_or_default(),
        ..Draft::new(kind)
    })
}

/// Unlike a name, it may be empty.
fn description(object: &mut Object) -> Result<Option<String>, Failure> {
    object.take("description").map(|value| body::text("description", value)).transpose()
}

fn fields(
    object: &mut Object,
    kind: Kind,
    version: Version,
    wanted: impl Fn(Given) -> bool,
) -> Result<Fields, Failure> {
    let mut fields = Fields::new();
    for field in kind.fields().iter().filter(|field| wanted(field.given)) {
        if let Some(json) = object.take(field.name)
            && let Some(value) = value(field, json, version)?
        {
            fields.insert(field.name, value);
        }
    }
    Ok(fields)
}

fn value(field: &Field, json: Json, version: Version) -> Result<Option<Value>, Failure> {
    let name = field.name;
    let value = match (field.form, version) {
        (Form::Text | Form::Uri, _) => Value::Text(body::text(name, json)?),
        (Form::Texts, _) => Value::Texts(texts(name, json)?),
        (Form::Id, _) => {
            let text = body::text(name, json)?;
            if text.is_empty() {
                return Ok(None);
            }
            Value::Integer(super::params::id(name, &text)?.get())
        }
        (Form::Integer, Version::V1Alpha3) => {
            Value::Integer(json.as_i64().ok_or_else(|| body::wrong_type(name, "a whole number", &json))?)
        }
        (Form::Millis, _) | (Form::Integer, Version::V1) => Value::Integer(integer_in_a_string(name, json)?),
        (Form::Number, _) => Value::Number(json.as_f64().ok_or_else(|| body::wrong_type(name, "a number", &json))?),
        (Form::Word(words), _) => {
            let text = body::text(name, json)?;
            if !words.words.contains(&text.as_str()) {
                let (text, words) = (Json::from(text), words.words.join(", "));
                return Err(Failure::bad_request(format!("field '{name}' is {text}: it must be {words}")));
            }
            Value::Text(text)
        }
    };
    Ok(Some(value))
}

fn texts(name: &str, json: Json) -> Result<Vec<String>, Failure> {
    match json {
        Json::Array(items) => items.into_iter().map(|item| body::text(name, item)).collect(),
        other => Err(body::wrong_type(name, "an array of strings", &other)),
    }
}

pub(super) fn integer_in_a_string(name: &str, json: Json) -> Result<i64, Failure> {
    let text = body::text(name, json)?;
    text.parse().map_err(|_| Failure::bad_request(format!("field '{name}' must be a string that holds a whole number")))
}

/// What is left of the body of an artifact is ignored; every other has to consist of what is known.
fn end(object: Object, kind: Kind) -> Result<(), Failure> {
    if kind.artifact_type().is_some() { Ok(()) } else { object.end() }
}

pub(super) fn require(draft: &Draft) -> Result<(), Failure> {
    let kind = draft.kind;
    if kind.must_be_named() && draft.name.is_none() {
        return Err(Failure::missing("name"));
    }
    let missing = |field: &&Field| field.given == Given::Required && !draft.fields.contains_key(field.name);
    if let Some(field) = kind.fields().iter().find(missing) {
        return Err(Failure::missing(field.name));
    }
    match kind.parent() {
        Parent::Named(_, field) if draft.parent.is_none() => Err(Failure::missing(field)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
