//! Sources that break, lie and change: exact bytes, or a failure that says which object.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;
use storage_initializer::Kind;
use storage_initializer::checksum::Checksum;
use storage_initializer::fetch::Limits;
use testkit::noise;

use crate::run::{ALL_KINDS, IN_TURN, LIMITS, checksum_of, expected, files, partial_files, run};
use crate::support::scripted::{Fault, Request, Scripted, Stored};

fn requests(path: &str, ranges: &[(u64, u64)]) -> Vec<Request> {
    ranges.iter().map(|(start, end)| Request { path: path.to_owned(), range: Some(*start..*end) }).collect()
}

fn crc32c(bytes: &[u8]) -> Checksum {
    Checksum::Crc32c(storage_initializer::checksum::crc32c(bytes))
}

#[tokio::test]
async fn a_stream_that_breaks_is_gone_on_with_where_it_broke() {
    let directory = tempfile::tempdir().unwrap();
    let stored = Stored::new("a", noise(250)).with_faults([Fault::Reset(30), Fault::End(20), Fault::Reset(50)]);
    let source = Arc::new(Scripted::new([stored]));
    run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(files(directory.path()), expected(&source));
    let asked = requests("a", &[(0, 100), (30, 100), (50, 100), (100, 200), (200, 250)]);
    assert_eq!(source.take_requests(), asked);
}

#[tokio::test]
async fn a_short_file_goes_on_where_it_broke_too() {
    let directory = tempfile::tempdir().unwrap();
    let stored = Stored::new("a", noise(90)).with_faults([Fault::Reset(30)]);
    let source = Arc::new(Scripted::new([stored]));
    run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(files(directory.path()), expected(&source));
    let ranges: Vec<_> = source.take_requests().into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some(30..90)]);
}

#[rstest]
#[case::without_ranges(Stored::new("a", noise(250)), false)]
#[case::without_a_version(Stored::new("a", noise(250)).with_version(None), true)]
#[tokio::test]
async fn a_file_that_cannot_be_gone_on_with_begins_anew(#[case] stored: Stored, #[case] has_ranges: bool) {
    let directory = tempfile::tempdir().unwrap();
    let stored = stored.with_faults([Fault::Reset(30), Fault::End(20)]);
    let mut source = Scripted::new([stored]);
    source.has_ranges = has_ranges;
    let source = Arc::new(source);
    run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(files(directory.path()), expected(&source));
    let ranges: Vec<_> = source.take_requests().into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, None, None]);
}

#[tokio::test]
async fn answers_with_everything_are_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let stored = Stored::new("a", noise(250)).with_faults([Fault::Everything]);
    let source = Arc::new(Scripted::new([stored]));
    run(&source, directory.path(), IN_TURN).await.unwrap();
    assert_eq!(files(directory.path()), expected(&source));
}

#[rstest]
#[case::resets(Fault::Reset(0), Kind::Unavailable)]
#[case::ends(Fault::End(0), Kind::Integrity)]
#[case::excess(Fault::Excess(1), Kind::Integrity)]
#[case::versions(Fault::OtherVersion, Kind::Integrity)]
#[case::sizes(Fault::OtherSize(251), Kind::Integrity)]
#[case::damage(Fault::Damage(5), Kind::Integrity)]
#[case::refusal(Fault::Refused, Kind::Permission)]
#[tokio::test]
async fn what_lasts_fails_with_the_name_of_the_object(
    #[case] fault: Fault,
    #[case] kind: Kind,
    #[values(90, 250)] size: usize,
) {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(size);
    let checksum = crc32c(&bytes);
    let stored = Stored::new("of/a", bytes).with_checksum(checksum).with_faults(vec![fault; 100]);
    let source = Arc::new(Scripted::new([stored]));
    let failure = run(&source, directory.path(), LIMITS).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.what.contains("of/a"), "{failure}");
    assert!(files(directory.path()).is_empty());
}

