//! How much is known of a kind of object, and where.

use jiff::Timestamp;

use crate::request::RequestError;

/// What is known of one kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindState {
    /// No list has completed yet; the reason says why, once one has failed.
    NotYet {
        /// Why the last attempt failed.
        reason: Option<String>,
    },
    /// Nothing is known because the objects may not be listed or watched.
    Forbidden {
        /// Which permission is missing.
        reason: String,
    },
    /// API discovery says that this kind is not installed: there are no such objects.
    Absent,
    /// Listed completely and watched since.
    Complete {
        /// When the list completed.
        at: Timestamp,
    },
    /// The watch broke; the objects are the last known ones.
    Stale {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: String,
    },
}

impl KindState {
    /// Whether the kind was read completely at some time: what is known may be old, but it is not a part.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Absent | Self::Complete { .. } | Self::Stale { .. })
    }

    /// Whether the knowledge is complete now, so that what is missing is gone.
    pub fn is_current(&self) -> bool {
        matches!(self, Self::Absent | Self::Complete { .. })
    }

    /// Whether nothing is known for want of a permission.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden { .. })
    }

    /// The state after a failure.
    pub(super) fn after(&self, error: &RequestError) -> Self {
        let reason = error.to_string();
        match self {
            Self::Complete { .. } | Self::Absent => Self::Stale { since: Timestamp::now(), reason },
            Self::Stale { since, .. } => Self::Stale { since: *since, reason },
            Self::NotYet { .. } | Self::Forbidden { .. } => match error {
                RequestError::Forbidden { .. } => Self::Forbidden { reason },
                _ => Self::NotYet { reason: Some(reason) },
            },
        }
    }

    /// Whether a reader would see a difference: completing again is none.
    pub(super) fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Complete { .. }, Self::Complete { .. }) => false,
            _ => self != other,
        }
    }

    /// The state of several namespaces together is that of the least known.
    pub(super) fn together(states: Vec<Self>) -> Self {
        let least = states.into_iter().max_by_key(Self::doubt);
        least.unwrap_or(Self::NotYet { reason: None })
    }

    fn doubt(&self) -> u8 {
        match self {
            Self::Complete { .. } => 0,
            Self::Absent => 1,
            Self::Stale { .. } => 2,
            Self::Forbidden { .. } => 3,
            Self::NotYet { .. } => 4,
        }
    }
}

/// Where objects are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces.
    AllNamespaces,
    /// In these only, because a cluster-wide list is not permitted.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Whether a namespace is watched.
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::AllNamespaces => true,
            Self::Namespaces(watched) => watched.iter().any(|name| name == namespace),
        }
    }
}
