//! Runs that end at any time, and the next ones, which do what is missing.

use std::fs;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rstest::rstest;
use storage_initializer::Failure;
use storage_initializer::checksum::Checksum;
use storage_initializer::fetch::{Fetched, Limits, WORK_DIRECTORY};
use testkit::noise;

use crate::run::{ALL_KINDS, IN_TURN, LIMITS, checksum_of, expected, files, partial_files, run};
use crate::support::scripted::{Fault, Scripted, Stored};

/// Lets a future run so far; none if it has not come to its end by then.
async fn cut<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A file of ten ranges.
fn ten_ranges() -> Arc<Scripted> {
    Arc::new(Scripted::new([Stored::new("a", noise(1000))]))
}

/// A run that has five of them, and is then refused.
async fn half_done(source: &Arc<Scripted>, destination: &std::path::Path, limits: Limits) {
    let stored = &source.stored[0];
    stored.faults.lock().unwrap().extend([0; 5].map(|_| Fault::Excess(0)));
    stored.faults.lock().unwrap().push_back(Fault::Refused);
    run(source, destination, limits).await.unwrap_err();
    assert_eq!(source.take_requests().len(), 6);
}

fn starts(source: &Scripted) -> Vec<u64> {
    source.take_requests().into_iter().map(|request| request.range.map_or(0, |range| range.start)).collect()
}

#[tokio::test]
async fn only_what_is_missing_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let source = ten_ranges();
    half_done(&source, directory.path(), IN_TURN).await;

    let fetched = run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(starts(&source), [500, 600, 700, 800, 900]);
    assert_eq!((fetched.bytes, fetched.bytes_kept), (1000, 500));
    assert_eq!(files(directory.path()), expected(&source));

    let fetched = run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(starts(&source), [0_u64; 0]);
    assert_eq!((fetched.bytes, fetched.bytes_kept), (1000, 1000));
}

#[tokio::test]
async fn what_was_kept_is_verified_with_the_rest() {
    for checksum in ALL_KINDS {
        let directory = tempfile::tempdir().unwrap();
        let right = checksum_of(&checksum, &noise(1000));
        let source = Arc::new(Scripted::new([Stored::new("a", noise(1000)).with_checksum(right)]));
        half_done(&source, directory.path(), IN_TURN).await;
        let fetched = run(&source, directory.path(), IN_TURN).await.unwrap();
        assert_eq!(starts(&source), [500, 600, 700, 800, 900], "{checksum}");
        assert_eq!((fetched.bytes_kept, fetched.files_verified), (500, 1), "{checksum}");
    }
}

#[tokio::test]
async fn ranges_of_another_length_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let source = ten_ranges();
    half_done(&source, directory.path(), IN_TURN).await;
    run(&source, directory.path(), Limits { range: 300, ..IN_TURN }).await.unwrap();
    assert_eq!(starts(&source), [500, 800]);
    assert_eq!(files(directory.path()), expected(&source));
}

#[tokio::test]
async fn a_range_that_was_damaged_on_the_disk_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let source = ten_ranges();
    half_done(&source, directory.path(), IN_TURN).await;
    let parts = fs::read_dir(directory.path().join(WORK_DIRECTORY).join("parts")).unwrap();
    let part = parts.map(Result::unwrap).next().unwrap().path();
    let mut bytes = fs::read(&part).unwrap();
    bytes[250] ^= 1;
    fs::write(&part, bytes).unwrap();
    run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(starts(&source), [200, 500, 600, 700, 800, 900]);
    assert_eq!(files(directory.path()), expected(&source));
}

#[rstest]
#[case::damaged(Some(b"other".as_slice()))]
#[case::missing(None)]
#[tokio::test]
async fn a_complete_file_that_is_not_as_it_was_is_read_again(#[case] instead: Option<&[u8]>) {
    let directory = tempfile::tempdir().unwrap();
    let source = Arc::new(Scripted::new([Stored::new("a", "model"), Stored::new("b", "model")]));
    run(&source, directory.path(), LIMITS).await.unwrap();
    source.take_requests();
    match instead {
        Some(bytes) => fs::write(directory.path().join("b"), bytes).unwrap(),
        None => fs::remove_file(directory.path().join("b")).unwrap(),
    }
    run(&source, directory.path(), LIMITS).await.unwrap();
    assert_eq!(source.take_requests().into_iter().map(|request| request.path).collect::<Vec<_>>(), ["b"]);
    assert_eq!(files(directory.path()), expected(&source));
}

