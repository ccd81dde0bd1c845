//! Zips.

use std::io::{Cursor, Write};

use rstest::rstest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

fn zip(fill: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

fn files(files: &[(&str, &str)]) -> Vec<u8> {
    zip(|writer| {
        for (name, content) in files {
            writer.start_file(*name, stored()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
    })
}

/// One of everything.
pub(super) fn sample() -> Vec<u8> {
    zip(|writer| {
        writer.add_directory("d", stored()).unwrap();
        writer.start_file("d/file", SimpleFileOptions::default().large_file(true)).unwrap();
        writer.write_all(&[7; 300]).unwrap();
        writer.add_symlink("link", "d/file", stored()).unwrap();
    })
}

/// Replaces one text by another of the same length, wherever it stands.
fn replaced(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, at)| *at == old).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}

#[rstest]
#[case(CompressionMethod::Stored)]
#[case(CompressionMethod::Deflated)]
#[case(CompressionMethod::Zstd)]
fn files_come_out_where_they_belong(#[case] method: CompressionMethod) {
    let options = SimpleFileOptions::default().compression_method(method);
    let place = Place::with(&zip(|writer| {
        writer.add_directory("empty", options).unwrap();
        writer.start_file("1/model.bin", options).unwrap();
        writer.write_all(b"weights").unwrap();
        writer.start_file("large", options.large_file(true)).unwrap();
        writer.write_all(b"zip64").unwrap();
        writer.add_symlink("link", "1/model.bin", options).unwrap();
    }));
    assert_eq!(place.unpack(Archive::Zip).unwrap(), Unpacked { files: 2, bytes: 12 });
    let expected =
        [("1/", ""), ("1/model.bin", "weights"), ("empty/", ""), ("large", "zip64"), ("link", "-> 1/model.bin")];
    assert_eq!(place.tree(), tree(&expected));
}

#[test]
fn backslashes_separate_names_as_windows_writes_them() {
    let place = Place::with(&replaced(files(&[("1Xmodel.bin", "x")]), b"1X", b"1\\"));
    place.unpack(Archive::Zip).unwrap();
    assert_eq!(place.tree(), tree(&[("1/", ""), ("1/model.bin", "x")]));
}

#[rstest]
#[case::upwards(b"../evil-", "leads upwards")]
#[case::upwards_within(b"a/../../", "leads upwards")]
#[case::upwards_with_backslashes(b"a\\..\\..\\", "leads upwards")]
#[case::drive(b"C:\\evil-", "begins with a drive")]
#[case::drive_without_root(b"c:evil--", "begins with a drive")]
#[case::not_utf8(b"\xff\xfe_name_", "not UTF-8")]
#[case::nul(b"nul\0name", "NUL")]
fn names_that_lead_elsewhere_are_refused(#[case] name: &[u8], #[case] reason: &str) {
    let padded: Vec<u8> = name.iter().copied().chain(std::iter::repeat(b'x')).take(10).collect();
    let refusal = Place::with(&replaced(files(&[("NAMENAMENA", "x")]), b"NAMENAMENA", &padded)).refusal(Archive::Zip);
    assert!(refusal.contains(reason), "{refusal}");
}

#[test]
fn absolute_names_are_taken_below_the_destination() {
    let place = Place::with(&replaced(files(&[("Xetc/passwd", "x")]), b"Xetc", b"/etc"));
    place.unpack(Archive::Zip).unwrap();
    assert_eq!(place.tree(), tree(&[("etc/", ""), ("etc/passwd", "x")]));
}

#[rstest]
#[case("/etc/passwd")]
#[case("../../archive")]
#[case("nowhere")]
fn links_that_lead_elsewhere_are_refused(#[case] target: &str) {
    let bytes = zip(|writer| {
        writer.start_file("a", stored()).unwrap();
        writer.add_symlink("link", target, stored()).unwrap();
    });
    let refusal = Place::with(&bytes).refusal(Archive::Zip);
    assert!(refusal.contains("is a symbolic link to"), "{refusal}");
}

#[test]
fn nothing_is_written_through_a_link() {
    let bytes = zip(|writer| {
        writer.add_symlink("a", "/tmp", stored()).unwrap();
        writer.start_file("a/evil", stored()).unwrap();
    });
    let refusal = Place::with(&bytes).refusal(Archive::Zip);
    assert!(refusal.contains("leads out"), "{refusal}");
}

#[test]
fn devices_are_refused() {
    // The mode of a regular file, as it stands in the directory, and that of a character device.
    let bytes =
        replaced(files(&[("a", "x")]), &(0o100_644_u32 << 16).to_le_bytes(), &(0o020_644_u32 << 16).to_le_bytes());
    let refusal = Place::with(&bytes).refusal(Archive::Zip);
    assert!(refusal.contains("is a device"), "{refusal}");
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let refusal = Place::with(&replaced(files(&[("a", "1"), ("B", "2")]), b"B", b"a")).refusal(Archive::Zip);
    assert!(refusal.contains("two entries of the same name"), "{refusal}");
}

#[test]
fn entries_that_overlap_are_refused() {
    let mut bytes = files(&[("a", "1"), ("b", "2")]);
    // The second entry of the directory is made to point to where the first one is.
    let second = bytes.windows(4).rposition(|at| at == b"PK\x01\x02").unwrap();
    bytes[second + 42..second + 46].fill(0);
    let refusal = Place::with(&bytes).refusal(Archive::Zip);
    assert!(refusal.contains("overlap"), "{refusal}");
}

#[test]
fn what_is_encrypted_says_so() {
    let mut bytes = files(&[("a", "0123456789abcdef")]);
    let directory = bytes.windows(4).rposition(|at| at == b"PK\x01\x02").unwrap();
    bytes[6] |= 1;
    bytes[directory + 8] |= 1;
    let refusal = Place::with(&bytes).refusal(Archive::Zip);
    assert!(refusal.contains("it is encrypted"), "{refusal}");
}

#[test]
fn content_that_is_not_what_its_checksum_says_is_noticed() {
    let refusal = Place::with(&replaced(files(&[("a", "right")]), b"right", b"wrong")).refusal(Archive::Zip);
    assert!(refusal.contains("damaged") && refusal.contains("at \"a\""), "{refusal}");
}

#[test]
fn what_is_cut_anywhere_is_noticed() {
    let bytes = files(&[("a", &testkit::noisy_text(500)), ("b", "2")]);
    for length in (0..bytes.len()).step_by(29).chain([bytes.len() - 1]) {
        Place::with(&bytes[..length]).refusal(Archive::Zip);
    }
}

#[test]
fn an_archive_of_nothing_is_refused() {
    let refusal = Place::with(&zip(|_| {})).refusal(Archive::Zip);
    assert!(refusal.contains("no files"), "{refusal}");
}

#[test]
fn more_than_was_bargained_for_is_refused() {
    let bytes = zip(|writer| {
        for name in ["a", "b", "c"] {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(&vec![0; 1 << 20]).unwrap();
        }
    });
    assert!(bytes.len() < 8192, "a bomb");
    for (bounds, reason) in [
        (Bounds { bytes: 2 << 20, entries: 3 }, "bytes come out of it"),
        (Bounds { bytes: 3 << 20, entries: 2 }, "more than 2 entries"),
    ] {
        let failure = Place::with(&bytes).unpack_within(Archive::Zip, bounds).unwrap_err();
        assert!(failure.what.contains(reason), "{failure}");
    }
    Place::with(&bytes).unpack_within(Archive::Zip, Bounds { bytes: 3 << 20, entries: 3 }).unwrap();
}

#[test]
fn declared_sizes_are_not_believed() {
    let mut bytes = files(&[("a", "0123456789")]);
    let directory = bytes.windows(4).rposition(|at| at == b"PK\x01\x02").unwrap();
    for at in [22, directory + 24] {
        bytes[at..at + 4].copy_from_slice(&3_u32.to_le_bytes());
    }
    Place::with(&bytes).refusal(Archive::Zip);
}
