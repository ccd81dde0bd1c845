//! A Model Registry: the REST API of Kubeflow's, on an embedded SQLite file or a database server.

pub mod access;
pub mod api;
pub mod catalog;
pub mod database;
pub mod feed;
pub mod filter;
pub mod import;
pub mod model;
pub mod reconcile;
pub mod run;
pub mod seed;
pub mod settings;
pub mod store;
