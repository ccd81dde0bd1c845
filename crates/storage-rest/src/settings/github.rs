//! Which GitHub repository keeps the entries, and who the bridge is there.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use service::Secret;
use service::http_client::TlsSettings;
use service::secret::{SecretError, SecretSetting};
use service::settings::{GoDuration, http_url, secret};
use thiserror::Error;
use url::Url;

use crate::store::github::{App, Author, Credentials, GithubOptions, Prefix, Repository, Retries};

/// An upsert is answered when its commit is made, and clients wait for 30 s.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

const TOKEN: SecretSetting = SecretSetting {
    value: "--storage-github-token / STORAGE_GITHUB_TOKEN",
    file: "--storage-github-token-file / STORAGE_GITHUB_TOKEN_FILE",
};
const APP_KEY: SecretSetting =
    SecretSetting { value: "", file: "--storage-github-app-key-file / STORAGE_GITHUB_APP_KEY_FILE" };

/// What the storage type GitHub needs.
#[derive(Debug, Clone, Args)]
#[group(id = "storage_github")]
pub struct GithubSettings {
    /// The GitHub repository of the storage type GitHub
    #[arg(
        long = "storage-github-repository",
        env = "STORAGE_GITHUB_REPOSITORY",
        value_name = "OWNER/NAME",
        value_parser = repository,
        help_heading = "GitHub storage"
    )]
    pub repository: Option<Repository>,

    /// The branch, made when it is missing [default: the repository's default branch]
    #[arg(
        long = "storage-github-branch",
        env = "STORAGE_GITHUB_BRANCH",
        value_name = "BRANCH",
        value_parser = branch,
        help_heading = "GitHub storage"
    )]
    pub branch: Option<String>,

    /// The directory in the repository; `/` for all of it
    #[arg(
        long = "storage-github-path",
        env = "STORAGE_GITHUB_PATH",
        value_name = "PATH",
        default_value = "model-catalog",
        help_heading = "GitHub storage"
    )]
    pub path: Prefix,

    /// The REST API; of a GitHub Enterprise Server https://HOST/api/v3
    #[arg(
        long = "storage-github-api-url",
        env = "STORAGE_GITHUB_API_URL",
        value_name = "URL",
        value_parser = http_url,
        default_value = "https://api.github.com",
        help_heading = "GitHub storage"
    )]
    pub api_url: Url,

    /// A PEM file, or a directory of them, with certificates to trust in GitHub's, besides the system's
    #[arg(long = "storage-github-ca", env = "STORAGE_GITHUB_CA", value_name = "FILE", help_heading = "GitHub storage")]
    pub ca: Option<PathBuf>,

    /// A token that may write the repository's contents
    #[arg(
        long = "storage-github-token",
        env = "STORAGE_GITHUB_TOKEN",
        value_name = "TOKEN",
        value_parser = secret,
        hide_env_values = true,
        help_heading = "GitHub storage"
    )]
    pub token: Option<SecretString>,

    /// A file with that token, read again when it changes
    #[arg(
        long = "storage-github-token-file",
        env = "STORAGE_GITHUB_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "GitHub storage"
    )]
    pub token_file: Option<PathBuf>,

    /// The id or client id of a GitHub App, in place of a token
    #[arg(
        long = "storage-github-app-id",
        env = "STORAGE_GITHUB_APP_ID",
        value_name = "ID",
        help_heading = "GitHub storage"
    )]
    pub app_id: Option<String>,

    /// The id of the App's installation [default: the one that has the repository]
    #[arg(
        long = "storage-github-app-installation-id",
        env = "STORAGE_GITHUB_APP_INSTALLATION_ID",
        value_name = "ID",
        help_heading = "GitHub storage"
    )]
    pub app_installation_id: Option<u64>,

    /// A file with the App's private key (PEM), read again when it changes
    #[arg(
        long = "storage-github-app-key-file",
        env = "STORAGE_GITHUB_APP_KEY_FILE",
        value_name = "FILE",
        help_heading = "GitHub storage"
    )]
    pub app_key_file: Option<PathBuf>,

    /// The author of commits [default: whoever the token is of]
    #[arg(
        long = "storage-github-author",
        env = "STORAGE_GITHUB_AUTHOR",
        value_name = "NAME <EMAIL>",
        value_parser = author,
        help_heading = "GitHub storage"
    )]
    pub author: Option<Author>,

    /// The least time from one commit to the next, at most 5s; upserts that come meanwhile share the next one
    #[arg(
        long = "storage-github-commit-interval",
        env = "STORAGE_GITHUB_COMMIT_INTERVAL",
        value_name = "DURATION",
        value_parser = commit_interval,
        default_value = "3s",
        help_heading = "GitHub storage"
    )]
    pub commit_interval: GoDuration,
}

