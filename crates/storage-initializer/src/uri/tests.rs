use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn parsed(text: &str) -> SourceUri {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn registry(text: &str) -> RegistryUri {
    match parsed(text) {
        SourceUri::Registry(uri) => uri,
        other => panic!("{text}: {other:?}"),
    }
}

fn object(text: &str) -> ObjectUri {
    match parsed(text) {
        SourceUri::Object(uri) => uri,
        other => panic!("{text}: {other:?}"),
    }
}

type Parts<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

#[rstest]
#[case("iris", &[(None, "iris", None)])]
#[case("iris/", &[(None, "iris", None)])]
#[case("iris/v1", &[(Some("iris"), "v1", None), (None, "iris", Some("v1"))])]
#[case("registry:8080/iris", &[(Some("registry:8080"), "iris", None), (None, "registry:8080", Some("iris"))])]
#[case("registry.models.svc:8080/iris/v1", &[(Some("registry.models.svc:8080"), "iris", Some("v1"))])]
#[case("10.1.2.3/iris/v1", &[(Some("10.1.2.3"), "iris", Some("v1"))])]
#[case("[fd00::1]:8080/iris/v1", &[(Some("[fd00::1]:8080"), "iris", Some("v1"))])]
#[case("[::1]/iris", &[(Some("[::1]"), "iris", None), (None, "[::1]", Some("iris"))])]
#[case("my%20model/v1", &[(None, "my model", Some("v1"))])]
#[case("my model/v 1", &[(None, "my model", Some("v 1"))])]
#[case("org%2Fgranite", &[(None, "org/granite", None)])]
#[case("org%2Fgranite/v1%2F2", &[(None, "org/granite", Some("v1/2"))])]
#[case("llama-3.1", &[(None, "llama-3.1", None)])]
#[case("llama-3%2E1/v1", &[(None, "llama-3.1", Some("v1"))])]
#[case("granite:3b/v1", &[(None, "granite:3b", Some("v1"))])]
#[case("100%25/v1", &[(None, "100%", Some("v1"))])]
#[case("registry:8080/modèle/%F0%9F%A4%96", &[(Some("registry:8080"), "modèle", Some("🤖"))])]
#[case("a%3Fb", &[(None, "a?b", None)])]
#[case("a#b", &[(None, "a#b", None)])]
fn a_registry_uri_is_read_as_host_model_and_version(#[case] path: &str, #[case] readings: &[Parts<'_>]) {
    let uri = registry(&format!("model-registry://{path}"));
    let owned = |text: &str| text.to_owned();
    let expected: Vec<Reading> = readings
        .iter()
        .map(|(host, model, version)| Reading {
            host: host.map(owned),
            model: owned(model),
            version: version.map(owned),
        })
        .collect();
    assert_eq!(uri, RegistryUri { readings: expected, namespace: None });
}

#[test]
fn with_a_namespace_two_segments_are_model_and_version() {
    let uri = registry("model-registry://iris/v1?namespace=team-a");
    assert_eq!(uri.namespace.as_deref(), Some("team-a"));
    let reading = Reading { host: None, model: "iris".to_owned(), version: Some("v1".to_owned()) };
    assert_eq!(uri.readings, [reading]);
}

#[rstest]
#[case("model-registry://", Part::Model)]
#[case("model-registry:///v1", Part::Model)]
#[case("model-registry://iris//", Part::Version)]
#[case("model-registry://registry//v1", Part::Model)]
#[case("model-registry://registry/iris/v1/x", Part::Path)]
#[case("model-registry://no host/iris/v1", Part::Host)]
#[case("model-registry://registry:0/iris/v1", Part::Host)]
#[case("model-registry://registry:99999/iris/v1", Part::Host)]
#[case("model-registry://[::x]/iris/v1", Part::Host)]
#[case("model-registry://iris/50%", Part::Version)]
#[case("model-registry://iris%zz", Part::Model)]
#[case("model-registry://%ff", Part::Model)]
#[case("model-registry://a%00b", Part::Model)]
#[case("model-registry://iris?namespace=", Part::Query)]
#[case("model-registry://iris?namespace=Team", Part::Query)]
#[case("model-registry://iris?namespace=a&namespace=b", Part::Query)]
#[case("model-registry://iris?version=1", Part::Query)]
#[case("model-registry://registry/iris/v1?namespace=a", Part::Query)]
#[case("model-registry://me:planted@registry/iris/v1", Part::Whole)]
#[case("s3://", Part::Bucket)]
#[case("s3:///key", Part::Bucket)]
#[case("s3://me:planted@bucket/key", Part::Bucket)]
#[case("s3://bu cket/key", Part::Bucket)]
#[case("s3://bucket/key?endpoint=ftp://store", Part::Query)]
#[case("s3://bucket/key?endpoint=http://me:planted@store", Part::Query)]
#[case("gs:///key", Part::Bucket)]
#[case("abfs://container@/path", Part::Account)]
#[case("abfs://container@a b/path", Part::Account)]
#[case("az://", Part::Bucket)]
#[case("https://", Part::Whole)]
#[case("https://host", Part::Path)]
#[case("https://host/models/", Part::Path)]
#[case("https://account.blob.core.windows.net/", Part::Bucket)]
#[case("file://models/iris", Part::Path)]
#[case("pvc://", Part::Claim)]
#[case("pvc://claim/../other", Part::Path)]
#[case("hf://gpt2", Part::Repository)]
#[case("hf://owner/", Part::Repository)]
#[case("hf://owner/model:", Part::Revision)]
#[case("hf://owner/model/../x", Part::Path)]
#[case("oci://repository", Part::Repository)]
#[case("oci://host/Repository", Part::Repository)]
#[case("oci://host/a//b", Part::Repository)]
#[case("oci://host/repository:", Part::Tag)]
#[case("oci://host/repository@sha256:12", Part::Digest)]
#[case("hdfs://host/path", Part::Scheme)]
#[case("ftp://host/path", Part::Scheme)]
#[case("models/iris", Part::Scheme)]
#[case("", Part::Scheme)]
#[case("s3://bucket/a\nb", Part::Whole)]
fn what_is_wrong_is_said_by_part_with_the_forms_there_are(#[case] text: &str, #[case] part: Part) {
    let error = text.parse::<SourceUri>().unwrap_err();
    assert_eq!(error.part, part, "{text}: {error}");
    let failure = error.failure();
    assert_eq!(failure.kind, Kind::Usage);
    let message = failure.to_string();
    let scheme = text.split_once("://").map_or("model-registry", |(scheme, _)| scheme);
    assert!(scheme == "hdfs" || scheme == "ftp" || failure.advice.contains(&format!("{scheme}://")), "{message}");
    assert!(!message.contains("planted"), "{message}");
}

#[rstest]
#[case("s3://bucket", "bucket", "", None, None)]
#[case("s3://bucket/", "bucket", "", None, None)]
#[case("s3://bucket//models/iris/", "bucket", "models/iris/", None, None)]
#[case("s3://bucket/a%20b c", "bucket", "a%20b c", None, None)]
#[case("s3://bucket/what?", "bucket", "what", None, None)]
#[case("s3://bucket/what?now", "bucket", "what?now", None, None)]
#[case("s3://b/k?endpoint=http://store:9000&defaultRegion=eu", "b", "k", Some("http://store:9000/"), Some("eu"))]
#[case("s3://b/k?endpoint=http%3A%2F%2Fstore%3A9000", "b", "k", Some("http://store:9000/"), None)]
#[case("s3://b/k?endpoint=store.example:9000", "b", "k", Some("https://store.example:9000/"), None)]
#[case("s3://b/k?endpoint=&defaultRegion=", "b", "k", None, None)]
#[case("s3://b/a?b?defaultRegion=eu", "b", "a?b", None, Some("eu"))]
fn an_s3_uri_has_what_the_python_client_writes(
    #[case] text: &str,
    #[case] bucket: &str,
    #[case] key: &str,
    #[case] endpoint: Option<&str>,
    #[case] region: Option<&str>,
) {
    let uri = object(text);
    assert_eq!((uri.scheme, uri.bucket.as_str(), uri.key.as_str()), (ObjectScheme::S3, bucket, key));
    assert_eq!(uri.endpoint.as_ref().map(Url::as_str), endpoint);
    assert_eq!(uri.region.as_deref(), region);
}

#[rstest]
#[case("abfs://models@account.dfs.core.windows.net/a/b", Some("account"), "a/b", None)]
#[case("abfss://models@account.blob.core.windows.net/a/b", Some("account"), "a/b", None)]
#[case("abfss://models@account.dfs.cloud.example/a", Some("account"), "a", Some("https://account.dfs.cloud.example/"))]
#[case("abfs://models/a", None, "a", None)]
#[case("az://models/a%20b", None, "a%20b", None)]
#[case("https://account.blob.core.windows.net/models/a%20b/", Some("account"), "a b/", None)]
#[case("https://account.blob.core.windows.net/models", Some("account"), "", None)]
#[case(
    "https://account.z12.blob.storage.azure.net/models/a",
    Some("account"),
    "a",
    Some("https://account.z12.blob.storage.azure.net/")
)]
fn azure_has_several_forms(
    #[case] text: &str,
    #[case] account: Option<&str>,
    #[case] key: &str,
    #[case] endpoint: Option<&str>,
) {
    let uri = object(text);
    assert_eq!((uri.scheme, uri.bucket.as_str(), uri.key.as_str()), (ObjectScheme::Azure, "models", key));
    assert_eq!(uri.account.as_deref(), account);
    assert_eq!(uri.endpoint.as_ref().map(Url::as_str), endpoint);
}

