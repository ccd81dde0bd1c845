//! The bearer token that a client sends: asked for with each request, because tokens rotate.
//!
//! The clients of registries, of Backstage and of the bridge's own services share it; none of them knows where the
//! token comes from.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

/// Gives the token as it is at the moment, or none.
pub type TokenSource = Arc<dyn Fn() -> Option<SecretString> + Send + Sync>;

/// What a client sends as its bearer token; none by default.
#[derive(Clone, Default)]
pub struct Token(Option<TokenSource>);

impl Token {
    /// A token that stays what it is.
    pub fn fixed(token: SecretString) -> Self {
        Self::from_source(Arc::new(move || Some(token.clone())))
    }

    /// A token that `source` is asked for.
    pub fn from_source(source: TokenSource) -> Self {
        Self(Some(source))
    }

    /// The token to send now.
    pub fn now(&self) -> Option<SecretString> {
        self.0.as_ref().and_then(|source| source())
    }
}

impl From<Option<SecretString>> for Token {
    fn from(token: Option<SecretString>) -> Self {
        token.map(Self::fixed).unwrap_or_default()
    }
}

/// Nothing of the token itself is shown.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Token(***)" } else { "Token(none)" })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_source_is_asked_each_time() {
        let asked = AtomicUsize::new(0);
        let source = move || Some(format!("token {}", asked.fetch_add(1, Ordering::Relaxed)).into());
        let token = Token::from_source(Arc::new(source));
        let sent = [token.now(), token.now()].map(|token| token.unwrap().expose_secret().to_owned());
        assert_eq!(sent, ["token 0", "token 1"]);
    }

    #[test]
    fn debugging_shows_no_token() {
        assert_eq!(format!("{:?}", Token::fixed("planted".to_owned().into())), "Token(***)");
        assert!(Token::default().now().is_none());
    }
}
