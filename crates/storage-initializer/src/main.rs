//! The `storage-initializer` binary.

use std::process::ExitCode;

use storage_initializer::run;

#[tokio::main]
async fn main() -> ExitCode {
    run::main().await
}
