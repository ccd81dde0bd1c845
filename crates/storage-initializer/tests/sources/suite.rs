//! What every source does: it lists, reads whole, reads ranges, tells versions and checksums, and says what is not there.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use md5::{Digest as _, Md5};
use storage_initializer::checksum::Checksum;
use storage_initializer::source::{Content, Object, Source};
use storage_initializer::{Failure, Kind};

/// Files by their paths below the destination.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A model of a few files: one that is longer than any buffer, one of text, one in a directory, and an empty one.
pub(crate) fn model() -> Files {
    [
        ("model.bin", testkit::noise(300_000)),
        ("config.json", b"{\"labels\": [\"setosa\"]}".to_vec()),
        ("variables/deep er/\u{fc}.txt", b"weights".to_vec()),
        ("variables/empty", Vec::new()),
    ]
    .into_iter()
    .map(|(path, content)| (path.to_owned(), content))
    .collect()
}

pub(crate) async fn objects(source: &dyn Source) -> Result<Vec<Object>, Failure> {
    source.objects().try_collect().await
}

pub(crate) async fn bytes(content: Content) -> Result<Vec<u8>, Failure> {
    content.bytes.try_fold(Vec::new(), |all, more| async move { Ok([all, more.to_vec()].concat()) }).await
}

/// The paths that a source lists.
pub(crate) async fn paths(source: &dyn Source) -> Vec<String> {
    objects(source).await.unwrap().iter().map(|object| object.path.to_string()).collect()
}

/// Holds a source to all that a source does.
pub(crate) async fn holds(source: &dyn Source, files: &Files) {
    let objects = objects(source).await.unwrap();
    let listed: Vec<&str> = objects.iter().map(|object| object.path.as_str()).collect();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, files.keys().map(String::as_str).collect::<Vec<_>>());
    for object in &objects {
        let content = &files[object.path.as_str()];
        if let Some(size) = object.size {
            assert_eq!(size, content.len() as u64, "{object:?}");
        }
        reads_whole(source, object, content).await;
        if source.has_ranges() && content.len() > 10 {
            reads_ranges(source, object, content).await;
        }
    }
    assert!(!source.name().is_empty());
}

async fn reads_whole(source: &dyn Source, object: &Object, content: &[u8]) {
    let read = source.read(object, None).await.unwrap();
    assert!(!read.is_range);
    if let Some(size) = read.size {
        assert_eq!(size, content.len() as u64, "{object:?}");
    }
    if object.version.is_some() {
        assert_eq!(read.version, object.version, "{object:?}");
    }
    for sum in read.checksum.iter().chain(&object.checksum) {
        is_right(sum, content);
    }
    assert!(bytes(read).await.unwrap() == content, "{object:?}");
}

async fn reads_ranges(source: &dyn Source, object: &Object, content: &[u8]) {
    let end = content.len();
    for range in [0..1, 3..7, end / 2..end, 0..end] {
        let read = source.read(object, Some(range.start as u64..range.end as u64)).await.unwrap();
        assert!(read.is_range, "{object:?}");
        assert_eq!(read.size, Some(end as u64), "{object:?}");
        assert!(bytes(read).await.unwrap() == content[range], "{object:?}");
    }
}

fn is_right(sum: &Checksum, content: &[u8]) {
    match sum {
        Checksum::Md5(md5) => assert_eq!(md5[..], Md5::digest(content)[..]),
        Checksum::Crc32c(crc) => {
            let own = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, content);
            assert_eq!(u64::from(*crc), own);
        }
        Checksum::Crc32(crc) => {
            let own = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, content);
            assert_eq!(u64::from(*crc), own);
        }
        Checksum::Crc64Nvme(crc) => {
            assert_eq!(*crc, crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, content));
        }
        Checksum::Sha256(sha) => assert_eq!(sha[..], <sha2::Sha256 as sha2::Digest>::digest(content)[..]),
        Checksum::GitBlob(_) | Checksum::Md5OfParts { .. } => {}
    }
}

/// What an object that was replaced since it was listed is: an integrity failure, whole or in ranges.
pub(crate) async fn notices_a_change(source: &dyn Source, replace: impl AsyncFnOnce()) {
    let listed = objects(source).await.unwrap();
    let object = listed.iter().find(|object| object.size.is_none_or(|size| size > 5)).unwrap();
    replace().await;
    assert_eq!(source.read(object, None).await.unwrap_err().kind, Kind::Integrity);
    if source.has_ranges() {
        assert_eq!(source.read(object, Some(0..5)).await.unwrap_err().kind, Kind::Integrity);
    }
}

/// What a source says that has nothing.
pub(crate) async fn is_missing(source: &dyn Source) -> Failure {
    let failure = objects(source).await.unwrap_err();
    assert_eq!(failure.kind, Kind::NotFound, "{failure}");
    assert!(!failure.is_transient && !failure.advice.is_empty(), "{failure}");
    failure
}

/// What a source says that does not let us in.
pub(crate) async fn is_denied(source: &dyn Source) -> Failure {
    let failure = objects(source).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Permission, "{failure}");
    assert!(!failure.is_transient && !failure.advice.is_empty(), "{failure}");
    failure
}
