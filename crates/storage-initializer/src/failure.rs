//! What can go wrong: in which way, which is the exit code, with what, and what to do about it.

use std::error::Error;
use std::fmt;

/// In which way something failed. The numbers are those of BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The program was called, or set up, wrongly (64).
    Usage,
    /// What was read is not what it should be: a checksum, a length, an archive (65).
    Integrity,
    /// There is no such model, version, artifact, bucket or object (66).
    NotFound,
    /// A server is not reached, or in trouble, after all retries (69).
    Unavailable,
    /// A fault of this program (70).
    Internal,
    /// There is no room for the model, or it cannot be written (73).
    DiskFull,
    /// We are not let in (77).
    Permission,
}

impl Kind {
    /// The exit code of the process.
    pub const fn code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Integrity => 65,
            Self::NotFound => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::DiskFull => 73,
            Self::Permission => 77,
        }
    }

    /// Its name in the summary.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Integrity => "integrity",
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::DiskFull => "disk_full",
            Self::Permission => "permission",
        }
    }
}

/// A failure: `what` happened to which object, and the `advice`, each a clause without a full stop. Neither has credentials.
#[derive(Debug, Clone)]
pub struct Failure {
    /// In which way.
    pub kind: Kind,
    /// What happened, and to what.
    pub what: String,
    /// What to do; may be empty.
    pub advice: String,
    /// Whether the same may succeed a little later without anybody changing anything.
    pub is_transient: bool,
    /// How long a server asks to be left alone.
    pub retry_after: Option<std::time::Duration>,
}

impl Failure {
    /// A failure that trying again does not mend.
    pub fn new(kind: Kind, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { kind, what: what.into(), advice: advice.into(), is_transient: false, retry_after: None }
    }

    /// The same, but it may go away by itself.
    #[must_use]
    pub fn transient(self) -> Self {
        Self { is_transient: true, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.advice.is_empty() { f.write_str(&self.what) } else { write!(f, "{}; {}", self.what, self.advice) }
    }
}

impl Error for Failure {}
