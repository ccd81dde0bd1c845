//! A PostgreSQL server of the tests' own: in a temporary directory, on a port of the loopback interface, with nothing of
//! it left when the process has ended, however it ended.
//!
//! The machine's own server programs are used (`tests/setup/postgresql.sh` installs them where it may). Where there are
//! none, tests that want a server are skipped, which is said once on standard error; `REQUIRE_POSTGRES=1` makes that
//! an error.

mod programs;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::free_port;
use crate::janitor::Janitor;
use programs::{Account, Programs};

const START_WITHIN: Duration = Duration::from_mins(1);
const SUPERUSER: &str = "postgres";
/// The password of every account; a text that no log may hold.
pub const PASSWORD: &str = "planted-database-password";

/// A server, which can be stopped and started again.
#[derive(Debug)]
pub struct PostgresServer {
    programs: Programs,
    account: Option<Account>,
    directory: PathBuf,
    port: u16,
    process: Mutex<Option<Child>>,
    janitor: Janitor,
    outlives: Outlives,
}

/// What that was committed outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlives {
    /// The server: what only matters when the machine itself fails is left out, which is quicker.
    Server,
    /// The machine, as where it matters.
    Machine,
}

/// A database of its own, owned by an account of its own.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a PostgresServer,
    name: String,
}

impl PostgresServer {
    /// The server that all tests of this process share; `None` where there is none to be had, after saying so.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<PostgresServer>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A server for one test, which stops it. `None` as with [`Self::shared`].
    pub fn start() -> Option<Self> {
        Self::start_if_there(Outlives::Server)
    }

    /// A server that waits for the disk, for measurements. `None` as with [`Self::shared`].
    pub fn start_durable() -> Option<Self> {
        Self::start_if_there(Outlives::Machine)
    }

    fn start_if_there(outlives: Outlives) -> Option<Self> {
        match Programs::find() {
            Ok(programs) => Some(Self::start_with(programs, outlives)),
            Err(missing) => {
                let script = "tests/setup/postgresql.sh";
                crate::skipped::without_server("PostgreSQL", "REQUIRE_POSTGRES", script, &missing);
                None
            }
        }
    }

    fn start_with(programs: Programs, outlives: Outlives) -> Self {
        let account = Account::for_server();
        let directory = TempDir::with_prefix("bridge-postgres-").expect("a temporary directory").keep();
        if let Some(account) = &account {
            account.give(&directory);
        }
        let janitor = Janitor::of(&directory, "data/postmaster.pid");
        let password_file = directory.join("password");
        fs::write(&password_file, PASSWORD).expect("a file with the password");
        if let Some(account) = &account {
            account.give(&password_file);
        }
        let mut initdb = as_account(account.as_ref(), &programs.initdb);
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", "--username", SUPERUSER]);
        initdb.arg("--pwfile").arg(&password_file).arg("--pgdata").arg(directory.join("data"));
        run(initdb.current_dir(&directory), "initdb");
        let server =
            Self { programs, account, directory, port: free_port(), process: Mutex::default(), janitor, outlives };
        server.restart();
        server
    }

    /// Starts it again after [`Self::stop`]; returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&self) {
        let log = fs::File::create(self.directory.join("log")).expect("a log file");
        let mut command = as_account(self.account.as_ref(), &self.programs.postgres);
        command.arg("-D").arg(self.directory.join("data")).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        if self.outlives == Outlives::Server {
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        let streams = command.current_dir(&self.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = streams.process_group(0).spawn().expect("postgres can be started");
        *self.process() = Some(child);
        let deadline = Instant::now() + START_WITHIN;
        while let Err(problem) = self.psql(SUPERUSER, "SELECT 1") {
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            let ended = self.process().as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            assert!(!ended && Instant::now() < deadline, "PostgreSQL does not come up: {problem}\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it at once, as a crash would: connections break, and the next start recovers.
    pub fn stop(&self) {
        if let Some(mut child) = self.process().take() {
            let quit = format!("kill -QUIT {}", child.id());
            let _ = Command::new("/bin/sh").args(["-c", &quit]).status();
            let _ = child.wait();
        }
    }

    /// A new database, with an account that owns it and may do nothing else.
    ///
    /// # Panics
    /// When the server is not well.
    pub fn database(&self) -> Database<'_> {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("bridge_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let database = Database { server: self, name };
        database.create_role(&database.name);
        let create = format!("CREATE DATABASE {0} OWNER {0}", database.name);
        self.psql(SUPERUSER, &create).expect("a database");
        database
    }

    /// What statements say that the server's administrator has done in a database.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String, String> {
        self.psql(database, statements)
    }

    fn psql(&self, database: &str, statements: &str) -> Result<String, String> {
        let output = Command::new(&self.programs.psql)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", SUPERUSER])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", statements])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("psql can be started");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
        self.janitor.finish();
    }
}

impl Database<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, with the password of its owner.
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// Its URL for another account.
    pub fn url_of(&self, role: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/{}", self.server.port, self.name)
    }

    /// Makes an account that may connect, and no more.
    pub fn create_role(&self, role: &str) {
        let create = format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'");
        self.server.psql(SUPERUSER, &create).expect("an account");
    }

    /// What statements say that the server's administrator has done in it.
    ///
    /// # Panics
    /// When one fails.
    pub fn sql(&self, statements: &str) -> String {
        self.server.psql(&self.name, statements).unwrap_or_else(|problem| panic!("{statements}: {problem}"))
    }

    /// Breaks all connections to it; says how many there were.
    pub fn sever(&self) -> usize {
        let broken = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.sql(broken).parse().expect("a number")
    }
}

fn as_account(account: Option<&Account>, program: &std::path::Path) -> Command {
    account.map_or_else(|| Command::new(program), |account| account.command(program))
}

fn run(command: &mut Command, name: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {said}");
}
