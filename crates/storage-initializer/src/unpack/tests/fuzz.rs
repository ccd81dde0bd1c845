//! Archives changed at random: nothing panics, nothing lands elsewhere, and it is all or nothing.

use testkit::fuzz::{fuzz, mutated};

use super::bytes::{Tar, gzip, zstandard};
use super::*;

fn seeds() -> Vec<Vec<u8>> {
    let tar = Tar::default()
        .directory("d/")
        .file("d/file", "content")
        .records(&[("path", "d/long"), ("size", "4")])
        .file("x", "text")
        .symbolic_link("d/link", "../d/file")
        .hard_link("hard", "d/file")
        .entry(b"././@LongLink", b'L', b"", b"d/longer\0")
        .file("y", "")
        .end();
    vec![tar]
}

/// Sums of headers are made right again: else nothing beyond them is ever reached.
fn with_right_sums(mut tar: Vec<u8>) -> Vec<u8> {
    for block in tar.chunks_exact_mut(512).filter(|block| block.get(257..262) == Some(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

/// A link in it leads nowhere else, and nothing in it is but files, directories and links.
fn check(place: &Place, kind: Archive) {
    let Ok(unpacked) = place.unpack_within(kind, Bounds { bytes: 1 << 20, entries: 100 }) else {
        assert!(!place.destination().exists(), "all or nothing");
        return;
    };
    let root = fs::canonicalize(place.destination()).unwrap();
    let tree = place.tree();
    assert!(unpacked.files >= 1 && !tree.is_empty());
    for (name, content) in tree {
        if content.starts_with("-> ") && place.destination().join(&name).is_symlink() {
            assert!(fs::canonicalize(root.join(&name)).unwrap().starts_with(&root), "{name} {content}");
        }
    }
}

#[test]
fn tars() {
    let seeds = seeds();
    fuzz("tars", |rng| with_right_sums(mutated(rng, &seeds)), |input| check(&Place::with(input), Archive::Tar));
}

#[test]
fn zips_and_what_is_compressed() {
    let seeds = vec![super::zips::sample(), gzip(&seeds()[0]), zstandard(&seeds()[0])];
    fuzz(
        "zips",
        |rng| mutated(rng, &seeds),
        |input| {
            let place = Place::with(input);
            if let Ok(Some(kind)) = archive_in(&place.archive, "archive.zip", None) {
                check(&place, kind);
            }
        },
    );
}
