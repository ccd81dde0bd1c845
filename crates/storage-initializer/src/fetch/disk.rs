//! The file system: work that blocks, apart from what waits for the network, and what its errors mean.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::failure::{Failure, Kind};

/// Runs what blocks where it holds up nothing else.
pub(super) async fn run<T: Send + 'static, E: From<Failure> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(stopped_short(&stopped).into()))
}

pub(super) fn stopped_short(stopped: &tokio::task::JoinError) -> Failure {
    Failure::new(Kind::Internal, format!("a write was not ended: {stopped}"), "report this as a defect")
}

/// What an error means that came of writing below the destination.
pub(super) fn failed(path: &Path, error: &io::Error) -> Failure {
    let (kind, advice) = meaning(error);
    Failure::new(kind, format!("{} cannot be written: {error}", path.display()), advice)
}

fn meaning(error: &io::Error) -> (Kind, &'static str) {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => {
            (Kind::DiskFull, "give the volume more room (an emptyDir its sizeLimit), or free some of it")
        }
        Some(Errno::ROFS) => (Kind::DiskFull, "mount the volume so that it can be written"),
        Some(Errno::ACCESS | Errno::PERM) => {
            (Kind::Permission, "let the container's user write there: fsGroup, or the permissions of the volume")
        }
        Some(Errno::NOTDIR | Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => (
            Kind::DiskFull,
            "what is in the way in the destination is not ours: remove it, or choose another destination",
        ),
        Some(Errno::XDEV) => {
            (Kind::DiskFull, "a directory of the destination is another file system: mount the volume as a whole")
        }
        Some(Errno::NAMETOOLONG) => (Kind::DiskFull, "the volume takes no names as long as this"),
        Some(Errno::MFILE | Errno::NFILE) => {
            (Kind::Internal, "allow the process more open files, or fewer connections")
        }
        _ => (Kind::DiskFull, "see to the volume"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Errno::NOSPC, Kind::DiskFull, "more room")]
    #[case(Errno::DQUOT, Kind::DiskFull, "more room")]
    #[case(Errno::ROFS, Kind::DiskFull, "can be written")]
    #[case(Errno::ACCESS, Kind::Permission, "fsGroup")]
    #[case(Errno::PERM, Kind::Permission, "fsGroup")]
    #[case(Errno::NOTDIR, Kind::DiskFull, "in the way")]
    #[case(Errno::MFILE, Kind::Internal, "open files")]
    #[case(Errno::IO, Kind::DiskFull, "volume")]
    fn each_error_of_the_disk_says_what_to_do(#[case] error: Errno, #[case] kind: Kind, #[case] advice: &str) {
        let failure = failed(Path::new("/mnt/models/a"), &error.into());
        assert_eq!(failure.kind, kind);
        assert!(failure.what.starts_with("/mnt/models/a cannot be written: "), "{failure}");
        assert!(failure.advice.contains(advice), "{failure}");
    }

    #[tokio::test]
    async fn a_write_that_panics_is_a_failure() {
        let result: Result<(), Failure> = run(|| panic!("of a defect")).await;
        assert_eq!(result.unwrap_err().kind, Kind::Internal);
    }
}
