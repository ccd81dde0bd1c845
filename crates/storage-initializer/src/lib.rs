//! KServe's storage initializer: an init container's program that asks a Model Registry where a model is, and downloads it.
//!
//! A [`uri`] names what is wanted. [`resolve`] turns `model-registry://` into where the model is; [`source`] is who has it:
//! one trait, an implementation a kind of storage. [`fetch`] downloads what a source lists, in parallel, verified, resumed;
//! [`unpack`] opens archives. Everything that fails is a [`Failure`], which knows the exit code and what to do.

pub mod checksum;
pub mod complete;
pub mod environment;
pub mod failure;
pub mod fetch;
pub mod progress;
pub mod relative;
pub mod resolve;
pub mod run;
pub mod settings;
pub mod source;
pub mod summary;
pub mod unpack;
pub mod uri;

pub use failure::{Failure, Kind};
