//! What is a key and what is not, for any text.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

use bridge_api::key::{EntryKey, KeyRule, MAX_LENGTH, PATTERN};
use model_catalog::render::Format;
use proptest::prelude::*;

fn rule(text: &str) -> KeyRule {
    text.parse::<EntryKey>().unwrap_err().rule
}

#[test]
fn the_first_underscore_separates_the_segments() {
    let key: EntryKey = "granite-0-lab_v1_rc_2".parse().unwrap();
    assert_eq!(key.segments(), ("granite-0-lab", "v1_rc_2"));
    assert_eq!(key.uri(Format::CatalogInfoYaml), "/granite-0-lab/v1_rc_2/catalog-info.yaml");
    assert_eq!(key.uri(Format::ModelCatalogJson), "/granite-0-lab/v1_rc_2/model-catalog.json");
    assert_eq!(EntryKey::from_segments("granite-0-lab", "v1_rc_2").unwrap(), key);
    assert!(EntryKey::from_segments("granite_0", "v1").is_err(), "it would be split elsewhere");
}

#[test]
fn each_rule_is_told() {
    assert_eq!(rule(""), KeyRule::Empty);
    assert_eq!(rule("plain"), KeyRule::NoSeparator);
    assert_eq!(rule("_v1"), KeyRule::EmptySegment);
    assert_eq!(rule("model_"), KeyRule::EmptySegment);
    assert_eq!(rule("._v1"), KeyRule::DotSegment);
    assert_eq!(rule("model_.."), KeyRule::DotSegment);
    for text in ["a_b/c", "a_b%2f", "a_b c", "ä_b", "a_b\0", "a,b_c", "a_b?"] {
        assert_eq!(rule(text), KeyRule::Characters, "{text}");
    }
    assert_eq!(rule(&format!("a_{}", "b".repeat(MAX_LENGTH - 1))), KeyRule::TooLong);
    assert!(format!("a_{}", "b".repeat(MAX_LENGTH - 2)).parse::<EntryKey>().is_ok());
}

#[test]
fn an_error_names_the_key_without_repeating_all_of_a_long_one() {
    let error = "bad key".parse::<EntryKey>().unwrap_err().to_string();
    assert!(error.contains("`bad key`"), "{error}");
    assert!("x\n".repeat(10_000).parse::<EntryKey>().unwrap_err().to_string().len() < 300);
}

#[test]
fn in_json_a_key_is_a_checked_string() {
    let key: EntryKey = serde_json::from_str(r#""a_b""#).unwrap();
    assert_eq!(serde_json::to_string(&key).unwrap(), r#""a_b""#);
    assert!(serde_json::from_str::<EntryKey>(r#""a/b""#).is_err());
}

proptest! {
    #[test]
    fn the_pattern_that_is_told_to_others_means_the_same(text in "[-._a-c/A]{0,12}") {
        let is_key = text.parse::<EntryKey>().is_ok();
        prop_assert_eq!(regex::Regex::new(PATTERN).unwrap().is_match(&text), is_key, "{:?}", text);
    }

    #[test]
    fn any_text_is_a_key_or_an_error(text in ".{0,300}") {
        if let Ok(key) = text.parse::<EntryKey>() {
            prop_assert_eq!(key.as_str(), &text);
            let (first, second) = key.segments();
            prop_assert_eq!(format!("{first}_{second}"), text);
        }
    }

    #[test]
    fn a_valid_key_comes_back_from_its_uri(text in "[-a-zA-Z0-9.]{1,20}_[-._a-zA-Z0-9]{1,20}") {
        let Ok(key) = text.parse::<EntryKey>() else {
            prop_assert!(text.starts_with("..") || text.split('_').next() == Some(".")
                || text.ends_with("_.") || text.ends_with("_.."));
            return Ok(());
        };
        let uri = key.uri(Format::ModelCatalogJson);
        let parts: Vec<&str> = uri.split('/').collect();
        prop_assert_eq!(parts.len(), 4);
        prop_assert_eq!(EntryKey::from_segments(parts[1], parts[2]).unwrap(), key);
    }

    #[test]
    fn different_keys_have_different_uris(one in "[a._]{1,6}_[a._]{1,6}", two in "[a._]{1,6}_[a._]{1,6}") {
        if let (Ok(one), Ok(two)) = (one.parse::<EntryKey>(), two.parse::<EntryKey>()) {
            prop_assert_eq!(one == two, one.uri(Format::CatalogInfoYaml) == two.uri(Format::CatalogInfoYaml));
        }
    }
}
