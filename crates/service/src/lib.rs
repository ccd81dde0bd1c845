//! What every service needs: [`settings`], [`secret`]s, [`telemetry`], [`metrics`], an HTTP [`server`] and [`http_client`], a
//! [`guard`] for foreign addresses, and a graceful [`shutdown`]. Nothing in here knows what the services are about.

pub mod auth;
pub mod calls;
pub mod guard;
pub mod http_client;
pub mod metrics;
pub mod openapi;
pub mod secret;
pub mod server;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

pub use auth::Authorizer;
pub use metrics::Metrics;
pub use secret::Secret;
pub use server::{ApiError, Listen, Readiness, Running, ServerBuilder};
pub use shutdown::Shutdown;
