use std::convert::Infallible;

use rstest::rstest;

use super::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
}

fn verify(checksum: &Checksum, bytes: &[u8]) -> Verdict {
    let feed = |hasher: &mut Hasher| -> Result<(), Infallible> {
        bytes.chunks(1000).for_each(|chunk| hasher.update(chunk));
        Ok(())
    };
    checksum.verify(bytes.len() as u64, None, feed).unwrap()
}

/// The ETag of an upload in parts of this size.
fn in_parts(bytes: &[u8], part: usize) -> Checksum {
    let mut whole = Md5::new();
    bytes.chunks(part).for_each(|part| whole.update(Md5::digest(part)));
    Checksum::Md5OfParts { md5: whole.finalize().into(), parts: bytes.chunks(part).count() as u64 }
}

// By `sha256sum`, `git hash-object`, `md5sum`; the CRCs are the check values of the algorithms' definitions.
#[rstest]
#[case(Checksum::Sha256(hex("15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225")))]
#[case(Checksum::GitBlob(hex("e2e107ac61ac259b87c544f6e7a4eb03422c6c21")))]
#[case(Checksum::Md5(hex("25f9e794323b453885f5181f1b624d0b")))]
#[case(Checksum::Crc32c(0xe306_9283))]
#[case(Checksum::Crc32(0xcbf4_3926))]
#[case(Checksum::Crc64Nvme(0xae8b_1486_0a79_9888))]
fn each_checksum_is_that_of_its_bytes(#[case] checksum: Checksum) {
    assert_eq!(verify(&checksum, b"123456789"), Verdict::Right);
    let Verdict::Wrong(other) = verify(&checksum, b"123456780") else { panic!("other bytes are right") };
    assert_eq!(other.algorithm(), checksum.algorithm());
    assert_ne!(other, checksum);
    assert_eq!(verify(&other, b"123456780"), Verdict::Right);
}

#[rstest]
#[case(Checksum::Crc32c(0xe306_9283))]
#[case(Checksum::Crc32(0xcbf4_3926))]
#[case(Checksum::Crc64Nvme(0xae8b_1486_0a79_9888))]
fn the_crc_of_ranges_is_that_of_the_whole(#[case] checksum: Checksum) {
    let of = |bytes: &[u8]| {
        let mut hasher = checksum.hasher(None).unwrap();
        hasher.update(bytes);
        hasher.finish()
    };
    let combined = ["123".as_bytes(), b"", b"4567", b"89"]
        .into_iter()
        .try_fold(checksum.of_nothing().unwrap(), |sum, next| sum.followed_by(&of(next), next.len() as u64));
    assert_eq!(combined.as_ref(), Some(&checksum));
    assert_eq!(checksum.followed_by(&Checksum::Sha256([0; 32]), 9), None);
}

#[test]
fn the_checksum_of_parts_is_worked_out_from_theirs() {
    let bytes = testkit::noise(17 << 20);
    let checksum = in_parts(&bytes, 8 << 20);
    assert_eq!(checksum.part_size(17 << 20), Some(8 << 20));
    assert_eq!(Checksum::of_parts(bytes.chunks(8 << 20).map(|part| Md5::digest(part).into())), checksum);
    assert_eq!(Checksum::Md5([0; 16]).part_size(17 << 20), None);
}

#[test]
fn a_git_checksum_needs_the_length_first() {
    assert!(Checksum::GitBlob([0; 20]).hasher(None).is_none());
    assert!(Checksum::Sha256([0; 32]).hasher(None).is_some());
}

#[rstest]
#[case::usual(17 << 20, 8 << 20)]
#[case::usual_but_not_the_first(11 << 20, 5 << 20)]
#[case::exactly(16 << 20, 8 << 20)]
#[case::whole_mib(19 << 20, 9 << 20)]
#[case::decimal(11_500_000, 5_000_000)]
#[case::equal_parts(9_000_003, 3_000_001)]
#[case::one_part(1_000_000, 8 << 20)]
fn the_size_of_parts_is_found_out(#[case] size: usize, #[case] part: usize) {
    let bytes = testkit::noise(size);
    assert_eq!(verify(&in_parts(&bytes, part), &bytes), Verdict::Right);
}

#[test]
fn bytes_of_parts_of_a_usual_size_are_wrong_when_they_are_others() {
    let mut bytes = testkit::noise(17 << 20);
    let checksum = in_parts(&bytes, 8 << 20);
    bytes[12_345_678] ^= 1;
    assert!(matches!(verify(&checksum, &bytes), Verdict::Wrong(_)));
}

#[test]
fn parts_of_no_usual_size_leave_the_question_open() {
    let bytes = testkit::noise(1_000_000);
    assert_eq!(verify(&in_parts(&bytes, 300_000), &bytes), Verdict::Unknown);
    assert_eq!(verify(&Checksum::Md5OfParts { md5: [0; 16], parts: 0 }, &bytes), Verdict::Unknown);
    assert_eq!(verify(&Checksum::Md5OfParts { md5: [0; 16], parts: u64::MAX }, &bytes), Verdict::Unknown);
}

#[test]
fn what_was_computed_on_the_way_is_not_computed_again() {
    let checksum = Checksum::Md5(hex("25f9e794323b453885f5181f1b624d0b"));
    let feed = |_: &mut Hasher| Err("read again");
    assert_eq!(checksum.verify(9, Some(checksum.clone()), feed), Ok(Verdict::Right));
    let other = Checksum::Md5([0; 16]);
    assert_eq!(checksum.verify(9, Some(other.clone()), feed), Ok(Verdict::Wrong(other)));
}

#[test]
fn the_crc_of_two_parts_is_that_of_both() {
    let bytes = testkit::noise(10_000);
    for split in [0, 1, 5000, 9999, 10_000] {
        let (first, second) = bytes.split_at(split);
        assert_eq!(crc32c_of_both(crc32c(first), crc32c(second), second.len() as u64), crc32c(&bytes));
    }
}
