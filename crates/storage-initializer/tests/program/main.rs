//! The program as operators meet it: how `model-registry://` is resolved, by a real registry and by ones in trouble, and what
//! the command line does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that is set up wrongly should stop at once"
)]

mod command;
mod faults;
mod registry;
mod rules;
mod running;
mod storage;
mod tls;
