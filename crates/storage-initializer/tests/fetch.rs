//! Downloads from a source that misbehaves: what ends in place is what was listed, to the byte, or the run says why not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that is set up wrongly should stop at once"
)]

mod support;

#[path = "fetch/faults.rs"]
mod faults;
#[path = "fetch/kill.rs"]
mod kill;
#[path = "fetch/place.rs"]
mod place;
#[path = "fetch/resume.rs"]
mod resume;
#[path = "fetch/run.rs"]
mod run;
