//! Files come to their place, whole, beside what is there.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use rstest::rstest;
use storage_initializer::Kind;
use storage_initializer::fetch::{self, Limits};
use storage_initializer::progress::Progress;
use testkit::noise;

use crate::run::{ALL_KINDS, LIMITS, checksum_of, expected, files, partial_files, run};
use crate::support::scripted::{Scripted, Stored};

#[rstest]
#[case::in_ranges(true, 100)]
#[case::in_one(false, 100)]
#[case::spilled(false, 700_000)]
#[case::in_long_ranges(true, 300_000)]
#[tokio::test]
async fn all_that_is_listed_comes_to_its_place(#[case] has_ranges: bool, #[case] range: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut source = Scripted::new([
        Stored::new("config.json", "{}"),
        Stored::new("empty", ""),
        Stored::new("weights/model.bin", noise(if range == 100 { 1234 } else { 650_001 })),
        Stored::new("weights/a/b/c.bin", noise(100)),
        Stored::new("unversioned", noise(555)).with_version(None),
        Stored::new("of unlisted size", noise(555)).of_unlisted_size(),
    ]);
    (source.has_ranges, source.chunk) = (has_ranges, if range == 100 { 7 } else { 50_000 });
    let source = Arc::new(source);
    let progress = Progress::default();
    let fetched = fetch::fetch(source.clone(), directory.path(), Limits { range, ..LIMITS }, &progress).await.unwrap();
    assert_eq!(files(directory.path()), expected(&source));
    let bytes = source.stored.iter().map(|stored| stored.bytes.len() as u64).sum::<u64>();
    assert_eq!((fetched.files, fetched.bytes, fetched.bytes_kept, fetched.files_verified), (6, bytes, 0, 0));
    assert_eq!(fetched.single, None);
    let counts = progress.counts();
    assert_eq!((counts.files_total, counts.files_done), (6, 6));
    assert_eq!((counts.bytes_total, counts.bytes_done, counts.bytes_kept), (bytes, bytes, 0));
    assert_eq!(partial_files(directory.path()), 0);
}

#[tokio::test]
async fn one_file_alone_is_told_with_its_declared_type_by_later_runs_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut stored = Stored::new("model.tgz", noise(250));
    stored.said.content_type = Some("application/gzip".to_owned());
    let source = Arc::new(Scripted::new([stored]));
    for _ in 0..2 {
        let single = run(&source, directory.path(), LIMITS).await.unwrap().single.unwrap();
        assert_eq!(single.path.as_str(), "model.tgz");
        assert_eq!(single.content_type.as_deref(), Some("application/gzip"));
    }
    assert_eq!(source.take_requests().len(), 3);
}

#[tokio::test]
async fn what_is_in_the_destination_stays_and_what_is_listed_takes_its_place() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("volume")).unwrap();
    symlink("volume", directory.path().join("models")).unwrap();
    let destination = directory.path().join("models");
    fs::write(destination.join("other"), "other").unwrap();
    fs::write(destination.join("model"), "of before").unwrap();
    let source = Arc::new(Scripted::new([Stored::new("model", "of now")]));
    run(&source, &destination, LIMITS).await.unwrap();
    let there = files(&directory.path().join("volume"));
    assert_eq!(there, [("model".to_owned(), b"of now".to_vec()), ("other".to_owned(), b"other".to_vec())].into());
}

#[rstest]
#[case::file_for_a_directory("a", "a/b")]
#[case::directory_for_a_file("a/b", "a")]
#[tokio::test]
async fn what_stands_in_the_way_is_named(#[case] there: &str, #[case] listed: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(there);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "other").unwrap();
    let source = Arc::new(Scripted::new([Stored::new(listed, "model")]));
    let failure = run(&source, directory.path(), LIMITS).await.unwrap_err();
    assert_eq!(failure.kind, Kind::DiskFull);
    assert!(failure.what.contains(&directory.path().join("a").display().to_string()), "{failure}");
    assert!(failure.what.contains(listed), "{failure}");
    assert!(failure.advice.contains("in the way"), "{failure}");
}

