//! The end of a file: verified, and put in place.

use std::io::Write as _;

use bytes::Bytes;

use super::disk;
use super::follow::read_at;
use super::id::Id;
use super::journal::Complete;
use super::read::{Stop, is_ours};
use super::work::Work;
use super::write::{Body, Sums};
use crate::checksum::{Checksum, Hasher, Verdict};
use crate::failure::{Failure, Kind};
use crate::relative::RelativePath;

/// All bytes of a file have come.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) id: Id,
    pub(super) path: RelativePath,
    pub(super) size: u64,
    pub(super) checksum: Option<Checksum>,
    /// The CRC-32C of what came before, and was not right.
    pub(super) wrong_before: Option<u32>,
}

impl Ending {
    /// Verifies the file, and puts it in place.
    pub(super) fn place(&self, work: &Work, body: Body) -> Result<Complete, Stop> {
        let complete = match body {
            Body::Held(portion) => {
                let complete = self.judge_held(&portion)?;
                self.write(work, &portion)?;
                complete
            }
            Body::Written(crc, computed) => self.judge_written(work, crc, computed)?,
        };
        work.finish(self.id, &self.path, complete)?;
        Ok(complete)
    }

    fn judge_held(&self, portion: &[Bytes]) -> Result<Complete, Stop> {
        let mut sums = Sums::new();
        for bytes in portion {
            sums.update(bytes);
        }
        self.judge(sums.finish().0, None, |hasher| {
            for bytes in portion {
                hasher.update(bytes);
            }
            Ok(())
        })
    }

    fn judge_written(&self, work: &Work, crc: u32, computed: Option<Checksum>) -> Result<Complete, Stop> {
        let partial = work.partial(self.id);
        self.judge(crc, computed, |hasher| {
            let file = std::fs::File::open(&partial).map_err(|error| disk::failed(&partial, &error))?;
            read_at(&file, 0..self.size, |bytes| hasher.update(bytes)).map_err(|error| disk::failed(&partial, &error))
        })
    }

    fn write(&self, work: &Work, portion: &[Bytes]) -> Result<(), Failure> {
        let mut file = work.begin(self.id)?;
        portion
            .iter()
            .try_for_each(|bytes| file.write_all(bytes))
            .map_err(|error| disk::failed(&work.partial(self.id), &error))
    }

    fn judge(
        &self,
        crc: u32,
        computed: Option<Checksum>,
        feed: impl FnMut(&mut Hasher) -> Result<(), Failure>,
    ) -> Result<Complete, Stop> {
        let Some(checksum) = &self.checksum else { return Ok(Complete { crc, is_verified: false }) };
        let computed = if is_ours(checksum) { Some(Checksum::Crc32c(crc)) } else { computed };
        match checksum.verify(self.size, computed, feed)? {
            Verdict::Right => Ok(Complete { crc, is_verified: true }),
            Verdict::Unknown => Ok(Complete { crc, is_verified: false }),
            // The same bytes twice were not damaged on their way: their parts were of unusual or different sizes.
            Verdict::Wrong(_) if self.is_of_parts() && self.wrong_before == Some(crc) => {
                tracing::warn!(path = %self.path, %checksum, "the sizes of the parts that it was uploaded in are not known");
                Ok(Complete { crc, is_verified: false })
            }
            Verdict::Wrong(computed) => {
                let what = format!("its checksum should be {checksum}, and is {computed}");
                let advice = "upload it again, or see to the server or the proxy in front of it";
                Err(Stop::Mismatch(Failure::new(Kind::Integrity, what, advice), crc))
            }
        }
    }

    const fn is_of_parts(&self) -> bool {
        matches!(self.checksum, Some(Checksum::Md5OfParts { .. }))
    }
}
