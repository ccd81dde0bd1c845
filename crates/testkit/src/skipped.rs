//! Says that tests are skipped for want of a server.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

/// Says once for each server, past the capture of tests' output, which would hide it, that all tests with it are skipped.
///
/// # Panics
/// When the variable `required` says that this is an error.
pub(crate) fn without_server(server: &'static str, required: &str, script: &str, missing: &str) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let is_required = std::env::var_os(required).is_some_and(|value| !value.is_empty() && value != "0");
    assert!(!is_required, "{required} is set, but {missing}");
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(server) {
        let message = format!("\n*** SKIPPED: all tests with {server}: {missing} (run {script})\n");
        let _ = std::io::stderr().write_all(message.as_bytes());
    }
}
