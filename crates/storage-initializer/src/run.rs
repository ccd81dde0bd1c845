//! Puts the parts together.

use std::process::ExitCode;

/// Runs the program.
pub async fn main() -> ExitCode {
    ExitCode::from(crate::Kind::Internal.code())
}
