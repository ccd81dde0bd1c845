//! Layers of images.

use rstest::rstest;

use super::bytes::{Tar, gzip};
use super::*;

/// What comes out of layers, one upon the other.
fn unpack_layers(layers: &[Tar]) -> (Place, Result<Unpacked, Failure>) {
    let place = Place::with(b"");
    let work = place.directory.path().join("work");
    fs::create_dir(&work).unwrap();
    let blobs: Vec<Blob> = layers
        .iter()
        .enumerate()
        .map(|(number, tar)| {
            let path = work.join(number.to_string());
            // Even the mark of the end is missing: some builders leave it out.
            fs::write(&path, gzip(&tar.0)).unwrap();
            let name = format!("layer {number}");
            Blob { path, name, kind: Archive::TarGz, placement: Placement::Layer("models") }
        })
        .collect();
    let unpacked = unpack_blobs(&blobs, &place.destination(), &work, BOUNDS);
    if unpacked.is_ok() {
        assert_eq!(fs::read_dir(&work).unwrap().count(), 0, "layers go when they are unpacked");
    }
    (place, unpacked)
}

fn tree_of(layers: &[Tar]) -> BTreeMap<String, String> {
    let (place, unpacked) = unpack_layers(layers);
    unpacked.unwrap();
    place.tree()
}

fn tar() -> Tar {
    Tar::default()
}

#[test]
fn what_is_below_models_is_the_model() {
    let layers = [
        tar()
            .directory("etc/")
            .file("etc/passwd", "root")
            .entry(b"dev/null", b'3', b"", b"")
            .file("models-old/x", "no"),
        tar()
            .directory("models/")
            .file("models/1/model.bin", "weights")
            .hard_link("models/1/copy", "models/1/model.bin"),
        tar().file("./models/config.json", "{}").symbolic_link("models/1/config.json", "/models/config.json"),
    ];
    let (place, unpacked) = unpack_layers(&layers);
    assert_eq!(unpacked.unwrap(), Unpacked { files: 3, bytes: 16 });
    let expected = [
        ("1/", ""),
        ("1/config.json", "-> ../config.json"),
        ("1/copy", "weights"),
        ("1/model.bin", "weights"),
        ("config.json", "{}"),
    ];
    assert_eq!(place.tree(), tree(&expected));
}

#[test]
fn later_layers_replace_what_earlier_ones_have() {
    let layers = [
        tar().file("models/a", "1").file("models/d/x", "1").file("models/f", "1").symbolic_link("models/l", "d"),
        tar().file("models/a", "2").file("models/d", "now a file").file("models/f/x", "now a directory"),
        tar().file("models/l/x", "no longer a link"),
    ];
    let expected = [
        ("a", "2"),
        ("d", "now a file"),
        ("f/", ""),
        ("f/x", "now a directory"),
        ("l/", ""),
        ("l/x", "no longer a link"),
    ];
    assert_eq!(tree_of(&layers), tree(&expected));
}

#[rstest]
#[case::a_file(tar().file("models/.wh.a", ""), &[("d/", ""), ("d/x", "1"), ("new", "2")])]
#[case::a_directory(tar().file("models/.wh.d", ""), &[("a", "1"), ("new", "2")])]
#[case::a_file_of_a_directory(tar().file("models/d/.wh.x", ""), &[("a", "1"), ("d/", ""), ("new", "2")])]
#[case::what_a_directory_had(tar().file("models/d/.wh..wh..opq", ""), &[("a", "1"), ("d/", ""), ("new", "2")])]
#[case::what_models_had(tar().file("models/.wh..wh..opq", ""), &[("new", "2")])]
#[case::models(tar().file(".wh.models", ""), &[("new", "2")])]
#[case::everything(tar().file(".wh..wh..opq", ""), &[("new", "2")])]
#[case::something_that_is_not_there(tar().file("models/.wh.z", ""), &[("a", "1"), ("d/", ""), ("d/x", "1"), ("new", "2")])]
#[case::elsewhere(tar().file(".wh.models-old", "").file("etc/.wh.a", ""), &[("a", "1"), ("d/", ""), ("d/x", "1"), ("new", "2")])]
fn marks_take_away_what_earlier_layers_have(#[case] marks: Tar, #[case] expected: &[(&str, &str)]) {
    let base = || tar().file("models/a", "1").file("models/d/x", "1");
    // Before and after what the layer itself brings, which stays in any case.
    let Tar(mut after) = tar().file("models/new", "2");
    after.extend(&marks.0);
    let Tar(before) = Tar(marks.0).file("models/new", "2");
    for layer in [before, after] {
        assert_eq!(tree_of(&[base(), Tar(layer)]), tree(expected));
    }
}

#[test]
fn marks_are_not_followed_through_links() {
    let elsewhere = TempDir::new().unwrap();
    fs::write(elsewhere.path().join("x"), "1").unwrap();
    let layers = [
        tar().file("models/a", "1").symbolic_link("models/d/l", "../a/../../../../../.."),
        tar().file("models/d/l/.wh.x", "").file("models/d/.wh.l", ""),
    ];
    assert_eq!(tree_of(&layers), tree(&[("a", "1"), ("d/", "")]));
}

#[rstest]
#[case::upwards(tar().file("models/../../evil", ""), "leads upwards")]
#[case::a_link_upwards(tar().file("models/a", "").symbolic_link("models/l", "../etc/passwd"), "symbolic link")]
#[case::a_link_to_the_root(tar().file("models/a", "").symbolic_link("models/l", "/etc/passwd"), "leads out")]
#[case::a_hard_link_upwards(tar().hard_link("models/l", "etc/passwd"), "hard link that leads out")]
#[case::models_is_a_link(tar().symbolic_link("models", "/etc"), "is not a directory")]
#[case::a_mark_upwards(tar().file("models/.wh...", ""), "leads upwards")]
#[case::a_mark_of_itself(tar().file("models/d/.wh..", ""), "")]
fn hostile_layers_are_refused(#[case] layer: Tar, #[case] reason: &str) {
    let (place, unpacked) = unpack_layers(&[tar().file("models/a", "1"), layer]);
    match unpacked {
        Err(failure) => assert!(failure.kind == Kind::Integrity && failure.to_string().contains(reason), "{failure}"),
        Ok(_) => assert!(reason.is_empty() && place.tree().contains_key("a")),
    }
}