/// The settings of the storage type GitHub do not go together.
#[derive(Debug, Error)]
pub enum GithubSettingsError {
    /// One is missing.
    #[error("STORAGE_TYPE is GitHub, but {what} is not set: set {setting}")]
    Missing {
        /// What it would say.
        what: &'static str,
        /// The setting.
        setting: &'static str,
    },
    /// There are two ways to be someone.
    #[error("both a token and a GitHub App are set: choose STORAGE_GITHUB_TOKEN (or _FILE) or STORAGE_GITHUB_APP_ID")]
    Both,
    /// A token or a key.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl GithubSettings {
    /// What the store is opened with.
    pub fn options(&self) -> Result<GithubOptions, GithubSettingsError> {
        let repository = self.repository.clone().ok_or(GithubSettingsError::Missing {
            what: "the repository",
            setting: "--storage-github-repository / STORAGE_GITHUB_REPOSITORY to OWNER/NAME",
        })?;
        Ok(GithubOptions {
            api: self.api_url.clone(),
            tls: TlsSettings { ca_file: self.ca.clone(), ..TlsSettings::default() },
            repository,
            branch: self.branch.clone(),
            prefix: self.path.clone(),
            credentials: self.credentials()?,
            author: self.author.clone(),
            commit_interval: self.commit_interval.0,
            retries: Retries::default(),
        })
    }

    fn credentials(&self) -> Result<Credentials, GithubSettingsError> {
        let token = Secret::from_settings(self.token.as_ref(), self.token_file.as_deref(), TOKEN)?;
        match (token, &self.app_id) {
            (Some(_), Some(_)) => Err(GithubSettingsError::Both),
            (Some(token), None) => Ok(Credentials::Token(token)),
            (None, Some(id)) => {
                let missing = GithubSettingsError::Missing { what: "the App's private key", setting: APP_KEY.file };
                let key = Secret::from_settings(None, self.app_key_file.as_deref(), APP_KEY)?.ok_or(missing)?;
                Ok(Credentials::App(App { id: id.clone(), installation: self.app_installation_id, key }))
            }
            (None, None) => Err(GithubSettingsError::Missing {
                what: "who the bridge is to GitHub",
                setting: "STORAGE_GITHUB_TOKEN, STORAGE_GITHUB_TOKEN_FILE, or STORAGE_GITHUB_APP_ID and \
                          STORAGE_GITHUB_APP_KEY_FILE",
            }),
        }
    }
}

fn repository(text: &str) -> Result<Repository, &'static str> {
    let allowed = |part: &str| {
        let characters = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        !matches!(part, "" | "." | "..") && characters
    };
    match text.trim().split_once('/') {
        Some((owner, name)) if allowed(owner) && allowed(name) => {
            Ok(Repository { owner: owner.to_owned(), name: name.to_owned() })
        }
        _ => Err("write OWNER/NAME, as in example/model-catalog"),
    }
}

fn branch(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none();
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !"~^:?*[\\".contains(c);
    let is_name = text.split('/').all(is_part) && text.chars().all(allowed) && !text.contains("..");
    if is_name { Ok(text.to_owned()) } else { Err("write the name of a branch, as in main") }
}

fn author(text: &str) -> Result<Author, &'static str> {
    let parts = text.trim().strip_suffix('>').and_then(|text| text.split_once('<'));
    match parts.map(|(name, email)| (name.trim(), email.trim())) {
        Some((name, email)) if !name.is_empty() && email.contains('@') && !email.contains('<') => {
            Ok(Author { name: name.to_owned(), email: email.to_owned() })
        }
        _ => Err("write a name and an e-mail address, as in Model Catalog Bridge <bridge@example.com>"),
    }
}

