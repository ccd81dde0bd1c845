//! What a registry is about, written down once: its kinds of resources and their fields.
//!
//! Everything that depends on them is derived from these tables: what bodies may hold, the columns that keep it, what
//! `filterQuery` may name, and the OpenAPI document. The names, enumerations and defaults are those of the Kubeflow Model
//! Registry's REST API.

mod field;
mod kind;
mod property;
mod record;

pub use field::{Field, Form, Given, Words};
pub use kind::{Kind, Parent, Table};
pub use property::{Properties, Property};
pub use record::{Draft, Fields, Id, IdError, OfRun, Patch, Record, Value};
