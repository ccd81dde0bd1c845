//! Fixtures as snapshots: `tests/fixtures/projection/<name>.yaml` in, `tests/projection/snapshots` out. Each fixture
//! covers rows of the mapping; its `about` says which.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::rules;
use super::support::{projected, shown};

macro_rules! fixtures {
    ($($name:ident),* $(,)?) => {
        const FIXTURES: &[&str] = &[$(stringify!($name)),*];

        $(#[test] fn $name() {
            check(stringify!($name));
        })*
    };
}

fixtures!(
    addresses,
    archived,
    artifacts,
    authentication,
    described,
    kserve_only,
    kserve_readiness,
    licenses,
    llm_addresses,
    llm_registered,
    llm_services,
    malformed,
    names,
    owner_lifecycle,
    served_by_label,
    served_by_record,
    tags,
    techdocs,
    two_registries,
);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/projection")
}

fn check(name: &str) {
    let text = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    let input: Value = serde_yaml::from_str(&text).unwrap();
    let projection = projected(&input);
    rules::check(&projection);
    insta::with_settings!({
        description => input["about"].as_str().unwrap(),
        omit_expression => true,
        prepend_module_to_snapshot => false,
    }, {
        insta::assert_snapshot!(name, shown(&projection));
    });
}

#[test]
fn every_fixture_is_tested() {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let names: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, FIXTURES.iter().map(|name| (*name).to_owned()).collect());
}
