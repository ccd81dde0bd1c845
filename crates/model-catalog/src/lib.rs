//! What the bridge is about: the catalog document, the Backstage entities that are made from it, and the names,
//! tags, links and annotations that both may carry.
//!
//! Everything here is pure: no I/O, no clock, no async. Foreign text enters through the constructors of [`names`]
//! and [`links`], which either make it valid or refuse it, so that the types of [`document`] and [`entities`]
//! cannot hold something that Backstage would reject.

pub mod document;
pub mod entities;
pub mod links;
pub mod names;
pub mod render;