#[rstest]
#[case::excess(Fault::Excess(1))]
#[case::version(Fault::OtherVersion)]
#[case::size(Fault::OtherSize(251))]
#[case::damage(Fault::Damage(5))]
#[tokio::test]
async fn what_passes_is_read_again(#[case] fault: Fault, #[values(90, 250)] size: usize) {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(size);
    let checksum = crc32c(&bytes);
    let stored = Stored::new("a", bytes).with_checksum(checksum).with_faults([fault]);
    let source = Arc::new(Scripted::new([stored]));
    run(&source, directory.path(), LIMITS).await.unwrap();
    assert_eq!(files(directory.path()), expected(&source));
}

#[rstest]
#[case::damage(Fault::Damage(300_000))]
#[case::reset(Fault::Reset(300_000))]
#[case::end(Fault::End(599_999))]
#[case::version(Fault::OtherVersion)]
#[case::excess(Fault::Excess(1))]
#[tokio::test]
async fn files_of_one_range_that_are_too_long_to_be_held_are_read_again_too(
    #[case] fault: Fault,
    #[values(true, false)] has_ranges: bool,
) {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(600_000);
    let mut hasher = Checksum::Sha256([0; 32]).hasher(None).unwrap();
    hasher.update(&bytes);
    let mut source = Scripted::new([Stored::new("a", bytes).with_checksum(hasher.finish()).with_faults([fault])]);
    (source.has_ranges, source.chunk) = (has_ranges, 50_000);
    let source = Arc::new(source);
    let fetched = run(&source, directory.path(), Limits { range: 1 << 20, ..LIMITS }).await.unwrap();
    assert_eq!(fetched.files_verified, 1);
    assert_eq!(files(directory.path()), expected(&source));
    assert_eq!(partial_files(directory.path()), 0);
}

#[rstest]
#[case::held(90, 2)]
#[case::in_ranges(250, 6)]
#[tokio::test]
async fn a_wrong_checksum_is_told_with_both_values_after_the_second_reading(
    #[case] size: usize,
    #[case] requests: usize,
) {
    let bytes = noise(size);
    for kind in ALL_KINDS.iter().filter(|kind| !matches!(kind, Checksum::Md5OfParts { .. })) {
        let directory = tempfile::tempdir().unwrap();
        let (listed, now) = (checksum_of(kind, &noise(size - 1)), checksum_of(kind, &bytes));
        let source = Arc::new(Scripted::new([Stored::new("a", bytes.clone()).with_checksum(listed.clone())]));
        let failure = run(&source, directory.path(), LIMITS).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Integrity);
        assert!(failure.what.contains(&listed.to_string()) && failure.what.contains(&now.to_string()), "{failure}");
        assert_eq!(source.take_requests().len(), requests);
        assert_eq!(partial_files(directory.path()), 0);
    }
}

#[tokio::test]
async fn a_range_that_was_damaged_on_its_way_is_noticed_by_any_checksum() {
    let few_bytes = ALL_KINDS.map(|kind| (kind, 1000));
    // Parts must be of a usual size, or nothing can be told of them.
    let parts = (Checksum::Md5OfParts { md5: [0; 16], parts: 3 }, 11 << 20);
    for (kind, size) in few_bytes.into_iter().filter(|(kind, _)| *kind != parts.0).chain([parts.clone()]) {
        let directory = tempfile::tempdir().unwrap();
        let mut stored = Stored::new("a", noise(size)).with_faults([Fault::Damage(50)]);
        stored.said.of_whole = Some(checksum_of(&kind, &stored.bytes));
        let mut source = Scripted::new([stored]);
        source.chunk = size / 100;
        let source = Arc::new(source);
        let limits = Limits { range: size as u64 / 10, ..LIMITS };
        let fetched = run(&source, directory.path(), limits).await.unwrap();
        assert_eq!(fetched.files_verified, 1, "{kind}");
        let (requests, once) = (source.take_requests().len(), size.div_ceil(size / 10));
        assert_eq!(requests, 2 * once, "{kind}");
        assert!(files(directory.path()) == expected(&source), "{kind}");
    }
}

