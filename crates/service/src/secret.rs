//! Secrets from settings: given directly, or in a file that is read again when it rotates, as Kubernetes rotates the
//! files of Secrets and of service accounts.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bearer::TokenSource;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// How often a file is looked at, at the most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// No token and no private key is longer.
const MAX_BYTES: u64 = 64 << 10;

/// The two settings of a secret, each with flag and variable, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretSetting {
    /// The setting that holds it, as in `--rhdh-token / RHDH_TOKEN`.
    pub value: &'static str,
    /// The setting that names its file.
    pub file: &'static str,
}

/// A secret cannot be taken from the settings.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It is given twice.
    #[error("both {} and {} are set: choose one", .0.value, .0.file)]
    Twice(SecretSetting),
    /// Its file cannot be read.
    #[error("{setting}: {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its file holds none.
    #[error("{setting}: {} {reason}", path.display())]
    Unusable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A secret that may change while it is used. Clones are the same one.
#[derive(Clone)]
pub struct Secret {
    source: Arc<Source>,
}

enum Source {
    Fixed(SecretString),
    File(SecretFile),
}

struct SecretFile {
    path: PathBuf,
    setting: &'static str,
    look_every: Duration,
    seen: Mutex<Seen>,
}

/// What was in the file when it was looked at.
struct Seen {
    current: SecretString,
    previous: Option<Replaced>,
    looked_at: Instant,
    looked_at_time: SystemTime,
    /// Whether the last look failed, so that it is logged once.
    failing: bool,
}

/// A secret that was replaced.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// It.
    pub secret: SecretString,
    /// When, as far as the file tells.
    pub at: SystemTime,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.source {
            Source::Fixed(_) => f.write_str("Secret(given)"),
            Source::File(file) => write!(f, "Secret(in {})", file.path.display()),
        }
    }
}

impl Secret {
    /// A secret that stays what it is.
    pub fn fixed(secret: SecretString) -> Self {
        Self { source: Arc::new(Source::Fixed(secret)) }
    }

