use rstest::rstest;
use secrecy::ExposeSecret as _;

use super::*;
use crate::uri::ObjectScheme;

fn uri() -> ObjectUri {
    ObjectUri {
        scheme: ObjectScheme::S3,
        bucket: "models".to_owned(),
        account: None,
        key: "iris".to_owned(),
        endpoint: None,
        region: None,
        signature: None,
    }
}

fn read(variables: &[(&str, &str)]) -> Result<S3, Failure> {
    S3::read(&uri(), &variables.iter().copied().collect(), &Network::default())
}

#[rstest]
#[case(&[("AWS_ENDPOINT_URL", "http://minio:9000")], Some("http://minio:9000/"))]
#[case(&[("AWS_ENDPOINT_URL", "http://other:9000"), ("AWS_ENDPOINT_URL_S3", "http://minio:9000")], Some("http://minio:9000/"))]
#[case(&[("S3_ENDPOINT", "minio:9000")], Some("https://minio:9000/"))]
#[case(&[("S3_ENDPOINT", "minio:9000"), ("S3_USE_HTTPS", "0")], Some("http://minio:9000/"))]
#[case(&[("AWS_ENDPOINT_URL", "https://s3.amazonaws.com")], None)]
#[case(&[], None)]
fn the_endpoint_is_the_one_of_the_environment(#[case] variables: &[(&str, &str)], #[case] expected: Option<&str>) {
    assert_eq!(read(variables).unwrap().endpoint.as_ref().map(Url::as_str), expected);
}

#[test]
fn what_the_uri_says_comes_first() {
    let own = ObjectUri {
        endpoint: Some("http://seaweed:8333".parse().unwrap()),
        region: Some("eu-central-1".to_owned()),
        ..uri()
    };
    let environment = [("AWS_ENDPOINT_URL", "http://minio:9000"), ("AWS_DEFAULT_REGION", "us-west-2")];
    let s3 = S3::read(&own, &environment.into_iter().collect(), &Network::default()).unwrap();
    assert_eq!((s3.endpoint.unwrap().as_str(), &*s3.region), ("http://seaweed:8333/", "eu-central-1"));
}

#[rstest]
#[case("minio:9000")]
#[case("minio")]
#[case("ftp://minio")]
#[case("http://me:planted-secret@minio")]
fn an_endpoint_that_is_none_is_an_error_without_its_value(#[case] value: &str) {
    let failure = read(&[("AWS_ENDPOINT_URL", value)]).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.to_string().contains("AWS_ENDPOINT_URL") && !failure.to_string().contains("planted"), "{failure}");
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "planted-secret")];

#[test]
fn keys_come_before_roles() {
    let environment: Vec<_> =
        KEYS.into_iter().chain([("AWS_ROLE_ARN", "arn"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")]).collect();
    let s3 = read(&environment).unwrap();
    assert!(!format!("{s3:?}").contains("planted"), "{s3:?}");
    let Identity::Keys { id, secret, token } = s3.identity else { panic!("{:?}", s3.identity) };
    assert_eq!((&*id, secret.expose_secret(), token.is_none()), ("AKID", "planted-secret", true));
    assert!(matches!(read(&environment[2..]).unwrap().identity, Identity::WebIdentity { .. }));
}

#[test]
fn nobody_comes_before_keys() {
    let environment: Vec<_> = KEYS.into_iter().chain([("awsAnonymousCredential", "true")]).collect();
    assert!(matches!(read(&environment).unwrap().identity, Identity::Anonymous));
}

#[test]
fn the_machine_is_asked_only_when_there_is_nothing_else() {
    assert!(matches!(read(&[]).unwrap().identity, Identity::Instance));
    let failure = read(&[("AWS_EC2_METADATA_DISABLED", "true")]).unwrap_err();
    assert_eq!(failure.kind, Kind::Permission);
    assert!(failure.advice.contains("awsAnonymousCredential"), "{failure}");
}

#[rstest]
#[case(0)]
#[case(1)]
fn half_of_the_keys_is_an_error(#[case] given: usize) {
    assert_eq!(read(&KEYS[given..=given]).unwrap_err().kind, Kind::Usage);
}

#[rstest]
#[case(&[("S3_USER_VIRTUAL_BUCKET", "true")], Addressing::Virtual)]
#[case(&[("S3_USER_VIRTUAL_BUCKET", "1")], Addressing::Virtual)]
#[case(&[("s3UseVirtualBucket", "true")], Addressing::Virtual)]
#[case(&[("S3_USER_VIRTUAL_BUCKET", "0")], Addressing::Path)]
#[case(&[("S3_USE_ACCELERATE", "true")], Addressing::Accelerated)]
#[case(&[("S3_USE_ACCELERATE", "true"), ("AWS_ENDPOINT_URL", "http://minio")], Addressing::Path)]
fn the_bucket_goes_where_it_is_told(#[case] variables: &[(&str, &str)], #[case] expected: Addressing) {
    assert_eq!(read(variables).unwrap().addressing, expected);
}

#[rstest]
#[case(&[("S3_VERIFY_SSL", "0")], true, None)]
#[case(&[("S3_VERIFY_SSL", "false"), ("AWS_CA_BUNDLE", "/ca.pem")], true, None)]
#[case(&[("AWS_CA_BUNDLE", "/ca.pem"), ("CA_BUNDLE_CONFIGMAP_NAME", "ca")], false, Some("/ca.pem"))]
#[case(&[("CA_BUNDLE_CONFIGMAP_NAME", "ca")], false, Some("/etc/ssl/custom-certs/cabundle.crt"))]
#[case(&[("CA_BUNDLE_CONFIGMAP_NAME", "ca"), ("CA_BUNDLE_VOLUME_MOUNT_POINT", "/ca")], false, Some("/ca/cabundle.crt"))]
#[case(&[("S3_VERIFY_SSL", "1")], false, None)]
fn tls_is_as_the_environment_says(
    #[case] variables: &[(&str, &str)],
    #[case] is_insecure: bool,
    #[case] bundle: Option<&str>,
) {
    let tls = read(variables).unwrap().trust.tls;
    assert_eq!((tls.insecure_skip_verify, tls.ca_file), (is_insecure, bundle.map(PathBuf::from)));
}
