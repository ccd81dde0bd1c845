use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rstest::rstest;

use super::*;
use crate::source::Content;

/// Names only.
struct Listing<F>(F);

#[async_trait]
impl<F: Fn() -> I + Send + Sync, I: Iterator<Item = String> + Send + 'static> Source for Listing<F> {
    fn name(&self) -> String {
        "listing".to_owned()
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let object = |path: String| Object {
            path: RelativePath::new(&path).unwrap(),
            locator: format!("key/{path}"),
            size: Some(3),
            version: None,
            checksum: None,
        };
        stream::iter((self.0)().map(move |path| Ok(object(path)))).boxed()
    }

    async fn read(&self, _: &Object, _: Option<std::ops::Range<u64>>) -> Result<Content, Failure> {
        Err(Failure::new(Kind::Internal, "nothing is read", ""))
    }
}

async fn work(directory: &Path) -> Arc<Work> {
    Work::open(directory, "listing").await.unwrap()
}

/// The plan of these names, kept or listed twice.
async fn plan(paths: &'static [&'static str], kept_bytes: usize) -> Result<Plan, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let source = Listing(move || paths.iter().map(|path| (*path).to_owned()));
    Plan::of(&source, &*work(directory.path()).await, kept_bytes).await
}

#[rstest]
#[tokio::test]
async fn names_that_stand_side_by_side_are_fine(#[values(0, KEPT_BYTES)] kept_bytes: usize) {
    let plan = plan(&["a-b", "a/b", "a/c/d", "a.b", "b", "a/c/e", "c/a/b", "ab"], kept_bytes).await.unwrap();
    assert_eq!((plan.sums.files, plan.sums.bytes), (8, 24));
}

#[rstest]
#[case::twice(&["b", "a/b", "c", "a//b"], &["key/a/b", "key/a//b"])]
#[case::file_first(&["a", "b", "a/b"], &["\"a\"", "\"a/b\""])]
#[case::file_last(&["x/a/b/c", "x/a/b/d", "b", "x/a"], &["\"x/a\"", "\"x/a/b/c\""])]
#[case::reserved(&["a", ".storage-initializer/b"], &["\".storage-initializer/b\""])]
#[tokio::test]
async fn names_that_cannot_be_files_together_are_told(
    #[case] paths: &'static [&'static str],
    #[case] told: &[&str],
    #[values(0, KEPT_BYTES)] kept_bytes: usize,
) {
    let failure = plan(paths, kept_bytes).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Integrity);
    for name in told {
        assert!(failure.what.contains(name), "{failure}");
    }
}

#[test]
fn the_sums_of_two_lists_are_the_same_when_the_objects_are() {
    let object = |path: &str, version: &str| Object {
        path: RelativePath::new(path).unwrap(),
        locator: path.to_owned(),
        size: Some(1),
        version: Some(version.to_owned()),
        checksum: None,
    };
    let sums = |objects: &[Object]| {
        let mut sums = Sums::default();
        for object in objects {
            sums.add(object);
        }
        sums
    };
    let (a, b) = (object("a", "1"), object("b", "1"));
    assert_eq!(sums(&[a.clone(), b.clone()]), sums(&[b.clone(), a.clone()]));
    assert_ne!(sums(&[a.clone(), b]), sums(&[a, object("b", "2")]));
}
