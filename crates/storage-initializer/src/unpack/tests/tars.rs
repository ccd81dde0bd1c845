//! Tars.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rstest::rstest;

use super::bytes::{Tar, gzip, header, zstandard};
use super::*;

#[rstest]
#[case(Archive::Tar, |tar| tar)]
#[case(Archive::TarGz, |tar: Vec<u8>| gzip(&tar))]
#[case(Archive::TarZst, |tar: Vec<u8>| zstandard(&tar))]
fn files_come_out_where_they_belong(#[case] kind: Archive, #[case] compress: fn(Vec<u8>) -> Vec<u8>) {
    let tar =
        Tar::default().directory("./").directory("./1/").file("./1/model.bin", "weights").file("/config", "{}").end();
    let place = Place::with(&compress(tar));
    assert_eq!(place.unpack(kind).unwrap(), Unpacked { files: 2, bytes: 9 });
    assert_eq!(place.tree(), tree(&[("1/", ""), ("1/model.bin", "weights"), ("config", "{}")]));
    assert!(!place.archive.exists(), "what it had takes its place");
}

#[test]
fn files_of_the_same_names_are_replaced_and_others_kept() {
    let place = Place::with(&Tar::default().file("a/new", "2").file("archive", "mine").end());
    fs::create_dir_all(place.destination().join("a")).unwrap();
    fs::write(place.destination().join("a/new"), "1").unwrap();
    fs::write(place.destination().join("a/kept"), "1").unwrap();
    place.unpack(Archive::Tar).unwrap();
    assert_eq!(place.tree(), tree(&[("a/", ""), ("a/new", "2"), ("a/kept", "1"), ("archive", "mine")]));
}

#[test]
fn a_directory_that_is_there_is_not_replaced_by_a_file() {
    let place = Place::with(&Tar::default().file("b", "2").file("a", "2").end());
    fs::create_dir_all(place.destination().join("a")).unwrap();
    let failure = place.unpack(Archive::Tar).unwrap_err();
    assert!(failure.what.contains("is a directory already"), "{failure}");
    assert_eq!(place.tree(), tree(&[("a/", "")]), "all or nothing");
    assert!(place.archive.exists(), "and the archive is still there");
}

#[test]
fn links_at_the_destination_are_replaced_and_not_followed() {
    let place = Place::with(&Tar::default().file("elsewhere/file", "x").end());
    let elsewhere = TempDir::new().unwrap();
    fs::create_dir_all(place.destination()).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), place.destination().join("elsewhere")).unwrap();
    place.unpack(Archive::Tar).unwrap();
    assert_eq!(place.tree(), tree(&[("elsewhere/", ""), ("elsewhere/file", "x")]));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[rstest]
#[case::upwards(Tar::default().file("../evil", "x"), "leads upwards")]
#[case::upwards_within(Tar::default().file("a/../../evil", "x"), "leads upwards")]
#[case::below_a_link(Tar::default().symbolic_link("a", ".").file("a/evil", "x"), "is a symbolic link and has entries below it")]
#[case::below_a_link_to_elsewhere(Tar::default().symbolic_link("a", "/tmp").file("a/evil", "x"), "leads out")]
#[case::below_a_file(Tar::default().file("a", "x").file("a/b", "x"), "is a file and has entries below it")]
#[case::file_and_directory(Tar::default().file("a/b", "x").file("a", "x"), "both a directory and something else")]
#[case::link_upwards(Tar::default().file("f", "").symbolic_link("a", "../../etc/passwd"), "symbolic link")]
#[case::link_to_a_file_elsewhere(Tar::default().file("f", "").symbolic_link("a", "/etc/passwd"), "leads out")]
#[case::link_to_the_archive(Tar::default().file("f", "").symbolic_link("a", "../../archive"), "leads out")]
#[case::link_through_a_link(
    Tar::default().file("d/e/f", "").symbolic_link("d/up", "..").symbolic_link("a", "d/up/../../archive"), "leads out"
)]
#[case::link_to_nothing(Tar::default().file("f", "").symbolic_link("a", "b"), "which is not in it")]
#[case::link_to_itself(Tar::default().file("f", "").symbolic_link("a", "a"), "which is not in it")]
#[case::hard_link_upwards(Tar::default().hard_link("a", "../archive"), "leads upwards")]
#[case::hard_link_to_nothing(Tar::default().hard_link("a", "etc/passwd"), "which is no file before it")]
#[case::hard_link_through_a_link(
    Tar::default().symbolic_link("up", "..").hard_link("a", "up/archive"), "which is no file before it"
)]
#[case::hard_link_to_a_link(Tar::default().symbolic_link("l", "../archive").hard_link("a", "l"), "which is no file before it")]
#[case::character_device(Tar::default().entry(b"a", b'3', b"", b""), "is a device or a pipe")]
#[case::block_device(Tar::default().entry(b"a", b'4', b"", b""), "is a device or a pipe")]
#[case::pipe(Tar::default().entry(b"a", b'6', b"", b""), "is a device or a pipe")]
#[case::unknown_kind(Tar::default().entry(b"a", b'M', b"", b""), "is of a kind that is not known ('M')")]
#[case::not_utf8(Tar::default().entry(b"a\xff", b'0', b"", b""), "is not UTF-8")]
#[case::nul_in_a_name(Tar::default().records(&[("path", "a\0b")]).file("a", ""), "NUL")]
#[case::work_directory(Tar::default().file(".storage-initializer/x", ""), "where unfinished files are kept")]
#[case::long_name(Tar::default().records(&[("path", &"n".repeat(256))]).file("a", ""), "more than 255 bytes")]
#[case::global_path(Tar::default().entry(b"g", b'g', b"", b"16 path=../evil\n").file("a", ""), "for all its entries")]
#[case::broken_records(Tar::default().entry(b"x", b'x', b"", b"99 path=b\n").file("a", ""), "cannot be read")]
#[case::unknown_holes(Tar::default().records(&[("GNU.sparse.major", "0")]).file("a", ""), "old format")]
#[case::too_many_bytes(Tar::default().records(&[("size", "1000000000000")]).file("a", ""), "ends too early")]
#[case::nothing(Tar::default(), "no files")]
#[case::only_directories(Tar::default().directory("a/"), "no files")]
fn hostile_tars_are_refused(#[case] tar: Tar, #[case] reason: &str) {
    let refusal = Place::with(&tar.end()).refusal(Archive::Tar);
    assert!(refusal.contains(reason), "{refusal}");
    assert!(refusal.starts_with("archive cannot be unpacked: "), "{refusal}");
}

