//! What is to be done: the list is read once for its sums and for what cannot be. Objects are kept only up to a bound; what
//! is beyond it is listed again.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::iter;

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::WORK_DIRECTORY;
use super::id::Id;
use super::space::Needs;
use super::work::Work;
use crate::failure::{Failure, Kind};
use crate::relative::RelativePath;
use crate::source::{Object, Source};

/// How much memory the objects of a list may take that is kept.
pub(super) const KEPT_BYTES: usize = 8 << 20;

/// What is to be downloaded.
#[derive(Debug)]
pub(super) struct Plan {
    /// What the list said in all.
    pub(super) sums: Sums,
    /// What has to be written.
    pub(super) needs: Needs,
    /// All objects, where they are few.
    kept: Option<Vec<Object>>,
    /// Partial files that belong to no object any longer.
    pub(super) stale: Vec<Id>,
    /// All names, where an earlier run may have left files of others.
    pub(super) names: Option<Names>,
}

/// What a list says in all; two lists of the same objects, in whatever order, have the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) files: u64,
    /// As far as they are known.
    pub(super) bytes: u64,
    objects: u64,
}

impl Sums {
    pub(super) fn add(&mut self, object: &Object) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(object.size.unwrap_or(0));
        let mut hash = DefaultHasher::new();
        (object.path.as_str(), &object.locator, object.size, &object.version, &object.checksum).hash(&mut hash);
        self.objects = self.objects.wrapping_add(hash.finish());
    }
}

impl Plan {
    /// Reads the list.
    pub(super) async fn of(source: &dyn Source, work: &Work, kept_bytes: usize) -> Result<Self, Failure> {
        let known = work.known();
        let mut stale: HashSet<Id> = known.partial().collect();
        let (mut sums, mut needs, mut names) = (Sums::default(), Needs::default(), Names::default());
        let (mut kept, mut room) = (Some(Vec::new()), kept_bytes);
        let mut objects = source.objects();
        while let Some(object) = objects.try_next().await? {
            names.add(&object.path)?;
            sums.add(&object);
            let bytes = if known.is_empty() { object.size.or(Some(0)) } else { missing(work, &object, &mut stale) };
            if let Some(bytes) = bytes {
                needs.add(bytes);
            }
            match room.checked_sub(memory_of(&object)) {
                Some(left) => room = left,
                None => kept = None,
            }
            if let Some(kept) = &mut kept {
                kept.push(object);
            }
        }
        drop(objects);
        names.sort();
        let mut plan = Self { sums, needs, kept, stale: stale.into_iter().collect(), names: None };
        plan.check_names(source, &names).await?;
        plan.names = (!known.is_empty()).then_some(names);
        Ok(plan)
    }

    /// The objects, from memory or listed again.
    pub(super) fn objects(self, source: &dyn Source) -> BoxStream<'_, Result<Object, Failure>> {
        match self.kept {
            Some(kept) => stream::iter(kept).map(Ok).boxed(),
            None => source.objects(),
        }
    }

    async fn check_names(&self, source: &dyn Source, names: &Names) -> Result<(), Failure> {
        let suspects = names.suspects();
        if suspects.is_empty() {
            return Ok(());
        }
        let mut claims: HashMap<String, Object> = HashMap::new();
        let mut check = |object: Object| claim(&mut claims, &suspects, &object);
        match &self.kept {
            Some(kept) => kept.iter().cloned().try_for_each(check),
            None => {
                let mut objects = source.objects();
                while let Some(object) = objects.try_next().await? {
                    check(object)?;
                }
                Ok(())
            }
        }
    }
}

/// How many bytes of the object are not on the disk yet, as the journal has it; none where the file is complete.
fn missing(work: &Work, object: &Object, stale: &mut HashSet<Id>) -> Option<u64> {
    let id = Id::of(object);
    stale.remove(&id);
    let size = object.size.unwrap_or(0);
    if work.known().complete(id).is_some() {
        return None;
    }
    Some(size.saturating_sub(work.known().pieces(id).iter().map(|piece| piece.length).sum()))
}

fn memory_of(object: &Object) -> usize {
    size_of::<Object>()
        + object.path.as_str().len()
        + object.locator.len()
        + object.version.as_ref().map_or(0, String::len)
}

/// The names that a list uses, in eight bytes each: those of a million objects have to have room.
#[derive(Debug, Default)]
pub(super) struct Names {
    files: Vec<u64>,
    directories: Vec<u64>,
    last_directory: String,
}

impl Names {
    fn add(&mut self, path: &RelativePath) -> Result<(), Failure> {
        let path = path.as_str();
        if path.split('/').next() == Some(WORK_DIRECTORY) {
            return Err(Failure::new(
                Kind::Integrity,
                format!("the object {path:?} is named like the directory that partial files are kept in"),
                "give it another name",
            ));
        }
        self.files.push(hash_of(path));
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        // Lists are in order, nearly always: the same directory comes many times in a row.
        if directory != self.last_directory {
            self.directories.extend(directories(path).map(hash_of));
            directory.clone_into(&mut self.last_directory);
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.files.sort_unstable();
        self.directories.sort_unstable();
        self.directories.dedup();
    }

    /// Whether a file may have this path; if not, then it is certain.
    pub(super) fn may_have(&self, path: &str) -> bool {
        self.files.binary_search(&hash_of(path)).is_ok()
    }

    /// What is a file twice, or a file and a directory; or is not, but has the same hash.
    fn suspects(&self) -> HashSet<u64> {
        let twice = self.files.windows(2).filter_map(|pair| match pair {
            [first, second] if first == second => Some(*first),
            _ => None,
        });
        let both = self.directories.iter().copied().filter(|name| self.files.binary_search(name).is_ok());
        twice.chain(both).collect()
    }
}

/// Notes who uses which of the suspected names; who comes second is one too many.
fn claim(claims: &mut HashMap<String, Object>, suspects: &HashSet<u64>, object: &Object) -> Result<(), Failure> {
    let path = object.path.as_str();
    for name in directories(path).chain(iter::once(path)).filter(|name| suspects.contains(&hash_of(name))) {
        match claims.get(name) {
            Some(other) if name == path || other.path.as_str() == name => return Err(collision(other, object)),
            // Two files below the same directory.
            Some(_) => {}
            None => {
                claims.insert(name.to_owned(), object.clone());
            }
        }
    }
    Ok(())
}

/// The directories above a path.
fn directories(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

fn hash_of(name: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    name.hash(&mut hash);
    hash.finish()
}

fn collision(one: &Object, other: &Object) -> Failure {
    let what = if one.path == other.path {
        format!("{:?} and {:?} would be the same file, {:?}", one.locator, other.locator, one.path.as_str())
    } else {
        let (file, below) =
            if one.path.as_str().len() < other.path.as_str().len() { (one, other) } else { (other, one) };
        format!("{:?} is a file, and has to be a directory for {:?}", file.path.as_str(), below.path.as_str())
    };
    Failure::new(Kind::Integrity, what, "rename or remove one of the objects")
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
