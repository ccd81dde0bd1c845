//! A file of tokens, each with the name of who has it, that is read again when it changes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use service::Secret;
use service::auth::TokenHash;
use thiserror::Error;

use crate::store::{Actor, Rank};

/// Whoever has the token of a file that holds nothing else.
const NAMELESS: &str = "token";
const ADMIN: &str = "admin";

/// A file of tokens holds something else. What it holds is not told, for it may be a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokensError {
    /// A line is no token.
    #[error("line {line}: {reason}")]
    Line {
        /// Which line.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is none.
    #[error("there is no token in it")]
    Empty,
}

/// The file.
#[derive(Debug)]
pub(super) struct TokenFile {
    secret: Secret,
    grace: Duration,
    lists: Mutex<Lists>,
}

/// What was in it when it was looked at.
#[derive(Debug)]
struct Lists {
    text: SecretString,
    current: Vec<Entry>,
    replaced: Option<Replaced>,
}

/// What was in it before.
#[derive(Debug)]
struct Replaced {
    entries: Vec<Entry>,
    at: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    hash: TokenHash,
    rank: Rank,
}

impl TokenFile {
    /// The tokens in `secret`, and for `grace` those that they take the place of.
    pub(super) fn new(secret: Secret, grace: Duration) -> Result<Self, TokensError> {
        let lists = Mutex::new(Lists::new(secret.current())?);
        Ok(Self { secret, grace, lists })
    }

    /// Who has that token.
    pub(super) fn owner(&self, token: &SecretString) -> Option<Actor> {
        self.look().owner(token, self.grace)
    }

    fn look(&self) -> MutexGuard<'_, Lists> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.secret.current();
        if text.expose_secret() != lists.text.expose_secret() {
            let replaced_at = self.secret.previous().map_or_else(SystemTime::now, |replaced| replaced.at);
            lists.replace(text, replaced_at);
        }
        lists
    }
}

impl Lists {
    fn new(text: SecretString) -> Result<Self, TokensError> {
        Ok(Self { current: parse(&text)?, text, replaced: None })
    }

    /// A name that is gone from the file is out at once; a token that another one took the place of is good for the grace.
    fn owner(&self, token: &SecretString, grace: Duration) -> Option<Actor> {
        let presented = TokenHash::of(token);
        if let Some(entry) = among(&self.current, &presented) {
            return Some(Actor::named(&entry.name, entry.rank));
        }
        let replaced = self.replaced.as_ref()?;
        if SystemTime::now().duration_since(replaced.at).unwrap_or_default() >= grace {
            return None;
        }
        let entry = among(&replaced.entries, &presented)?;
        let now = self.current.iter().filter(|other| other.name == entry.name).map(|other| other.rank).max()?;
        Some(Actor::named(&entry.name, entry.rank.min(now)))
    }

    fn replace(&mut self, text: SecretString, at: SystemTime) {
        match parse(&text) {
            Ok(current) => {
                let entries = std::mem::replace(&mut self.current, current);
                self.replaced = Some(Replaced { entries, at });
            }
            Err(error) => tracing::warn!(
                "the tokens that were read last stay in use: --auth-token-file / MR_AUTH_TOKEN_FILE: {error}"
            ),
        }
        self.text = text;
    }
}

/// All are compared, whichever it is.
fn among<'e>(entries: &'e [Entry], presented: &TokenHash) -> Option<&'e Entry> {
    entries.iter().fold(None, |found, entry| if entry.hash.is(presented) { Some(entry) } else { found })
}

fn parse(text: &SecretString) -> Result<Vec<Entry>, TokensError> {
    let lines = text.expose_secret().lines().map(str::trim).zip(1..);
    let lines: Vec<(&str, usize)> = lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#')).collect();
    if let [(token, line)] = lines[..]
        && !token.contains(':')
    {
        return Ok(vec![entry(NAMELESS, token, Rank::Admin).map_err(|reason| TokensError::Line { line, reason })?]);
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (text, line) in lines {
        let failed = |reason| TokensError::Line { line, reason };
        let entry = named(text).map_err(failed)?;
        if entries.iter().any(|other| other.hash == entry.hash) {
            return Err(failed("this token is on a line before"));
        }
        entries.push(entry);
    }
    if entries.is_empty() { Err(TokensError::Empty) } else { Ok(entries) }
}

fn named(line: &str) -> Result<Entry, &'static str> {
    let parts: Vec<&str> = line.split(':').map(str::trim).collect();
    match parts[..] {
        [name, token] => entry(name, token, Rank::Editor),
        [name, token, ADMIN] => entry(name, token, Rank::Admin),
        _ => Err("write NAME:TOKEN, or NAME:TOKEN:admin"),
    }
}

