//! What can be set. The flags and variables of the existing server's containers are taken as they are, because its operator
//! sets them.

use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use service::settings::{http_url, secret};
use service::telemetry::LogSettings;
use service::tls::ServerTlsSettings;
use url::Url;

use crate::database::Place;

mod access;
mod dsn;
mod import;
pub(crate) mod peer;
mod reconcile;

pub use access::{AccessSettings, ServiceName, ServiceNameError};
pub use dsn::DsnError;
pub use import::{ImportSettings, SourceSettings};
pub use reconcile::ReconcileSettings;

const DATASTORE: &str = "embedmd";
const BODY_LIMIT: usize = 4 << 20;

/// A model registry: the REST API of Kubeflow's, on an embedded SQLite file or on a database server.
#[derive(Debug, Parser)]
#[command(name = "model-registry", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the registry
    Proxy(Box<ProxySettings>),
    /// Serve the model catalog alone, from files
    Catalog(Box<CatalogSettings>),
    /// Bring the tables of the database up to date, and end
    Migrate(Box<MigrateSettings>),
    /// Fill a registry with what a file describes: what is there already is brought up to date
    Seed(Box<SeedSettings>),
    /// Record in a registry what KServe serves, and keep it up to date
    Reconcile(Box<ReconcileSettings>),
    /// Write all that the registry holds, as JSON lines
    Export(Box<ExportSettings>),
    /// Read what `export` wrote, or another registry, into an empty database
    Import(Box<ImportSettings>),
}

/// What the registry that is served can be told.
#[derive(Debug, Clone, Args)]
pub struct ProxySettings {
    /// The address to listen on: 0.0.0.0 for all of the machine's. Whoever reaches it may read and write, unless it asks for
    /// a token
    #[arg(long, env = "MR_HOSTNAME", default_value = "localhost", value_parser = hostname)]
    pub hostname: IpAddr,

    /// The port to listen on
    #[arg(long, env = "MR_PORT", default_value_t = 8080)]
    pub port: u16,

    /// What keeps the registry: only `embedmd`, which says that this program does; for containers of the existing server
    #[arg(long, env = "MR_DATASTORE_TYPE", default_value = DATASTORE, value_parser = [DATASTORE], hide = true)]
    pub datastore_type: String,

    /// The largest request body to take, in bytes
    #[arg(long, env = "MR_BODY_LIMIT", default_value_t = BODY_LIMIT)]
    pub body_limit: usize,

    /// A file of catalog sources: the model catalog is served beside the registry
    #[arg(long, env = "MR_CATALOGS_PATH")]
    pub catalogs_path: Option<PathBuf>,

    /// Where the registry is kept
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Who may use it
    #[command(flatten)]
    pub access: AccessSettings,

    /// HTTPS
    #[command(flatten)]
    pub tls: ServerTlsSettings,

    /// What is logged and how
    #[command(flatten)]
    pub log: LogSettings,
}

/// What the catalog that is served alone can be told.
#[derive(Debug, Clone, Args)]
pub struct CatalogSettings {
    /// The address to listen on: 0.0.0.0 for all of the machine's
    #[arg(long, env = "MR_HOSTNAME", default_value = "localhost", value_parser = hostname)]
    pub hostname: IpAddr,

    /// The port to listen on
    #[arg(long, env = "MR_PORT", default_value_t = 8080)]
    pub port: u16,

    /// The file of sources
    #[arg(long, env = "MR_CATALOGS_PATH", default_value = "sources.yaml")]
    pub catalogs_path: PathBuf,

    /// HTTPS
    #[command(flatten)]
    pub tls: ServerTlsSettings,

    /// What is logged and how
    #[command(flatten)]
    pub log: LogSettings,
}

/// What `migrate` can be told.
#[derive(Debug, Clone, Args)]
pub struct MigrateSettings {
    /// Where the registry is kept
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// What is logged and how
    #[command(flatten)]
    pub log: LogSettings,
}

/// What `seed` can be told.
#[derive(Debug, Clone, Args)]
pub struct SeedSettings {
    /// The file, in YAML; `-` is standard input
    pub file: PathBuf,

    /// The registry to fill, over its REST API; without it, the database that the other settings name
    #[arg(long, env = "MR_URL", value_parser = http_url)]
    pub url: Option<Url>,

    /// A file with the bearer token to send to it
    #[arg(long, env = "MR_TOKEN_FILE", requires = "url")]
    pub token_file: Option<PathBuf>,

    /// A PEM file, or a directory of them, with certificates to trust in it, besides the system's
    #[arg(long, env = "MR_CA", requires = "url")]
    pub ca: Option<PathBuf>,

    /// Where the registry is kept, and what is logged
    #[command(flatten)]
    pub common: MigrateSettings,
}

