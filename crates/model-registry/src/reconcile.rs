//! Records what KServe serves in a registry, over its REST API: the reconciler.
//!
//! What the records should be is computed from what is observed, and compared with what the registry lists; what differs is
//! written. Nothing is remembered that could not be observed again, so it may be stopped at any time, and run more than
//! once at a time. Of a service it writes nothing but the label with its record's id.

mod holdings;
mod keeper;
mod metrics;
mod plan;
mod refusals;
mod standing;
mod wanted;
mod writer;

use std::time::Duration;

use anyhow::{Context as _, bail};
use cluster::{Cluster, ClusterWatch, ContextName, CredentialsError, Kinds, WatchOptions, connect_all};
use futures::future::join_all;
use registry_client::RegistryClient;
use service::calls::Target;
use service::http_client::TlsSettings;
use service::{Listen, Metrics, Running, ServerBuilder, Shutdown, telemetry};

use crate::settings::{ReconcileSettings, peer};
use keeper::{Keeper, Labels, Memory, Pace};
use metrics::ReconcileMetrics;
use standing::Standing;
use wanted::Selection;
use writer::Writer;

/// How often a cluster whose credentials cannot be used is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// How long a single comparison waits for the cluster.
const PATIENCE: Duration = Duration::from_mins(1);

type Connection = (ContextName, Result<Cluster, CredentialsError>);

/// Keeps the records until `shutdown`, or compares once.
pub async fn run(settings: ReconcileSettings, shutdown: Shutdown) -> anyhow::Result<()> {
    telemetry::init(&settings.log);
    if settings.once {
        return match shutdown.unless(Box::pin(once(settings))).await {
            Some(done) => done,
            None => bail!("stopped before everything was compared"),
        };
    }
    start(settings, shutdown).await?.task.await.context("the reconciler ended unexpectedly")?
}

/// Starts to keep the records; wrong settings are errors.
pub async fn start(settings: ReconcileSettings, shutdown: Shutdown) -> anyhow::Result<Running> {
    let metrics = Metrics::new("reconciler");
    let parts = Parts::new(settings, &metrics)?;
    let connections = parts.connections().await?;
    let standing = Standing::new(connections.iter().map(|(context, _)| parts.name_of(context)));
    let listen = Listen { address: parts.settings.admin_address, setting: "--admin-address / MR_ADMIN_ADDRESS" };
    let server = ServerBuilder::new("reconciler")
        .metrics(metrics)
        .readiness(standing.readiness())
        .tls(parts.settings.tls.load()?)
        .bind(listen)
        .await?;
    let address = server.local_addr();
    let keeping = connections.into_iter().map(|connection| {
        let (parts, standing, shutdown) = (parts.clone(), standing.clone(), shutdown.child());
        tokio::spawn(async move { parts.keep(connection, standing, shutdown).await })
    });
    let keeping: Vec<_> = keeping.collect();
    let task = tokio::spawn(async move {
        let served = server.serve(shutdown.clone()).await;
        // Without its health page it must not go on unseen.
        shutdown.trigger();
        for kept in join_all(keeping).await {
            kept.context("the reconciler ended unexpectedly")?;
        }
        served.context("health and metrics cannot be served")
    });
    Ok(Running { address, task })
}

/// Compares once. What could not be written is an error.
pub async fn once(settings: ReconcileSettings) -> anyhow::Result<()> {
    let parts = Parts::new(settings, &Metrics::new("reconciler"))?;
    let connections = parts.connections().await?;
    let standing = Standing::new(std::iter::empty());
    let mut refused = 0;
    for (context, cluster) in connections {
        let cluster = cluster.with_context(|| format!("cluster {context}"))?;
        refused += parts.keeper(&context, cluster, standing.clone()).run_once(PATIENCE).await?;
    }
    if refused > 0 {
        bail!("{refused} writes were refused, see above");
    }
    Ok(())
}

/// What all clusters have in common.
#[derive(Clone)]
struct Parts {
    settings: ReconcileSettings,
    namespaces: Vec<String>,
    registry: RegistryClient,
    metrics: ReconcileMetrics,
}

impl Parts {
    fn new(mut settings: ReconcileSettings, metrics: &Metrics) -> anyhow::Result<Self> {
        let counted = ReconcileMetrics::new(metrics);
        settings.cluster.calls = counted.calls.to(Target::Kubernetes);
        let tls = TlsSettings { ca_file: settings.ca.clone(), ..TlsSettings::default() };
        let token = peer::token(settings.token.as_ref(), settings.token_file.as_deref())?;
        let registry = RegistryClient::new(settings.url.clone(), peer::http(&tls)?, None)
            .with_token(token)
            .with_calls(counted.calls.to(Target::Registry));
        Ok(Self { namespaces: settings.cluster.watched_namespaces()?, registry, metrics: counted, settings })
    }

    /// The clusters of the settings. If none can be used, that is an error; of several, each is on its own.
    async fn connections(&self) -> anyhow::Result<Vec<Connection>> {
        let connections = connect_all(&self.settings.cluster).await;
        if connections.is_empty() {
            bail!("there is no cluster to watch: run it in one, or set KUBECONFIG");
        }
        if connections.iter().all(|(_, cluster)| cluster.is_err()) {
            let error = connections.into_iter().find_map(|(_, cluster)| cluster.err());
            return error.map_or_else(|| Ok(Vec::new()), |error| Err(error).context("the cluster cannot be used"));
        }
        Ok(connections)
    }

    /// What a cluster is called in the registry.
    fn name_of<'a>(&'a self, context: &'a ContextName) -> &'a str {
        if self.settings.cluster.contexts().is_empty() { &self.settings.cluster_name } else { context.as_str() }
    }

    async fn keep(self, (context, mut cluster): Connection, standing: Standing, shutdown: Shutdown) {
        let cluster = loop {
            match cluster {
                Ok(cluster) => break cluster,
                Err(error) => {
                    tracing::error!(%context, "the cluster cannot be used, its records stay as they are: {error}");
                    standing.failed(self.name_of(&context), error.to_string());
                    cluster = Err(error);
                }
            }
            if shutdown.unless(tokio::time::sleep(TRY_AGAIN)).await.is_none() {
                return;
            }
            let connections = connect_all(&self.settings.cluster).await;
            if let Some((_, found)) = connections.into_iter().find(|(name, _)| *name == context) {
                cluster = found;
            }
        };
        let pace = Pace {
            resync: self.settings.resync_interval.into(),
            retry_min: self.settings.retry_min.into(),
            retry_max: self.settings.retry_max.into(),
        };
        self.keeper(&context, cluster, standing).run(pace, shutdown).await;
    }

    fn keeper(&self, context: &ContextName, cluster: Cluster, standing: Standing) -> Keeper {
        let name = self.name_of(context).to_owned();
        tracing::info!(
            cluster = name,
            registry = self.registry.base_url(),
            "recorded are the InferenceServices of {}",
            cluster.description
        );
        let options = WatchOptions {
            namespaces: self.namespaces.clone(),
            kinds: Kinds::InferenceServices,
            ..WatchOptions::default()
        };
        Keeper {
            watch: ClusterWatch::start(&cluster, options),
            writer: Writer { registry: self.registry.clone(), cluster, name, metrics: self.metrics.clone() },
            selection: Selection {
                name: self.settings.registry_name.clone(),
                namespace: self.settings.registry_namespace.clone(),
            },
            labels: if self.settings.write_label { Labels::Written } else { Labels::LeftAlone },
            standing,
            memory: Memory::default(),
        }
    }
}
