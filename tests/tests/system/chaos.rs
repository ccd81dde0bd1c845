//! Anything at any time: edits, kills and outages in an order that a seed gives. Whatever the order, location serves the
//! truth once all is up again, and what was there all the time was there for readers all the time.
//!
//! `CHAOS_SEEDS=100..200` runs other seeds.

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rstest::rstest;
use serde_json::json;
use system_tests::Kept::{self, InConfigMap, InSqlite};
use system_tests::{Bridge, Reader, Service, Sources, Version};
use testkit::kube::samples::InferenceService;
use testkit::registry::{Fault, Matcher};

const STEPS: usize = 40;
const DEFAULT_SEEDS: std::ops::Range<u64> = 0..2;

struct Chaos {
    random: StdRng,
    bridge: Bridge,
    sources: Sources,
    /// What may be touched.
    versions: Vec<Version>,
    is_registry_up: bool,
    is_cluster_up: bool,
    down: Vec<Service>,
    said: Vec<String>,
}

impl Chaos {
    async fn step(&mut self) {
        let what = self.random.random_range(0..16);
        let version = self.versions.choose(&mut self.random).cloned().unwrap();
        let number = self.random.random_range(0..3);
        let registry = self.sources.registry().edit();
        let said = match what {
            0 | 1 => {
                self.sources.describe(&version, &format!("Step {}.", self.said.len()));
                format!("describe {version:?}")
            }
            2 => {
                self.versions.push(self.sources.register(&format!("made-{}", self.said.len()), "v1"));
                "register".to_owned()
            }
            3 => {
                registry.archive_version(&version.version).unwrap();
                format!("archive version {version:?}")
            }
            4 => {
                registry.unarchive_version(&version.version).unwrap();
                registry.unarchive_model(&version.model).unwrap();
                format!("bring back {version:?}")
            }
            5 => {
                registry.archive_model(&version.model).unwrap();
                format!("archive model {version:?}")
            }
            6 => {
                self.sources.serve(&version, &format!("served-{}", version.version));
                format!("serve {version:?}")
            }
            7 => {
                self.sources.replace(version.service(&format!("served-{}", version.version)).stopped());
                format!("stop the server of {version:?}")
            }
            8 => {
                self.sources.kube().delete("InferenceService", "ai-models", &format!("served-{}", version.version));
                format!("delete the server of {version:?}")
            }
            9 => {
                self.sources.serve_unregistered(&format!("alone-{number}"));
                format!("serve alone-{number}")
            }
            10 => {
                self.sources.replace(InferenceService::new("ai-models", &format!("alone-{number}")).not_ready());
                format!("alone-{number} is not ready")
            }
            11 | 12 => self.toggle_service(),
            13 => self.toggle_registry().await,
            14 => self.toggle_cluster().await,
            _ => {
                // Not a wait for something: it only lets the others do something, or not.
                let pause = self.random.random_range(0..400);
                tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
                format!("let {pause} ms pass")
            }
        };
        self.said.push(said);
    }

    fn toggle_service(&mut self) -> String {
        let service = *Service::ALL.choose(&mut self.random).unwrap();
        if let Some(index) = self.down.iter().position(|down| *down == service) {
            self.down.remove(index);
            self.bridge.start(service);
            return format!("start {service:?}");
        }
        if self.random.random_bool(0.5) {
            self.bridge.restart(service);
            return format!("restart {service:?}");
        }
        self.bridge.kill(service);
        self.down.push(service);
        format!("kill {service:?}")
    }

    async fn toggle_registry(&mut self) -> String {
        let registry = self.sources.registry();
        if !self.is_registry_up {
            registry.clear_faults();
            registry.restart().await;
            self.is_registry_up = true;
            return "the registry is well again".to_owned();
        }
        self.is_registry_up = false;
        let faults =
            [Fault::Status(500), Fault::Status(401), Fault::HalfPage, Fault::Empty200, Fault::Html, Fault::Reset];
        if let Some(fault) = faults.choose(&mut self.random).filter(|_| self.random.clone().random_bool(0.7)) {
            registry.fail(Matcher::Any, fault.clone());
            return format!("the registry answers {fault:?}");
        }
        registry.stop().await;
        "the registry is down".to_owned()
    }

    async fn toggle_cluster(&mut self) -> String {
        self.is_cluster_up = !self.is_cluster_up;
        if self.is_cluster_up {
            self.sources.kube().restart().await;
            "the cluster is up again".to_owned()
        } else {
            self.sources.kube().stop().await;
            "the cluster is down".to_owned()
        }
    }

    async fn calm(&mut self) {
        for service in std::mem::take(&mut self.down) {
            self.bridge.start(service);
        }
        if !self.is_registry_up {
            self.toggle_registry().await;
        }
        if !self.is_cluster_up {
            self.toggle_cluster().await;
        }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what was done ---\n{}", self.said.join("\n"));
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("CHAOS_SEEDS").ok();
    let range = given.as_deref().and_then(|text| text.split_once(".."));
    let range = range.and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    range.unwrap_or(DEFAULT_SEEDS)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_in_between_the_truth_is_served_at_last(
    #[values((CatalogInfoYaml, InSqlite), (ModelCatalogJson, InConfigMap))] form: (Format, Kept),
) {
    let (format, kept) = form;
    for seed in seeds() {
        let sources = Sources::with_cluster().await;
        sources.register_many("stays", 3);
        sources.serve_unregistered("stays");
        let stays = sources.true_uris(format);
        let versions = sources.register_many("model", 6);
        sources.registry().edit().create_model("without-versions", json!({}));
        let bridge = Bridge::new(format, kept, &sources).started();
        bridge.serves_truth_of(&sources).await;
        let reader = Reader::start(&bridge);
        reader.expect(stays);
        let mut chaos = Chaos {
            random: StdRng::seed_from_u64(seed),
            bridge,
            sources,
            versions,
            is_registry_up: true,
            is_cluster_up: true,
            down: Vec::new(),
            said: vec![format!("seed {seed}")],
        };
        for _ in 0..STEPS {
            chaos.step().await;
        }
        chaos.calm().await;
        chaos.bridge.serves_truth_of(&chaos.sources).await;
        reader.reads(2).await;
        reader.finish();
    }
}
