//! Push mode: each entry that location serves is a location in Backstage, and none that it does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use system_tests::Kept::{self, InConfigMap, InSqlite};
use system_tests::{Bridge, SOON, Service, Sources, http};
use testkit::backstage::{Fault, ScriptedBackstage};
use testkit::eventually;

struct Portal {
    backstage: Arc<ScriptedBackstage>,
    watch: tokio::task::JoinHandle<()>,
}

impl Portal {
    /// A Backstage that reads each location at once when it is registered, as a real one does.
    async fn start(bridge: &Bridge) -> Self {
        let backstage = ScriptedBackstage::start().await.with_bridge_location_type().with_token("backstage-secret");
        let backstage = Arc::new(backstage);
        let (watched, base) = (Arc::clone(&backstage), bridge.url(Service::Location));
        let watch = tokio::spawn(async move {
            let (http, mut seen) = (http(), BTreeSet::new());
            loop {
                for location in watched.locations() {
                    if seen.insert(location.id.clone())
                        && !location.target.contains("/gone/")
                        && location.target.starts_with(&base)
                    {
                        let status = http.get(&location.target).send().await.map(|answer| answer.status().as_u16());
                        assert!(matches!(status, Ok(200)), "{} is registered and answers {status:?}", location.target);
                    }
                }
                tokio::task::yield_now().await;
            }
        });
        Self { backstage, watch }
    }

    fn attach(&self, bridge: Bridge) -> Bridge {
        let location = bridge.url(Service::Location);
        bridge
            .with(Service::Storage, "PUSH_TO_RHDH", "true")
            .with(Service::Storage, "BKSTG_URL", self.backstage.url().as_str())
            .with(Service::Storage, "RHDH_TOKEN", "backstage-secret")
            .with(Service::Storage, "BRIDGE_URL", &location)
            .with(Service::Storage, "DELIVERY_RESYNC_INTERVAL", "500ms")
    }

    /// Waits until Backstage has exactly the locations of the truth, and these others.
    async fn holds(&self, bridge: &Bridge, sources: &Sources, others: &[&str]) {
        let base = bridge.url(Service::Location);
        let mut expected: Vec<String> =
            sources.true_uris(bridge.format).into_iter().map(|uri| format!("{base}{uri}")).collect();
        expected.extend(others.iter().map(|other| (*other).to_owned()));
        expected.sort();
        eventually(SOON, "Backstage holds a location for each entry", async || {
            let targets = self.backstage.targets();
            if targets == expected { Ok(()) } else { Err(format!("{targets:?} in place of {expected:?}")) }
        })
        .await;
    }

    async fn finish(self) {
        self.watch.abort();
        if let Err(error) = self.watch.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

#[rstest]
#[case(CatalogInfoYaml, InConfigMap, "url")]
#[case(ModelCatalogJson, InSqlite, "rhdh-rhoai-bridge")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locations_follow_the_entries_through_restarts_of_each_side(
    #[case] format: Format,
    #[case] kept: Kept,
    #[case] kind: &str,
) {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 4);
    sources.serve_unregistered("alone");
    let bridge = Bridge::new(format, kept, &sources);
    let portal = Portal::start(&bridge).await;
    // Somebody's own location, which is none of the bridge's business.
    let other = "https://git.example.com/team/catalog-info.yaml";
    portal.backstage.add_location("url", other);
    let mut bridge = portal.attach(bridge);
    let others = [other];
    bridge.start_all();
    portal.holds(&bridge, &sources, &others).await;
    // One that is left over: no entry has it any more.
    portal.backstage.add_location(kind, &format!("{}/gone/v1/{}", bridge.url(Service::Location), format.file_name()));
    portal.holds(&bridge, &sources, &others).await;
    let ours =
        portal.backstage.locations().into_iter().filter(|l| l.target.starts_with(&bridge.url(Service::Location)));
    assert!(ours.into_iter().all(|location| location.kind == kind));

    sources.registry().edit().archive_version(&versions[0].version).unwrap();
    sources.kube().delete("InferenceService", "ai-models", "alone");
    sources.register("newcomer", "v1");
    portal.holds(&bridge, &sources, &others).await;

    for service in Service::ALL {
        bridge.kill(service);
        if service != Service::Normalizer {
            bridge.start(service);
            bridge.ready(service).await;
        }
        let ids: Vec<String> = portal.backstage.locations().into_iter().map(|location| location.id).collect();
        portal.holds(&bridge, &sources, &others).await;
        let after: Vec<String> = portal.backstage.locations().into_iter().map(|location| location.id).collect();
        assert_eq!(after, ids, "a restart of {service:?} registers nothing anew");
        if service == Service::Normalizer {
            bridge.start(service);
        }
    }