#[test]
fn a_plain_path_is_a_file_as_kserve_passes_volumes() {
    assert_eq!(parsed("/mnt/pvc/models/iris"), SourceUri::File("/mnt/pvc/models/iris".into()));
    assert_eq!(parsed("file:///mnt/a b%20c"), SourceUri::File("/mnt/a b%20c".into()));
}

#[test]
fn a_volume_claim_has_a_path() {
    let pvc = |claim: &str, path: &str| SourceUri::Pvc { claim: claim.to_owned(), path: path.to_owned() };
    assert_eq!(parsed("pvc://claim"), pvc("claim", ""));
    assert_eq!(parsed("pvc://claim/models/iris/"), pvc("claim", "models/iris"));
}

#[rstest]
#[case("hf://owner/model", None, "")]
#[case("hf://owner/model:v1", Some("v1"), "")]
#[case("hf://owner/model@v1", Some("v1"), "")]
#[case("hf://owner/model:refs%2Fpr%2F1/onnx/model.onnx", Some("refs/pr/1"), "onnx/model.onnx")]
fn a_hub_uri_has_a_revision_and_a_path(#[case] text: &str, #[case] revision: Option<&str>, #[case] path: &str) {
    let hub =
        HubUri { repository: "owner/model".to_owned(), revision: revision.map(str::to_owned), path: path.to_owned() };
    assert_eq!(parsed(text), SourceUri::Hub(hub));
}

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[rstest]
#[case("oci://host/model", "host", "model", "latest")]
#[case("oci://host:5000/org/model:1.0", "host:5000", "org/model", "1.0")]
#[case("oci://[::1]:5000/model:v1", "[::1]:5000", "model", "v1")]
#[case(&format!("oci://host/model:1.0@{DIGEST}"), "host", "model", DIGEST)]
fn an_image_is_named_by_tag_or_digest(
    #[case] text: &str,
    #[case] host: &str,
    #[case] repository: &str,
    #[case] reference: &str,
) {
    let image = OciUri { host: host.to_owned(), repository: repository.to_owned(), reference: reference.to_owned() };
    assert_eq!(parsed(text), SourceUri::Oci(image));
}

