//! How the import and Backstage get on, said once each time it changes.

use std::time::Duration;

use super::{ImportError, Pass};

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Standing {
    trouble: Option<Trouble>,
}

/// Failures of one kind are one state, whatever they say in detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Token,
    LocationType,
    Away,
    Store,
    Some,
}

impl Trouble {
    fn of(error: &ImportError) -> Self {
        use backstage_client::BackstageError;
        match error {
            ImportError::LocationType { .. } => Self::LocationType,
            ImportError::Store(_) => Self::Store,
            ImportError::Backstage(BackstageError::Unauthorized { .. }) => Self::Token,
            ImportError::Backstage(BackstageError::Transport { .. }) => Self::Away,
            ImportError::Backstage(_) | ImportError::Hidden { .. } => Self::Some,
            ImportError::Incomplete { last, .. } => Self::of(last),
        }
    }
}

impl Standing {
    /// Takes note of a pass.
    pub(super) fn say(&mut self, result: &Result<Pass, ImportError>, retry_in: Duration) {
        match result {
            Ok(Pass::TooEarly) => {}
            Ok(Pass::Complete) => {
                if self.trouble.take().is_some() {
                    tracing::info!("Backstage holds all entries again");
                }
            }
            Err(error) => {
                let trouble = Trouble::of(error);
                if self.trouble.replace(trouble) == Some(trouble) {
                    tracing::debug!(%error, ?retry_in, "Backstage does not hold all entries yet");
                } else {
                    tracing::warn!(%error, ?retry_in, "Backstage does not hold all entries yet; it is tried again until it does");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_are_one_state() {
        let hidden = || ImportError::Hidden { target: "x".to_owned() };
        let several = ImportError::Incomplete { count: 2, last: Box::new(hidden()) };
        assert_eq!(Trouble::of(&several), Trouble::of(&hidden()));
        let mut standing = Standing::default();
        standing.say(&Err(hidden()), Duration::ZERO);
        assert_eq!(standing.trouble, Some(Trouble::Some));
        standing.say(&Ok(Pass::TooEarly), Duration::ZERO);
        assert_eq!(standing.trouble, Some(Trouble::Some));
        standing.say(&Ok(Pass::Complete), Duration::ZERO);
        assert_eq!(standing.trouble, None);
    }
}