#[test]
fn links_that_stay_inside_are_kept() {
    let tar = Tar::default()
        .file("blobs/1", "weights")
        .symbolic_link("snapshots/main/model.bin", "../../blobs/1")
        .symbolic_link("latest", "snapshots/main")
        .hard_link("copy", "blobs/1")
        .hard_link("copy", "copy");
    let place = Place::with(&tar.end());
    assert_eq!(place.unpack(Archive::Tar).unwrap(), Unpacked { files: 2, bytes: 14 });
    let through_links = fs::read_to_string(place.destination().join("latest/model.bin")).unwrap();
    assert_eq!(through_links, "weights");
    assert_eq!(fs::metadata(place.destination().join("copy")).unwrap().nlink(), 2);
}

#[test]
fn the_later_of_two_entries_is_right_and_does_not_change_what_is_linked() {
    let tar = Tar::default().file("a", "first").hard_link("b", "a").file("a", "second");
    let place = Place::with(&tar.end());
    place.unpack(Archive::Tar).unwrap();
    assert_eq!(place.tree(), tree(&[("a", "second"), ("b", "first")]));
}

#[test]
fn of_a_mode_counts_whether_a_file_can_be_executed() {
    let tar = Tar::default().with_mode(b"run", b'0', b"", b"", 0o6755).with_mode(b"data", b'0', b"", b"", 0o2400);
    let place = Place::with(&tar.end());
    place.unpack(Archive::Tar).unwrap();
    let mode = |name| fs::metadata(place.destination().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("run") & 0o7700, 0o700, "no setuid, no setgid");
    assert_eq!(mode("data") & 0o7700, 0o600, "and readable in any case");
}

#[test]
fn long_names_are_taken() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(255));
    let gnu = Tar::default().entry(b"././@LongLink", b'L', b"", format!("{long}\0").as_bytes()).file("d", "gnu");
    let posix = Tar::default().records(&[("path", &long), ("mtime", "1.5")]).file("d", "pax");
    for (tar, content) in [(gnu, "gnu"), (posix, "pax")] {
        let place = Place::with(&tar.end());
        place.unpack(Archive::Tar).unwrap();
        assert_eq!(place.tree()[&long], content);
    }
}

#[test]
fn files_with_holes_are_whole() {
    let mut gnu = header(b"holes", b'S', b"", 4, 0o644);
    let mut put = |at: usize, text: &[u8]| gnu[at..at + text.len()].copy_from_slice(text);
    put(257, b"ustar  \0");
    put(386, b"00000001000\0");
    put(398, b"00000000004\0");
    put(483, b"00000002000\0");
    put(410, b"00000002000\0");
    put(422, b"00000000000\0");
    put(148, b"        ");
    let sum: u32 = gnu.iter().map(|byte| u32::from(*byte)).sum();
    gnu[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut old = Tar(gnu.to_vec());
    old.0.extend(b"data");
    old.pad();

    let mut content = b"1\n512\n4\n".to_vec();
    content.resize(512, 0);
    content.extend(b"data");
    let records = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "holes"),
        ("GNU.sparse.realsize", "1024"),
    ];
    let new = Tar::default().records(&records).entry(b"GNUSparseFile.0/holes", b'0', b"", &content);

    let mut expected = vec![0; 1024];
    expected[512..516].copy_from_slice(b"data");
    for tar in [old, new] {
        let place = Place::with(&tar.end());
        assert_eq!(place.unpack(Archive::Tar).unwrap(), Unpacked { files: 1, bytes: 1024 });
        assert!(fs::read(place.destination().join("holes")).unwrap() == expected);
    }
}

