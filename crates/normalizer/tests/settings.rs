//! Settings that say which entries there are and what they hold: what cannot be used stops the start and says where it
//! was set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use model_catalog::entities::Extra;
use normalizer::Settings;
use normalizer::project::Question;
use rstest::rstest;

fn parsed(flags: &[(&str, &str)]) -> Result<Settings, String> {
    let flags = flags.iter().map(|(name, value)| format!("--{}={value}", name.to_lowercase().replace('_', "-")));
    let args = std::iter::once("normalizer".to_owned()).chain(flags);
    service::settings::try_parse_from(args, |_| None).map_err(|error| error.to_string())
}

#[rstest]
#[case::include("INCLUDE", "main/[a", "is no glob")]
#[case::exclude("EXCLUDE", "granite", "selects nothing")]
#[case::alternatives("INCLUDE", "main/{a,b}", "is no glob")]
#[case::property("EXCLUDE", "property:Stage=[", "is no glob")]
#[case::kind("OWNER_KIND", "robot", "use user or group")]
#[case::owners("NAMESPACE_OWNERS", "ns", "NAMESPACE=OWNER")]
#[case::owner("NAMESPACE_OWNERS", "ns=robot:x", "robot:x")]
#[case::emit("EMIT", "everything", "ai-model-server-api")]
#[case::switch("FETCH_OPENAPI", "perhaps", "perhaps")]
fn what_cannot_be_used_stops_the_start(#[case] variable: &str, #[case] value: &str, #[case] reason: &str) {
    let error = parsed(&[(variable, value)]).unwrap_err();
    let flag = format!("--{}", variable.to_lowercase().replace('_', "-"));
    for part in [variable, &flag, reason] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn nothing_of_it_is_on_by_default() {
    let settings = parsed(&[("INCLUDE", ""), ("EMIT", ""), ("NAMESPACE_OWNERS", "")]).unwrap();
    assert!(settings.filter().include.is_empty() && settings.filter().exclude.is_empty());
    assert!(settings.questions().is_empty() && settings.render_options().emit.is_empty());
    assert_eq!(settings.owners(), normalizer::project::owners::Owners::default());
    assert!(!settings.namespace_annotations);
}

#[test]
fn what_is_switched_on_is_on() {
    let settings = parsed(&[
        ("EMIT", "ai-model-server-api"),
        ("FETCH_OPENAPI", "true"),
        ("PROBE_MODELS", "yes"),
        ("NAMESPACE_ANNOTATIONS", "1"),
        ("INCLUDE", "main/*, property:Stage=prod"),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.render_options().emit, BTreeSet::from([Extra::AiModelServerApi]));
    assert_eq!(settings.questions(), BTreeSet::from([Question::OpenApi, Question::Models]));
    assert_eq!(settings.filter().include.len(), 2);
    assert!(settings.namespace_annotations);
}
