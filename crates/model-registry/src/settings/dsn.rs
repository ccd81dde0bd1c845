//! Where a database server is, in the two forms that the existing server takes.
//!
//! A DSN may hold a password, so no error shows one, or a part of one.

use std::path::PathBuf;
use std::str::FromStr as _;

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use thiserror::Error;

use super::DatabaseSettings;

const MYSQL_PORT: u16 = 3306;

/// The settings name no database.
#[derive(Debug, Error)]
pub enum DsnError {
    /// A server has to be named.
    #[error("--embedmd-database-dsn / MR_EMBEDMD_DATABASE_DSN is missing: say where the database server is")]
    Missing,
    /// An SQLite file needs none.
    #[error(
        "--embedmd-database-dsn / MR_EMBEDMD_DATABASE_DSN is set, but --embedmd-database-type is sqlite: choose postgres or \
         mysql, or leave the DSN out"
    )]
    NotWithSqlite,
    /// The SQLite file can't be kept there.
    #[error("--data-dir / MR_DATA_DIR: {} cannot be made: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not of the form that PostgreSQL's have.
    #[error(
        "--embedmd-database-dsn / MR_EMBEDMD_DATABASE_DSN: it must look like postgresql://user:password@host:5432/database \
         (characters such as `@`, `/` and `#` in a password are written as %40, %2F and %23)"
    )]
    Postgres,
    /// It is not of the form that MySQL's have.
    #[error(
        "--embedmd-database-dsn / MR_EMBEDMD_DATABASE_DSN: it must look like user:password@tcp(host:3306)/database, and what \
         follows a `?` is not looked at except for tls"
    )]
    MySql,
}

/// `postgresql://user:password@host:port/database?parameters`
pub(super) fn postgres(dsn: &str, settings: &DatabaseSettings) -> Result<PgConnectOptions, DsnError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| dsn.starts_with(scheme)) {
        return Err(DsnError::Postgres);
    }
    let mut options = PgConnectOptions::from_str(dsn).map_err(|_| DsnError::Postgres)?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(DsnError::Postgres);
    }
    if let Some(root) = &settings.embedmd_database_ssl_root_cert {
        let verified = settings.embedmd_database_ssl_verify_server_cert;
        let mode = if verified { PgSslMode::VerifyFull } else { PgSslMode::VerifyCa };
        options = options.ssl_root_cert(root).ssl_mode(mode);
    }
    if let (Some(cert), Some(key)) = (&settings.embedmd_database_ssl_cert, &settings.embedmd_database_ssl_key) {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    Ok(options.application_name("model-registry"))
}

/// `user:password@tcp(host:port)/database?parameters`, as Go's driver has it; also `mysql://...`
pub(super) fn mysql(dsn: &str, settings: &DatabaseSettings) -> Result<MySqlConnectOptions, DsnError> {
    let mut options = if dsn.starts_with("mysql://") {
        MySqlConnectOptions::from_str(dsn).map_err(|_| DsnError::MySql)?
    } else {
        of_go(dsn).ok_or(DsnError::MySql)?
    };
    if options.get_database().is_none_or(str::is_empty) {
        return Err(DsnError::MySql);
    }
    if let Some(root) = &settings.embedmd_database_ssl_root_cert {
        let verified = settings.embedmd_database_ssl_verify_server_cert;
        let mode = if verified { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::VerifyCa };
        options = options.ssl_ca(root).ssl_mode(mode);
    }
    if let (Some(cert), Some(key)) = (&settings.embedmd_database_ssl_cert, &settings.embedmd_database_ssl_key) {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    Ok(options)
}

/// The last `/` parts the database from all before it, and the last `@` before that the credentials from the address: either
/// may be in a password, which is not escaped.
fn of_go(dsn: &str) -> Option<MySqlConnectOptions> {
    let (before, behind) = dsn.rsplit_once('/')?;
    let (database, parameters) = behind.split_once('?').unwrap_or((behind, ""));
    let (credentials, address) = before.rsplit_once('@').unwrap_or(("", before));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut options = MySqlConnectOptions::new().database(database);
    if !user.is_empty() {
        options = options.username(user);
    }
    if !password.is_empty() {
        options = options.password(password);
    }
    let (protocol, place) = match address.split_once('(') {
        Some((protocol, place)) => (protocol, place.strip_suffix(')')?),
        None => (address, ""),
    };
    options = match protocol {
        "unix" => options.socket(place),
        "tcp" | "" => match place.rsplit_once(':') {
            Some((host, port)) => options.host(host.trim_matches(['[', ']'])).port(port.parse().ok()?),
            None if place.is_empty() => options,
            None => options.host(place).port(MYSQL_PORT),
        },
        _ => return None,
    };
    let tls = parameters.split('&').find_map(|parameter| parameter.strip_prefix("tls="));
    Some(match tls {
        Some("true") => options.ssl_mode(MySqlSslMode::VerifyIdentity),
        Some("skip-verify") => options.ssl_mode(MySqlSslMode::Required),
        Some("false") => options.ssl_mode(MySqlSslMode::Disabled),
        _ => options,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::of_go;

    #[rstest]
    #[case("root:demo@tcp(db:3307)/metadb?charset=utf8mb4", ("root", "db", 3307, "metadb"))]
    #[case("root:p?ss@tcp(db)/metadb?charset=utf8mb4", ("root", "db", 3306, "metadb"))]
    #[case("root:p@ss/w:rd@tcp(db.ns.svc:3306)/metadb", ("root", "db.ns.svc", 3306, "metadb"))]
    #[case("u@tcp(db)/m", ("u", "db", 3306, "m"))]
    #[case("u:p@tcp([::1]:3306)/m", ("u", "::1", 3306, "m"))]
    fn the_form_of_go_is_understood(#[case] dsn: &str, #[case] expected: (&str, &str, u16, &str)) {
        let options = of_go(dsn).unwrap();
        let found = (
            options.get_username(),
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default(),
        );
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case("")]
    #[case("nothing")]
    #[case("u:p@tcp(db:port)/m")]
    #[case("u:p@tcp(db:3306/m")]
    #[case("u:p@quic(db:3306)/m")]
    fn what_is_no_dsn_is_none(#[case] dsn: &str) {
        assert!(of_go(dsn).is_none_or(|options| options.get_database().is_none_or(str::is_empty)), "{dsn}");
    }
}
