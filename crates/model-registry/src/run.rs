//! Puts the parts together and runs them.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use service::http_client::TlsSettings;
use service::server::Limits;
use service::{Listen, Metrics, Readiness, Running, ServerBuilder, Shutdown, telemetry};
use sqlx::migrate::MigrateError;
use url::Url;

use crate::access::Access;
use crate::api::{self, Failure};
use crate::catalog::{self, Catalog};
use crate::database::Database;
use crate::feed;
use crate::import;
use crate::seed::Seeder;
use crate::settings::{
    CatalogSettings, ExportSettings, ImportSettings, MigrateSettings, ProxySettings, SeedSettings, SourceSettings, peer,
};
use crate::store::{Store, dump};

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How often the database is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A database that takes longer to answer that it is there is not.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// A registry that was started.
#[derive(Debug)]
pub struct Registry {
    /// Where it listens, and what ends with it.
    pub running: Running,
    /// Whether its database is there.
    pub readiness: Readiness,
}

impl Registry {
    /// Where it is.
    pub fn url(&self) -> Result<Url, url::ParseError> {
        Url::parse(&format!("http://{}", self.running.address))
    }
}

/// Serves the registry until `shutdown`.
pub async fn proxy(settings: ProxySettings, shutdown: Shutdown) -> anyhow::Result<()> {
    telemetry::init(&settings.log);
    start(settings, shutdown).await?.running.task.await.context("the registry ended unexpectedly")?
}

/// Starts to serve the registry: when this returns, it listens. Until its database is there it answers 503.
pub async fn start(settings: ProxySettings, shutdown: Shutdown) -> anyhow::Result<Registry> {
    let access = Access::new(&settings.access).await?;
    let database = Database::at(&settings.database.place()?);
    let store = Store::new(database.clone());
    let readiness = Readiness::not_ready("the database was not reached yet");
    // Apart from whether it is ready: a database that is slow to answer the look at it may well answer requests.
    let prepared = readiness.reason().map_or_else(Readiness::ready, Readiness::not_ready);
    let catalog = settings.catalogs_path.as_deref().map(Catalog::open).transpose().context("--catalogs-path")?;
    let mut server = ServerBuilder::new("model-registry");
    if let Some(catalog) = catalog {
        server = server.described(access.guard(catalog::router(catalog.clone())));
        tokio::spawn(catalog.follow(shutdown.child()));
    }
    let server = server
        .errors(api::errors())
        .described(
            access.guard(
                api::registry(&store)
                    .merge(feed::router(&store, shutdown.child()))
                    .layer(from_fn_with_state(prepared.clone(), only_when_ready)),
            ),
        )
        .router(api::surroundings(readiness.clone()))
        .readiness(readiness.clone())
        .metrics(Metrics::new("model_registry"))
        .tls(settings.tls.load()?)
        .limits(Limits { body_bytes: settings.body_limit, ..Limits::default() })
        .bind(Listen { address: settings.listen_address(), setting: "--hostname and --port" })
        .await?;
    let address = server.local_addr();
    let stopped = shutdown.child();
    let preparing = tokio::spawn({
        let (database, stopped, readiness) = (database.clone(), stopped.clone(), readiness.clone());
        async move {
            let following = async {
                prepare(&database, &[&prepared, &readiness]).await;
                follow(&database, &readiness).await;
            };
            stopped.unless(following).await
        }
    });
    let task = tokio::spawn(async move {
        let served = server.serve(shutdown).await;
        stopped.trigger();
        preparing.await.context("the preparation of the database ended unexpectedly")?;
        drop(store);
        database.close().await;
        served.context("the registry cannot serve")
    });
    Ok(Registry { running: Running { address, task }, readiness })
}

/// Serves the catalog alone until `shutdown`.
pub async fn catalog(settings: CatalogSettings, shutdown: Shutdown) -> anyhow::Result<()> {
    telemetry::init(&settings.log);
    let catalog = Catalog::open(&settings.catalogs_path).context("--catalogs-path / MR_CATALOGS_PATH")?;
    let readiness = Readiness::ready();
    let server = ServerBuilder::new("model-catalog")
        .errors(api::errors())
        .described(catalog::router(catalog.clone()))
        .router(api::surroundings(readiness.clone()))
        .readiness(readiness)
        .metrics(Metrics::new("model_catalog"))
        .tls(settings.tls.load()?)
        .bind(Listen { address: SocketAddr::new(settings.hostname, settings.port), setting: "--hostname and --port" })
        .await?;
    let following = tokio::spawn(catalog.follow(shutdown.child()));
    server.serve(shutdown).await.context("the catalog cannot serve")?;
    following.await.context("the catalog's files are no longer followed")
}

/// Brings the tables of the database up to date.
pub async fn migrate(settings: MigrateSettings) -> anyhow::Result<()> {
    telemetry::init(&settings.log);
    prepared(&settings).await?.close().await;
    tracing::info!("the tables are up to date");
    Ok(())
}

