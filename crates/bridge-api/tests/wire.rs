//! The wire shapes: what the Go services wrote is read, what we write has their field names.

use bridge_api::{
    Digest, EntryDigest, EntryKey, KeyList, KeySet, PostBody, ReconcilerType, StorageBody, UriList, content_digest,
    from_json,
};
use proptest::prelude::*;
use serde_json::{Value, from_str, json, to_value};

#[test]
fn lists_of_the_go_services() {
    let list: KeyList = from_str(include_str!("fixtures/go-storage-list.json")).unwrap();
    assert_eq!(list.keys, ["ai-models_mnist-v1", "granite-0-lab_v1", "granite-1-lab_v1"]);
    assert_eq!(list.entries, None);
    assert!(list.keys.iter().all(|key| key.parse::<EntryKey>().is_ok()));

    let list: UriList = from_str(include_str!("fixtures/go-location-list.json")).unwrap();
    assert_eq!(list.uris[0], "/ai-models/mnist-v1/model-catalog.json");
    assert_eq!(list.entries, None);
}

#[test]
fn an_entry_of_the_go_storage() {
    let recorded = include_str!("fixtures/go-storage-fetch.json");
    let entry: StorageBody = from_str(recorded).unwrap();
    assert_eq!(entry.body, include_bytes!("fixtures/go-storage-fetch-body.json").trim_ascii_end());
    assert_eq!(entry.reconciler_type, "kubeflow");
    assert!(!entry.location_id_valid && entry.model_card.is_empty());
    let rewritten: Value = to_value(&entry).unwrap();
    assert_eq!(rewritten, from_str::<Value>(recorded).unwrap(), "no field more, none less");

    let empty: StorageBody = from_str(include_str!("fixtures/go-storage-fetch-empty.json")).unwrap();
    assert!(empty.body.is_empty());
    assert_eq!(empty.reconciler_type, "kserve");
}

#[test]
fn a_post_body_has_the_names_of_the_go_bridge() {
    let body = PostBody {
        body: b"{}".to_vec(),
        last_update_time_since_epoch: "1712345678901".to_owned(),
        model_card_key: "card".to_owned(),
        model_card: "# Card".to_owned(),
        origin: None,
        changed_at: None,
    };
    assert_eq!(
        to_value(&body).unwrap(),
        json!({
            "body": "e30=", "lastUpdateTimeSinceEpoch": "1712345678901", "modelCardKey": "card", "modelCard": "# Card",
        })
    );
    assert!(!format!("{body:?}").contains("# Card"), "logs hold no documents");
}

#[test]
fn missing_null_and_unknown_fields_are_no_error() {
    for text in [
        "{}",
        r#"{"body": null, "modelCard": null, "modelCardKey": null, "lastUpdateTimeSinceEpoch": null}"#,
        r#"{"body": "", "somethingNew": {"a": [1]}}"#,
    ] {
        assert_eq!(from_str::<PostBody>(text).unwrap(), PostBody::default(), "{text}");
    }
    let entry: StorageBody = from_str(r#"{"locationIDValid": null, "locationId": null, "other": 1}"#).unwrap();
    assert_eq!(entry, StorageBody::default());
    assert_eq!(from_str::<KeyList>(r#"{"keys": null, "entries": null}"#).unwrap(), KeyList::default());
    assert_eq!(from_str::<UriList>(r#"{"uris": null}"#).unwrap(), UriList::default());
}

#[test]
fn what_is_no_list_is_not_taken_for_an_empty_one() {
    for text in ["{}", r#"{"status": "ok"}"#, "[]", "[[]]", "null", ""] {
        assert!(from_json::<KeyList>(text.as_bytes()).is_err(), "{text}");
        assert!(from_json::<UriList>(text.as_bytes()).is_err(), "{text}");
    }
    assert!(from_json::<PostBody>(b"[]").is_err());
    assert!(from_json::<PostBody>(b" {}").is_ok());
}

#[test]
fn base64_is_read_with_line_breaks_and_without_padding_and_nothing_else_is() {
    let read = |body: &str| from_str::<PostBody>(&json!({ "body": body }).to_string());
    for text in ["aGVsbG8=", "aGVsbG8", "aGVs\nbG8=\r\n"] {
        assert_eq!(read(text).unwrap().body, b"hello", "{text}");
    }
    for text in ["aGVsbG8!", "%", "aGVsb-_="] {
        assert!(read(text).unwrap_err().to_string().contains("base64"), "{text}");
    }
    assert!(from_str::<PostBody>(r#"{"body": 5}"#).is_err());
    assert!(from_str::<PostBody>(r#"{"body": ["a"]}"#).is_err());
}

#[test]
fn our_additions_show_only_when_there_is_something_to_say() {
    assert_eq!(to_value(KeyList::default()).unwrap(), json!({"keys": []}));
    assert_eq!(to_value(UriList::default()).unwrap(), json!({"uris": []}));
    let entries = Some(vec![EntryDigest {
        key: "a_b".to_owned(),
        digest: Digest::from("d1".to_owned()),
        reconciler_type: Some(ReconcilerType::Kserve.to_string()),
        origin: None,
    }]);
    assert_eq!(
        to_value(KeyList { keys: vec!["a_b".to_owned()], entries, settled: None }).unwrap(),
        json!({"keys": ["a_b"], "entries": [{"key": "a_b", "digest": "d1", "type": "kserve"}]})
    );
    assert_eq!(to_value(KeySet { keys: Vec::new() }).unwrap(), json!({"keys": []}));
    assert!(from_str::<KeySet>("{}").is_err(), "a set that is missing is not an empty one");
}

#[test]
fn reconciler_types_are_lower_case() {
    for (text, parsed) in [("kubeflow", ReconcilerType::Kubeflow), ("kserve", ReconcilerType::Kserve)] {
        assert_eq!(text.parse(), Ok(parsed));
        assert_eq!(parsed.to_string(), text);
        assert_eq!(to_value(parsed).unwrap(), json!(text));
    }
    assert!("Kserve".parse::<ReconcilerType>().is_err());
}

proptest! {
    #[test]
    fn any_content_survives_the_wire(body in any::<Vec<u8>>(), key in ".{0,20}", card in ".{0,200}") {
        let sent = PostBody { body, model_card_key: key, model_card: card, ..PostBody::default() };
        let received: PostBody = from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
        prop_assert_eq!(
            content_digest(&sent.body, &sent.model_card_key, &sent.model_card),
            content_digest(&received.body, &received.model_card_key, &received.model_card)
        );
        prop_assert_eq!(sent, received);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in ".{0,200}") {
        let _ = from_str::<PostBody>(&text);
        let _ = from_str::<StorageBody>(&text);
        let _ = from_str::<KeyList>(&text);
    }
}
