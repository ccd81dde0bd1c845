//! Whole-system tests: real processes against testkit's peers. One binary, so that all of them run side by side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop at once"
)]

mod access;
mod cards;
mod chaos;
mod circle;

mod cleanup;
mod commands;
mod crashes;
mod discovery;
mod doctor;
mod go_bridge;
mod lifecycle;
mod monitoring;
mod outages;
mod process;
mod push;
mod reconcile;
mod registry;
mod sample;
mod secrets;
mod storage_crashes;
mod storage_moves;
mod traces;
mod validation;
mod views;
