//! The token that goes with requests: asked for with each of them, because tokens rotate.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

/// Gives the token as it is at the moment, or none.
pub type TokenSource = Arc<dyn Fn() -> Option<SecretString> + Send + Sync>;

/// What a client sends as its bearer token.
#[derive(Clone)]
pub(crate) struct Token(Option<TokenSource>);

impl Token {
    pub(crate) fn fixed(token: Option<SecretString>) -> Self {
        let source = |token: SecretString| -> TokenSource { Arc::new(move || Some(token.clone())) };
        Self(token.map(source))
    }

    pub(crate) fn from_source(source: TokenSource) -> Self {
        Self(Some(source))
    }

    pub(crate) fn now(&self) -> Option<SecretString> {
        self.0.as_ref().and_then(|source| source())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Token(***)" } else { "Token(none)" })
    }
}
