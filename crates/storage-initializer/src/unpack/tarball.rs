//! Tar files, compressed or not, and the layers of images, which are tar files with marks of what is no longer there.

use std::io::Read;

use tar::{Entry, EntryType, Header};

use super::sparse::{Expanded, SparseRecords};
use super::staging::{Staging, entry_path, text};
use super::tally::{Metered, Tally, is_zero};
use super::trouble::{damaged, refused, unreadable};
use crate::failure::Failure;
use crate::relative::RelativePath;

/// The unit of tar files, in bytes.
pub(super) const BLOCK: usize = 512;

/// How much may stand before an entry: long names, extended headers, lists of holes.
const HEADERS_LIMIT: u64 = 1 << 20;

/// What is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Everything, where it says.
    Everything,
    /// What is below that directory, as if the directory were the root; the rest is passed over. This is a layer of an
    /// image: it may take away what layers before it have.
    Layer(&'static str),
}

/// How an archive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a block of zeros: nothing else says that it is complete.
    Marked,
    /// Anyhow: its compression, or its digest, says whether it is complete.
    Open,
}

/// What a layer takes away from those before it: paths, or none for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layer {
    /// Each below what is unpacked.
    pub(super) removed: Vec<Option<RelativePath>>,
}

/// Unpacks a tar; the same name twice means that the later is right, as `tar --append` makes it.
pub(super) fn unpack_tar(
    content: impl Read,
    staging: &Staging,
    tally: &mut Tally,
    placement: Placement,
    ending: Ending,
) -> Result<Layer, Failure> {
    let metered = Metered::new(content);
    let (allowance, zeros) = (metered.allowance(), metered.zeros());
    let mut archive = tar::Archive::new(metered);
    let mut layer = Layer::default();
    let mut entries = archive.entries().map_err(unreadable)?;
    loop {
        zeros.set(0);
        allowance.limit(HEADERS_LIMIT);
        let Some(entry) = entries.next() else { break };
        allowance.lift();
        let mut entry = entry.map_err(unreadable)?;
        tally.entry()?;
        unpack_entry(&mut entry, staging, tally, placement, &mut layer)?;
        drain(&mut entry, tally)?;
    }
    allowance.lift();
    let is_marked = zeros.get() >= BLOCK as u64;
    if !is_marked && ending == Ending::Marked {
        return Err(damaged("it ends too early, without the mark of its end"));
    }
    if drain(&mut archive.into_inner(), tally)? == Drained::Something {
        return Err(refused("something stands after its end; archives that are put one after the other are not known"));
    }
    Ok(layer)
}

#[derive(Debug, PartialEq, Eq)]
enum Drained {
    Zeros,
    Something,
}

/// Reads to the end, so that what is checked there is checked.
fn drain(content: &mut dyn Read, tally: &mut Tally) -> Result<Drained, Failure> {
    let mut drained = Drained::Zeros;
    tally.copy(content, |bytes| {
        if !is_zero(bytes) {
            drained = Drained::Something;
        }
        Ok(())
    })?;
    Ok(drained)
}

fn unpack_entry<R: Read>(
    entry: &mut Entry<'_, R>,
    staging: &Staging,
    tally: &mut Tally,
    placement: Placement,
    layer: &mut Layer,
) -> Result<(), Failure> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return check_global(entry);
    }
    let records = SparseRecords::of(entry)?;
    let name = match records.name() {
        Some(name) => name.to_owned(),
        None => text(&entry.path_bytes())?.to_owned(),
    };
    let is_directory = kind == EntryType::Directory || (kind == EntryType::Regular && name.ends_with('/'));
    let Some(path) = placement.place(&name)? else { return Ok(()) };
    if let Some(mark) = whiteout(placement, &path)? {
        if let (true, Some(directory)) = (mark.is_opaque, &mark.removed) {
            staging.directory(directory)?;
        }
        layer.removed.push(mark.removed);
        return Ok(());
    }
    let Place::At(path) = path else {
        return if is_directory { Ok(()) } else { Err(refused(format!("{name:?} is not a directory"))) };
    };
    if is_directory {
        return staging.directory(&path);
    }
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            unpack_file(entry, &path, &records, staging, tally)
        }
        EntryType::Symlink => staging.symbolic_link(&path, &placement.target(&path, &link_name(entry, &path)?)),
        EntryType::Link => match placement.place(&link_name(entry, &path)?)? {
            Some(Place::At(target)) => staging.hard_link(&path, &target),
            _ => Err(refused(format!("\"{path}\" is a hard link that leads out"))),
        },
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            Err(refused(format!("\"{path}\" is a device or a pipe")))
        }
        _ => Err(refused(format!("\"{path}\" is of a kind that is not known ({:?})", char::from(kind.as_byte())))),
    }
}

