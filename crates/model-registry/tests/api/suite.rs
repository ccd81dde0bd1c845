//! What every registry has to do, by the part of the API that it is about.

pub(crate) mod artifacts;
pub(crate) mod clients;
pub(crate) mod conditional;
pub(crate) mod errors;
pub(crate) mod experiments;
pub(crate) mod filters;
pub(crate) mod find;
pub(crate) mod import;
pub(crate) mod lists;
pub(crate) mod names;
pub(crate) mod properties;
pub(crate) mod routes;
pub(crate) mod serving;
pub(crate) mod update;
