//! What is to be done with each layer: a file is one that is put in place, an archive one that is unpacked later.

use std::path::Path;

use super::LAYERS;
use super::manifest::{Descriptor, Manifest, sha256};
use crate::checksum::Checksum;
use crate::fetch::WORK_DIRECTORY;
use crate::relative::RelativePath;
use crate::source::Object;
use crate::unpack::{Blob, Placement, kind_of};
use crate::{Failure, Kind};

/// Where in an image the model is.
pub(super) const MODELS: &str = "models";

/// What artifacts' layers are called: the first is what ORAS writes, the second ModelPack.
const TITLES: [&str; 2] = ["org.opencontainers.image.title", "org.cncf.model.filepath"];
/// ORAS sets it to `true` for a directory, packed.
const UNPACK: &str = "io.deis.oras.content.unpack";

/// The configurations that images have.
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// The layer of an artifact that has none.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// All there is to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) object: Object,
    /// What of it goes where, for archives.
    pub(super) placement: Option<Placement>,
}

impl Step {
    /// The archive, which was downloaded to `destination`. What is in it counts, not what it is called.
    pub(super) fn blob(&self, destination: &Path) -> Result<Blob, Failure> {
        let path = self.object.path.below(destination);
        let name = format!("layer {}", self.object.locator);
        let placement = self.placement.unwrap_or(Placement::Everything);
        let kind = kind_of(&path)?.ok_or_else(|| {
            Failure::new(Kind::Integrity, format!("{name} is no archive"), "push it with a tool for images")
        })?;
        Ok(Blob { path, name, kind, placement })
    }
}

pub(super) fn of(manifest: &Manifest, name: &str) -> Result<Plan, Failure> {
    let is_image = manifest.config.as_ref().is_some_and(|config| IMAGES.contains(&config.media_type.as_str()));
    let layers = manifest.layers.iter().filter(|layer| layer.media_type != EMPTY).enumerate();
    let steps = layers.map(|(number, layer)| step(number, layer, is_image, name)).collect::<Result<Vec<_>, _>>()?;
    if steps.is_empty() {
        return Err(Failure::new(Kind::NotFound, format!("{name} has no layers"), "push it with the model's files"));
    }
    Ok(Plan { steps })
}

fn step(number: usize, layer: &Descriptor, is_image: bool, name: &str) -> Result<Step, Failure> {
    let sum = sha256(name, &layer.digest)?;
    let bad = |reason: String| Failure::new(Kind::Integrity, format!("{name}: {reason}"), "push it with another title");
    let title = TITLES.iter().find_map(|title| layer.annotations.get(*title));
    let is_tar = is_tar(&layer.media_type);
    let is_packed = layer.annotations.get(UNPACK).is_some_and(|value| value == "true")
        || (is_tar && (title.is_none() || layer.annotations.contains_key(TITLES[1])));
    let (path, placement) = match title {
        Some(title) if !is_packed => {
            let path = RelativePath::new(title).map_err(|error| bad(error.to_string()))?;
            if path.as_str().starts_with(WORK_DIRECTORY) {
                return Err(bad(format!("{title:?} is where unfinished files are kept")));
            }
            (path, None)
        }
        None if !is_packed => {
            let what = format!("{name}: the layer {} ({}) has no title and is no tar", layer.digest, layer.media_type);
            return Err(Failure::new(Kind::Integrity, what, "push it as an image, or with a tool for OCI artifacts"));
        }
        _ => {
            let hex = layer.digest.trim_start_matches("sha256:");
            let path =
                RelativePath::new(&format!("{LAYERS}/{number}-{hex}")).map_err(|error| bad(error.to_string()))?;
            (path, Some(if is_image { Placement::Layer(MODELS) } else { Placement::Everything }))
        }
    };
    let object = Object {
        path,
        locator: layer.digest.clone(),
        size: Some(layer.size),
        version: Some(layer.digest.clone()),
        checksum: Some(Checksum::Sha256(sum)),
    };
    Ok(Step { object, placement })
}

fn is_tar(media_type: &str) -> bool {
    [".tar", ".tar+gzip", ".tar+zstd", ".tar.gzip", ".tar.zstd", "/gzip", "/x-tar", "/x-gzip", "/tar+gzip"]
        .iter()
        .any(|ending| media_type.ends_with(ending))
}
