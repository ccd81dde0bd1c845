//! Paths below the destination: they cannot lead out of it.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The longest name of a file that file systems take, in bytes.
const NAME_LIMIT: usize = 255;

/// A path below the destination, with `/` between its names; never empty, never out of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(String);

/// A path cannot be one below the destination.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path:?} cannot be a file below the destination: {reason}")]
pub struct BadPath {
    /// The path, shortened.
    pub path: String,
    /// Why not.
    pub reason: &'static str,
}

impl RelativePath {
    /// Takes a path as storage gives it. A `/` at its beginning and `.` names are dropped, as tar and zip write them.
    pub fn new(path: &str) -> Result<Self, BadPath> {
        let bad = |reason| Err(BadPath { path: path.chars().take(200).collect(), reason });
        if path.contains('\0') {
            return bad("it has a NUL byte");
        }
        let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.is_empty() {
            return bad("it names no file");
        }
        if names.contains(&"..") {
            return bad("it leads upwards with `..`");
        }
        if names.iter().any(|name| name.len() > NAME_LIMIT) {
            return bad("a name in it has more than 255 bytes");
        }
        Ok(Self(names.join("/")))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it is below `directory`.
    pub fn below(&self, directory: &Path) -> PathBuf {
        directory.join(&self.0)
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("model.bin", "model.bin")]
    #[case("/1/model.bin", "1/model.bin")]
    #[case("./a//b/./c", "a/b/c")]
    #[case("a b/ü", "a b/ü")]
    fn paths_below_the_destination_are_taken(#[case] path: &str, #[case] taken: &str) {
        assert_eq!(RelativePath::new(path).unwrap().as_str(), taken);
    }

    #[rstest]
    #[case("../model.bin")]
    #[case("a/../../b")]
    #[case("..")]
    #[case("")]
    #[case("/")]
    #[case(".")]
    #[case("a\0b")]
    fn paths_that_lead_elsewhere_are_not(#[case] path: &str) {
        assert!(RelativePath::new(path).is_err(), "{path:?}");
    }
}
