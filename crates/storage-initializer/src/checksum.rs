//! Checksums that sources give, and what computes them.

use std::fmt;

mod compute;

pub use compute::{Hasher, PartSum, Verdict, crc32c, crc32c_of_both};

/// A checksum of a whole object, as its source gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// SHA-256: OCI digests, LFS files of a hub, S3's `x-amz-checksum-sha256`.
    Sha256([u8; 32]),
    /// The SHA-1 that git gives a blob: of `blob <length>\0` and the content. Small files of a hub.
    GitBlob([u8; 20]),
    /// MD5: `Content-MD5`, GCS's `x-goog-hash`, the ETag of S3 where it is one.
    Md5([u8; 16]),
    /// The ETag of an S3 object that was uploaded in parts: the MD5 of the parts' MD5s, and how many. Parts are of one size,
    /// but for the last.
    Md5OfParts {
        /// The MD5 of the MD5s.
        md5: [u8; 16],
        /// How many parts.
        parts: u64,
    },
    /// CRC-32C: GCS's `x-goog-hash`, S3's `x-amz-checksum-crc32c`. All CRCs are sent big endian.
    Crc32c(u32),
    /// CRC-32 as in zip files: S3's `x-amz-checksum-crc32`.
    Crc32(u32),
    /// CRC-64/NVME: S3's `x-amz-checksum-crc64nvme`, which Amazon works out itself where the uploader gave nothing.
    Crc64Nvme(u64),
}

impl Checksum {
    /// The algorithm's name in messages.
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "git SHA-1",
            Self::Md5(_) => "MD5",
            Self::Md5OfParts { .. } => "MD5 of parts",
            Self::Crc32c(_) => "CRC-32C",
            Self::Crc32(_) => "CRC-32",
            Self::Crc64Nvme(_) => "CRC-64/NVME",
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
        write!(f, "{} ", self.algorithm())?;
        match self {
            Self::Sha256(bytes) => hex(f, bytes),
            Self::GitBlob(bytes) => hex(f, bytes),
            Self::Md5(bytes) => hex(f, bytes),
            Self::Md5OfParts { md5, parts } => {
                hex(f, md5)?;
                write!(f, "-{parts}")
            }
            Self::Crc32c(value) | Self::Crc32(value) => write!(f, "{value:08x}"),
            Self::Crc64Nvme(value) => write!(f, "{value:016x}"),
        }
    }
}
