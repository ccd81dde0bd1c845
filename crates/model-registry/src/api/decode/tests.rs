use rstest::rstest;
use serde_json::{Value as Json, json};

use super::*;
use crate::model::Property;

const OLD: Version = Version::V1Alpha3;

fn object(json: &Json) -> Object {
    Object::parse(json.to_string().as_bytes()).unwrap()
}

fn create(kind: Kind, json: &Json) -> Result<Draft, Failure> {
    draft(object(json), kind, Schema::Create, OLD, None)
}

fn change(kind: Kind, json: &Json) -> Result<Patch, Failure> {
    patch(object(json), kind, OLD)
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// A value that a field may have, as JSON and as it is kept.
fn sample(form: Form) -> (Json, Value) {
    match form {
        Form::Text | Form::Uri => (json!("a"), Value::Text("a".to_owned())),
        Form::Texts => (json!(["a", "b"]), Value::Texts(vec!["a".to_owned(), "b".to_owned()])),
        Form::Id => (json!("7"), Value::Integer(7)),
        Form::Millis => (json!("-5"), Value::Integer(-5)),
        Form::Integer => (json!(12), Value::Integer(12)),
        Form::Number => (json!(1.5), Value::Number(1.5)),
        Form::Word(words) => (json!(words.words[1]), Value::Text(words.words[1].to_owned())),
    }
}

fn complete(kind: Kind) -> serde_json::Map<String, Json> {
    let mut body: serde_json::Map<String, Json> =
        kind.fields().iter().map(|field| (field.name.to_owned(), sample(field.form).0)).collect();
    body.insert("name".to_owned(), json!("n"));
    if let Parent::Named(_, field) = kind.parent() {
        body.insert(field.to_owned(), json!("3"));
    }
    body
}

#[test]
fn every_field_of_every_kind_is_read() {
    for kind in Kind::ALL {
        let draft = create(kind, &Json::Object(complete(kind))).unwrap();
        let expected: Fields = kind.fields().iter().map(|field| (field.name, sample(field.form).1)).collect();
        assert_eq!(draft.fields, expected, "{kind:?}");
        assert_eq!(draft.name.as_deref(), Some("n"));
        assert_eq!(draft.parent, matches!(kind.parent(), Parent::Named(..)).then(|| id("3")), "{kind:?}");
    }
}

#[test]
fn every_field_of_every_kind_may_be_null_unless_it_is_required() {
    for kind in Kind::ALL {
        for field in kind.fields() {
            let mut body = complete(kind);
            body.insert(field.name.to_owned(), Json::Null);
            match create(kind, &Json::Object(body)) {
                Ok(draft) => assert!(field.given != Given::Required && !draft.fields.contains_key(field.name)),
                Err(failure) => {
                    assert_eq!(field.given, Given::Required, "{kind:?} {}", field.name);
                    assert_eq!(failure.parts().0, 422);
                }
            }
        }
    }
}

#[test]
fn every_field_of_every_kind_refuses_another_type_by_its_name() {
    for kind in Kind::ALL {
        for field in kind.fields() {
            let mut body = complete(kind);
            body.insert(field.name.to_owned(), json!({"no": "such value"}));
            let failure = create(kind, &Json::Object(body)).unwrap_err();
            let (status, message) = failure.parts();
            assert_eq!(status, 400);
            assert!(message.contains(field.name) && message.ends_with(": bad request"), "{kind:?}: {message}");
        }
    }
}

#[test]
fn a_change_takes_what_may_be_changed_and_nothing_else() {
    for kind in Kind::ALL {
        let strict = kind.artifact_type().is_none();
        for field in kind.fields() {
            let (json, value) = sample(field.form);
            let change = change(kind, &json!({field.name: json}));
            match field.given {
                Given::Always => assert_eq!(change.unwrap().fields, Fields::from([(field.name, value)]), "{kind:?}"),
                Given::Required | Given::AtFirst => {
                    assert!(strict && change.unwrap_err().parts().0 == 400, "{kind:?} {}", field.name);
                }
            }
        }
        let renamed = change(kind, &json!({"name": "other"}));
        if strict {
            assert_eq!(renamed.unwrap_err().parts(), (400, r#"json: unknown field "name""#), "{kind:?}");
        } else {
            assert_eq!(renamed.unwrap(), Patch::default(), "{kind:?}");
        }
    }
}

#[rstest]
#[case(Kind::RegisteredModel, json!({}), "name")]
#[case(Kind::RegisteredModel, json!({"name": ""}), "name")]
#[case(Kind::RegisteredModel, json!({"name": null}), "name")]
#[case(Kind::ModelVersion, json!({"registeredModelId": "1"}), "name")]
#[case(Kind::ModelVersion, json!({"name": "a"}), "registeredModelId")]
#[case(Kind::ModelVersion, json!({"name": "a", "registeredModelId": ""}), "registeredModelId")]
#[case(Kind::ServingEnvironment, json!({}), "name")]
#[case(Kind::InferenceService, json!({"servingEnvironmentId": "1"}), "registeredModelId")]
#[case(Kind::InferenceService, json!({"registeredModelId": "1"}), "servingEnvironmentId")]
#[case(Kind::ServeModel, json!({}), "modelVersionId")]
#[case(Kind::Experiment, json!({}), "name")]
#[case(Kind::ExperimentRun, json!({}), "experimentId")]
fn what_is_required_is_named_when_it_is_missing(#[case] kind: Kind, #[case] body: Json, #[case] field: &str) {
    let failure = create(kind, &body).unwrap_err();
    assert_eq!(failure.parts(), (422, format!("required field '{field}' is zero value.").as_str()));
}

#[test]
fn bodies_are_strict_but_for_artifacts() {
    for kind in Kind::ALL {
        let mut body = complete(kind);
        body.insert("nonsense".to_owned(), json!(1));
        match create(kind, &Json::Object(body)) {
            Ok(_) => assert!(kind.artifact_type().is_some(), "{kind:?}"),
            Err(failure) => assert_eq!(failure.parts(), (400, r#"json: unknown field "nonsense""#), "{kind:?}"),
        }
    }
}

#[test]
fn a_wrong_field_counts_before_a_missing_one() {
    assert_eq!(create(Kind::RegisteredModel, &json!({"nonsense": 1})).unwrap_err().parts().0, 400);
    assert_eq!(create(Kind::RegisteredModel, &json!({"owner": 1})).unwrap_err().parts().0, 400);
}

#[rstest]
#[case(OLD, json!(3), true)]
#[case(OLD, json!("3"), false)]
#[case(OLD, json!(3.5), false)]
#[case(Version::V1, json!("3"), true)]
#[case(Version::V1, json!(3), false)]
#[case(Version::V1, json!("x"), false)]
fn a_step_is_a_string_in_version_1(#[case] version: Version, #[case] step: Json, #[case] taken: bool) {
    let draft = draft(object(&json!({"step": step})), Kind::Metric, Schema::Create, version, None);
    if taken {
        assert_eq!(draft.unwrap().fields["step"], Value::Integer(3));
    } else {
        assert_eq!(draft.unwrap_err().parts().0, 400);
    }
}

#[test]
fn what_only_the_registry_gives_is_known_to_whole_bodies_alone() {
    let body = json!({"name": "a", "registeredModelId": "3", "createTimeSinceEpoch": "1"});
    let whole = |body: &Json| draft(object(body), Kind::ModelVersion, Schema::Whole, OLD, Some(id("3")));
    assert_eq!(whole(&body).unwrap().parent, Some(id("3")));
    assert_eq!(
        create(Kind::ModelVersion, &body).unwrap_err().parts().1,
        r#"json: unknown field "createTimeSinceEpoch""#
    );
    let again = json!({"name": "a", "registeredModelId": "3", "id": "5"});
    assert!(whole(&again).unwrap_err().parts().1.starts_with("id is given by the registry"));
}

#[test]
fn the_parent_in_a_body_is_that_in_the_path() {
    let body = object(&json!({"name": "a", "registeredModelId": "4"}));
    let failure = draft(body, Kind::ModelVersion, Schema::Whole, OLD, Some(id("3"))).unwrap_err();
    assert_eq!(failure.parts(), (400, "registeredModelId is 4 in the body, and 3 in the path: bad request"));
    let serve = object(&json!({"modelVersionId": "4"}));
    let draft = draft(serve, Kind::ServeModel, Schema::Create, OLD, Some(id("3"))).unwrap();
    assert_eq!(draft.parent, Some(id("3")));
}

#[test]
fn the_type_of_an_artifact_is_said_where_there_is_a_choice() {
    let of = |body: Json, kinds: &[Kind]| kind(&mut object(&body), kinds);
    assert_eq!(of(json!({"ARTIFACTTYPE": "metric"}), &Kind::ARTIFACTS), Ok(Kind::Metric));
    assert_eq!(of(json!({}), &[Kind::ModelArtifact]), Ok(Kind::ModelArtifact));
    assert_eq!(of(json!({"artifactType": "model-artifact"}), &[Kind::ModelArtifact]), Ok(Kind::ModelArtifact));
    for wrong in [json!({}), json!({"artifactType": "nonsense"}), json!({"artifactType": 1})] {
        let failure = of(wrong, &Kind::ARTIFACTS).unwrap_err();
        assert!(failure.parts().1.contains("artifactType"), "{failure:?}");
    }
    assert_eq!(of(json!({"artifactType": "metric"}), &[Kind::ModelArtifact]).unwrap_err().parts().0, 400);
}

#[test]
fn what_is_no_artifact_has_no_type() {
    let mut body = object(&json!({"name": "a", "artifactType": "metric"}));
    let kind = kind(&mut body, &[Kind::RegisteredModel]).unwrap();
    let failure = draft(body, kind, Schema::Create, OLD, None).unwrap_err();
    assert_eq!(failure.parts(), (400, r#"json: unknown field "artifactType""#));
}

#[test]
fn an_offered_artifact_says_what_changes_when_it_is_there() {
    let body = object(&json!({"id": "9", "name": "a", "uri": "s3://b", "description": "d", "nonsense": 1}));
    let offer = offered(body, Kind::DocArtifact, OLD).unwrap();
    assert_eq!(offer.id, Some(id("9")));
    assert_eq!(offer.draft.name.as_deref(), Some("a"));
    assert_eq!(offer.patch.description.as_deref(), Some("d"));
    assert_eq!(offer.patch.fields, offer.draft.fields);
    assert_eq!(offer.patch.properties, None);
    let property = json!({"metadataType": "MetadataBoolValue", "bool_value": true});
    let offer = offered(object(&json!({"customProperties": {"p": property}})), Kind::Metric, OLD).unwrap();
    assert_eq!(offer.patch.properties.as_ref(), Some(&offer.draft.properties));
    assert_eq!(offer.draft.properties["p"], Property::Bool(true));
}

#[test]
fn custom_properties_in_a_change_are_absent_or_all() {
    let of = |body: Json| change(Kind::RegisteredModel, &body).unwrap().properties;
    assert_eq!(of(json!({})), None);
    assert_eq!(of(json!({"customProperties": null})), None);
    assert_eq!(of(json!({"customProperties": {}})), Some(crate::model::Properties::new()));
}
