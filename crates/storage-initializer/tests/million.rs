//! A million objects are listed in bounded memory. Alone in its process, whose memory it measures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that is set up wrongly should stop at once"
)]

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use storage_initializer::fetch::{self, Limits};
use storage_initializer::progress::Progress;
use storage_initializer::relative::RelativePath;
use storage_initializer::source::{Content, Object, Source};
use storage_initializer::{Failure, Kind};

const OBJECTS: u64 = 1_000_000;
const MOST: u64 = 64 << 20;

/// Objects of one byte.
struct Listing;

#[async_trait]
impl Source for Listing {
    fn name(&self) -> String {
        "scripted://million".to_owned()
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let object = |number| {
            let locator = format!("a/directory/of/{}/{number:09}.bin", number / 1000);
            Ok(Object {
                path: RelativePath::new(&locator).unwrap(),
                locator,
                size: Some(1),
                version: Some(format!("{number:032x}")),
                checksum: None,
            })
        };
        stream::iter((0..OBJECTS).map(object)).boxed()
    }

    async fn read(&self, _: &Object, _: Option<Range<u64>>) -> Result<Content, Failure> {
        Err(Failure::new(Kind::Internal, "nothing is to be read", ""))
    }
}

/// The most memory that this process has had.
fn most_resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_million_objects_are_counted_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    // The bound is known to be broken only when the last object is counted.
    let limits = Limits { connections: 4, range: 100, attempts: 1, reserve: 0, total: Some(OBJECTS - 1) };
    let failure = fetch::fetch(Arc::new(Listing), directory.path(), limits, &Progress::default()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::DiskFull, "{failure}");
    let most = most_resident();
    assert!(most < MOST, "{most} bytes");
}
