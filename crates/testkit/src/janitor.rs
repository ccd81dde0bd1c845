//! Ends a server that a test started, and removes its directory, however the test's process ends.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = r#"read -r _
    if pid=$(head -n 1 "$1/$2" 2>/dev/null); then
        kill -QUIT "$pid" 2>/dev/null
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null
    fi
    rm -rf "$1""#;

/// A process that waits until nobody holds its standard input any more.
#[derive(Debug)]
pub(crate) struct Janitor(Child);

impl Janitor {
    /// For a server whose process id is in that file of its directory. In a process group of its own, so that an interrupt
    /// from the keyboard does not end it before its work is done.
    pub(crate) fn of(directory: &Path, pid_file: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "janitor"]).arg(directory).arg(pid_file).process_group(0);
        let quiet = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().expect("a shell"))
    }

    /// Lets it do its work, and waits for that.
    pub(crate) fn finish(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