#[rstest]
#[case("https://me:planted@host/model.bin?token=planted#planted", "https://host/model.bin?***")]
#[case("https://host/model.bin", "https://host/model.bin")]
#[case(
    "https://account.blob.core.windows.net/models/a%20b?sig=planted",
    "https://account.blob.core.windows.net/models/a%20b?***"
)]
fn credentials_are_never_shown(#[case] text: &str, #[case] shown: &str) {
    let uri = parsed(text);
    assert_eq!(uri.to_string(), shown);
    if let SourceUri::Object(uri) = &uri {
        assert_eq!(uri.signature.as_ref().unwrap().expose(), "sig=planted");
        assert!(!format!("{uri:?}").contains("planted"));
    }
}

fn has_secret(uri: &SourceUri) -> bool {
    match uri {
        SourceUri::Http(url) => url.query().is_some() || !url.username().is_empty() || url.password().is_some(),
        SourceUri::Object(uri) => uri.signature.is_some(),
        _ => false,
    }
}

/// Texts that are often URIs, made of the pieces that mean something in one.
fn texts() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "model-registry",
        "s3",
        "gs",
        "abfs",
        "abfss",
        "az",
        "http",
        "https",
        "file",
        "pvc",
        "hf",
        "oci",
        "S3",
    ]);
    let pieces = prop::sample::select(vec![
        "/",
        "//",
        "?",
        "&",
        "=",
        "@",
        ":",
        "%",
        "%2F",
        "%25",
        "%41",
        "%0A",
        "#",
        ".",
        "..",
        " ",
        "[::1]",
        ":8080",
        "iris",
        "a-b",
        "É",
        "namespace=",
        "endpoint=",
        "http://h",
        "defaultRegion=",
        "account.blob.core.windows.net",
        "account.dfs.core.windows.net",
        "sha256:",
        "v1",
        "7",
        "_",
        "~",
        "+",
        "\\",
        "0x1.",
    ]);
    (scheme, prop::collection::vec(pieces, 0..9)).prop_map(|(scheme, pieces)| format!("{scheme}://{}", pieces.concat()))
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in any::<String>()) {
        let _ = text.parse::<SourceUri>();
    }

    #[test]
    fn what_is_shown_parses_to_the_same(text in texts()) {
        let Ok(uri) = text.parse::<SourceUri>() else { return Ok(()) };
        let shown = uri.to_string();
        if has_secret(&uri) {
            prop_assert!(shown.ends_with("?***") || !shown.contains('@'), "{shown}");
        } else {
            let again = shown.parse::<SourceUri>();
            prop_assert_eq!(again.as_ref(), Ok(&uri), "{}", shown);
        }
    }

    #[test]
    fn any_name_can_be_written(model in "[^\0]{1,30}", version in prop::option::of("[^\0]{1,30}"), namespaced in any::<bool>()) {
        let reading = Reading { host: None, model, version };
        let namespace = namespaced.then(|| "team".to_owned());
        let uri = SourceUri::Registry(RegistryUri { readings: vec![reading], namespace });
        let again = uri.to_string().parse::<SourceUri>();
        prop_assert_eq!(again.as_ref(), Ok(&uri));
    }
}

