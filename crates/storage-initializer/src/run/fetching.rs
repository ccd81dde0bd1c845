//! From a URI to files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument as _;

use super::printing;
use crate::complete::{Listed, Marker};
use crate::environment::Environment;
use crate::fetch::{self, Fetched, Single, WORK_DIRECTORY};
use crate::progress::Progress;
use crate::progress::report::Reporter;
use crate::relative::RelativePath;
use crate::resolve::{self, Resolved};
use crate::settings::{Settings, UnpackMode};
use crate::source::local::{self, Local};
use crate::source::{self, SharedSource, Source as _};
use crate::summary::Report;
use crate::unpack::{self, Bounds, Unpacked};
use crate::uri::{SourceUri, UriError};
use crate::{Failure, Kind};

/// Does what the settings say; what came of it is in `report`, also when it fails.
pub async fn run(settings: &Settings, environment: Environment, report: &Report) -> Result<(), Failure> {
    let named: SourceUri = settings.source_uri.parse().map_err(|error: UriError| error.failure())?;
    report.source(&named);
    let place = place(named, settings, environment, report).await?;
    if settings.resolve_only {
        return printing::resolved(&place.uri, place.resolved.as_ref(), settings.output);
    }
    let volume = volume(&place.uri, &settings.limits.pvc_mount);
    if settings.dry_run {
        return printing::list(source(&place, volume.as_deref(), settings).await?, settings.output).await;
    }
    let Some(destination) = settings.dest_path.as_deref() else {
        return Err(Failure::new(Kind::Usage, "no destination is given", "name a directory as the second argument"));
    };
    tracing::info!("fetching {} to {}", place.uri, destination.display());
    match volume {
        Some(root) => link(&root, &place.uri, settings, destination, report).await?,
        None => {
            let source = source(&place, None, settings).await?;
            download(source, settings, destination, report).await?;
        }
    }
    report.told();
    Ok(())
}

/// Where the model is, with what is needed to get at it.
struct Place {
    uri: SourceUri,
    environment: Environment,
    resolved: Option<Resolved>,
}

async fn place(
    named: SourceUri,
    settings: &Settings,
    environment: Environment,
    report: &Report,
) -> Result<Place, Failure> {
    let SourceUri::Registry(named) = named else {
        return Ok(Place { uri: named, environment, resolved: None });
    };
    let span = tracing::info_span!(target: service::telemetry::TARGET, "resolve", uri = %named);
    let began = Instant::now();
    let resolved = resolve::resolve(&named, &settings.registry, &environment).instrument(span).await?;
    tracing::info!(elapsed = ?began.elapsed(), "{resolved}");
    report.resolved(&resolved);
    let environment = resolved.environment(environment);
    Ok(Place { uri: resolved.uri.clone(), environment, resolved: Some(resolved) })
}

/// Where a path of a volume is mounted, if it is one. KServe names volumes by where it mounts them, users by `pvc://`.
fn volume(uri: &SourceUri, mount: &Path) -> Option<PathBuf> {
    match uri {
        SourceUri::Pvc { path, .. } => Some(mount.join(path)),
        SourceUri::File(path) if path.starts_with(mount) => Some(path.clone()),
        _ => None,
    }
}

async fn source(place: &Place, volume: Option<&Path>, settings: &Settings) -> Result<SharedSource, Failure> {
    match volume {
        Some(root) => Ok(Arc::new(Local::new(root, place.uri.to_string()))),
        None => {
            let (network, images) = (settings.network.network(), settings.network.images());
            source::open(&place.uri, &place.environment, &network, &images).await
        }
    }
}

async fn download(
    source: SharedSource,
    settings: &Settings,
    destination: &Path,
    report: &Report,
) -> Result<(), Failure> {
    let source = Arc::new(Listed::new(source));
    if let Some(marker) = Marker::read(destination).await {
        if marker.holds(&source, destination).await? {
            report.complete(marker.files, marker.bytes);
            return Ok(());
        }
        Marker::remove(destination).await?;
    }
    let fetched = fetched(Arc::clone(&source) as SharedSource, settings, destination, report).await?;
    report.fetched(&fetched);
    let bounds = settings.limits.bounds();
    let mut unpacked = source.finish(destination, bounds).await?;
    if let (UnpackMode::Auto, None, Some(single)) = (settings.limits.unpack, unpacked, &fetched.single) {
        unpacked = unpack(single, bounds, destination).await?;
    }
    report.unpacked(unpacked);
    if let Some(marker) = Marker::of(&source, unpacked.is_some()) {
        marker.write(destination).await;
    }
    remove_work(destination).await;
    Ok(())
}

/// Nothing is left to do. What stays behind does no harm.
async fn remove_work(destination: &Path) {
    let work = destination.join(WORK_DIRECTORY);
    match tokio::fs::remove_dir_all(&work).await {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("{} stays behind: {error}", work.display()),
    }
}

async fn fetched(
    source: SharedSource,
    settings: &Settings,
    destination: &Path,
    report: &Report,
) -> Result<Fetched, Failure> {
    let progress = Arc::new(Progress::default());
    report.progress(Arc::clone(&progress));
    let reporter = Reporter::start(Arc::clone(&progress), settings.progress_interval.0);
    let span = tracing::info_span!(target: service::telemetry::TARGET, "fetch", uri = source.name());
    let fetched = fetch::fetch(source, destination, settings.limits.limits(), &progress).instrument(span).await;
    reporter.stop();
    fetched
}

/// What is on a volume is not copied: the model server has the volume, too.
async fn link(
    root: &Path,
    uri: &SourceUri,
    settings: &Settings,
    destination: &Path,
    report: &Report,
) -> Result<(), Failure> {
    let (root, place, name) = (root.to_owned(), destination.to_owned(), uri.to_string());
    let linked = blocking(move || local::link(&root, &place, &name)).await?;
    report.fetched(&Fetched { files: linked.names.len() as u64, ..Fetched::default() });
    if let (UnpackMode::Auto, [name]) = (settings.limits.unpack, linked.names.as_slice())
        && let Ok(path) = RelativePath::new(name)
        && path.below(destination).is_file()
    {
        let single = Single { path, content_type: None };
        report.unpacked(unpack(&single, settings.limits.bounds(), destination).await?);
        remove_work(destination).await;
    }
    Ok(())
}

/// Opens a model that is one archive, which it then takes the place of.
async fn unpack(single: &Single, bounds: Bounds, destination: &Path) -> Result<Option<Unpacked>, Failure> {
    let archive = single.path.below(destination);
    let (file, name, declared) = (archive.clone(), single.path.to_string(), single.content_type.clone());
    let found = blocking(move || unpack::archive_in(&file, &name, declared.as_deref()));
    let Some(kind) = found.await? else { return Ok(None) };
    tracing::info!("unpacking {}", single.path);
    let span = tracing::info_span!(target: service::telemetry::TARGET, "unpack", archive = %single.path);
    let (destination, work) = (destination.to_owned(), destination.join(WORK_DIRECTORY));
    let unpacked = blocking(move || unpack::unpack(&archive, kind, &destination, &work, bounds)).instrument(span).await;
    unpacked.map(Some)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Failure::new(Kind::Internal, error.to_string(), "report it with the lines above"))?
}
