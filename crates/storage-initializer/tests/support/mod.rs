//! What tests of the storage initializer share.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::cast_possible_truncation, reason = "what tests hold fits into memory")]

pub(crate) mod http;
pub(crate) mod scripted;
