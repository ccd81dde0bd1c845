//! The bridge of a demo, looked at from the outside.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use bridge_api::clients::{LocationClient, StorageClient};
use bridge_api::key::EntryKey;
use bridge_api::messages::Origin;
use model_catalog::render::Format;
use service::http_client::{TlsSettings, client};
use url::Url;

use super::{Names, PATIENCE};
use crate::progress::Progress;
use crate::table::Table;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks at the bridge from the outside, as its readers do.
pub(super) struct Viewer {
    storage: StorageClient,
    location: LocationClient,
    http: reqwest::Client,
    base: String,
    format: Format,
}

impl Viewer {
    pub(super) fn new(storage: SocketAddr, location: SocketAddr, format: Format) -> anyhow::Result<Self> {
        let http = client(&TlsSettings::default(), "the demo")?;
        let url = |address: SocketAddr| Url::parse(&format!("http://{address}"));
        Ok(Self {
            storage: StorageClient::new(url(storage)?, http.clone()),
            location: LocationClient::new(url(location)?, http.clone()),
            http,
            base: format!("http://localhost:{}", location.port()),
            format,
        })
    }

    /// Prints the entries as they appear, until each expected one is served with the right content type.
    pub(super) async fn until_served(&self, expected: &BTreeSet<Names>) -> anyhow::Result<()> {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let progress = Progress::new("serving", expected.len());
        loop {
            let served = self.served().await.unwrap_or_default();
            let mut table = Table::new(&["MODEL", "VERSION", "SERVED BY", "URL"]);
            let fresh: Vec<&(Origin, String)> = served.iter().filter(|(_, uri)| !seen.contains(uri)).collect();
            for (origin, uri) in &fresh {
                let served_by =
                    origin.served_by.as_ref().map(|service| format!("{}/{}", service.namespace, service.name));
                let names = [origin.first.clone(), origin.second.clone(), served_by.unwrap_or_else(|| "-".to_owned())];
                table.row(names.into_iter().chain([format!("{}{uri}", self.base)]).collect());
                self.check(uri).await?;
            }
            if !fresh.is_empty() {
                progress.aside(|| println!("{table}"));
            }
            seen.extend(fresh.iter().map(|(_, uri)| uri.clone()).collect::<Vec<_>>());
            let names: BTreeSet<Names> = served.into_iter().map(|(origin, _)| (origin.first, origin.second)).collect();
            if let Some((model, version)) = names.difference(expected).next() {
                bail!("location serves an entry that the sample does not call for: {model} {version}");
            }
            progress.set(names.len());
            if names == *expected {
                drop(progress);
                println!("{} entries are served, as expected", names.len());
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What location serves, and what it is made from.
    async fn served(&self) -> anyhow::Result<Vec<(Origin, String)>> {
        let uris: BTreeSet<String> = self.location.list().await?.uris.into_iter().collect();
        let entries = self.storage.list().await?.entries.unwrap_or_default();
        let made_from = entries.into_iter().filter_map(|entry| {
            let uri = entry.key.parse::<EntryKey>().ok()?.uri(self.format);
            Some((entry.origin?, uri))
        });
        Ok(made_from.filter(|(_, uri)| uris.contains(uri)).collect())
    }

    async fn check(&self, uri: &str) -> anyhow::Result<()> {
        let answer = self.http.get(format!("{}{uri}", self.base)).send().await?;
        let content_type =
            answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !answer.status().is_success() || !content_type.starts_with(self.format.content_type()) {
            bail!("location lists {uri} but answers {} with content type `{content_type}`", answer.status());
        }
        if !self.format.fits(&answer.bytes().await?) {
            bail!("what location serves at {uri} is not {}", self.format.file_name());
        }
        Ok(())
    }

    /// Why not everything is served.
    pub(super) async fn missing(&self, expected: &BTreeSet<Names>) -> anyhow::Error {
        let served = self.served().await.unwrap_or_default();
        let names: BTreeSet<Names> = served.into_iter().map(|(origin, _)| (origin.first, origin.second)).collect();
        let missing: Vec<String> =
            expected.difference(&names).map(|(model, version)| format!("{model} {version}")).collect();
        anyhow::anyhow!("not served within {} s: {}", PATIENCE.as_secs(), missing.join(", "))
    }

    pub(super) async fn say_how_to_go_on(&self, registry: &Url) {
        let uris = self.location.list().await.map(|list| list.uris).unwrap_or_default();
        let uri = uris.into_iter().next().unwrap_or_default();
        let base = &self.base;
        println!("\nThe page  {base}/");
        println!("\nLook further:");
        println!("  curl {base}/list");
        println!("  curl {base}{uri}");
        println!("  curl {base}/metrics");
        println!("  curl {registry}api/model_registry/v1alpha3/registered_models");
        println!("\nBackstage reads it from {base}. Stop with Ctrl-C.");
    }
}

#[cfg(feature = "lifecycle")]
impl Viewer {
    /// Where location is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Where a version's document is, when location serves it.
    pub(super) async fn uri_of(&self, model: &str, version: &str) -> Option<String> {
        let served = self.served().await.ok()?;
        let is_wanted = |origin: &Origin| origin.first == model && origin.second == version;
        served.into_iter().find(|(origin, _)| is_wanted(origin)).map(|(_, uri)| uri)
    }

    /// The versions of a model that location serves, by name.
    pub(super) async fn versions_of(&self, model: &str) -> Option<Vec<String>> {
        let served = self.served().await.ok()?;
        let mut names: Vec<String> =
            served.into_iter().filter(|(origin, _)| origin.first == model).map(|(origin, _)| origin.second).collect();
        names.sort();
        Some(names)
    }

    /// What location serves there.
    pub(super) async fn document(&self, uri: &str) -> Option<String> {
        let answer = self.http.get(format!("{}{uri}", self.base)).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }
}
