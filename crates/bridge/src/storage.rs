//! `storage`: entries out of a back end into a file, out of a file into a back end, and from one back end to another.
//!
//! All of it may be run while the bridge is in use, and again after it was interrupted: what is there already is not
//! written twice, and each entry is written whole or not at all.

mod lines;
mod sides;
mod source;
mod transfer;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use cluster::ClusterSettings;
use service::{Shutdown, telemetry};
use storage_rest::settings::StorageSettings;
use storage_rest::store::Store;
use storage_rest::store::backend::Backend;

use self::lines::{ExportFile, LineWriter};
use self::sides::Sides;
use self::source::StoreSource;
use self::transfer::{Mode, Others, Writing};
use crate::progress::Progress;

const TYPES: &str = "\
Storage types and what they take:
  ConfigMap  the cluster's flags (--kubeconfig, --namespace, ...)
  Sql        --database-url, or --database-url-file
  Sqlite     --sqlite-path
  GitHub     --storage-github-repository, --storage-github-token-file, ...
All types and settings are told by `storage-rest --help` and docs/storage.md.";

const SIDES: &str = "\
Each side takes the settings of its storage type with `from-` or `to-` in front, as flags or as variables (FROM_..., TO_...):
  ConfigMap  --from-kubeconfig, --from-kube-context, --from-namespace  [default: KUBECONFIG, KUBE_CONTEXT, NAMESPACE]
  Sql        --from-database-url, or --from-database-url-file
  Sqlite     --from-sqlite-path
  GitHub     --from-storage-github-repository, --from-storage-github-token-file, ...
For example, from a cluster's ConfigMaps to PostgreSQL:
  TO_DATABASE_URL=postgres://... model-catalog-bridge storage copy --from ConfigMap --from-namespace rhdh --to Sql";

/// What can be done with stored entries.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum StorageCommand {
    /// Write all entries to a file, as JSON Lines
    #[command(after_help = TYPES)]
    Export(Box<ExportArgs>),
    /// Keep the entries of such a file; those that are kept already are not written again
    #[command(after_help = TYPES)]
    Import(Box<ImportArgs>),
    /// Copy all entries from one storage to another
    #[command(after_help = SIDES)]
    Copy(Box<CopyArgs>),
}

/// Where entries are kept.
#[derive(Debug, Clone, Args)]
struct Kept {
    #[command(flatten)]
    storage: StorageSettings,
    #[command(flatten)]
    cluster: ClusterSettings,
}

/// What is logged meanwhile.
#[derive(Debug, Clone, Args)]
struct Logged {
    /// What to log
    #[arg(long, env = "LOG_LEVEL", default_value = "warn", value_name = "FILTER")]
    log_level: telemetry::LogLevel,
}

/// `storage export`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// The file to write; `-` is standard output. It appears when it is whole
    #[arg(id = "export_file", value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    from: Kept,
    #[command(flatten)]
    log: Logged,
}

/// How a storage is changed.
#[derive(Debug, Clone, Copy, Args)]
struct Change {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Also remove what is kept there and is not among the entries
    #[arg(long)]
    replace: bool,
}

impl Change {
    fn mode(self) -> Mode {
        if self.dry_run { Mode::DryRun } else { Mode::Write }
    }

    /// What is not among the entries is only known to be gone when they are the `whole` of what there should be.
    fn others(self, whole: bool) -> anyhow::Result<Others> {
        match (self.replace, whole) {
            (false, _) => Ok(Others::Keep),
            (true, true) => Ok(Others::Remove),
            (true, false) => bail!(
                "--replace would remove what may only not have come yet: the storage that these entries are of was still \
                 being filled for the first time. No entry was changed; take them again when it is filled, or leave out \
                 --replace"
            ),
        }
    }
}

/// `storage import`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImportArgs {
    /// The file to read; `-` is standard input. Nothing is written unless all of it can be understood
    #[arg(id = "import_file", value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    to: Kept,
    #[command(flatten)]
    log: Logged,
}

/// `storage copy`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    sides: Sides,
    #[command(flatten)]
    log: Logged,
}