#[test]
fn files_of_more_than_a_gibibyte_are_not_cut() {
    const SIZE: u64 = (1 << 30) + 17;
    let place = Place::with(&header(b"large", b'0', b"", SIZE, 0o644));
    let archive = fs::File::options().write(true).open(&place.archive).unwrap();
    archive.set_len(512 + SIZE.next_multiple_of(512) + 1024).unwrap();
    let bounds = Bounds { bytes: 2 << 30, entries: 1 };
    assert_eq!(place.unpack_within(Archive::Tar, bounds).unwrap(), Unpacked { files: 1, bytes: SIZE });
    let metadata = fs::metadata(place.destination().join("large")).unwrap();
    assert_eq!(metadata.len(), SIZE);
    assert!(metadata.blocks() < 2048, "zeros take no room");
}

#[rstest]
#[case::bytes(Bounds { bytes: 4096, entries: 10 }, "more than 4096 bytes come out of it")]
#[case::entries(Bounds { bytes: 1 << 20, entries: 2 }, "more than 2 entries")]
fn more_than_was_bargained_for_is_refused(#[case] bounds: Bounds, #[case] reason: &str) {
    let tar = Tar::default().file("a", &"0".repeat(3000)).file("b", &"0".repeat(3000)).file("c", "");
    for (kind, bytes) in [(Archive::TarGz, gzip(&tar.0)), (Archive::TarZst, zstandard(&tar.0))] {
        let failure = Place::with(&bytes).unpack_within(kind, bounds).unwrap_err();
        assert!(failure.what.contains(reason), "{failure}");
    }
}

#[test]
fn names_without_end_are_not_held_in_memory() {
    let name = Tar::default().entry(b"././@LongLink", b'L', b"", &vec![b'n'; 8 << 20]).file("a", "");
    let refusal = Place::with(&gzip(&name.end())).refusal(Archive::TarGz);
    assert!(refusal.contains("has no end"), "{refusal}");
}

#[test]
fn what_stands_after_the_end_counts_too() {
    let mut tar = Tar::default().file("a", "x").end();
    tar.resize(tar.len() + (65 << 20), 0);
    let failure = Place::with(&zstandard(&tar)).unpack(Archive::TarZst).unwrap_err();
    assert!(failure.what.contains("bytes come out of it"), "{failure}");
    let two = [Tar::default().file("a", "x").end(), Tar::default().file("b", "x").end()].concat();
    let refusal = Place::with(&two).refusal(Archive::Tar);
    assert!(refusal.contains("after its end"), "{refusal}");
}

#[test]
fn members_and_frames_in_a_row_are_one_archive() {
    let tar = Tar::default().file("a", "x").file("b", "y").end();
    let (one, two) = tar.split_at(700);
    for (kind, bytes) in [
        (Archive::TarGz, [gzip(one), gzip(two)].concat()),
        (Archive::TarZst, [zstandard(one), zstandard(two)].concat()),
    ] {
        let place = Place::with(&bytes);
        place.unpack(kind).unwrap();
        assert_eq!(place.tree(), tree(&[("a", "x"), ("b", "y")]));
    }
}

#[test]
fn what_is_cut_anywhere_is_noticed() {
    let content = String::from_utf8(testkit::noisy_text(2000).into_bytes()).unwrap();
    let tar = Tar::default().file("a", &content).file("b", &"\0".repeat(1024));
    let archives =
        [(Archive::Tar, tar.0.clone()), (Archive::TarGz, gzip(&tar.0)), (Archive::TarZst, zstandard(&tar.0))];
    for (kind, bytes) in archives {
        let whole = if kind == Archive::Tar { bytes.len() + 1 } else { bytes.len() };
        for length in (0..whole).step_by(37).chain([whole - 1]) {
            let refusal = Place::with(&bytes[..length]).refusal(kind);
            assert!(!refusal.is_empty(), "{kind:?} cut at {length}");
        }
    }
}

#[test]
fn a_checksum_that_is_wrong_is_noticed() {
    let mut gz = gzip(&Tar::default().file("a", "x").end());
    let at = gz.len() - 8;
    gz[at] ^= 1;
    let refusal = Place::with(&gz).refusal(Archive::TarGz);
    assert!(refusal.contains("damaged"), "{refusal}");
}
