//! Several reconcilers, and several clusters, at one registry.

use http::Method;
use serde_json::json;
use testkit::eventually;
use testkit::kube::KubeApi;
use testkit::kube::samples::InferenceService;

use crate::world::{ODH, SOON, SPACE, World, property};

const MANY: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_start_at_once_make_one_record_of_each_service() {
    let world = World::new().await;
    let model = world.model("granite").await;
    for number in 0..MANY {
        world.serve_model(&format!("service-{number}"), &model);
    }
    let (one, other) = tokio::join!(world.start(&[]), world.start(&[]));
    let label = format!("{ODH}inference-service-id");
    eventually(SOON, "all are labelled", async || {
        (0..MANY).all(|number| world.label(&format!("service-{number}"), &label).is_some())
    })
    .await;
    for reconciler in [&one, &other] {
        eventually(SOON, "both are content", async || reconciler.page("/readyz").await.0 == 200).await;
    }
    let records = world.records().await;
    assert_eq!(records.len(), MANY, "{records:?}");
    let environments = world.send(Method::GET, "serving_environments", None).await;
    assert_eq!(environments["size"], 1);
    for record in records {
        let name = property(&record, "kserveService").unwrap();
        assert_eq!(world.label(&name, &label).as_deref(), record["id"].as_str(), "{name}");
    }
    for reconciler in [one, other] {
        let metrics = reconciler.page("/metrics").await.1;
        assert!(metrics.contains("reconciler_refused{cluster=\"default\"} 0"), "{metrics}");
        reconciler.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_context_is_a_cluster_and_ends_its_own_records_only() {
    let world = World::new().await;
    let other = KubeApi::builder().with_kserve().namespace(SPACE).start().await;
    let model = world.model("granite").await;
    world.serve_model("east-service", &model);
    let label = format!("{ODH}registered-model-id");
    other.apply(InferenceService::new(SPACE, "west-service").label(&label, &model).build());
    let directory = tempfile::tempdir().unwrap();
    let config = |api: &KubeApi, name: &str| {
        let text = serde_json::to_string(&api.kubeconfig()).unwrap().replace("\"testkit\"", &format!("\"{name}\""));
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let files = format!("{}:{}", config(&world.kube, "east"), config(&other, "west"));
    let mut settings = world.settings(&[]);
    settings.cluster.kubeconfig = Some(files);
    settings.cluster.kube_contexts = vec!["east".to_owned(), "west".to_owned()];
    let shutdown = service::Shutdown::new();
    let running = Box::pin(model_registry::reconcile::start(settings, shutdown.clone())).await.unwrap();
    world.states(&[("east-service", "DEPLOYED"), ("west-service", "DEPLOYED")]).await;
    other.delete("InferenceService", SPACE, "west-service");
    world.states(&[("east-service", "DEPLOYED"), ("west-service", "UNDEPLOYED")]).await;
    let records = world.records().await;
    let clusters: Vec<_> = records.iter().map(|record| property(record, "kserveCluster").unwrap()).collect();
    assert!(clusters.contains(&"east".to_owned()) && clusters.contains(&"west".to_owned()), "{clusters:?}");
    shutdown.trigger();
    running.task.await.unwrap().unwrap();
    assert_eq!(world.send(Method::GET, "serving_environments", None).await["items"][0]["name"], json!(SPACE));
}
