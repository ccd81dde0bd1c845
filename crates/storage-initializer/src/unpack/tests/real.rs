//! What `tar` itself makes.

use std::process::Command;

use rstest::rstest;

use super::*;

#[rstest]
#[case("--format=gnu", "-c")]
#[case("--format=posix", "-c")]
#[case("--format=gnu", "-cS")]
#[case("--format=posix", "-cS")]
#[case("--format=ustar", "-c")]
#[case("--format=v7", "-c")]
#[case("--format=gnu", "-cz")]
fn tars_of_gnu_tar_are_unpacked(#[case] format: &str, #[case] how: &str) {
    let model = TempDir::new().unwrap();
    let path = |name: &str| model.path().join(name);
    let long = if format == "--format=gnu" || format == "--format=posix" { "n".repeat(250) } else { "n".repeat(90) };
    fs::create_dir(path("1")).unwrap();
    fs::write(path("1/model.bin"), testkit::noise(70_000)).unwrap();
    fs::write(path(&long), "long").unwrap();
    fs::hard_link(path("1/model.bin"), path("copy")).unwrap();
    std::os::unix::fs::symlink("1/model.bin", path("latest")).unwrap();
    let holes = fs::File::create(path("holes")).unwrap();
    holes.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"in the middle", 300_000).unwrap();

    let place = Place::with(b"");
    let packed = Command::new("tar")
        .args([format, how, "-f"])
        .arg(&place.archive)
        .args(["--numeric-owner", "-C"])
        .arg(model.path())
        .arg(".")
        .status()
        .unwrap();
    assert!(packed.success());
    let kind = archive_in(&place.archive, "model.tar", None).unwrap().unwrap();
    assert_eq!(place.unpack(kind).unwrap(), Unpacked { files: 4, bytes: 140_004 + (1 << 20) });
    let mut expected = BTreeMap::new();
    collect(model.path(), "", &mut expected);
    assert!(place.tree() == expected);
}
