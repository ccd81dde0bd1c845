//! Finds the binaries under test: beside the test's own executable, where `cargo build --bins` puts them.

use std::path::PathBuf;

/// The path of a binary of the workspace.
///
/// # Panics
/// When it was not built.
pub fn binary(name: &str) -> PathBuf {
    // target/<profile>/deps/<test> -> target/<profile>
    let test = std::env::current_exe().expect("a test knows its executable");
    let directory = test.ancestors().nth(2).expect("a test is two levels below its profile's directory");
    let path = directory.join(name);
    assert!(path.is_file(), "{} is missing: run `make test`, or `cargo build --bins` first", path.display());
    path
}