fn commit_interval(text: &str) -> Result<GoDuration, String> {
    let interval: GoDuration = text.parse().map_err(|error: service::settings::DurationError| error.to_string())?;
    if interval.0 > LONGEST_INTERVAL {
        return Err("an upsert waits for its commit, and its sender not for ever: at most 5s".to_owned());
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    const REPOSITORY: [&str; 2] = ["--storage-github-repository", "example/models"];

    fn parse(args: &[&str]) -> Result<GithubSettings, String> {
        let args = ["storage-rest", "--storage-type", "GitHub"].iter().chain(args).copied();
        let settings: Result<Settings, _> = service::settings::try_parse_from(args, |_| None);
        settings.map(|settings| settings.storage.github).map_err(|error| error.to_string())
    }

    fn options(args: &[&str]) -> Result<GithubOptions, String> {
        let args = [REPOSITORY.as_slice(), args].concat();
        parse(&args)?.options().map_err(|error| error.to_string())
    }

    #[test]
    fn a_repository_and_a_token_are_enough() {
        let options = options(&["--storage-github-token", "planted"]).unwrap();
        assert_eq!(options.repository.to_string(), "example/models");
        assert_eq!(options.api.as_str(), "https://api.github.com/");
        assert_eq!((options.branch, options.author), (None, None));
        assert_eq!(options.prefix, "model-catalog".parse().unwrap());
        assert!(matches!(options.credentials, Credentials::Token(_)));
        assert_eq!(options.commit_interval, Duration::from_secs(3));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse(&[]).unwrap().options().unwrap_err().to_string();
        assert!(error.contains("STORAGE_GITHUB_REPOSITORY") && error.contains("STORAGE_TYPE"), "{error}");
        let error = options(&[]).unwrap_err();
        assert!(error.contains("STORAGE_GITHUB_TOKEN") && error.contains("STORAGE_GITHUB_APP_ID"), "{error}");
        let error = options(&["--storage-github-app-id", "1"]).unwrap_err();
        assert!(error.contains("STORAGE_GITHUB_APP_KEY_FILE"), "{error}");
        let error = options(&["--storage-github-token-file", "/nowhere/token"]).unwrap_err();
        assert!(error.contains("STORAGE_GITHUB_TOKEN_FILE") && error.contains("/nowhere/token"), "{error}");
    }

    #[test]
    fn one_is_either_a_token_or_an_app() {
        let error = options(&["--storage-github-token", "planted", "--storage-github-app-id", "1"]).unwrap_err();
        assert!(error.contains("choose") && !error.contains("planted"), "{error}");
        let error = options(&["--storage-github-token", "planted", "--storage-github-token-file", "x"]).unwrap_err();
        assert!(error.contains("choose") && !error.contains("planted"), "{error}");
    }

    #[test]
    fn what_is_no_repository_branch_author_or_interval_is_refused_by_name() {
        for (flag, variable, values) in [
            (
                "--storage-github-repository",
                "STORAGE_GITHUB_REPOSITORY",
                ["models", "a/b/c", "a/..", "a b/c"].as_slice(),
            ),
            ("--storage-github-branch", "STORAGE_GITHUB_BRANCH", &["a b", "a..b", "/a", "a:b", "x.lock"]),
            ("--storage-github-path", "STORAGE_GITHUB_PATH", &["../x", "a//b", ".git"]),
            ("--storage-github-api-url", "STORAGE_GITHUB_API_URL", &["api.github.com", "ftp://x"]),
            ("--storage-github-author", "STORAGE_GITHUB_AUTHOR", &["Bridge", "<a@b>", "Bridge <a>"]),
            ("--storage-github-commit-interval", "STORAGE_GITHUB_COMMIT_INTERVAL", &["6s", "soon"]),
            ("--storage-github-app-installation-id", "STORAGE_GITHUB_APP_INSTALLATION_ID", &["mine"]),
        ] {
            for value in values {
                let error = parse(&[flag, value]).unwrap_err();
                assert!(error.contains(flag) && error.contains(variable), "{value}: {error}");
            }
        }
        let author = options(&["--storage-github-token", "x", "--storage-github-author", "A B <a@b.example>"]);
        let (name, email) = ("A B".to_owned(), "a@b.example".to_owned());
        assert_eq!(author.unwrap().author, Some(Author { name, email }));
    }

    #[test]
    fn tokens_are_never_printed() {
        let settings = parse(&["--storage-github-token", "planted"]).unwrap();
        let options = options(&["--storage-github-token", "planted"]).unwrap();
        assert!(!format!("{settings:?} {options:?}").contains("planted"));
    }
}
