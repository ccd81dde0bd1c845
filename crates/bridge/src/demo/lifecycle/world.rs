//! What the story happens in.

use std::path::Path;

use anyhow::{Context as _, bail};
use model_registry::settings::{Cli, Command};
use registry_client::RegistryClient;
use service::http_client::{TlsSettings, client};
use service::{Running, Shutdown};
use storage_initializer::environment::Environment;
use storage_initializer::resolve::{self, Resolved};
use storage_initializer::run;
use storage_initializer::summary::Report;
use storage_initializer::uri::SourceUri;
use tempfile::TempDir;
use testkit::kube::KubeApi;
use testkit::s3::S3Server;
use url::Url;

use crate::demo::DemoArgs;
use crate::demo::viewer::Viewer;
use crate::demo::wiring::{self, Wiring};
use crate::settings::{flag, from_flags};
use crate::up::Services;

pub(super) const BUCKET: &str = "models";
pub(super) const NAMESPACE: &str = "ai-models";

/// A registry with its reconciler, storage, a cluster, and the bridge.
pub(super) struct World {
    pub(super) s3: S3Server,
    pub(super) kube: KubeApi,
    pub(super) registry_url: Url,
    pub(super) viewer: Viewer,
    pub(super) registry: RegistryClient,
    reconciler: Running,
    services: Services,
    scratch: TempDir,
}

impl World {
    pub(super) async fn start(args: &DemoArgs, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir().context("no directory for the demo")?;
        let s3 = S3Server::start().await;
        s3.make_bucket(BUCKET);
        println!("S3 server        {}  (in memory)", s3.url());
        let kube = KubeApi::builder().with_kserve().namespace(NAMESPACE).start().await;
        println!("Kubernetes API   {}  (in memory, with KServe's kinds)", kube.url());
        let kubeconfig = kube.write_kubeconfig(scratch.path());

        let registry_url = wiring::registry(scratch.path(), None, shutdown).await?;
        println!("model-registry   {registry_url}  (SQLite)");
        let reconciler = reconcile(&registry_url, &kubeconfig, shutdown).await?;
        println!("reconciler       writes InferenceServices into the registry");

        let wiring = Wiring {
            format: args.format,
            port: args.port,
            registry: format!("registry={registry_url}"),
            scratch: scratch.path(),
            cluster: flag("kubeconfig", kubeconfig.display()),
        };
        let (services, viewer) = wiring.start(shutdown).await?;
        println!("normalizer       listens to both");
        let http = client(&TlsSettings::default(), "the registry")?;
        let registry = RegistryClient::new(registry_url.clone(), http, None);
        Ok(Self { s3, kube, registry_url, viewer, registry, reconciler, services, scratch })
    }

    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// `host:port` of the registry.
    pub(super) fn registry_host(&self) -> &str {
        self.registry_url.as_str().trim_start_matches("http://").trim_end_matches('/')
    }

    /// Runs the storage initializer as KServe runs it in its init container; answers what it did, in words.
    pub(super) async fn initialize(&self, source: &str, destination: &Path) -> anyhow::Result<String> {
        let settings = initializer(source, destination)?;
        let report = Report::new();
        run::initialize(&settings, self.environment(), &report).await?;
        let (counts, took) = (report.counts(), report.elapsed().as_secs_f64());
        let mebibytes = counts.bytes_done.div_ceil(1 << 20);
        Ok(format!("{} files, {mebibytes} MiB in {took:.1} s", counts.files_done))
    }

    /// What a URI stands for now.
    pub(super) async fn resolve(&self, source: &str) -> anyhow::Result<Resolved> {
        let settings = initializer(source, self.scratch())?;
        let SourceUri::Registry(uri) = source.parse()? else { bail!("{source} names no registry") };
        Ok(resolve::resolve(&uri, &settings.registry, &self.environment()).await?)
    }

    /// What KServe gives the init container.
    fn environment(&self) -> Environment {
        let endpoint = self.s3.url();
        let endpoint = endpoint.as_str().trim_end_matches('/');
        Environment::from_iter([
            ("AWS_ACCESS_KEY_ID", "demo"),
            ("AWS_SECRET_ACCESS_KEY", "demo"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", endpoint),
        ])
    }

    /// Waits until all have stopped.
    pub(super) async fn end(self, shutdown: &Shutdown) -> anyhow::Result<()> {
        self.services.wait(shutdown).await?;
        self.reconciler.task.await.context("the reconciler ended unexpectedly")?
    }
}

fn initializer(source: &str, destination: &Path) -> anyhow::Result<storage_initializer::settings::Settings> {
    from_flags("storage-initializer", vec![source.into(), destination.into()])
}

async fn reconcile(registry: &Url, kubeconfig: &Path, shutdown: &Shutdown) -> anyhow::Result<Running> {
    let flags = vec![
        "reconcile".into(),
        flag("url", registry),
        flag("kubeconfig", kubeconfig.display()),
        flag("admin-address", "127.0.0.1:0"),
    ];
    let Cli { command: Command::Reconcile(settings), .. } = from_flags("model-registry", flags)? else {
        bail!("`reconcile` was not understood");
    };
    model_registry::reconcile::start(*settings, shutdown.clone()).await.context("the reconciler")
}
