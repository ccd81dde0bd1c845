//! The watch against a Kubernetes API: it follows every change, and no failure looks like absence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may fail like tests")]

mod inference_services;
mod kinds;
mod llm;
mod namespaces;
mod reads;
mod support;
