//! Backstage's catalog REST API, as far as a bridge needs it: locations, refreshes, entities and their removal.
//!
//! The client is stateless and retries nothing by itself: who calls it decides what a failure means. Each failure is a
//! [`BackstageError`] that names the request, and says when it is the token that Backstage did not accept.

mod client;
mod entity;
mod error;
mod model;

pub use bearer::TokenSource;
pub use client::CatalogClient;
pub use entity::{Entity, ORPHANS};
pub use error::BackstageError;
pub use model::{Created, Location, location_entity_ref};
