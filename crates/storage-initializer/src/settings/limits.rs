//! The bounds of a download, and of what is unpacked.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Size;
use crate::fetch::Limits;
use crate::unpack::Bounds;

/// Whether archives are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum UnpackMode {
    /// A model that is one archive is unpacked, as KServe does
    #[default]
    Auto,
    /// Archives stay what they are
    Never,
}

/// What bounds a download.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// How many requests for content run at a time
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_CONNECTIONS",
        value_name = "COUNT",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=512),
        help_heading = "Download"
    )]
    pub connections: u16,

    /// How long the ranges are that long files are read in, as in 16MiB
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_RANGE_SIZE",
        value_name = "SIZE",
        default_value = "16MiB",
        value_parser = range,
        help_heading = "Download"
    )]
    pub range_size: Size,

    /// How many times a file that breaks off is gone on with before the download fails
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_ATTEMPTS",
        value_name = "COUNT",
        default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=1000),
        help_heading = "Download"
    )]
    pub attempts: u32,

    /// What must stay free where the model is put
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_RESERVE",
        value_name = "SIZE",
        default_value = "16MiB",
        help_heading = "Download"
    )]
    pub reserve: Size,

    /// The most that may be fetched in all [default: no bound]
    #[arg(long, env = "STORAGE_INITIALIZER_MAX_SIZE", value_name = "SIZE", help_heading = "Download")]
    pub max_size: Option<Size>,

    /// Where KServe mounts the volume of a pvc://
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_PVC_MOUNT",
        value_name = "DIRECTORY",
        default_value = "/mnt/pvc",
        help_heading = "Download"
    )]
    pub pvc_mount: PathBuf,

    /// Whether a model that is one archive is unpacked: auto or never
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_UNPACK",
        value_name = "MODE",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Archives"
    )]
    pub unpack: UnpackMode,

    /// The most that may come out of an archive
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_MAX_UNPACKED_SIZE",
        value_name = "SIZE",
        default_value = "512GiB",
        help_heading = "Archives"
    )]
    pub max_unpacked_size: Size,

    /// The most entries that an archive may have
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_MAX_UNPACKED_ENTRIES",
        value_name = "COUNT",
        default_value_t = 1_000_000,
        help_heading = "Archives"
    )]
    pub max_unpacked_entries: u64,
}

fn range(text: &str) -> Result<Size, String> {
    let size: Size = text.parse().map_err(|error: super::SizeError| error.to_string())?;
    if (64 << 10..=1 << 30).contains(&size.0) { Ok(size) } else { Err("it must be from 64KiB to 1GiB".to_owned()) }
}

impl LimitSettings {
    /// The bounds of the download.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: usize::from(self.connections),
            range: self.range_size.0,
            attempts: self.attempts,
            reserve: self.reserve.0,
            total: self.max_size.map(|size| size.0),
        }
    }

    /// The bounds of an archive.
    pub fn bounds(&self) -> Bounds {
        Bounds { bytes: self.max_unpacked_size.0, entries: self.max_unpacked_entries }
    }
}
