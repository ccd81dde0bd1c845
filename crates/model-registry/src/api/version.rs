//! The versions of the API, and in what they differ.

use crate::model::Kind;

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The one with experiments.
    V1Alpha3,
    /// The one without, where the step of a metric is a string.
    V1,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V1Alpha3, Self::V1];

    /// What its paths begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::V1Alpha3 => "/api/model_registry/v1alpha3",
            Self::V1 => "/api/model_registry/v1",
        }
    }

    /// Whether it has resources of that kind.
    pub(crate) const fn has(self, kind: Kind) -> bool {
        match self {
            Self::V1Alpha3 => true,
            Self::V1 => !matches!(kind, Kind::Experiment | Kind::ExperimentRun),
        }
    }

    /// Whether it shows of which run an artifact is.
    pub(super) const fn shows_runs(self) -> bool {
        self.has(Kind::ExperimentRun)
    }
}
