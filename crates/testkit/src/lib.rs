//! Test-only peers: an in-memory Kubernetes API, a scripted registry, a scripted Backstage, a scripted GitHub, an S3 server,
//! PostgreSQL and MariaDB servers; servers behind TLS; inputs for parsers; and what holds an OpenAPI document against routes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "only tests use this crate, and a test that is set up wrongly should stop at once"
)]

pub mod backstage;
pub mod fuzz;
pub mod github;
mod janitor;
pub mod kube;
pub mod mariadb;
pub mod moto;
pub mod openapi;
pub mod postgres;
pub mod registry;
pub mod s3;
mod skipped;
pub mod tls;
pub mod wait;

pub use wait::{Observation, eventually, free_port};

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes that no compression makes shorter, the same each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// A text that hardly gets shorter: five bits of noise a letter.
pub fn noisy_text(length: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    noise(length).into_iter().map(|byte| char::from(LETTERS[usize::from(byte >> 3)])).collect()
}
