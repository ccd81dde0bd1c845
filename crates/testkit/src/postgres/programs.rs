//! Where the server's programs are, and as whom they run.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs of one version of PostgreSQL.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
    pub(super) psql: PathBuf,
}

impl Programs {
    /// Those of the newest version that is installed; else what is missing.
    pub(super) fn find() -> Result<Self, String> {
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
        directories.extend(debian_directories());
        directories.extend(from_pg_config());
        let of = |directory: &PathBuf| {
            // A link that stands alone does not lead to the others.
            let directory = fs::canonicalize(directory.join("initdb")).ok()?.parent()?.to_owned();
            let [initdb, postgres, psql] = ["initdb", "postgres", "psql"].map(|name| directory.join(name));
            (postgres.is_file() && psql.is_file()).then_some(Self { initdb, postgres, psql })
        };
        let found = directories.iter().find_map(of);
        found.ok_or_else(|| "the programs of a PostgreSQL server (initdb, postgres, psql) are not installed".to_owned())
    }
}

/// Debian keeps them off the path, in a directory for each version.
fn debian_directories() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, directory)| directory).collect()
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// An account other than root, as whom the server refuses to run.
#[derive(Debug, Clone)]
pub(super) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The one to run the server as; `None`: as who runs the tests.
    pub(super) fn for_server() -> Option<Self> {
        let me = fs::metadata("/proc/self").ok()?.uid();
        if me != 0 {
            return None;
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = |wanted: &str| {
            accounts.lines().find_map(|line| {
                let mut fields = line.split(':');
                (fields.next() == Some(wanted)).then_some(())?;
                Some(Self { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
            })
        };
        named("postgres").or_else(|| named("nobody"))
    }

    pub(super) fn give(&self, path: &Path) {
        chown(path, Some(self.user), Some(self.group)).expect("root may give files away");
    }

    /// Replaces itself by the program, so that the process is the program's.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", self.user)).arg(format!("--regid={}", self.group)).arg("--clear-groups");
        command.arg("--").arg(program);
        command
    }
}