/// Does one of them. An interrupt stops it between two entries.
pub(crate) async fn run(command: StorageCommand) -> anyhow::Result<()> {
    let log_level = match &command {
        StorageCommand::Export(args) => &args.log.log_level,
        StorageCommand::Import(args) => &args.log.log_level,
        StorageCommand::Copy(args) => &args.log.log_level,
    };
    telemetry::init(&telemetry::LogSettings { log_level: log_level.clone(), ..Default::default() });
    let shutdown = Shutdown::new().on_signals();
    let done = match command {
        StorageCommand::Export(args) => shutdown.unless(Box::pin(export(*args))).await,
        StorageCommand::Import(args) => shutdown.unless(Box::pin(import(*args))).await,
        StorageCommand::Copy(args) => shutdown.unless(Box::pin(copy(*args))).await,
    };
    done.unwrap_or_else(|| bail!("interrupted; what was written is whole, and the same command goes on from there"))
}

impl Kept {
    /// Opens it to read; there must be something.
    async fn existing(&self) -> anyhow::Result<Opened> {
        Opened::of(&Backend::choose_existing(&self.storage, &self.cluster).await?).await
    }

    /// Opens it to write.
    async fn writable(&self) -> anyhow::Result<Opened> {
        Opened::of(&Backend::choose(&self.storage, &self.cluster).await?).await
    }
}

/// A storage in use.
struct Opened {
    store: Arc<dyn Store>,
    /// As the back end tells it, which knows the cluster, and as the store does, which knows the branch.
    identity: [String; 2],
}

impl Opened {
    async fn of(backend: &Backend) -> anyhow::Result<Self> {
        let store = backend.open().await?;
        Ok(Self { identity: [backend.describe(), store.describe()], store })
    }
}

async fn export(args: ExportArgs) -> anyhow::Result<()> {
    let store = args.from.existing().await?.store;
    let count = if args.file == Path::new("-") {
        write_all(&*store, BufWriter::new(io::stdout().lock())).await?.0
    } else {
        export_to_file(&*store, &args.file).await?
    };
    eprintln!("exported {count} entries of {}", store.describe());
    store.close().await;
    Ok(())
}

/// The file gets its name when all is in it, so that no half of an export is taken for one.
async fn export_to_file(store: &dyn Store, path: &Path) -> anyhow::Result<usize> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file =
        tempfile::NamedTempFile::new_in(directory).with_context(|| format!("cannot write to {}", path.display()))?;
    let (count, file) = write_all(store, BufWriter::new(file)).await?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(count)
}

async fn write_all<W: Write>(store: &dyn Store, out: W) -> anyhow::Result<(usize, W)> {
    let mut source = StoreSource::of(store).await?;
    let mut lines = LineWriter::begin(out, source.is_whole())?;
    let progress = Progress::new("exporting", source.len());
    while let Some(entries) = source.next().await? {
        progress.add(entries.len());
        for (key, entry) in entries {
            lines.entry(key, entry)?;
        }
    }
    Ok(lines.end()?)
}

async fn import(args: ImportArgs) -> anyhow::Result<()> {
    let mut file = if args.file == Path::new("-") {
        ExportFile::spool(io::stdin().lock(), "standard input")?
    } else {
        let file = File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
        ExportFile::new(file, args.file.display().to_string())
    };
    let contents = file.check()?;
    let others = args.change.others(contents.whole)?;
    let store = args.to.writable().await?.store;
    let mut writing = Writing::begin(&*store, args.change.mode(), contents.whole, contents.entries).await?;
    let mut entries = file.entries()?;
    while let Some(some) = entries.next()? {
        writing.put(some).await?;
    }
    let counts = writing.end(others).await?;
    println!("{counts} in {}", store.describe());
    store.close().await;
    Ok(())
}

async fn copy(args: CopyArgs) -> anyhow::Result<()> {
    let from = args.sides.from.existing().await.context("the storage to copy from")?;
    let to = args.sides.to.writable().await.context("the storage to copy to")?;
    if from.identity == to.identity {
        bail!("both sides are {}", from.store.describe());
    }
    let (from, to) = (from.store, to.store);
    let mut source = StoreSource::of(&*from).await?;
    let others = args.change.others(source.is_whole())?;
    let mut writing = Writing::begin(&*to, args.change.mode(), source.is_whole(), source.len()).await?;
    while let Some(some) = source.next().await? {
        writing.put(some).await?;
    }
    let counts = writing.end(others).await?;
    println!("{counts} in {}", to.describe());
    from.close().await;
    to.close().await;
    Ok(())
}