#[tokio::test]
async fn objects_that_cannot_be_files_together_are_refused_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let source = Arc::new(Scripted::new([Stored::new("a", "1"), Stored::new("a/b", "2")]));
    let failure = run(&source, directory.path(), LIMITS).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity);
    assert_eq!(source.take_requests(), []);
    assert!(files(directory.path()).is_empty());
}

#[tokio::test]
async fn the_bound_of_all_bytes_holds_whether_the_list_tells_them_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { total: Some(100), ..LIMITS };
    let listed = Arc::new(Scripted::new([Stored::new("a", noise(60)), Stored::new("b", noise(41))]));
    let failure = run(&listed, directory.path(), limits).await.unwrap_err();
    assert_eq!(failure.kind, Kind::DiskFull);
    assert_eq!(listed.take_requests(), []);
    let unlisted = [Stored::new("a", noise(60)), Stored::new("b", noise(41)).of_unlisted_size()];
    let failure = run(&Arc::new(Scripted::new(unlisted)), directory.path(), limits).await.unwrap_err();
    assert_eq!(failure.kind, Kind::DiskFull);
    let enough = [Stored::new("a", noise(60)), Stored::new("b", noise(40)).of_unlisted_size()];
    run(&Arc::new(Scripted::new(enough)), directory.path(), limits).await.unwrap();
}

#[tokio::test]
async fn no_room_is_told_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let source = Arc::new(Scripted::new([Stored::new("a", noise(60))]));
    let failure = run(&source, directory.path(), Limits { reserve: 1 << 60, ..LIMITS }).await.unwrap_err();
    assert_eq!(failure.kind, Kind::DiskFull);
    assert_eq!(source.take_requests(), []);
}

#[tokio::test]
async fn a_destination_that_cannot_be_written_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let source = Arc::new(Scripted::new([Stored::new("a", noise(60))]));
    let failure = run(&source, &file, LIMITS).await.unwrap_err();
    assert_eq!(failure.kind, Kind::DiskFull);
    assert!(failure.what.contains(&file.display().to_string()), "{failure}");
}

#[rstest]
#[case::in_ranges(1234)]
#[case::held(99)]
#[tokio::test]
async fn checksums_of_the_list_and_of_answers_are_verified(#[case] size: usize) {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(size);
    let mut stored = Vec::new();
    for checksum in ALL_KINDS {
        let right = checksum_of(&checksum, &bytes);
        let name = checksum.to_string();
        stored.push(Stored::new(&format!("listed/{name}"), bytes.clone()).with_checksum(right.clone()));
        let mut said = Stored::new(&format!("said/{name}"), bytes.clone());
        said.said.checksum = Some(right.clone());
        stored.push(said);
        let mut asked = Stored::new(&format!("asked/{name}"), bytes.clone());
        asked.said.of_whole = Some(right);
        stored.push(asked);
    }
    let source = Arc::new(Scripted::new(stored));
    let fetched = run(&source, directory.path(), LIMITS).await.unwrap();
    // Nobody asks for the checksum of a file that is read in one.
    let not_told = if size > 100 { 0 } else { ALL_KINDS.len() as u64 };
    assert_eq!((fetched.files, fetched.files_verified), (24, 24 - not_told));
    assert_eq!(files(directory.path()), expected(&source));
}

#[tokio::test]
async fn a_list_that_does_not_fit_is_read_twice_and_what_changed_meanwhile_is_told() {
    // Of names as long as these 10,000 are more than are kept.
    let objects = |vanishing| {
        let mut source = Scripted::new((0..10_000).map(|number| {
            let mut stored = Stored::new(&format!("{number}"), "");
            stored.object.locator = format!("{number:01000}");
            stored
        }));
        source.vanishing = vanishing;
        Arc::new(source)
    };
    let directory = tempfile::tempdir().unwrap();
    let source = objects(1);
    let failure = run(&source, directory.path(), LIMITS).await.unwrap_err();
    assert_eq!((failure.kind, failure.is_transient), (Kind::Integrity, true));
    assert!(failure.what.contains("10000") && failure.what.contains("9999"), "{failure}");
    assert!(source.alive.most() <= 2 * LIMITS.connections as u64 + 1, "{} at a time", source.alive.most());
    let fetched = run(&objects(0), directory.path(), LIMITS).await.unwrap();
    assert_eq!(fetched.files, 10_000);
}
