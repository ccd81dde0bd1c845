//! Whether there is room, before anything is downloaded.

use std::path::Path;

use super::Limits;
use super::disk;
use crate::failure::{Failure, Kind};

/// What a file takes beside its bytes, at most: its last block is not full.
const BLOCK: u64 = 4096;

/// What is to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    bytes: u64,
    files: u64,
}

impl Needs {
    /// One file more, of which so many bytes are to be written.
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes.checked_next_multiple_of(BLOCK).unwrap_or(bytes));
        self.files += 1;
    }
}

/// A file system, as far as it has room.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: u64,
    /// None where the file system makes them as they are needed.
    files: Option<u64>,
}

/// Holds `needs` against the file system that `destination` is on.
pub(super) fn check(needs: Needs, destination: &Path, limits: Limits) -> Result<(), Failure> {
    let stat = rustix::fs::statvfs(destination).map_err(|error| disk::failed(destination, &error.into()))?;
    let room =
        Room { bytes: stat.f_bavail.saturating_mul(stat.f_frsize), files: (stat.f_files > 0).then_some(stat.f_favail) };
    compare(needs, room, destination, limits.reserve)
}

fn compare(needs: Needs, room: Room, destination: &Path, reserve: u64) -> Result<(), Failure> {
    let place = destination.display();
    if needs.bytes > 0 && needs.bytes.saturating_add(reserve) > room.bytes {
        return Err(Failure::new(
            Kind::DiskFull,
            format!(
                "{} are to be written to {place}, where {} are free, of which {} stay free",
                amount(needs.bytes),
                amount(room.bytes),
                amount(reserve)
            ),
            "give the volume more room (an emptyDir its sizeLimit), or free some of it",
        ));
    }
    match room.files {
        Some(files) if needs.files > files => Err(Failure::new(
            Kind::DiskFull,
            format!("{} files are to be written to {place}, which has room for {files} (inodes)", needs.files),
            "use a volume with more inodes, or an archive of the files",
        )),
        _ => Ok(()),
    }
}

/// A number of bytes, as people read it.
pub(super) fn amount(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let steps = (bytes.max(1).ilog2() / 10).min(5);
    match steps.checked_sub(1).and_then(|unit| UNITS.get(unit as usize)) {
        None => format!("{bytes} bytes"),
        Some(unit) => {
            let tenths = (u128::from(bytes) * 10) >> (10 * steps);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn needs(files: &[u64]) -> Needs {
        let mut needs = Needs::default();
        for bytes in files {
            needs.add(*bytes);
        }
        needs
    }

    #[rstest]
    #[case(&[4096], Room { bytes: 4196, files: Some(1) }, true)]
    #[case(&[4097], Room { bytes: 4196, files: Some(1) }, false)]
    #[case(&[10, 10], Room { bytes: 8292, files: Some(1) }, false)]
    #[case(&[10, 10], Room { bytes: 8292, files: Some(2) }, true)]
    #[case(&[10, 10], Room { bytes: 8292, files: None }, true)]
    #[case(&[10, 10], Room { bytes: 8291, files: None }, false)]
    #[case(&[u64::MAX, u64::MAX], Room { bytes: u64::MAX - 100, files: None }, false)]
    #[case(&[], Room { bytes: 0, files: Some(0) }, true)]
    fn the_reserve_stays_free_and_files_take_blocks(#[case] files: &[u64], #[case] room: Room, #[case] fits: bool) {
        let result = compare(needs(files), room, Path::new("/mnt"), 100);
        assert_eq!(result.is_ok(), fits, "{result:?}");
        if let Err(failure) = result {
            assert_eq!(failure.kind, Kind::DiskFull);
        }
    }

    #[rstest]
    #[case(0, "0 bytes")]
    #[case(1023, "1023 bytes")]
    #[case(1024, "1.0 KiB")]
    #[case(1_887_436, "1.7 MiB")]
    #[case(u64::MAX, "16383.9 PiB")]
    fn amounts_are_told_as_people_read_them(#[case] bytes: u64, #[case] text: &str) {
        assert_eq!(amount(bytes), text);
    }

    #[test]
    fn the_disk_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { connections: 1, range: 1, attempts: 1, reserve: 0, total: None };
        check(needs(&[1]), directory.path(), limits).unwrap();
        let failure = check(needs(&[1]), directory.path(), Limits { reserve: u64::MAX, ..limits }).unwrap_err();
        assert!(failure.to_string().contains("1 bytes") || failure.to_string().contains("4.0 KiB"), "{failure}");
        let failure = check(needs(&[1 << 60]), directory.path(), limits).unwrap_err();
        assert!(
            failure.to_string().starts_with("1.0 EiB") || failure.to_string().starts_with("1024.0 PiB"),
            "{failure}"
        );
    }
}
