//! Whatever happens to registries, clusters, connections and processes, and in whatever order: in the end storage holds
//! exactly what a healthy reading shows, and on the way nothing was removed that a healthy reading would have shown.
//!
//! Random sequences of edits, faults and restarts run against the real normalizer and the real storage-rest, with a
//! witness between the two that judges each key set against the truth. A case takes seconds: `PROPTEST_CASES` asks for
//! more of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop at once"
)]

mod truth;
mod witness;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testkit::{kube, registry};

use world::World;

/// One thing that happens. Numbers pick among what there is at that moment.
#[derive(Debug, Clone)]
enum Op {
    CreateModel { versions: usize },
    CreateVersion(usize),
    EditVersion(usize),
    ArchiveModel(usize),
    UnarchiveModel(usize),
    ArchiveVersion(usize),
    UnarchiveVersion(usize),
    Serve { version: usize, labelled: bool },
    ServeAlone,
    SetReady { service: usize, ready: bool },
    DeleteService(usize),
    RegistryFault(registry::Fault, usize),
    ClusterFault(kube::Fault),
    StorageFault,
    RegistryDown,
    DropWatches,
    ExpireWatches,
    RestartNormalizer,
    RestartStorage,
    Breathe,
}

fn op() -> impl Strategy<Value = Op> {
    let number = 0..1000_usize;
    prop_oneof![
        2 => (0..4_usize).prop_map(|versions| Op::CreateModel { versions }),
        2 => number.clone().prop_map(Op::CreateVersion),
        2 => number.clone().prop_map(Op::EditVersion),
        1 => number.clone().prop_map(Op::ArchiveModel),
        2 => number.clone().prop_map(Op::UnarchiveModel),
        2 => number.clone().prop_map(Op::ArchiveVersion),
        2 => number.clone().prop_map(Op::UnarchiveVersion),
        3 => (number.clone(), any::<bool>()).prop_map(|(version, labelled)| Op::Serve { version, labelled }),
        2 => Just(Op::ServeAlone),
        3 => (number.clone(), any::<bool>()).prop_map(|(service, ready)| Op::SetReady { service, ready }),
        1 => number.prop_map(Op::DeleteService),
        5 => (registry_fault(), 1..12_usize).prop_map(|(fault, times)| Op::RegistryFault(fault, times)),
        2 => cluster_fault().prop_map(Op::ClusterFault),
        1 => Just(Op::StorageFault),
        1 => Just(Op::RegistryDown),
        1 => Just(Op::DropWatches),
        1 => Just(Op::ExpireWatches),
        3 => Just(Op::RestartNormalizer),
        2 => Just(Op::RestartStorage),
        6 => Just(Op::Breathe),
    ]
}

fn registry_fault() -> impl Strategy<Value = registry::Fault> {
    use registry::Fault;
    prop_oneof![
        Just(Fault::Status(500)),
        Just(Fault::Status(401)),
        Just(Fault::Html),
        Just(Fault::Garbage),
        Just(Fault::HalfPage),
        Just(Fault::CutBody),
        Just(Fault::WrongTypes),
        Just(Fault::Empty200),
        Just(Fault::Reset),
    ]
}

fn cluster_fault() -> impl Strategy<Value = kube::Fault> {
    use kube::Fault;
    prop_oneof![
        Just(Fault::Status(500)),
        Just(Fault::Status(429)),
        Just(Fault::Reset),
        Just(Fault::Truncated),
        Just(Fault::Garbage),
    ]
}

#[test]
fn storage_ends_up_with_the_truth_and_loses_nothing_on_the_way() {
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(6),
        max_shrink_iters: 12,
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = TestRunner::new(config).run(&prop::collection::vec(op(), 5..25), |ops| {
        runtime.block_on(async {
            let mut world = World::start().await;
            for op in &ops {
                world.apply(op).await;
            }
            world.settle().await.map_err(TestCaseError::fail)
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
