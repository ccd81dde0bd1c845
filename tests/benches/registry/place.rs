//! The databases in which the registry is measured, and the registry as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser as _;
use model_registry::database::Database;
use model_registry::settings::{Cli, Command};
use system_tests::{Process, Settings, port};
use tempfile::TempDir;
use testkit::mariadb::{self, MariaDbServer};
use testkit::postgres::PostgresServer;
use url::Url;

use crate::client::Client;

/// A database server, or none for a file.
pub(crate) enum Server {
    None,
    Postgres(PostgresServer),
    MariaDb(MariaDbServer),
}

/// A database of a server.
pub(crate) struct Place<'s> {
    server: &'s Server,
    settings: Settings,
    /// The name of the database.
    name: String,
    _directory: TempDir,
}

impl Server {
    /// Those that can be had; they keep what they were given as they would where it matters.
    pub(crate) fn all() -> Vec<(&'static str, Self)> {
        let postgres = PostgresServer::start_durable().map(|server| ("PostgreSQL", Self::Postgres(server)));
        let mariadb = MariaDbServer::start().map(|server| {
            server.sql("mysql", "SET GLOBAL innodb_flush_log_at_trx_commit = 1").unwrap();
            ("MariaDB", Self::MariaDb(server))
        });
        [Some(("SQLite", Self::None)), postgres, mariadb].into_iter().flatten().collect()
    }

    /// A new database, without tables.
    pub(crate) fn database(&self) -> Place<'_> {
        let directory = tempfile::tempdir().unwrap();
        let (kind, dsn, name) = match self {
            Self::None => ("sqlite", None, String::new()),
            Self::Postgres(server) => {
                let database = server.database();
                ("postgres", Some(database.url()), database.name().to_owned())
            }
            Self::MariaDb(server) => {
                let url = Url::parse(&server.database()).unwrap();
                let name = url.path().trim_start_matches('/').to_owned();
                let (account, password, port) = (mariadb::ACCOUNT, mariadb::PASSWORD, url.port().unwrap());
                ("mysql", Some(format!("{account}:{password}@tcp(127.0.0.1:{port})/{name}?charset=utf8mb4")), name)
            }
        };
        let mut settings = Settings::from([
            ("MR_HOSTNAME".to_owned(), "127.0.0.1".to_owned()),
            ("MR_EMBEDMD_DATABASE_TYPE".to_owned(), kind.to_owned()),
            ("MR_DATA_DIR".to_owned(), directory.path().to_str().unwrap().to_owned()),
            ("LOG_LEVEL".to_owned(), "warn".to_owned()),
        ]);
        settings.extend(dsn.map(|dsn| ("MR_EMBEDMD_DATABASE_DSN".to_owned(), dsn)));
        Place { server: self, settings, name, _directory: directory }
    }
}

impl Place<'_> {
    /// A connection past the registry, to tables that are up to date.
    pub(crate) async fn open(&self) -> Database {
        let flags = ["EMBEDMD_DATABASE_TYPE", "EMBEDMD_DATABASE_DSN", "DATA_DIR"].into_iter().filter_map(|name| {
            let value = self.settings.get(&format!("MR_{name}"))?;
            Some(format!("--{}={value}", name.to_lowercase().replace('_', "-")))
        });
        let arguments = ["model-registry", "migrate"].map(str::to_owned).into_iter().chain(flags);
        let Command::Migrate(settings) = Cli::parse_from(arguments).command else { unreachable!() };
        let database = Database::at(&settings.database.place().unwrap());
        database.migrate().await.unwrap();
        database
    }

    /// What servers come to know by themselves after a while: how many rows there are, of which values.
    pub(crate) fn settle(&self) {
        match self.server {
            Server::None => {}
            Server::Postgres(server) => server.sql(&self.name, "VACUUM ANALYZE").map(drop).unwrap(),
            Server::MariaDb(server) => {
                let tables = "resource, registered_model, model_version, property";
                server.sql(&self.name, &format!("ANALYZE TABLE {tables}")).map(drop).unwrap();
            }
        }
    }

    /// The registry in this database, once it is ready.
    pub(crate) fn start(&self) -> Running {
        let port = port();
        let mut settings = self.settings.clone();
        settings.insert("MR_PORT".to_owned(), port.to_string());
        let started = Instant::now();
        let process = Process::start("model-registry", &["proxy"], &settings);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        await_ready(address, "/readyz");
        Running { took: started.elapsed(), process, address }
    }
}

/// A server that answers.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// From its start until it was ready.
    pub(crate) took: Duration,
    process: Process,
}

impl Running {
    /// In KiB: what it has of memory, and the most that it ever had.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (line("VmRSS:"), line("VmHWM:"))
    }
}

/// Waits until a server answers at a path that all is well.
pub(crate) fn await_ready(address: SocketAddr, path: &str) {
    let start = Instant::now();
    loop {
        if std::net::TcpStream::connect(address).is_ok() && Client::connect(address).get(path).status == 200 {
            return;
        }
        assert!(start.elapsed() < Duration::from_mins(2), "{address} does not become ready");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The size of a binary in MB.
pub(crate) fn megabytes(binary: &Path) -> String {
    let bytes = std::fs::metadata(binary).unwrap().len();
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}
