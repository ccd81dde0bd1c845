//! Who we are to a Hub.

use std::path::Path;

use http::HeaderValue;

use crate::environment::Environment;
use crate::{Failure, Kind};

/// The variables that hold a token, in this order.
const VARIABLES: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
/// The variable that names a file with one.
const FILE: &str = "HF_TOKEN_PATH";

/// The header that a token makes; none without a token.
pub(super) fn authorization(environment: &Environment) -> Result<Option<HeaderValue>, Failure> {
    let given = VARIABLES.iter().find_map(|name| Some((*name, environment.get(name)?.to_owned())));
    let (origin, token) = match (given, environment.get(FILE)) {
        (Some(given), _) => given,
        (None, Some(file)) => (FILE, read(Path::new(file))?),
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
        let what = format!("the token of {origin} has characters that no token has");
        Failure::new(Kind::Usage, what, "give the token alone, on one line")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let what = format!("the file {} of {FILE} cannot be read: {error}", file.display());
        Failure::new(Kind::Usage, what, "see whether it is mounted")
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[], None)]
    #[case(&[("HF_TOKEN", "a")], Some("Bearer a"))]
    #[case(&[("HUGGING_FACE_HUB_TOKEN", " b\n")], Some("Bearer b"))]
    #[case(&[("HUGGING_FACE_HUB_TOKEN", "b"), ("HF_TOKEN", "a"), ("HF_TOKEN_PATH", "/does/not/exist")], Some("Bearer a"))]
    fn tokens_come_from_the_environment(#[case] variables: &[(&str, &str)], #[case] expected: Option<&str>) {
        let value = authorization(&variables.iter().copied().collect()).unwrap();
        assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), expected);
        assert!(!format!("{value:?}").contains("Bearer"));
    }

    #[test]
    fn a_token_may_be_in_a_file() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("token");
        let environment = || [("HF_TOKEN_PATH", file.to_str().unwrap())].into_iter().collect();
        assert_eq!(authorization(&environment()).unwrap_err().kind, Kind::Usage);
        std::fs::write(&file, "c\n").unwrap();
        assert_eq!(authorization(&environment()).unwrap().unwrap(), "Bearer c");
    }

    #[test]
    fn a_bad_token_is_not_repeated() {
        let failure = authorization(&[("HF_TOKEN", "planted\u{7}")].into_iter().collect()).unwrap_err();
        assert!(failure.what.contains("HF_TOKEN") && !failure.what.contains("planted"), "{failure}");
    }
}
