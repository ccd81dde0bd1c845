//! Computes checksums: as bytes come, or of what is already on the disk.

use std::collections::BTreeSet;
use std::{iter, mem};

use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::Checksum;

const MIB: u64 = 1 << 20;

/// Part sizes that tools for S3 use unless told otherwise, and those that people tell them, the most common first.
const USUAL_PARTS: [u64; 23] =
    [8, 5, 16, 64, 10, 32, 128, 50, 100, 256, 512, 15, 20, 25, 6, 7, 12, 30, 40, 200, 250, 500, 1024];

/// How many bytes are read to find out which of the unusual sizes the parts have, of each kind of sizes.
const READ_AGAIN: u64 = 16 << 30;

/// Computes one checksum of bytes that come in order.
pub struct Hasher(State);

enum State {
    Sha256(Sha256),
    GitBlob(Sha1),
    Md5(Md5),
    Parts(Parts),
    Crc(Crc, crc_fast::Digest),
}

/// The CRCs, which can be worked out of those of ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crc {
    Crc32c,
    Crc32,
    Crc64Nvme,
}

impl Crc {
    const fn algorithm(self) -> CrcAlgorithm {
        match self {
            Self::Crc32c => CrcAlgorithm::Crc32Iscsi,
            Self::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
            Self::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        }
    }

    fn checksum(self, value: u64) -> Checksum {
        match self {
            Self::Crc32c => Checksum::Crc32c(narrow(value)),
            Self::Crc32 => Checksum::Crc32(narrow(value)),
            Self::Crc64Nvme => Checksum::Crc64Nvme(value),
        }
    }

    fn of(checksum: &Checksum) -> Option<(Self, u64)> {
        match checksum {
            Checksum::Crc32c(value) => Some((Self::Crc32c, u64::from(*value))),
            Checksum::Crc32(value) => Some((Self::Crc32, u64::from(*value))),
            Checksum::Crc64Nvme(value) => Some((Self::Crc64Nvme, *value)),
            Checksum::Sha256(_) | Checksum::GitBlob(_) | Checksum::Md5(_) | Checksum::Md5OfParts { .. } => None,
        }
    }
}

/// The MD5 of one part of an upload.
pub type PartSum = [u8; 16];

struct Parts {
    size: u64,
    room: u64,
    part: Md5,
    whole: Md5,
    ended: u64,
}

/// What a checksum says of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are those that the checksum was made of.
    Right,
    /// They are not: this is theirs.
    Wrong(Checksum),
    /// It cannot be told: the checksum is of parts, of a size that is not known.
    Unknown,
}

impl Checksum {
    /// What computes a checksum of this kind of bytes that are `size` in all; none where their number has to be known before,
    /// and is not.
    pub fn hasher(&self, size: Option<u64>) -> Option<Hasher> {
        Some(Hasher(match self {
            Self::Sha256(_) => State::Sha256(Sha256::new()),
            Self::GitBlob(_) => State::GitBlob(Sha1::new_with_prefix(format!("blob {}\0", size?))),
            Self::Md5(_) => State::Md5(Md5::new()),
            Self::Md5OfParts { .. } => State::Parts(Parts::of(self.part_size(size?)?)),
            Self::Crc32c(_) | Self::Crc32(_) | Self::Crc64Nvme(_) => {
                let (crc, _) = Crc::of(self)?;
                State::Crc(crc, crc_fast::Digest::new(crc.algorithm()))
            }
        }))
    }

    /// Whether that of all bytes can be worked out from those of ranges, in whatever order they come.
    pub fn is_combined(&self) -> bool {
        Crc::of(self).is_some()
    }

    /// The checksum of bytes and of `length` more that stand behind them, by those of both. None where they are not of one
    /// kind that can be combined.
    pub fn followed_by(&self, next: &Self, length: u64) -> Option<Self> {
        let ((crc, first), (other, second)) = (Crc::of(self)?, Crc::of(next)?);
        (crc == other).then(|| crc.checksum(crc_fast::checksum_combine(crc.algorithm(), first, second, length)))
    }

    /// The checksum of this kind of no bytes at all, from which combining begins.
    pub fn of_nothing(&self) -> Option<Self> {
        Some(Crc::of(self)?.0.checksum(0))
    }

    /// How long the parts most likely are that this is a checksum of.
    pub fn part_size(&self, size: u64) -> Option<u64> {
        let Self::Md5OfParts { parts, .. } = self else { return None };
        part_sizes(size, *parts).tried().first().copied()
    }

    /// The checksum of parts that have these checksums.
    pub fn of_parts(parts: impl IntoIterator<Item = PartSum>) -> Self {
        let (mut whole, mut count) = (Md5::new(), 0);
        for part in parts {
            whole.update(part);
            count += 1;
        }
        Self::Md5OfParts { md5: whole.finalize().into(), parts: count }
    }

