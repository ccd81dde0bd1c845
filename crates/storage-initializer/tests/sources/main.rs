//! One suite that every source passes, and what is particular to each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

mod azure;
mod gcs;
mod http;
mod http_faults;
mod moto;
mod registries;
mod s3;
mod s3_faults;
mod s3_identity;
mod server;
mod suite;
mod tls;