#[tokio::test]
async fn parts_of_sizes_that_nobody_knows_do_not_fail_what_comes_twice_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let listed = Checksum::Md5OfParts { md5: [7; 16], parts: 1 };
    let source = Arc::new(Scripted::new([Stored::new("a", noise(90)).with_checksum(listed)]));
    let fetched = run(&source, directory.path(), LIMITS).await.unwrap();
    assert_eq!((fetched.files, fetched.files_verified), (1, 0));
    assert_eq!(files(directory.path()), expected(&source));
}

#[tokio::test]
async fn the_first_failure_ends_the_run_and_keeps_what_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let bad = Stored::new("bad", noise(10)).with_faults([Fault::Refused]);
    let source = Arc::new(Scripted::new([Stored::new("good", noise(10)), bad, Stored::new("later", noise(10))]));
    let limits = Limits { connections: 1, ..LIMITS };
    let failure = run(&source, directory.path(), limits).await.unwrap_err();
    assert!(failure.what.contains("bad"), "{failure}");
    source.take_requests();
    run(&source, directory.path(), limits).await.unwrap();
    assert_eq!(files(directory.path()), expected(&source));
}

/// An object, whether it has a version, a listed size and a checksum, and what goes wrong.
fn stored() -> impl Strategy<Value = (usize, [bool; 3], Vec<Fault>)> {
    let fault = prop_oneof![
        (0..400_u64).prop_map(Fault::Reset),
        (0..400_u64).prop_map(Fault::End),
        (1..3_u64).prop_map(Fault::Excess),
        Just(Fault::OtherVersion),
        (0..900_u64).prop_map(Fault::OtherSize),
        (0..900_u64).prop_map(Fault::Damage),
        Just(Fault::Everything),
        Just(Fault::Refused),
    ];
    (0..900_usize, any::<[bool; 3]>(), vec(fault, 0..5))
}

/// The object; of the faults those that can be noticed at all.
fn make(number: usize, size: usize, [versioned, sized, checked]: [bool; 3], faults: Vec<Fault>) -> Stored {
    let mut bytes = noise(size + number);
    bytes.drain(..number);
    let checksum = crc32c(&bytes);
    let noticed = |fault: &Fault| match fault {
        Fault::OtherVersion => versioned || checked,
        Fault::Damage(_) => checked,
        _ => true,
    };
    let mut stored = Stored::new(&format!("{number}/object"), bytes)
        .with_version(versioned.then_some("v1"))
        .with_faults(faults.into_iter().filter(noticed));
    if checked {
        stored = stored.with_checksum(checksum);
    }
    // A length that nobody tells: of what is cut or too long nothing can be noticed, but by the checksum.
    if sized { stored } else { stored.of_unlisted_size() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_fault_makes_wrong_bytes(objects in vec(stored(), 1..5), has_ranges: bool, range in 50..500_u64) {
        let directory = tempfile::tempdir().unwrap();
        let objects = objects.into_iter().enumerate();
        let mut source = Scripted::new(objects.map(|(number, (size, has, faults))| make(number, size, has, faults)));
        (source.has_ranges, source.chunk) = (has_ranges, 61);
        let source = Arc::new(source);
        let limits = Limits { range, ..LIMITS };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut failures = 0;
            while run(&source, directory.path(), limits).await.is_err() {
                let expected = expected(&source);
                for (name, bytes) in files(directory.path()) {
                    assert_eq!(Some(&bytes), expected.get(&name), "{name}");
                }
                failures += 1;
                assert!(failures <= 30, "the faults are used up, and it fails all the same");
            }
        });
        prop_assert_eq!(files(directory.path()), expected(&source));
    }
}