/// Fills a registry with what a file describes.
pub async fn seed(settings: SeedSettings) -> anyhow::Result<()> {
    telemetry::init(&settings.common.log);
    let from_input = settings.file == Path::new("-");
    let yaml =
        if from_input { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(&settings.file) };
    let yaml = yaml.with_context(|| format!("{} cannot be read", settings.file.display()))?;
    let tls = TlsSettings { ca_file: settings.ca.clone(), ..TlsSettings::default() };
    let (http, token) = (peer::http(&tls)?, peer::token(None, settings.token_file.as_deref())?);
    let seeded = if let Some(url) = &settings.url {
        Seeder::new(http, url, token).seed(&yaml).await?
    } else {
        let shutdown = Shutdown::new();
        let own = ProxySettings::here(settings.common.database.clone(), settings.common.log.clone());
        let registry = start(own, shutdown.clone()).await?;
        registry.readiness.until_ready().await;
        let seeded = Seeder::new(http, &registry.url()?, token).seed(&yaml).await;
        shutdown.trigger();
        registry.running.task.await.context("the registry ended unexpectedly")??;
        seeded?
    };
    tracing::info!(created = seeded.created, updated = seeded.updated, "seeded");
    Ok(())
}

/// Writes all that the registry holds.
pub async fn export(settings: ExportSettings) -> anyhow::Result<()> {
    telemetry::init(&settings.common.log);
    let database = prepared(&settings.common).await?;
    let resources = if settings.file == Path::new("-") {
        dump::export(&database, &mut std::io::stdout().lock(), |_| ()).await?
    } else {
        let file =
            File::create_new(&settings.file).with_context(|| format!("{} cannot be made", settings.file.display()))?;
        dump::export(&database, &mut BufWriter::new(file), |_| ()).await?
    };
    database.close().await;
    tracing::info!(resources, "exported");
    Ok(())
}

/// Reads what was exported, or another registry.
pub async fn import(settings: ImportSettings) -> anyhow::Result<()> {
    telemetry::init(&settings.common.log);
    let database = prepared(&settings.common).await?;
    let result = match (&settings.source.from, &settings.file) {
        (Some(from), _) => import_from(from, &settings.source, &database).await,
        (None, Some(file)) => import_file(file, &database).await,
        (None, None) => Err(anyhow::anyhow!("neither a file nor --from / MR_FROM says what to import")),
    };
    database.close().await;
    result
}

async fn import_file(file: &Path, database: &Database) -> anyhow::Result<()> {
    let resources = if file == Path::new("-") {
        dump::import(database, std::io::stdin().lock(), |_| ()).await?
    } else {
        let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
        dump::import(database, BufReader::new(opened), |_| ()).await?
    };
    tracing::info!(resources, "imported");
    Ok(())
}

async fn import_from(from: &Url, settings: &SourceSettings, database: &Database) -> anyhow::Result<()> {
    let source = import::Source::open(from.clone(), peer::http(&settings.tls())?, settings.token()?).await?;
    tracing::info!(registry = source.url(), "importing");
    let imported = match &settings.id_map {
        None => import::import(&source, database, settings.rules(), None).await?,
        Some(path) => {
            let cannot_be_made = || format!("--id-map / MR_ID_MAP: {} cannot be made", path.display());
            let mut file = BufWriter::new(File::create_new(path).with_context(cannot_be_made)?);
            let imported = import::import(&source, database, settings.rules(), Some(&mut file)).await;
            if imported.is_err() {
                // What it says was taken back.
                let _ = std::fs::remove_file(path);
            }
            imported?
        }
    };
    for (kind, count) in &imported.resources {
        tracing::info!("imported {count} of the kind {}", kind.name());
    }
    for ((kind, field), count) in &imported.unknown {
        tracing::warn!("the field {field:?} of {count} of the kind {} is not kept: nothing here has it", kind.name());
    }
    let import::Imported { renumbered, links, history, left_out, .. } = imported;
    tracing::info!(resources = imported.total(), renumbered, links, history, left_out, "imported");
    Ok(())
}

/// The database, its tables up to date.
async fn prepared(settings: &MigrateSettings) -> anyhow::Result<Database> {
    let database = Database::at(&settings.database.place()?);
    database.migrate().await.context("the tables cannot be brought up to date")?;
    Ok(database)
}

/// Brings the tables up to date as soon as the database is there, however late.
async fn prepare(database: &Database, waiting: &[&Readiness]) {
    let mut pause = FIRST_RETRY;
    while let Err(error) = database.migrate().await {
        let reason = problem(&error);
        tracing::warn!(next_try_in = ?pause, "the database can't be used yet: {reason}");
        for readiness in waiting {
            readiness.set_not_ready(format!("the database can't be used yet: {reason}"));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RETRY);
    }
    tracing::info!(dialect = ?database.dialect(), "the database is ready");
    for readiness in waiting {
        readiness.set_ready();
    }
}

/// The registry is ready as long as its database answers.
async fn follow(database: &Database, readiness: &Readiness) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let looked = tokio::time::timeout(LOOK_WITHIN, database.look()).await;
        let problem = match looked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", LOOK_WITHIN.as_secs())),
        };
        match problem {
            None if readiness.is_ready() => {}
            None => {
                tracing::info!("the database answers again");
                readiness.set_ready();
            }
            Some(reason) => {
                if readiness.is_ready() {
                    tracing::warn!("the database does not answer: {reason}");
                }
                readiness.set_not_ready(format!("the database does not answer: {reason}"));
            }
        }
    }
}

fn problem(error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMissing(version) => {
            format!("it was used by a newer version of this program (migration {version} is not known here)")
        }
        other => other.to_string(),
    }
}

async fn only_when_ready(State(readiness): State<Readiness>, request: Request, next: Next) -> Response {
    match readiness.reason() {
        None => next.run(request).await,
        Some(reason) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}
