//! The URL of a database, as `DATABASE_URL` gives it.
//!
//! It may hold a password, so nothing here shows a URL, or a part of one that may be a password in the wrong place.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use service::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;
use thiserror::Error;
use url::Url;

/// The parameters that a PostgreSQL URL may have.
const PARAMETERS: [&str; 13] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// A database that a URL names.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(PostgresDatabase),
}

/// A database of a PostgreSQL server; as text it is its host and its name.
#[derive(Clone)]
pub struct PostgresDatabase {
    options: Box<PgConnectOptions>,
    source: Secret,
    /// What the options were made of.
    url: SecretString,
}

/// A URL names no database that entries can be kept in.
#[derive(Debug, Error)]
pub enum DatabaseUrlError {
    /// It is of something else.
    #[error("it must begin with `sqlite:`, `postgres:` or `postgresql:`")]
    Scheme,
    /// Entries in memory would be gone with the process.
    #[error("an SQLite database in memory keeps nothing; name a file, as in sqlite:/data/bridge.sqlite")]
    InMemory,
    /// SQLite is set up as the bridge needs it.
    #[error("an SQLite URL is `sqlite:` and the path of a file, without parameters")]
    NotAFile,
    /// It can't be taken apart.
    #[error("it is no URL: {0} (characters such as `@`, `/` and `#` in a password are written as %40, %2F and %23)")]
    Syntax(#[from] url::ParseError),
    /// It has no path.
    #[error("it names no database, as in postgres://user@host:5432/database")]
    NoDatabase,
    /// It would be left out of account.
    #[error("it has a parameter that is not known; known are {}", PARAMETERS.join(", "))]
    Parameter,
    /// A parameter has a value that is none.
    #[error("{0}")]
    Value(String),
}

impl DatabaseUrl {
    /// Takes a URL apart. One of a server may change while it is used, as passwords do.
    pub fn parse(source: &Secret) -> Result<Self, DatabaseUrlError> {
        let url = source.current();
        let text = url.expose_secret().trim();
        match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => sqlite_file(text).map(Self::Sqlite),
            Some("postgres" | "postgresql") => {
                let options = Box::new(postgres_options(text)?);
                Ok(Self::Postgres(PostgresDatabase { options, source: source.clone(), url }))
            }
            _ => Err(DatabaseUrlError::Scheme),
        }
    }
}

fn sqlite_file(text: &str) -> Result<PathBuf, DatabaseUrlError> {
    if text.contains(":memory:") {
        return Err(DatabaseUrlError::InMemory);
    }
    let options = SqliteConnectOptions::from_str(text).map_err(|_| DatabaseUrlError::NotAFile)?;
    let file = options.get_filename().to_owned();
    if text.contains('?') || file.as_os_str().is_empty() {
        return Err(DatabaseUrlError::NotAFile);
    }
    Ok(file)
}

fn postgres_options(text: &str) -> Result<PgConnectOptions, DatabaseUrlError> {
    let url: Url = text.parse()?;
    let mut parameters = url.query_pairs();
    if !parameters.all(|(name, _)| PARAMETERS.contains(&&*name) || name.starts_with("options[")) {
        return Err(DatabaseUrlError::Parameter);
    }
    let mut options = PgConnectOptions::from_str(text).map_err(|error| match error {
        sqlx::Error::Configuration(reason) => DatabaseUrlError::Value(reason.to_string()),
        _ => DatabaseUrlError::Value("it has a parameter whose value is none".to_owned()),
    })?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(DatabaseUrlError::NoDatabase);
    }
    if options.get_application_name().is_none() {
        options = options.application_name("model-catalog-bridge");
    }
    let says_how = url.query_pairs().any(|(name, _)| name == "sslmode") || std::env::var_os("PGSSLMODE").is_some();
    if !says_how && !is_on_this_machine(&options) {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    Ok(options)
}

impl PostgresDatabase {
    /// What to connect with, as the setting says it now; what can't be understood any more changes nothing.
    pub(super) fn current_options(&self) -> PgConnectOptions {
        let now = self.source.current();
        if now.expose_secret() == self.url.expose_secret() {
            return (*self.options).clone();
        }
        match postgres_options(now.expose_secret().trim()) {
            Ok(options) => options,
            Err(error) => {
                tracing::warn!("the URL of {self} has changed to one that can't be used: {error}");
                (*self.options).clone()
            }
        }
    }

