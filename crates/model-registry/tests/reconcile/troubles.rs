//! What goes wrong, and what comes of it.

use rstest::rstest;
use serde_json::json;
use testkit::eventually;
use testkit::kube::{Fault, RecordedRequest};

use crate::world::{KIND, ODH, SOON, SPACE, World};

#[tokio::test]
async fn a_registry_that_is_down_at_first_is_waited_for() {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("granite", &model);
    world.set_down(true);
    let reconciler = world.start(&[]).await;
    eventually(SOON, "it is asked again", async || world.asked_so_far().len() >= 3).await;
    let (status, reason) = reconciler.page("/readyz").await;
    assert!(status == 503 && reason.contains("model registry"), "{status} {reason}");
    assert_eq!(reconciler.page("/healthz").await.0, 200);
    world.set_down(false);
    world.states(&[("granite", "DEPLOYED")]).await;
    eventually(SOON, "it is ready", async || reconciler.page("/readyz").await.0 == 200).await;
    assert!(world.once(&[]).await.is_ok());
    world.set_down(true);
    let error = world.once(&[]).await.unwrap_err();
    assert!(error.contains("model registry at") && error.contains("503"), "{error}");
    reconciler.stop().await;
}

#[tokio::test]
async fn an_answer_that_gets_lost_makes_no_second_record() {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("granite", &model);
    world.lose_answers(2);
    let reconciler = world.start(&[]).await;
    let label = format!("{ODH}inference-service-id");
    let labelled = async || world.label("granite", &label);
    let id = eventually(SOON, "the label", labelled).await;
    let record = world.record("one record", |_| true).await;
    assert_eq!(record["id"], id);
    reconciler.stop().await;
}

#[rstest]
#[case::model(&[("registered-model-id", "999")], "registered-model-id")]
#[case::model_of_no_form(&[("registered-model-id", "granite")], "granite")]
#[case::version(&[("registered-model-id", "1"), ("model-version-id", "999")], "model-version-id")]
#[tokio::test]
async fn an_id_that_the_registry_does_not_know_is_asked_for_once(
    #[case] labels: &[(&str, &str)],
    #[case] unknown: &str,
) {
    let world = World::new().await;
    assert_eq!(world.model("granite").await, "1");
    world.serve("odd", ODH, labels);
    world.serve_model("good", "1");
    let reconciler = world.start(&[]).await;
    world.states(&[("good", "DEPLOYED")]).await;
    eventually(SOON, "it is ready", async || reconciler.page("/readyz").await.0 == 200).await;
    world.asked();
    for value in ["1", "2", "3"] {
        world.touch("odd", value);
    }
    world.kube.delete(KIND, SPACE, "good");
    world.states(&[("good", "UNDEPLOYED")]).await;
    let asked = world.asked();
    assert!(!asked.iter().any(|asked| asked.contains("registered_models") || asked.contains("POST")), "{asked:?}");
    let metrics = reconciler.page("/metrics").await.1;
    assert!(metrics.contains("reconciler_refused{cluster=\"default\"} 1"), "{unknown}: {metrics}");
    reconciler.stop().await;
    assert!(world.once(&[]).await.unwrap_err().contains("refused"), "for cron");
}

#[tokio::test]
async fn a_model_that_is_registered_later_is_found_at_the_next_full_comparison() {
    let world = World::new().await;
    world.serve_model("granite", "1");
    let reconciler = world.start(&["--resync-interval", "100ms"]).await;
    let asked = async || world.asked_so_far().iter().filter(|asked| *asked == "GET registered_models/1").count() >= 2;
    eventually(SOON, "it is asked for now and then", asked).await;
    assert_eq!(world.model("granite").await, "1");
    world.states(&[("granite", "DEPLOYED")]).await;
    reconciler.stop().await;
}

#[tokio::test]
async fn a_label_that_cannot_be_written_does_not_keep_a_service_from_being_recorded() {
    let world = World::new().await;
    let model = world.model("granite").await;
    for name in ["one", "two"] {
        world.serve_model(name, &model);
    }
    let is_patch = |request: &RecordedRequest| request.method == "PATCH";
    let forbidden = world.kube.fail_while(is_patch, Fault::Status(403));
    let reconciler = world.start(&[]).await;
    world.states(&[("one", "DEPLOYED"), ("two", "DEPLOYED")]).await;
    eventually(SOON, "it is ready", async || reconciler.page("/readyz").await.0 == 200).await;
    assert_eq!(world.kube.count(is_patch), 2, "each once");
    drop(forbidden);
    reconciler.stop().await;

    // A failure that passes is no refusal.
    world.kube.fail_next(is_patch, Fault::Status(500));
    let reconciler = world.start(&[]).await;
    let label = format!("{ODH}inference-service-id");
    let both = async || ["one", "two"].iter().all(|name| world.label(name, &label).is_some());
    eventually(SOON, "the labels", both).await;
    assert_eq!(world.records().await.len(), 2);
    reconciler.stop().await;
}

#[tokio::test]
async fn the_registry_is_sent_the_token_that_is_in_the_file_now() {
    let world = World::new().await;
    let model = world.model("granite").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "planted-first\n").unwrap();
    let reconciler = world.start(&["--token-file", file.to_str().unwrap(), "--resync-interval", "50ms"]).await;
    eventually(SOON, "the first token", async || world.tokens().contains(&"Bearer planted-first".to_owned())).await;
    std::fs::write(&file, "planted-second\n").unwrap();
    eventually(SOON, "the second token", async || world.tokens().contains(&"Bearer planted-second".to_owned())).await;
    world.serve_model("granite", &model);
    world.states(&[("granite", "DEPLOYED")]).await;
    reconciler.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_said() {
    let world = World::new().await;
    let error = world.once(&["--token", "a", "--token-file", "b"]).await.unwrap_err();
    assert!(error.contains("MR_TOKEN_FILE") && !error.contains("\"a\""), "{error}");
    let error = world.once(&["--ca", "/nowhere/ca.pem"]).await.unwrap_err();
    assert!(error.contains("MR_CA"), "{error}");
    let error = world.once(&["--watch-namespaces", "Not_One"]).await.unwrap_err();
    assert!(error.contains("WATCH_NAMESPACES"), "{error}");
    let error = world.once(&["--kube-context", "nowhere"]).await.unwrap_err();
    assert!(error.contains("nowhere"), "{error}");
    assert_eq!(json!(world.asked()), json!([]));
}