    /// Compares with `size` bytes, which `feed` gives to a hasher, in order, as often as it is asked. `first` is what
    /// [`Self::hasher`] has computed, where the bytes went through it on their way.
    pub fn verify<E>(
        &self,
        size: u64,
        first: Option<Self>,
        mut feed: impl FnMut(&mut Hasher) -> Result<(), E>,
    ) -> Result<Verdict, E> {
        let mut compute = |hasher: Option<Hasher>| -> Result<Option<Self>, E> {
            let Some(mut hasher) = hasher else { return Ok(None) };
            feed(&mut hasher)?;
            Ok(Some(hasher.finish()))
        };
        let first = match first {
            Some(first) => Some(first),
            None => compute(self.hasher(Some(size)))?,
        };
        let Some(first) = first else { return Ok(Verdict::Unknown) };
        if first == *self {
            return Ok(Verdict::Right);
        }
        let Self::Md5OfParts { parts, .. } = self else { return Ok(Verdict::Wrong(first)) };
        let sizes = part_sizes(size, *parts);
        for part in sizes.tried().into_iter().skip(1) {
            if compute(Some(Hasher(State::Parts(Parts::of(part)))))?.as_ref() == Some(self) {
                return Ok(Verdict::Right);
            }
        }
        Ok(if sizes.usual.is_empty() { Verdict::Unknown } else { Verdict::Wrong(first) })
    }
}

impl Hasher {
    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::GitBlob(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::Parts(state) => state.update(bytes),
            State::Crc(_, state) => state.update(bytes),
        }
    }

    /// The checksum of all of them.
    pub fn finish(self) -> Checksum {
        match self.0 {
            State::Sha256(state) => Checksum::Sha256(state.finalize().into()),
            State::GitBlob(state) => Checksum::GitBlob(state.finalize().into()),
            State::Md5(state) => Checksum::Md5(state.finalize().into()),
            State::Parts(state) => state.finish(),
            State::Crc(crc, state) => crc.checksum(state.finalize()),
        }
    }
}

impl Parts {
    fn of(size: u64) -> Self {
        Self { size, room: size, part: Md5::new(), whole: Md5::new(), ended: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room == 0 {
                self.end_part();
            }
            let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(fits);
            self.part.update(now);
            self.room -= fits as u64;
            bytes = later;
        }
    }

    fn end_part(&mut self) {
        self.whole.update(mem::take(&mut self.part).finalize());
        self.ended += 1;
        self.room = self.size;
    }

    fn finish(mut self) -> Checksum {
        if self.room < self.size || self.ended == 0 {
            self.end_part();
        }
        Checksum::Md5OfParts { md5: self.whole.finalize().into(), parts: self.ended }
    }
}

/// The part sizes that make so many parts of so many bytes.
#[derive(Debug, Default)]
struct PartSizes {
    /// Those in use: if one of them is possible, then the others are unlikely.
    usual: Vec<u64>,
    others: BTreeSet<u64>,
}

impl PartSizes {
    fn tried(&self) -> Vec<u64> {
        self.usual.iter().chain(&self.others).copied().collect()
    }
}

fn part_sizes(size: u64, parts: u64) -> PartSizes {
    if parts <= 1 {
        return PartSizes { usual: if parts == 1 { vec![size.max(1)] } else { Vec::new() }, ..PartSizes::default() };
    }
    let least = size.div_ceil(parts).max(1);
    let most = size.saturating_sub(1) / (parts - 1);
    let possible = |part: &u64| (least..=most).contains(part);
    let usual: Vec<u64> = USUAL_PARTS.iter().map(|mib| mib * MIB).filter(possible).collect();
    // Equal parts, whole MiB, whole MB: as many as can be tried before somebody loses patience.
    let tries = usize::try_from(READ_AGAIN / size.max(1)).unwrap_or(usize::MAX).clamp(1, 16);
    let whole = |unit: u64| (least.div_ceil(unit)..=most / unit).map(move |units| units * unit).take(tries);
    let others = iter::once(least).chain(whole(MIB)).chain(whole(1_000_000));
    let others = others.filter(possible).filter(|part| !usual.contains(part)).collect();
    PartSizes { usual, others }
}

/// The CRC-32C of bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// The CRC-32C of bytes that stand one after the other, by those of the two parts, and the length of the second.
pub fn crc32c_of_both(first: u32, second: u32, second_length: u64) -> u32 {
    narrow(crc_fast::checksum_combine(CrcAlgorithm::Crc32Iscsi, first.into(), second.into(), second_length))
}

/// CRCs of 32 bits come in 64.
fn narrow(crc: u64) -> u32 {
    u32::try_from(crc & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
#[path = "compute/tests.rs"]
mod tests;
