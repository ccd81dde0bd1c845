//! What a statement that failed says about the database.

use std::time::Duration;

/// Kinds of failure, by what can be done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Others were in the way: a deadlock, say.
    Collision,
    /// The connection broke, and what came of the statement is not known.
    Lost,
    /// It can't be done at the moment; says why, or what to do about it.
    Unwell(&'static str),
    /// The bridge is not allowed to.
    Forbidden,
    /// A value is larger than the database can hold.
    TooLarge {
        /// What it can hold, in bytes.
        limit: usize,
    },
    /// Anything else.
    Other,
}

impl Fault {
    /// Whether the same statement may work a moment later.
    pub(super) fn may_pass_at_once(self) -> bool {
        matches!(self, Self::Collision | Self::Lost)
    }

    /// Whether it may be due to one of several entries.
    pub(super) fn may_be_an_entry_s(self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Other)
    }
}

/// A statement that failed for good.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) reason: String,
    pub(super) attempts: usize,
}

impl Failure {
    pub(super) fn unanswered(within: Duration, attempts: usize) -> Self {
        let reason = format!("no answer within {} s", within.as_secs());
        Self { fault: Fault::Unwell("it is too busy, or gone"), reason, attempts }
    }
}

/// What is done with which table, to tell which right is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    Remove,
    ReadMark,
    WriteMark,
}

impl Access {
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Read | Self::Write | Self::Remove => "entries",
            Self::ReadMark | Self::WriteMark => "filling",
        }
    }

    /// The rights that it takes.
    pub(super) fn privileges(self) -> &'static [&'static str] {
        match self {
            Self::Read | Self::ReadMark => &["SELECT"],
            Self::Write => &["SELECT", "INSERT", "UPDATE"],
            Self::Remove => &["SELECT", "UPDATE", "DELETE"],
            Self::WriteMark => &["SELECT", "INSERT", "DELETE"],
        }
    }

    /// What was to be done.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Read | Self::Write => "entries",
            Self::Remove => "the removal of entries",
            Self::ReadMark | Self::WriteMark => "whether it is being filled",
        }
    }
}
