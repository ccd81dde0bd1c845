//! The whole service over HTTP: its routes, and its deliveries to a scripted location and a scripted Backstage.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

mod access;
mod api;
mod backstage;
mod cluster;
mod database;
mod delivery;
mod fetch_many;
mod moves;
mod news;
mod openapi;
mod orphans;
mod scene;
mod support;
