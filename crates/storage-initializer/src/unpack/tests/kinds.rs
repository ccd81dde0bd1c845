//! What is taken for an archive.

use rstest::rstest;

use super::bytes::{Tar, gzip, zstandard};
use super::*;

#[rstest]
#[case("model.zip", None, Some(Archive::Zip))]
#[case("model.TAR", None, Some(Archive::Tar))]
#[case("model.v1.tar.gz", None, Some(Archive::TarGz))]
#[case("model.tgz", Some("application/octet-stream"), Some(Archive::TarGz))]
#[case("model.tar.zst", None, Some(Archive::TarZst))]
#[case("model.tar", Some("application/zip"), Some(Archive::Tar))]
#[case("download", Some("application/zip"), Some(Archive::Zip))]
#[case("download", Some("Application/X-Zip-Compressed; a=b"), Some(Archive::Zip))]
#[case("download", Some("application/x-tar"), Some(Archive::Tar))]
#[case("download", Some("application/gzip"), Some(Archive::TarGz))]
#[case("download", Some("application/x-gzip"), Some(Archive::TarGz))]
#[case("download", Some("application/zstd"), Some(Archive::TarZst))]
#[case("download", Some("application/octet-stream"), None)]
#[case("model.onnx", None, None)]
#[case("tar", None, None)]
#[case("densenet161.mar", Some("application/zip"), None)]
#[case("model.pt", Some("application/zip"), None)]
#[case("model.keras", Some("application/zip"), None)]
fn names_and_types_say_what_an_archive_is(
    #[case] name: &str,
    #[case] content_type: Option<&str>,
    #[case] kind: Option<Archive>,
) {
    assert_eq!(Archive::of(name, content_type), kind);
}

fn kind_of(bytes: &[u8], name: &str, content_type: Option<&str>) -> Result<Option<Archive>, Failure> {
    archive_in(&Place::with(bytes).archive, name, content_type)
}

#[test]
fn the_first_bytes_have_the_last_word() {
    let tar = Tar::default().file("a", "x").end();
    let zip = b"PK\x03\x04";
    for (bytes, kind) in [
        (tar.clone(), Archive::Tar),
        (gzip(&tar), Archive::TarGz),
        (zstandard(&tar), Archive::TarZst),
        (zip.to_vec(), Archive::Zip),
    ] {
        for name in ["a.tar", "a.tgz", "a.tar.zst", "a.zip"] {
            assert_eq!(kind_of(&bytes, name, None).unwrap(), Some(kind), "{name}");
        }
    }
}

#[test]
fn what_was_only_declared_to_be_an_archive_stays_as_it_is() {
    for bytes in [b"text".to_vec(), gzip(b"text"), gzip(b"text")[..12].to_vec(), zstandard(b"text"), Vec::new()] {
        for declared in ["application/gzip", "application/zip", "application/zstd"] {
            assert_eq!(kind_of(&bytes, "labels.txt", Some(declared)).unwrap(), None);
        }
    }
    assert_eq!(kind_of(&Tar::default().file("a", "x").end(), "model.bin", None).unwrap(), None);
}

#[rstest]
#[case(b"<!DOCTYPE html><title>Sign in</title>".to_vec(), "page of a web site")]
#[case(b"text".to_vec(), "neither a zip file nor a tar")]
#[case(gzip(b"text"), "neither a zip file nor a tar")]
#[case(gzip(&[1; 600])[..15].to_vec(), "ends too early")]
#[case(Vec::new(), "is empty")]
fn what_is_called_an_archive_must_be_one(#[case] bytes: Vec<u8>, #[case] reason: &str) {
    for name in ["model.tar.gz", "model.zip"] {
        let failure = kind_of(&bytes, name, None).unwrap_err();
        assert!(failure.kind == Kind::Integrity && failure.what.contains(reason), "{failure}");
    }
}
