//! The reconciler before a registry of ours, on SQLite, and testkit's Kubernetes API.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod ends;
mod records;
mod several;
mod troubles;
mod world;