/// Whatever a URI is, it is refused in words that show no password, or shown so that it parses to the same.
#[test]
fn fuzz() {
    let seeds: Vec<Vec<u8>> = [
        "model-registry://registry.models.svc:8080/org%2Fgranite/v1",
        "model-registry://iris/v1?namespace=team",
        "model-registry://[fd00::1]:8080/iris",
        "s3://bucket/models/iris?endpoint=http://store:9000&defaultRegion=eu",
        "gs://bucket/models/iris",
        "abfss://container@account.dfs.core.windows.net/models/iris",
        "https://account.z12.blob.storage.azure.net/container/a%20b?sig=x",
        "https://me:word@host:8443/models/iris.tar.gz?x=y#z",
        "file:///mnt/models/iris",
        "pvc://claim/models/iris",
        "hf://owner/model:refs%2Fpr%2F1/onnx/model.onnx",
        "oci://[::1]:5000/org/model:1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .into();
    testkit::fuzz::fuzz(
        "source-uri",
        |rng| testkit::fuzz::mutated(rng, &seeds),
        |input| match String::from_utf8_lossy(input).parse::<SourceUri>() {
            Ok(uri) if !has_secret(&uri) => assert_eq!(uri.to_string().parse().as_ref(), Ok(&uri)),
            Ok(uri) => assert!(!uri.to_string().contains("word@")),
            Err(error) => assert!(!error.to_string().is_empty() && !error.forms.is_empty()),
        },
    );
}
