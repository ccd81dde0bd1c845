//! Who we are to a registry: what a Docker configuration says, as pull secrets hold it; and what a registry asks for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use secrecy::SecretString;
use serde::Deserialize;

use crate::environment::Environment;
use crate::uri::OciUri;
use crate::{Failure, Kind};

/// Credentials for one registry.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    /// A name and a password.
    Basic { user: String, password: SecretString },
    /// What tokens are had for.
    Identity(SecretString),
    /// A token itself.
    Token(SecretString),
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(alias = "identityToken")]
    identitytoken: Option<String>,
    #[serde(alias = "registryToken")]
    registrytoken: Option<String>,
}

impl Credentials {
    /// Those for the registry, if there are any: from `file`, or from where the environment says that configurations are.
    pub(super) fn find(uri: &OciUri, environment: &Environment, file: Option<&Path>) -> Result<Option<Self>, Failure> {
        let Some(file) = configuration(environment, file) else { return Ok(None) };
        let bad = |reason: &str| {
            let what = format!("the credentials of registries in {} cannot be used: {reason}", file.display());
            Failure::new(Kind::Usage, what, "write it as `docker login` does, with an entry in \"auths\"")
        };
        let text = fs::read(&file).map_err(|error| bad(&error.to_string()))?;
        // What the parser says may quote a secret.
        let parsed: Configuration =
            serde_json::from_slice(&text).map_err(|_| bad("that is no Docker configuration"))?;
        let full = format!("{}/{}", uri.host, uri.repository);
        let entries = parsed.auths.into_iter().filter(|(key, _)| is_for(key, &full));
        let Some((_, entry)) = entries.max_by_key(|(key, _)| registry(key).len()) else { return Ok(None) };
        entry.credentials().map_err(bad)
    }
}

impl Entry {
    fn credentials(self) -> Result<Option<Credentials>, &'static str> {
        let given = |secret: &String| !secret.is_empty();
        if let Some(token) = self.registrytoken.filter(given) {
            return Ok(Some(Credentials::Token(token.into())));
        }
        if let Some(token) = self.identitytoken.filter(given) {
            return Ok(Some(Credentials::Identity(token.into())));
        }
        if let Some(auth) = self.auth.filter(given) {
            let decoded = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or("an \"auth\" is not base64")?;
            let (user, password) = decoded.split_once(':').ok_or("an \"auth\" is not NAME:PASSWORD in base64")?;
            let password = password.trim_end_matches('\0').to_owned().into();
            return Ok(Some(Credentials::Basic { user: user.to_owned(), password }));
        }
        let pair = self.username.zip(self.password);
        Ok(pair.map(|(user, password)| Credentials::Basic { user, password: password.into() }))
    }
}

/// The file that is meant. One that is named must be there; the others need not.
fn configuration(environment: &Environment, file: Option<&Path>) -> Option<PathBuf> {
    if let Some(file) = file.map(Path::to_owned).or_else(|| environment.get("REGISTRY_AUTH_FILE").map(PathBuf::from)) {
        return Some(file);
    }
    let home = environment.get("HOME").map(|home| Path::new(home).join(".docker"));
    let directories = environment.get("DOCKER_CONFIG").map(PathBuf::from).into_iter().chain(home);
    // The second is what a pull secret that is mounted as a directory has.
    directories
        .flat_map(|directory| [directory.join("config.json"), directory.join(".dockerconfigjson")])
        .find(|file| file.is_file())
}

/// The host, and path, that a key is about: `https://host/v1/` is an old way to write `host`.
fn registry(key: &str) -> &str {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare)
}

fn is_for(key: &str, full: &str) -> bool {
    let registry = registry(key);
    full.strip_prefix(registry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a registry asks for before it answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    Basic,
}

impl Challenge {
    /// The best one of an answer's.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let texts = || headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let bearer = texts().find_map(|text| {
            let parameters = parameters(scheme(text, "bearer")?);
            let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            Some(Self::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
        });
        bearer.or_else(|| texts().find_map(|text| scheme(text, "basic")).map(|_| Self::Basic))
    }
}

fn scheme<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    scheme.eq_ignore_ascii_case(name).then_some(rest)
}

/// `name="value", name=value`; a value in quotes may have commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        parameters.push((name, value.trim().to_owned()));
        rest = next;
    }
    parameters
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn find(json: &str, host: &str) -> Result<Option<Credentials>, Failure> {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join(".dockerconfigjson");
        fs::write(&file, json).unwrap();
        let environment = [("DOCKER_CONFIG", directory.path().to_str().unwrap())].into_iter().collect();
        let uri = OciUri { host: host.into(), repository: "team/model".into(), reference: "v1".into() };
        Credentials::find(&uri, &environment, None)
    }

    #[rstest]
    #[case("registry.example", true)]
    #[case("https://registry.example", true)]
    #[case("https://registry.example/v1/", true)]
    #[case("registry.example/team", true)]
    #[case("registry.example/team/model", true)]
    #[case("registry.example/tea", false)]
    #[case("registry.example:5000", false)]
    #[case("evil-registry.example", false)]
    #[case("registry.exampl", false)]
    fn entries_are_for_a_registry_or_a_part_of_it(#[case] key: &str, #[case] is_for_it: bool) {
        let json = format!(r#"{{"auths": {{"{key}": {{"auth": "dXNlcjpwYTpzcw=="}}}}}}"#);
        match find(&json, "registry.example").unwrap() {
            Some(Credentials::Basic { user, password }) => {
                assert!(is_for_it && user == "user" && password.expose_secret() == "pa:ss");
            }
            other => assert!(!is_for_it && other.is_none()),
        }
    }

    #[test]
    fn the_longest_entry_counts() {
        let json = r#"{"auths": {"r.example": {"username": "a", "password": "x"},
            "r.example/team": {"username": "b", "password": "x"}}}"#;
        let found = find(json, "r.example").unwrap();
        assert!(matches!(found, Some(Credentials::Basic { user, .. }) if user == "b"));
    }

    #[rstest]
    #[case("planted")]
    #[case(r#"{"auths": {"r.example": {"auth": 7, "x": "planted"}}}"#)]
    #[case(r#"{"auths": {"r.example": {"auth": "planted!"}}}"#)]
    #[case(r#"{"auths": {"r.example": {"auth": "cGxhbnRlZA=="}}}"#)]
    fn what_cannot_be_used_is_said_without_secrets(#[case] json: &str) {
        let failure = find(json, "r.example").unwrap_err();
        assert!(failure.kind == Kind::Usage && !failure.to_string().contains("planted"), "{failure}");
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let uri = OciUri { host: "r.example".into(), repository: "m".into(), reference: "v1".into() };
        let none = Environment::default();
        assert!(Credentials::find(&uri, &none, None).unwrap().is_none());
        let missing = Some(Path::new("/does/not/exist"));
        assert_eq!(Credentials::find(&uri, &none, missing).unwrap_err().kind, Kind::Usage);
    }

    #[rstest]
    #[case(
        r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a:pull,push""#,
        Some(("https://auth.example/token", Some("r.example"), Some("repository:a:pull,push")))
    )]
    #[case(r"bearer realm=https://auth.example/token, service=x", Some(("https://auth.example/token", Some("x"), None)))]
    #[case("Bearer service=x", None)]
    #[case("Digest realm=x", None)]
    fn challenges_are_understood(#[case] text: &str, #[case] expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let headers: HeaderMap = [(header::WWW_AUTHENTICATE, text.parse().unwrap())].into_iter().collect();
        let expected = expected.map(|(realm, service, scope)| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        });
        assert_eq!(Challenge::of(&headers), expected);
    }
}
