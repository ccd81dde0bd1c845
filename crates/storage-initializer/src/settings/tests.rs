use rstest::rstest;

use super::*;

fn settings(args: &[&str]) -> Result<Settings, clap::Error> {
    Settings::try_parse_from(["storage-initializer"].iter().chain(args))
}

#[test]
fn two_arguments_are_enough_as_kserve_gives_them() {
    let settings = settings(&["model-registry://iris/v1", "/mnt/models"]).unwrap();
    assert_eq!(settings.source_uri, "model-registry://iris/v1");
    assert_eq!(settings.dest_path, Some(PathBuf::from("/mnt/models")));
    let registry = &settings.registry;
    let url = registry.registry_base_url.url(registry.registry_scheme).unwrap();
    assert_eq!(url.as_str(), "http://localhost:8080/");
    assert_eq!(registry.registry_service_name, "model-registry-service");
    assert_eq!(registry.registry_cluster_domain, "svc.cluster.local");
}

#[test]
fn a_destination_is_needed_only_where_something_is_fetched() {
    assert!(settings(&["s3://bucket/key"]).is_err());
    assert!(settings(&["s3://bucket/key", "--resolve-only"]).is_ok());
    assert!(settings(&["s3://bucket/key", "--dry-run"]).is_ok());
    assert!(settings(&["s3://bucket/key", "/mnt/models", "more"]).is_err());
    assert!(settings(&[]).is_err());
}

#[rstest]
#[case("registry:8080", Scheme::Http, "http://registry:8080/")]
#[case("registry:8443", Scheme::Https, "https://registry:8443/")]
#[case("registry", Scheme::Https, "https://registry/")]
#[case("[fd00::1]:8080", Scheme::Http, "http://[fd00::1]:8080/")]
#[case("https://gateway/registries/one", Scheme::Http, "https://gateway/registries/one")]
fn the_base_is_a_host_or_a_url(#[case] text: &str, #[case] scheme: Scheme, #[case] url: &str) {
    let base: BaseUrl = text.parse().unwrap();
    assert_eq!(base.url(scheme).unwrap().as_str(), url);
}

#[rstest]
#[case("--registry-base-url=ftp://registry")]
#[case("--registry-base-url=me:planted@registry:8080")]
#[case("--registry-scheme=grpc")]
#[case("--connections=0")]
#[case("--range-size=1KiB")]
#[case("--range-size=much")]
#[case("--attempts=0")]
#[case("--reserve=-1")]
#[case("--unpack=always")]
#[case("--registry-timeout=10")]
#[case("--metrics-push-url=pushgateway:9091")]
#[case("--output=yaml")]
fn bad_values_are_refused(#[case] flag: &str) {
    let error = service::settings::try_parse_from::<Settings, _, _>(
        ["storage-initializer", "s3://bucket/key", "/mnt/models", flag],
        |_| None,
    );
    let error = error.unwrap_err().to_string();
    let (name, _) = flag.split_once('=').unwrap();
    assert!(error.contains(name), "{error}");
    assert!(!error.contains("planted"), "{error}");
}

#[test]
fn limits_are_what_is_set() {
    let settings = settings(&["s3://b/k", "/m", "--max-size=1GiB", "--connections=4", "--range-size=1MiB"]).unwrap();
    let limits = settings.limits.limits();
    assert_eq!((limits.total, limits.connections, limits.range), (Some(1 << 30), 4, 1 << 20));
}
