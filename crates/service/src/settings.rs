//! Settings: every one is a flag and an environment variable, checked before anything starts.
//!
//! A service derives [`clap::Parser`] for its settings and gives `long` and `env` for each; what is here are the types
//! and parsers that clap has none for, and [`parse`], which adds three rules: a variable that is set but empty counts
//! as unset, `--help` never shows the values of variables, and an error names both the flag and the variable.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::str::FromStr;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, Parser};
use secrecy::SecretString;
use thiserror::Error;
use url::Url;

mod duration;

pub use duration::{DurationError, GoDuration, positive_duration};

/// Reads the settings from the command line and the environment; ends the process with a message when they are wrong
/// (status 2) or when `--help` was asked for (status 0).
pub fn parse<T: Parser>() -> T {
    try_parse_from(std::env::args_os(), |name| std::env::var_os(name)).unwrap_or_else(|error| error.exit())
}

/// Reads the settings from `args`, whose first is the program's name. `variables` only tells which variables are
/// empty; the values come from the environment of the process.
pub fn try_parse_from<T, I, A>(args: I, variables: impl Fn(&OsStr) -> Option<OsString>) -> Result<T, clap::Error>
where
    T: Parser,
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let mut command = checked(T::command(), &variables);
    let matches = command.try_get_matches_from_mut(args).map_err(naming_the_setting::<T>)?;
    T::from_arg_matches(&matches).map_err(|error| naming_the_setting::<T>(error.format(&mut command)))
}

fn checked(command: Command, variables: &impl Fn(&OsStr) -> Option<OsString>) -> Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(variables).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| {
            let arg = if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg };
            arg.hide_env_values(true)
        })
        .mut_subcommands(|subcommand| checked(subcommand, variables))
}

/// Adds to an error about an argument by which flag and which variable it is set, and takes credentials out of it.
fn naming_the_setting<T: Parser>(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let shown = without_credentials(value);
        error.insert(ContextKind::InvalidValue, ContextValue::String(shown));
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    // A fresh command, because the one that was parsed with no longer knows the variables that are empty.
    let mut command = T::command();
    command.build();
    let Some(variable) = variable_of(&command, shown) else {
        return error;
    };
    let flag = shown.split_whitespace().next().unwrap_or(shown).to_owned();
    let tip = format!("this is set by the flag {flag} or by the environment variable {variable}");
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

/// A value that was refused, as it may be shown: of URLs in it, and of what was meant as one, without what is before
/// the `@`.
fn without_credentials(value: &str) -> String {
    let shown = |item: &str| match item.rsplit_once('@') {
        None => item.to_owned(),
        Some((before, after)) => {
            let kept = before.find("://").map_or(0, |at| at + "://".len());
            format!("{}***@{after}", &before[..kept])
        }
    };
    value.split(',').map(shown).collect::<Vec<_>>().join(",")
}

fn variable_of(command: &Command, shown: &str) -> Option<String> {
    let own = command.get_arguments().find(|arg| arg.to_string() == shown);
    let own = own.and_then(Arg::get_env).map(|name| name.to_string_lossy().into_owned());
    own.or_else(|| command.get_subcommands().find_map(|subcommand| variable_of(subcommand, shown)))
}

/// A value parser for tokens and passwords. It takes anything, because an error would repeat it.
pub fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.trim().to_owned().into())
}

/// A value parser for the base URL of a peer: http or https, with a host, without credentials: URLs are logged, tokens
/// have settings of their own.
pub fn http_url(text: &str) -> Result<Url, HttpUrlError> {
    let url: Url = text.trim().parse()?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(HttpUrlError::Credentials);
    }
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(HttpUrlError::Scheme),
    }
}

/// A text is no URL of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpUrlError {
    /// It is no URL at all.
    #[error("it is not a URL ({0}); it must look like http://host:port")]
    Syntax(#[from] url::ParseError),
    /// It is a URL of something else.
    #[error("it must begin with http:// or https:// and name a host")]
    Scheme,
    /// It holds a user name or a password.
    #[error("it must not carry credentials: tokens have settings of their own")]
    Credentials,
}

/// A list whose items are separated by commas. White space around items and empty items do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommaList<T>(pub Vec<T>);

impl<T> Default for CommaList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: FromStr> FromStr for CommaList<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl<T: fmt::Display> fmt::Display for CommaList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