#[tokio::test]
async fn another_version_is_read_from_its_beginning_and_the_partial_file_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let source = ten_ranges();
    half_done(&source, directory.path(), IN_TURN).await;
    assert_eq!(partial_files(directory.path()), 1);
    let mut bytes = noise(1000);
    bytes.reverse();
    let stored = Stored::new("a", bytes).with_version(Some("v2")).with_faults([Fault::Refused]);
    let source = Arc::new(Scripted::new([stored]));
    run(&source, directory.path(), IN_TURN).await.unwrap_err();
    assert_eq!(partial_files(directory.path()), 1);
    source.take_requests();
    run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(starts(&source).len(), 10);
    assert_eq!(files(directory.path()), expected(&source));
}

#[tokio::test]
async fn the_partial_files_of_another_source_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let source = ten_ranges();
    half_done(&source, directory.path(), IN_TURN).await;
    let mut other = Scripted::new([Stored::new("b", noise(10)).with_faults([Fault::Refused])]);
    "scripted://others".clone_into(&mut other.name);
    run(&Arc::new(other), directory.path(), IN_TURN).await.unwrap_err();
    assert_eq!(partial_files(directory.path()), 0);
}

#[tokio::test]
async fn what_is_no_longer_listed_is_removed_unless_somebody_has_changed_it() {
    let directory = tempfile::tempdir().unwrap();
    let stored = ["a", "of\nbefore/b", "changed"].map(|path| Stored::new(path, "model"));
    run(&Arc::new(Scripted::new(stored)), directory.path(), LIMITS).await.unwrap();
    fs::write(directory.path().join("changed"), "other").unwrap();
    fs::write(directory.path().join("own"), "own").unwrap();
    run(&Arc::new(Scripted::new([Stored::new("a", "model")])), directory.path(), LIMITS).await.unwrap();
    assert_eq!(files(directory.path()).into_keys().collect::<Vec<_>>(), ["a", "changed", "own"]);
}

#[tokio::test]
async fn what_has_neither_version_nor_checksum_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let source = Arc::new(Scripted::new([Stored::new("a", noise(1000)).with_version(None)]));
    for _ in 0..2 {
        run(&source, directory.path(), LIMITS).await.unwrap();
        assert_eq!(source.take_requests().len(), 1);
    }
}

/// Objects of all kinds.
fn objects() -> Arc<Scripted> {
    let checksum = |bytes: &[u8]| {
        let mut hasher = Checksum::Md5([0; 16]).hasher(None).unwrap();
        hasher.update(bytes);
        hasher.finish()
    };
    let mut source = Scripted::new([
        Stored::new("a", noise(450)).with_checksum(checksum(&noise(450))).with_faults([Fault::Reset(30)]),
        Stored::new("b/c", noise(20)).with_checksum(checksum(&noise(20))),
        Stored::new("b/d", noise(350)).of_unlisted_size(),
        Stored::new("e", noise(250)).with_version(None),
    ]);
    source.chunk = 50;
    Arc::new(source)
}

async fn cut_and_finish(polls: usize) -> Option<Result<Fetched, Failure>> {
    let directory = tempfile::tempdir().unwrap();
    let source = objects();
    let ended = cut(run(&source, directory.path(), LIMITS), polls).await;
    let expected = expected(&source);
    for (name, bytes) in files(directory.path()) {
        assert_eq!(Some(&bytes), expected.get(&name), "{name} after {polls} polls");
    }
    run(&source, directory.path(), LIMITS).await.unwrap();
    assert_eq!(files(directory.path()), expected, "after {polls} polls");
    ended
}

#[tokio::test]
async fn a_run_may_be_dropped_at_any_await() {
    let mut polls = 1;
    while cut_and_finish(polls).await.is_none() {
        polls += 1;
    }
    assert!(polls > 10, "it ended after {polls} polls");
}

#[tokio::test]
async fn runs_that_are_dropped_again_and_again_come_to_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let source = Arc::new(Scripted::new([Stored::new("a", noise(1000))]));
    let mut polls = 1;
    while cut(run(&source, directory.path(), LIMITS), polls).await.is_none() {
        polls += 1;
    }
    assert_eq!(files(directory.path()), expected(&source));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_a_time_take_turns() {
    let directory = tempfile::tempdir().unwrap();
    let source = objects();
    let (one, other) = tokio::join!(run(&source, directory.path(), LIMITS), run(&source, directory.path(), LIMITS));
    assert_eq!((one.unwrap().files, other.unwrap().files), (4, 4));
    assert_eq!(files(directory.path()), expected(&source));
}