    /// What is to be said about a connection over which others may read or write; `None` where nothing is.
    pub fn warning(&self) -> Option<&'static str> {
        if is_on_this_machine(&self.options) {
            return None;
        }
        match self.options.get_ssl_mode() {
            PgSslMode::VerifyFull => None,
            PgSslMode::VerifyCa => Some("sslmode=verify-ca takes the certificate of any host that its authority knows"),
            PgSslMode::Require => Some("sslmode=require takes any certificate: use verify-full"),
            PgSslMode::Prefer => Some("sslmode=prefer takes any certificate, or none: use verify-full"),
            PgSslMode::Disable | PgSslMode::Allow => {
                Some("entries and the password's proof go over the network as they are: use sslmode=verify-full")
            }
        }
    }
}

impl fmt::Display for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        match self.options.get_socket() {
            Some(socket) => write!(f, "the PostgreSQL database {database} at {}", socket.display()),
            None => write!(f, "the PostgreSQL database {database} on {}", self.options.get_host()),
        }
    }
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresDatabase({self})")
    }
}

fn is_on_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
        DatabaseUrl::parse(&Secret::fixed(text.into()))
    }

    fn postgres(text: &str) -> PostgresDatabase {
        match parse(text).unwrap() {
            DatabaseUrl::Postgres(database) => database,
            DatabaseUrl::Sqlite(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn sqlite_urls_name_files() {
        for (text, file) in [
            ("sqlite:bridge.sqlite", "bridge.sqlite"),
            ("sqlite:/data/bridge.sqlite", "/data/bridge.sqlite"),
            ("sqlite:///data/bridge.sqlite", "/data/bridge.sqlite"),
            ("sqlite:///data/a%20b.sqlite", "/data/a b.sqlite"),
        ] {
            assert!(matches!(parse(text), Ok(DatabaseUrl::Sqlite(path)) if path == *file), "{text}");
        }
        assert!(matches!(parse("sqlite::memory:"), Err(DatabaseUrlError::InMemory)));
        for text in ["sqlite:", "sqlite:a.sqlite?mode=ro", "sqlite:a.sqlite?mode=sideways"] {
            assert!(matches!(parse(text), Err(DatabaseUrlError::NotAFile)), "{text}");
        }
    }

    #[test]
    fn what_is_shown_of_a_server_is_its_host_and_the_database() {
        let database = postgres("postgres://bridge:planted-1@db.example.com:6432/models?password=planted-2");
        assert_eq!(database.to_string(), "the PostgreSQL database models on db.example.com");
        assert_eq!(format!("{database:?}"), "PostgresDatabase(the PostgreSQL database models on db.example.com)");
        let socket = postgres("postgresql:///models?host=/run/postgresql");
        assert_eq!(socket.to_string(), "the PostgreSQL database models at /run/postgresql");
    }

    #[test]
    fn certificates_are_verified_unless_the_url_says_otherwise_and_that_is_said() {
        assert_eq!(postgres("postgres://db.example.com/models").warning(), None);
        assert_eq!(postgres("postgres://127.0.0.1/models?sslmode=disable").warning(), None);
        for mode in ["disable", "prefer", "require", "verify-ca"] {
            let warning = postgres(&format!("postgres://db.example.com/models?sslmode={mode}")).warning();
            assert!(warning.unwrap().contains("sslmode="), "{mode}");
        }
    }

    #[test]
    fn a_url_that_can_t_work_is_refused_without_being_shown() {
        for (text, said) in [
            ("mysql://u:planted@host/db", "must begin with"),
            ("planted", "must begin with"),
            ("postgres://u:plan/ted@host:port/db", "no URL"),
            ("postgres://u:planted@host", "names no database"),
            ("postgres://u@host/db?pasword=planted", "not known"),
            ("postgres://u:planted@host/db?sslmode=off", "ssl_mode"),
        ] {
            let error = parse(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(said), "{text}: {shown}");
            assert!(!shown.contains("planted"), "{shown}");
        }
    }
}
