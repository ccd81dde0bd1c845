//! The `storage-initializer` binary.

use std::process::ExitCode;

use storage_initializer::run;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("storage-initializer: no threads can be had: {error}");
            return ExitCode::from(storage_initializer::Kind::Internal.code());
        }
    };
    let code = runtime.block_on(run::main());
    // Whoever still reads or writes is left alone: partial files are gone on with by the next run.
    runtime.shutdown_background();
    code
}
