//! The shared token: compared in constant time, and after a rotation the previous one for a while.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::secret::Secret;

/// What stands for a token where it must not be kept or compared itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of that token.
    pub fn of(token: &SecretString) -> Self {
        Self(Sha256::digest(token.expose_secret().as_bytes()).into())
    }

    /// Whether both are of the same token. How long this takes tells nothing.
    pub fn is(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl ConstantTimeEq for TokenHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// The token that the services share.
#[derive(Debug, Clone)]
pub(super) struct SharedToken {
    secret: Secret,
    grace: Duration,
}

impl SharedToken {
    /// `secret`, and for `grace` what it was before.
    pub(super) fn new(secret: Secret, grace: Duration) -> Self {
        Self { secret, grace }
    }

    /// Whether `presented` is it. How long this takes tells nothing: hashes are of one length, and all are compared.
    pub(super) fn is(&self, presented: &TokenHash) -> bool {
        let same = |token: &SecretString| TokenHash::of(token).ct_eq(presented);
        let current = same(&self.secret.current());
        let before = self.secret.previous().map_or(Choice::from(0), |replaced| {
            let age = SystemTime::now().duration_since(replaced.at).unwrap_or_default();
            same(&replaced.secret) & Choice::from(u8::from(age < self.grace))
        });
        (current | before).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(shared: &SharedToken, token: &str) -> bool {
        shared.is(&TokenHash::of(&token.into()))
    }

    #[test]
    fn only_the_very_token_is_it() {
        let shared = SharedToken::new(Secret::fixed("right".into()), Duration::from_mins(5));
        assert!(is(&shared, "right"));
        for wrong in ["", "righ", "right ", "Right", "rightright"] {
            assert!(!is(&shared, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_rotation_leaves_the_previous_token_valid_for_the_grace_and_no_longer() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "one").unwrap();
        let secret = Secret::in_file(&file, "TOKEN_FILE", Duration::ZERO).unwrap();
        let patient = SharedToken::new(secret.clone(), Duration::from_mins(5));
        let strict = SharedToken::new(secret, Duration::ZERO);
        std::fs::write(&file, "two").unwrap();
        assert!(is(&patient, "two") && is(&patient, "one"));
        assert!(is(&strict, "two") && !is(&strict, "one"));
        std::fs::write(&file, "three").unwrap();
        assert!(is(&patient, "three") && is(&patient, "two") && !is(&patient, "one"));
    }
}
