//! A binary as a process: its settings are its whole environment, its output is kept line by line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use testkit::eventually;

use crate::binary;

/// Environment variables.
pub type Settings = BTreeMap<String, String>;

/// The lines of one stream of output.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn follow(&self, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running, or ended, process. It is killed when dropped; a test that fails shows the end of its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Lines,
    output: Lines,
    followers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a binary with nothing but these variables in its environment.
    pub fn start(name: &str, arguments: &[&str], settings: &Settings) -> Self {
        let mut command = Command::new(binary(name));
        command.args(arguments);
        Self::spawn(name, command, settings)
    }

    /// Starts any command with nothing but these variables in its environment.
    pub fn spawn(name: &str, mut command: Command, settings: &Settings) -> Self {
        let mut child = command
            .env_clear()
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (log, output) = (Lines::default(), Lines::default());
        let followers = vec![log.follow(child.stderr.take().unwrap()), output.follow(child.stdout.take().unwrap())];
        Self { name: name.to_owned(), child, log, output, followers }
    }

    /// Runs a binary to its end.
    pub async fn run(name: &str, arguments: &[&str], settings: &Settings, within: Duration) -> Self {
        let mut process = Self::start(name, arguments, settings);
        process.ended(within).await;
        process
    }

    /// The id that the kernel knows it by.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged (standard error).
    pub fn log(&self) -> Vec<String> {
        self.log.all()
    }

    /// What it has printed (standard output).
    pub fn output(&self) -> String {
        self.output.all().join("\n")
    }

    /// All that it has said, as one text.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.output(), self.log().join("\n"))
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.drain();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let command = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("/bin/sh").args(["-c", &command]).status().expect("a shell");
        assert!(sent.success(), "{} had ended before it was told to", self.name);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits for its end; the status and all output are there then.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let child = &mut self.child;
        let status = eventually(within, &what, async || child.try_wait().expect("a child can be asked")).await;
        self.drain();
        status
    }

    /// The exit code of a process that has ended; `None` when a signal ended it.
    pub fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("a child can be waited for").code()
    }

    fn drain(&mut self) {
        for follower in self.followers.drain(..) {
            let _ = follower.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            const SHOWN: usize = 60;
            let log = [self.output.all(), self.log()].concat();
            let hidden = log.len().saturating_sub(SHOWN);
            eprintln!("--- {} ({} earlier lines) ---\n{}", self.name, hidden, log[hidden..].join("\n"));
        }
    }
}
