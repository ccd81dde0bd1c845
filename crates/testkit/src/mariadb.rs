//! A MariaDB server of the tests' own: in a temporary directory, on a port of the loopback interface, with nothing of it left
//! when the process has ended, however it ended.
//!
//! The machine's own server programs are used (`tests/setup/mariadb.sh` installs them where it may). Where there are none,
//! tests that want a server are skipped, which is said once on standard error; `REQUIRE_MARIADB=1` makes that an error.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::free_port;
use crate::janitor::Janitor;

const START_WITHIN: Duration = Duration::from_mins(1);
const PID_FILE: &str = "pid";
/// The account that owns the databases.
pub const ACCOUNT: &str = "registry";
/// Its password; a text that no log may hold.
pub const PASSWORD: &str = "planted-database-password";

/// A server, which can be stopped and started again.
#[derive(Debug)]
pub struct MariaDbServer {
    programs: Programs,
    directory: PathBuf,
    port: u16,
    process: Mutex<Option<Child>>,
    janitor: Janitor,
}

#[derive(Debug)]
struct Programs {
    server: PathBuf,
    install: PathBuf,
    client: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, String> {
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let directories: Vec<PathBuf> = std::env::split_paths(&on_path).chain([PathBuf::from("/usr/sbin")]).collect();
        let find = |name: &str| {
            let found = directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file());
            found.ok_or_else(|| format!("{name}, a program of a MariaDB server, is not installed"))
        };
        Ok(Self { server: find("mariadbd")?, install: find("mariadb-install-db")?, client: find("mariadb")? })
    }
}

impl MariaDbServer {
    /// The server that all tests of this process share; `None` where there is none to be had, after saying so.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<MariaDbServer>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A server for one test, which stops it. `None` as with [`Self::shared`].
    pub fn start() -> Option<Self> {
        match Programs::find() {
            Ok(programs) => Some(Self::start_with(programs)),
            Err(missing) => {
                let script = "tests/setup/mariadb.sh";
                crate::skipped::without_server("MariaDB", "REQUIRE_MARIADB", script, &missing);
                None
            }
        }
    }

    fn start_with(programs: Programs) -> Self {
        let directory = TempDir::with_prefix("bridge-mariadb-").expect("a temporary directory").keep();
        let janitor = Janitor::of(&directory, PID_FILE);
        let mut install = Command::new(&programs.install);
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]);
        install.args(user()).arg(option("datadir", &directory.join("data")));
        let done = install.current_dir(&directory).output().expect("mariadb-install-db can be started");
        assert!(done.status.success(), "mariadb-install-db failed: {}", String::from_utf8_lossy(&done.stderr));
        let server = Self { programs, directory, port: free_port(), process: Mutex::default(), janitor };
        server.restart();
        let account = format!("'{ACCOUNT}'@'127.0.0.1'");
        let grant = format!("CREATE USER {account} IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO {account}");
        server.sql("mysql", &grant).expect("an account");
        server
    }

    /// Starts it again after [`Self::stop`]; returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&self) {
        let log = fs::File::create(self.directory.join("log")).expect("a log file");
        let mut command = Command::new(&self.programs.server);
        command.arg("--no-defaults").args(user()).arg(option("datadir", &self.directory.join("data")));
        command.arg(option("socket", &self.socket())).arg(option("pid-file", &self.directory.join(PID_FILE)));
        command.arg(format!("--port={}", self.port));
        // What only matters when the machine itself fails is left out.
        command.args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2"]);
        let streams = command.current_dir(&self.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = streams.process_group(0).spawn().expect("mariadbd can be started");
        *self.process() = Some(child);
        let deadline = Instant::now() + START_WITHIN;
        while let Err(problem) = self.sql("mysql", "SELECT 1") {
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            let ended = self.process().as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            assert!(!ended && Instant::now() < deadline, "MariaDB does not come up: {problem}\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it at once, as a crash would: connections break, and the next start recovers.
    pub fn stop(&self) {
        if let Some(mut child) = self.process().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The URL of a new database, with the password of its owner.
    ///
    /// # Panics
    /// When the server is not well.
    pub fn database(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("registry_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("mysql", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).expect("a database");
        format!("mysql://{ACCOUNT}:{PASSWORD}@127.0.0.1:{}/{name}", self.port)
    }

    /// What statements say that the server's administrator has done in a database.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String, String> {
        let output = Command::new(&self.programs.client)
            .arg("--no-defaults")
            .arg(option("socket", &self.socket()))
            .args(["--user=root", "--batch", "--skip-column-names", "--execute", statements, database])
            .output()
            .expect("mariadb can be started");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MariaDbServer {
    fn drop(&mut self) {
        self.stop();
        self.janitor.finish();
    }
}

/// Root has to say that it means it.
fn user() -> Option<&'static str> {
    let me = fs::metadata("/proc/self").ok()?.uid();
    (me == 0).then_some("--user=root")
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
