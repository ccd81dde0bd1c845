use rstest::rstest;

use super::*;
use crate::uri::ObjectScheme;

fn uri() -> ObjectUri {
    ObjectUri {
        scheme: ObjectScheme::Azure,
        bucket: "models".to_owned(),
        account: Some("acme".to_owned()),
        key: "iris".to_owned(),
        endpoint: None,
        region: None,
        signature: None,
    }
}

fn read(uri: &ObjectUri, variables: &[(&str, &str)]) -> Result<Azure, Failure> {
    Azure::read(uri, &variables.iter().copied().collect())
}

const CLIENT: (&str, &str) = ("AZURE_CLIENT_ID", "app");
const TENANT: (&str, &str) = ("AZURE_TENANT_ID", "tenant");
const SECRET: (&str, &str) = ("AZURE_CLIENT_SECRET", "planted");
const KEY: (&str, &str) = ("AZURE_STORAGE_ACCESS_KEY", "planted");

#[rstest]
#[case(&[], "Anonymous")]
#[case(&[KEY], "AccessKey")]
#[case(&[CLIENT, TENANT, SECRET, KEY], "Secret")]
#[case(&[("AZ_CLIENT_ID", "app"), ("AZ_TENANT_ID", "tenant"), ("AZ_CLIENT_SECRET", "planted")], "Secret")]
#[case(&[CLIENT, TENANT, ("AZURE_FEDERATED_TOKEN_FILE", "/token")], "Workload")]
#[case(&[CLIENT], "Managed")]
#[case(&[("AZURE_STORAGE_SAS_TOKEN", "?sig=planted")], "Signature")]
#[case(&[("AZURE_ACCESS_TOKEN", "planted")], "Token")]
#[case(&[KEY, ("AZURE_SKIP_SIGNATURE", "true")], "Anonymous")]
#[case(&[("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acme;AccountKey=cGxhbnRlZA==;EndpointSuffix=x")], "AccessKey")]
fn the_environment_says_as_whom(#[case] variables: &[(&str, &str)], #[case] expected: &str) {
    let shown = format!("{:?}", read(&uri(), variables).unwrap().identity);
    assert!(shown.starts_with(expected), "{shown}");
    assert!(!shown.contains("planted") && !shown.contains("cGxhbnRlZA"), "{shown}");
}

#[test]
fn the_account_is_the_one_of_the_uri_or_else_of_the_environment() {
    let nameless = ObjectUri { account: None, ..uri() };
    assert_eq!(read(&nameless, &[("AZURE_ACCOUNT_NAME", "other")]).unwrap().account, "other");
    assert_eq!(read(&uri(), &[("AZURE_ACCOUNT_NAME", "other")]).unwrap().account, "acme");
    assert_eq!(read(&nameless, &[]).unwrap_err().kind, Kind::Usage);
}

#[test]
fn tokens_are_not_sent_to_whatever_host_a_uri_names() {
    let at = |url: &str| ObjectUri { endpoint: Some(url.parse().unwrap()), ..uri() };
    let token = [("AZURE_ACCESS_TOKEN", "planted")];
    assert_eq!(read(&at("https://acme.evil.example"), &token).unwrap_err().kind, Kind::Permission);
    assert_eq!(read(&at("http://acme.blob.core.windows.net"), &token).unwrap_err().kind, Kind::Permission);
    assert!(read(&at("https://acme.z7.blob.storage.azure.net"), &token).is_ok());
    assert!(read(&at("https://acme.evil.example"), &[]).is_ok());
    let trusted = [token[0], ("AZURE_SERVICE_URL", "https://acme.azure.example/")];
    assert!(read(&at("https://acme.azure.example"), &trusted).is_ok());
}

#[test]
fn signatures_are_decoded() {
    let expected = [("sv", "2024"), ("sig", "a+b/c=")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs("?sv=2024&sig=a%2Bb%2Fc%3D"), expected);
    assert_eq!(pairs("sv=2024&sig=a+b/c="), expected);
}

#[test]
fn a_signature_in_the_uri_comes_before_what_the_environment_has() {
    let signed = ObjectUri { signature: Some(crate::uri::Signature::new("sv=1&sig=planted%3D")), ..uri() };
    let azure = read(&signed, &[("AZURE_STORAGE_ACCESS_KEY", "other")]).unwrap();
    let Identity::Signature(signature) = azure.identity else { panic!("{:?}", azure.identity) };
    assert_eq!(secrecy::ExposeSecret::expose_secret(&signature), "sv=1&sig=planted%3D");
}
