//! The registry and the three services of a demo, on this machine alone.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use model_catalog::render::Format;
use model_registry::settings::{DatabaseSettings, ProxySettings};
use service::auth::AccessSettings;
use service::tls::ServerTlsSettings;
use service::{Shutdown, telemetry};
use tokio::net::TcpListener;
use url::Url;

use super::viewer::Viewer;
use crate::settings::{flag, from_flags};
use crate::up::{self, Services, UpArgs};

/// What the services of a demo are told.
pub(super) struct Wiring<'a> {
    pub(super) format: Format,
    /// Of location; 0 for any free one.
    pub(super) port: u16,
    /// `name=url`.
    pub(super) registry: String,
    /// Where storage keeps its entries.
    pub(super) scratch: &'a Path,
    /// Where InferenceServices come from: a flag of the normalizer.
    pub(super) cluster: OsString,
}

impl Wiring<'_> {
    /// Starts the three, and says where they are.
    pub(super) async fn start(self, shutdown: &Shutdown) -> anyhow::Result<(Services, Viewer)> {
        let location = reserve(self.port, "--port").await?;
        let storage = reserve(0, "storage").await?;
        let admin = reserve(0, "normalizer").await?;
        let mut settings = UpArgs {
            storage: from_flags(
                "storage-rest",
                vec![
                    flag("listen-address", storage),
                    flag("format", self.format),
                    flag("storage-type", "Sqlite"),
                    flag("sqlite-path", self.scratch.join("storage.sqlite").display()),
                    flag("location-url", format!("http://{location}")),
                    flag("push-to-rhdh", false),
                ],
            )?,
            location: from_flags(
                "location",
                vec![
                    flag("listen-address", location),
                    flag("format", self.format),
                    flag("storage-url", format!("http://{storage}")),
                    flag("normalizer-url", format!("http://{admin}")),
                    flag("no-ui", false),
                ],
            )?,
            normalizer: from_flags(
                "normalizer",
                vec![
                    flag("admin-address", admin),
                    flag("format", self.format),
                    flag("mr-url", &self.registry),
                    flag("mr-route", ""),
                    flag("catalog-url", ""),
                    self.cluster,
                    flag("polling-interval", "5s"),
                    flag("storage-url", format!("http://{storage}")),
                    flag("bridge-public-url", format!("http://localhost:{}", location.port())),
                ],
            )?,
        };
        // On this machine alone, whatever the environment says about others.
        settings.storage.access = AccessSettings::default();
        settings.location.access = AccessSettings::default();
        for tls in [&mut settings.storage.tls, &mut settings.location.tls, &mut settings.normalizer.tls] {
            *tls = ServerTlsSettings::default();
        }
        let services = Box::pin(up::start(settings, shutdown)).await?;
        println!("storage-rest     http://{}  (SQLite)", services.storage.address);
        println!("location         http://localhost:{}", services.location.address.port());
        Ok((services, Viewer::new(storage, location, self.format)?))
    }
}

/// Serves a registry that keeps what it is told in `scratch`, with the catalogs of `catalogs`; answers where.
pub(super) async fn registry(scratch: &Path, catalogs: Option<PathBuf>, shutdown: &Shutdown) -> anyhow::Result<Url> {
    let mut settings = ProxySettings::here(DatabaseSettings::sqlite_in(scratch), telemetry::LogSettings::default());
    settings.catalogs_path = catalogs;
    let registry = model_registry::run::start(settings, shutdown.clone()).await.context("the registry")?;
    registry.readiness.until_ready().await;
    Ok(registry.url()?)
}

/// An address that is free now. The services learn of each other before they listen, so their ports must be known.
async fn reserve(port: u16, setting: &str) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener =
        listener.with_context(|| format!("port {port} cannot be used: choose another one with {setting}"))?;
    Ok(listener.local_addr()?)
}