    /// The secret that the settings give, if any: `value` itself or the content of `file`, which is read now and looked
    /// at again whenever the secret is used.
    pub fn from_settings(
        value: Option<&SecretString>,
        file: Option<&Path>,
        setting: SecretSetting,
    ) -> Result<Option<Self>, SecretError> {
        let value = value.filter(|value| !value.expose_secret().is_empty());
        match (value, file) {
            (Some(_), Some(_)) => Err(SecretError::Twice(setting)),
            (Some(value), None) => Ok(Some(Self::fixed(value.clone()))),
            (None, Some(file)) => Self::in_file(file, setting.file, LOOK_EVERY).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The secret in a file that is looked at `look_every` so often at the most.
    pub(crate) fn in_file(path: &Path, setting: &'static str, look_every: Duration) -> Result<Self, SecretError> {
        let (current, _) = read(path, setting)?;
        let seen = Seen {
            current,
            previous: None,
            looked_at: Instant::now(),
            looked_at_time: SystemTime::now(),
            failing: false,
        };
        let file = SecretFile { path: path.to_owned(), setting, look_every, seen: Mutex::new(seen) };
        Ok(Self { source: Arc::new(Source::File(file)) })
    }

    /// The secret as it is now. When its file cannot be read any more it stays what it was.
    pub fn current(&self) -> SecretString {
        match &*self.source {
            Source::Fixed(secret) => secret.clone(),
            Source::File(file) => file.look().current.clone(),
        }
    }

    /// What was replaced last, if anything was.
    pub fn previous(&self) -> Option<Replaced> {
        match &*self.source {
            Source::Fixed(_) => None,
            Source::File(file) => file.look().previous.clone(),
        }
    }
}

/// Gives `secret` as it is whenever it is asked, or none where there is none: to the clients of peers, which know nothing
/// of settings.
pub fn source_of(secret: Option<Secret>) -> TokenSource {
    Arc::new(move || secret.as_ref().map(Secret::current))
}

impl SecretFile {
    fn look(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked_at.elapsed() < self.look_every {
            return seen;
        }
        let read = read(&self.path, self.setting);
        let (before, now) = (seen.looked_at_time, SystemTime::now());
        (seen.looked_at, seen.looked_at_time) = (Instant::now(), now);
        match read {
            Ok((secret, modified)) => {
                seen.failing = false;
                if secret.expose_secret() != seen.current.expose_secret() {
                    // A file may claim any time: it was replaced after the last look and before this one.
                    let at = modified.unwrap_or(now).max(before).min(now);
                    let secret = std::mem::replace(&mut seen.current, secret);
                    seen.previous = Some(Replaced { secret, at });
                    tracing::info!(file = %self.path.display(), "{} has rotated", self.setting);
                }
            }
            Err(error) if !seen.failing => {
                seen.failing = true;
                tracing::warn!("the last secret that was read stays in use: {error}");
            }
            Err(_) => {}
        }
        seen
    }
}

fn read(path: &Path, setting: &'static str) -> Result<(SecretString, Option<SystemTime>), SecretError> {
    let unreadable = |source| SecretError::Unreadable { setting, path: path.to_owned(), source };
    let unusable = |reason| SecretError::Unusable { setting, path: path.to_owned(), reason };
    // A pipe would be read once and then block.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unusable("is not a regular file"));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unusable("is too long for a secret"));
    }
    match text.trim() {
        "" => Err(unusable("is empty")),
        secret => Ok((secret.to_owned().into(), metadata.modified().ok())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: SecretSetting = SecretSetting { value: "--token / TOKEN", file: "--token-file / TOKEN_FILE" };

    fn exposed(secret: &Secret) -> String {
        secret.current().expose_secret().to_owned()
    }

    fn always_looking(path: &Path) -> Secret {
        Secret::in_file(path, SETTING.file, Duration::ZERO).unwrap()
    }

    #[test]
    fn a_secret_is_given_directly_or_in_a_file_and_not_in_both() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, " in-file\n").unwrap();
        let (given, empty) = (SecretString::from("given"), SecretString::from(""));
        let from = |value, file| Secret::from_settings(value, file, SETTING);
        assert_eq!(exposed(&from(Some(&given), None).unwrap().unwrap()), "given");
        assert_eq!(exposed(&from(None, Some(&*file)).unwrap().unwrap()), "in-file");
        assert!(from(None, None).unwrap().is_none());
        assert!(from(Some(&empty), None).unwrap().is_none());
        let error = from(Some(&given), Some(&*file)).unwrap_err().to_string();
        assert!(error.contains("TOKEN_FILE") && error.contains("--token /"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error_that_names_it_and_its_setting() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let file = directory.path().join(name);
            std::fs::write(&file, content).unwrap();
            file
        };
        let long = vec![b'x'; 65 << 10];
        for file in [
            directory.path().join("missing"),
            directory.path().to_owned(),
            write("empty", b" \n"),
            write("long", &long),
            write("binary", &[0xff, 0xfe]),
        ] {
            let error = Secret::from_settings(None, Some(&file), SETTING).unwrap_err().to_string();
            assert!(error.contains("TOKEN_FILE") && error.contains(file.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_secret_that_rotates_is_read_again_and_the_one_before_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "one").unwrap();
        let secret = always_looking(&file);
        let source = source_of(Some(secret.clone()));
        assert!(secret.previous().is_none());
        let began = SystemTime::now();
        std::fs::write(&file, "two").unwrap();
        assert_eq!(source().unwrap().expose_secret(), "two");
        let replaced = secret.previous().unwrap();
        assert_eq!(replaced.secret.expose_secret(), "one");
        // File systems cut times off.
        assert!(replaced.at + Duration::from_secs(2) >= began && replaced.at <= SystemTime::now());
    }

    #[test]
    fn kubernetes_swaps_a_symbolic_link() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (version, content) in [("v1", "one"), ("v2", "two")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("token"), content).unwrap();
        }
        std::os::unix::fs::symlink("v1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/token", at("token")).unwrap();
        let secret = always_looking(&at("token"));
        assert_eq!(exposed(&secret), "one");
        std::os::unix::fs::symlink("v2", at("..new")).unwrap();
        std::fs::rename(at("..new"), at("..data")).unwrap();
        assert_eq!(exposed(&secret), "two");
    }

    #[test]
    fn a_file_that_went_away_leaves_the_secret_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "one").unwrap();
        let secret = always_looking(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(exposed(&secret), "one");
        std::fs::write(&file, "").unwrap();
        assert_eq!(exposed(&secret), "one");
        std::fs::write(&file, "two").unwrap();
        assert_eq!(exposed(&secret), "two");
    }

    #[test]
    fn secrets_are_never_printed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "planted").unwrap();
        let (given, read) = (Secret::fixed("planted".into()), always_looking(&file));
        assert!(!format!("{given:?} {read:?}").contains("planted"));
    }
}