fn unpack_file<R: Read>(
    entry: &mut Entry<'_, R>,
    path: &RelativePath,
    records: &SparseRecords,
    staging: &Staging,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mode = entry.header().mode().unwrap_or(0o644);
    let within = |failure: Failure| Failure { what: format!("{} at \"{path}\"", failure.what), ..failure };
    let (length, declared) = match records.real_size() {
        Some(size) => {
            let mut content = Expanded::new(entry, size).map_err(unreadable).map_err(within)?;
            (staging.file(path, mode, &mut content, tally).map_err(within)?, size)
        }
        None => (staging.file(path, mode, entry, tally).map_err(within)?, entry.size()),
    };
    if length != declared {
        return Err(damaged(format!("it ends too early: \"{path}\" has {length} of {declared} bytes")));
    }
    Ok(())
}

fn link_name<R: Read>(entry: &Entry<'_, R>, path: &RelativePath) -> Result<String, Failure> {
    let name = entry.link_name_bytes().ok_or_else(|| damaged(format!("\"{path}\" is a link to nothing")))?;
    Ok(text(&name)?.to_owned())
}

/// Records for all entries: comments and times pass, but not what would change where and how long entries are.
fn check_global<R: Read>(entry: &mut Entry<'_, R>) -> Result<(), Failure> {
    let unreadable_header = || damaged("an extended header in it cannot be read");
    let Some(records) = entry.pax_extensions().map_err(|_| unreadable_header())? else { return Ok(()) };
    for record in records {
        let record = record.map_err(|_| unreadable_header())?;
        if matches!(record.key_bytes(), b"path" | b"linkpath" | b"size") || record.key_bytes().starts_with(b"GNU.") {
            return Err(refused("it has a name or a size for all its entries"));
        }
    }
    Ok(())
}

/// Where an entry goes.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It is the directory itself that everything goes to.
    Root,
    At(RelativePath),
    /// Beside or above what is unpacked, but it may be a mark that the whole of it is gone.
    Mark(&'static str),
}

impl Place {
    /// The directory, empty for the root, and the name in it.
    fn split(&self) -> Option<(&str, &str)> {
        match self {
            Self::Root => None,
            Self::At(path) => Some(path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()))),
            Self::Mark(name) => Some(("", name)),
        }
    }
}

impl Placement {
    fn place(self, name: &str) -> Result<Option<Place>, Failure> {
        let path = match (self, entry_path(name)?) {
            (Self::Everything, None) => return Ok(Some(Place::Root)),
            (Self::Everything, Some(path)) => return Ok(Some(Place::At(path))),
            (Self::Layer(_), None) => return Ok(None),
            (Self::Layer(_), Some(path)) => path,
        };
        let Self::Layer(root) = self else { return Ok(None) };
        let path = path.as_str();
        if path == OPAQUE || path.strip_prefix(WHITEOUT) == Some(root) {
            return Ok(Some(Place::Mark(OPAQUE)));
        }
        let Some(below) = path.strip_prefix(root) else { return Ok(None) };
        if below.is_empty() {
            return Ok(Some(Place::Root));
        }
        // `/models-old` is not below `/models`.
        below.strip_prefix('/').map(entry_path).transpose().map(|path| path.flatten().map(Place::At))
    }

    /// Where a symbolic link leads, seen from what is unpacked: in an image, `/models/a` is known by that name.
    fn target(self, link: &RelativePath, target: &str) -> String {
        let Self::Layer(root) = self else { return target.to_owned() };
        let below = target.strip_prefix('/').and_then(|target| target.strip_prefix(root));
        match below.and_then(|below| below.strip_prefix('/')) {
            Some(below) => "../".repeat(link.as_str().matches('/').count()) + below,
            None => target.to_owned(),
        }
    }
}

/// What names of marks begin with.
const WHITEOUT: &str = ".wh.";
/// The mark of a directory that has nothing of the layers before.
const OPAQUE: &str = ".wh..wh..opq";

/// A mark that something is no longer there.
struct Mark {
    removed: Option<RelativePath>,
    /// Whether the directory itself stays.
    is_opaque: bool,
}

fn whiteout(placement: Placement, place: &Place) -> Result<Option<Mark>, Failure> {
    let (Placement::Layer(_), Some((parent, name))) = (placement, place.split()) else { return Ok(None) };
    let Some(removed) = name.strip_prefix(WHITEOUT) else { return Ok(None) };
    let is_opaque = name == OPAQUE;
    let path = match (is_opaque, parent) {
        (true, "") => ".".to_owned(),
        (true, parent) => parent.to_owned(),
        (false, parent) => format!("{parent}/{removed}"),
    };
    Ok(Some(Mark { removed: entry_path(&path)?, is_opaque }))
}

/// Whether it is the first block of a tar: the sum in it is right, or it is the end of an empty one.
pub(super) fn is_header(block: &[u8]) -> bool {
    if block.len() < BLOCK {
        return false;
    }
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let sum: u32 =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
    Header::from_byte_slice(block).cksum().is_ok_and(|expected| expected == sum)
}