    // Backstage fails for a while, then loses its database.
    for method in [http::Method::POST, http::Method::GET, http::Method::DELETE] {
        portal.backstage.fail_next(&method, "/locations", Fault::Status(500), 2);
        portal.backstage.fail_next(&method, "/locations", Fault::LostAnswer, 1);
        portal.backstage.fail_next(&method, "/locations", Fault::Html, 1);
    }
    sources.register("during-trouble", "v1");
    sources.registry().edit().archive_version(&versions[1].version).unwrap();
    portal.holds(&bridge, &sources, &others).await;
    portal.backstage.heal();
    portal.backstage.forget_locations();
    portal.holds(&bridge, &sources, &[]).await;
    bridge.serves_truth_of(&sources).await;
    portal.finish().await;
}

/// A Backstage that is away keeps nobody from being served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_backstage_entries_are_served_all_the_same() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources)
        .with(Service::Storage, "PUSH_TO_RHDH", "true")
        .with(Service::Storage, "BKSTG_URL", "http://127.0.0.1:9")
        .started();
    bridge.serves_truth_of(&sources).await;
    bridge.logs(Service::Storage, "Backstage does not hold all entries yet").await;
    bridge.ready(Service::Storage).await;
}

/// A list that Backstage lets nobody read says nothing; nothing is registered twice, nothing is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_changes_nothing_in_backstage() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
    let portal = Portal::start(&bridge).await;
    let mut bridge = portal.attach(bridge).started();
    portal.holds(&bridge, &sources, &[]).await;
    portal.backstage.set_token("rotated");
    sources.register("second", "v1");
    bridge.serves_truth_of(&sources).await;
    let refused = || portal.backstage.requests().into_iter().filter(|request| !request.authorized).count();
    eventually(SOON, "it is tried again and again", async || refused() >= 4).await;
    let said = bridge.log(Service::Storage);
    assert_eq!(said.matches("Backstage does not hold all entries yet").count(), 1, "{said}");
    assert!(said.contains("RHDH_TOKEN"), "{said}");
    assert_eq!(portal.backstage.locations().len(), 1);
    bridge.ready(Service::Storage).await;
    bridge.kill(Service::Storage);
    bridge.set(Service::Storage, "RHDH_TOKEN", "rotated");
    bridge.start(Service::Storage);
    portal.holds(&bridge, &sources, &[]).await;
    portal.finish().await;
}

/// Plain Backstage knows nothing of the bridge's own type, which goes with JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_backstage_does_not_take_is_said_once_with_its_setting() {
    let sources = Sources::without_cluster().await;
    sources.register_many("model", 20);
    let bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    let portal = Portal::start(&bridge).await;
    let plain = ScriptedBackstage::start().await;
    let bridge = portal.attach(bridge).with(Service::Storage, "BKSTG_URL", plain.url().as_str()).started();
    bridge.serves_truth_of(&sources).await;
    let lists = || plain.count(&http::Method::GET, "/locations");
    eventually(SOON, "it is tried again and again", async || lists() >= 4).await;
    let said = bridge.log(Service::Storage);
    assert_eq!(said.matches("Backstage does not hold all entries yet").count(), 1, "{said}");
    assert!(said.contains("BKSTG_LOCATION_TYPE") && said.contains("NORMALIZER_FORMAT"), "{said}");
    // A pass ends with the first refusal: what is under way besides comes to its end.
    assert!(plain.count(&http::Method::POST, "/locations") <= lists() * 8);
    bridge.ready(Service::Storage).await;
    portal.finish().await;
}

/// What changes while storage is away, or just before it dies, is read by Backstage as soon as it is back.
#[rstest]
#[case(CatalogInfoYaml, InConfigMap)]
#[case(ModelCatalogJson, InSqlite)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_announced_over_restarts_and_nothing_else_is(#[case] format: Format, #[case] kept: Kept) {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 5);
    let bridge = Bridge::new(format, kept, &sources);
    let portal = Portal::start(&bridge).await;
    let mut bridge = portal.attach(bridge).started();
    portal.holds(&bridge, &sources, &[]).await;
    let in_step = async |bridge: &Bridge| {
        eventually(SOON, "Backstage is in step", async || {
            let metrics = bridge.get(Service::Storage, "/metrics").await?.1;
            if metrics.contains("storage_rest_backstage_in_step 1") { Ok(()) } else { Err(metrics) }
        })
        .await;
    };
    in_step(&bridge).await;
    for (round, service) in Service::ALL.into_iter().enumerate() {
        let before = portal.backstage.refreshed().len();
        bridge.kill(service);
        sources.describe(&versions[round], &format!("Changed while {service:?} was away."));
        bridge.start(service);
        bridge.serves_truth_of(&sources).await;
        eventually(SOON, "Backstage is told", async || portal.backstage.refreshed().len() > before).await;
        in_step(&bridge).await;
        let told: BTreeSet<String> = portal.backstage.refreshed().split_off(before).into_iter().collect();
        assert_eq!(told.len(), 1, "after {service:?}: {told:?}");
    }
    portal.finish().await;
}