fn entry(name: &str, token: &str, rank: Rank) -> Result<Entry, &'static str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-._@/+".contains(c);
    if name.is_empty() || name.len() > 100 || !name.chars().all(in_name) {
        return Err("a name has up to 100 letters, digits and -._@/+");
    }
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c)) {
        return Err("a token consists of letters, digits and -._~+/=");
    }
    Ok(Entry { name: name.to_owned(), hash: TokenHash::of(&token.to_owned().into()), rank })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_mins(5);

    fn tokens(text: &str) -> Result<Lists, TokensError> {
        Lists::new(text.into())
    }

    fn owner(tokens: &Lists, token: &str) -> Option<(String, Rank)> {
        tokens.owner(&token.into(), GRACE).map(|actor| (actor.name.unwrap(), actor.rank))
    }

    fn replaced(tokens: &mut Lists, text: &str, ago: Duration) {
        tokens.replace(text.into(), SystemTime::now() - ago);
    }

    #[test]
    fn each_token_has_a_name_and_perhaps_the_mark_of_an_admin() {
        let tokens = tokens("# people\n ada : one \n\nbob:two==:admin\nada:three").unwrap();
        assert_eq!(owner(&tokens, "one"), Some(("ada".to_owned(), Rank::Editor)));
        assert_eq!(owner(&tokens, "two=="), Some(("bob".to_owned(), Rank::Admin)));
        assert_eq!(owner(&tokens, "three"), Some(("ada".to_owned(), Rank::Editor)));
        for wrong in ["", "ada", "ada:one", "One", "admin", "two", "# people"] {
            assert_eq!(owner(&tokens, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_alone_may_do_everything() {
        let tokens = tokens("# ours\nsecret\n").unwrap();
        assert_eq!(owner(&tokens, "secret"), Some((NAMELESS.to_owned(), Rank::Admin)));
    }

    #[test]
    fn a_token_that_was_replaced_is_good_for_the_grace_with_what_its_name_may_do_now() {
        let mut tokens = tokens("ada:one\ngrace:of-grace:admin\nalan:of-alan").unwrap();
        replaced(&mut tokens, "ada:two:admin\ngrace:new", Duration::ZERO);
        assert_eq!(owner(&tokens, "two"), Some(("ada".to_owned(), Rank::Admin)));
        assert_eq!(owner(&tokens, "one"), Some(("ada".to_owned(), Rank::Editor)));
        assert_eq!(owner(&tokens, "of-grace"), Some(("grace".to_owned(), Rank::Editor)));
        assert_eq!(owner(&tokens, "of-alan"), None);
        replaced(&mut tokens, "ada:three", GRACE);
        assert_eq!(owner(&tokens, "two"), None);
    }

    #[test]
    fn a_file_that_is_broken_leaves_the_tokens_as_they_were() {
        let mut tokens = tokens("ada:one").unwrap();
        replaced(&mut tokens, "ada:two words", Duration::ZERO);
        assert_eq!(owner(&tokens, "one"), Some(("ada".to_owned(), Rank::Editor)));
        replaced(&mut tokens, "ada:two", Duration::ZERO);
        assert!(owner(&tokens, "two").is_some() && owner(&tokens, "one").is_some());
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        for (text, line) in [
            ("ada:one\nplanted", 2),
            ("ada:pla nted", 1),
            ("planted\nada:one", 1),
            ("ada:planted:owner", 1),
            ("a:planted\nb:planted", 2),
            (":planted", 1),
            ("a da:planted", 1),
            ("ada:", 1),
            ("pla\u{e4}nted", 1),
        ] {
            let error = tokens(text).unwrap_err();
            assert!(matches!(error, TokensError::Line { line: at, .. } if at == line), "{text}: {error}");
            assert!(!error.to_string().contains("planted"), "{error}");
        }
        assert_eq!(tokens("# nothing").unwrap_err(), TokensError::Empty);
        assert!(!format!("{:?}", tokens("ada:planted").unwrap()).contains("planted"));
    }
}