/// What `export` can be told.
#[derive(Debug, Clone, Args)]
pub struct ExportSettings {
    /// The file to write, which must not be there yet; `-` is standard output
    #[arg(default_value = "-")]
    pub file: PathBuf,

    /// Where the registry is kept, and what is logged
    #[command(flatten)]
    pub common: MigrateSettings,
}

/// Where the registry is kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// Which database keeps the registry
    #[arg(long, env = "MR_EMBEDMD_DATABASE_TYPE", value_enum, default_value_t)]
    pub embedmd_database_type: DatabaseType,

    /// Where the database server is: postgresql://user:password@host:port/database, or
    /// user:password@tcp(host:port)/database for MySQL and MariaDB
    #[arg(long, env = "MR_EMBEDMD_DATABASE_DSN", hide_env_values = true, value_name = "DSN", value_parser = secret)]
    pub embedmd_database_dsn: Option<SecretString>,

    /// The directory of the SQLite file, `model-registry.sqlite`
    #[arg(long, env = "MR_DATA_DIR", default_value = ".")]
    pub data_dir: PathBuf,

    /// A PEM file with the certificates to trust in the database server
    #[arg(long, env = "MR_EMBEDMD_DATABASE_SSL_ROOT_CERT", alias = "embedmd-database-ssl-ca")]
    pub embedmd_database_ssl_root_cert: Option<PathBuf>,

    /// A PEM file with the certificate to show the database server
    #[arg(long, env = "MR_EMBEDMD_DATABASE_SSL_CERT", requires = "embedmd_database_ssl_key")]
    pub embedmd_database_ssl_cert: Option<PathBuf>,

    /// A PEM file with the key of that certificate
    #[arg(long, env = "MR_EMBEDMD_DATABASE_SSL_KEY", requires = "embedmd_database_ssl_cert")]
    pub embedmd_database_ssl_key: Option<PathBuf>,

    /// Whether the database server's name has to be that of its certificate
    #[arg(
        long, env = "MR_EMBEDMD_DATABASE_SSL_VERIFY_SERVER_CERT", value_name = "BOOL", default_value_t = true,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub embedmd_database_ssl_verify_server_cert: bool,
}

/// Which database keeps the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DatabaseType {
    /// A file, with nothing else to run
    #[default]
    Sqlite,
    /// A PostgreSQL server
    Postgres,
    /// A MySQL or MariaDB server
    Mysql,
}

/// The name of the SQLite file.
const FILE: &str = "model-registry.sqlite";

impl ProxySettings {
    /// Those of a registry that only this machine reaches, at any free port, over HTTP.
    pub fn here(database: DatabaseSettings, log: LogSettings) -> Self {
        Self {
            hostname: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            datastore_type: DATASTORE.to_owned(),
            body_limit: BODY_LIMIT,
            catalogs_path: None,
            database,
            access: AccessSettings::default(),
            tls: ServerTlsSettings::default(),
            log,
        }
    }

    /// Where to listen.
    pub const fn listen_address(&self) -> SocketAddr {
        SocketAddr::new(self.hostname, self.port)
    }
}

impl DatabaseSettings {
    /// An SQLite file in that directory.
    pub fn sqlite_in(directory: &Path) -> Self {
        Self {
            embedmd_database_type: DatabaseType::Sqlite,
            embedmd_database_dsn: None,
            data_dir: directory.to_owned(),
            embedmd_database_ssl_root_cert: None,
            embedmd_database_ssl_cert: None,
            embedmd_database_ssl_key: None,
            embedmd_database_ssl_verify_server_cert: true,
        }
    }

    /// Where the database is. The directory of an SQLite file is made if it is missing.
    pub fn place(&self) -> Result<Place, DsnError> {
        let dsn =
            || self.embedmd_database_dsn.as_ref().map(|dsn| dsn.expose_secret().trim()).filter(|dsn| !dsn.is_empty());
        match self.embedmd_database_type {
            DatabaseType::Sqlite => {
                if dsn().is_some() {
                    return Err(DsnError::NotWithSqlite);
                }
                std::fs::create_dir_all(&self.data_dir)
                    .map_err(|source| DsnError::DataDir { path: self.data_dir.clone(), source })?;
                Ok(Place::Sqlite(self.data_dir.join(FILE)))
            }
            DatabaseType::Postgres => {
                dsn::postgres(dsn().ok_or(DsnError::Missing)?, self).map(|options| Place::Postgres(Box::new(options)))
            }
            DatabaseType::Mysql => {
                dsn::mysql(dsn().ok_or(DsnError::Missing)?, self).map(|options| Place::MySql(Box::new(options)))
            }
        }
    }
}

fn hostname(text: &str) -> Result<IpAddr, AddrParseError> {
    if text == "localhost" { Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { text.parse() }
}
