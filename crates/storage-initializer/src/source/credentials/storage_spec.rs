//! KServe's storage spec: `STORAGE_CONFIG` is one entry of a secret, as JSON, and `STORAGE_OVERRIDE_CONFIG` what an
//! InferenceService says otherwise. Their fields stand for variables, before which they come, as with KServe.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::{Failure, Kind};

const CONFIG: &str = "STORAGE_CONFIG";
const OVERRIDE: &str = "STORAGE_OVERRIDE_CONFIG";

const S3: &[(&str, &str)] = &[
    ("endpoint_url", "AWS_ENDPOINT_URL"),
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("session_token", "AWS_SESSION_TOKEN"),
    ("region", "AWS_DEFAULT_REGION"),
    ("ca_bundle", "AWS_CA_BUNDLE"),
    ("cabundle_configmap", "AWS_CA_BUNDLE_CONFIGMAP"),
    ("certificate", "AWS_CA_CERTIFICATE"),
    ("verify_ssl", "S3_VERIFY_SSL"),
    ("anonymous", "awsAnonymousCredential"),
];

const GCS: &[(&str, &str)] =
    &[("service_account", "GOOGLE_SERVICE_ACCOUNT_KEY"), ("anonymous", "GOOGLE_SKIP_SIGNATURE")];

const AZURE: &[(&str, &str)] = &[
    ("account_name", "AZURE_STORAGE_ACCOUNT_NAME"),
    ("account_key", "AZURE_STORAGE_ACCESS_KEY"),
    ("access_key", "AZURE_STORAGE_ACCESS_KEY"),
    ("sas_token", "AZURE_STORAGE_SAS_TOKEN"),
    ("connection_string", "AZURE_STORAGE_CONNECTION_STRING"),
    ("tenant_id", "AZURE_TENANT_ID"),
    ("client_id", "AZURE_CLIENT_ID"),
    ("client_secret", "AZURE_CLIENT_SECRET"),
    ("endpoint_url", "AZURE_SERVICE_URL"),
    ("anonymous", "AZURE_SKIP_SIGNATURE"),
];

/// The environment with what the storage spec says.
pub fn apply(environment: &Environment) -> Result<Environment, Failure> {
    let mut spec = fields(environment, CONFIG)?;
    // What is overridden with nothing is not overridden.
    spec.extend(fields(environment, OVERRIDE)?.into_iter().filter(|(_, value)| !value.is_empty()));
    let kind = spec.get("type").map_or("", String::as_str);
    let names = match kind {
        "" => return Ok(environment.clone()),
        "s3" => S3,
        "gs" | "gcs" => GCS,
        "azure" => AZURE,
        kind => {
            let what = format!("{CONFIG} is of the type {kind:?}, which is not supported");
            return Err(Failure::new(Kind::Usage, what, "the types are s3, gs and azure"));
        }
    };
    let said = names.iter().filter_map(|(field, name)| Some((*name, spec.get(*field)?.clone())));
    let account = if names == GCS { service_account(&spec)? } else { None };
    let said = said.chain(account.map(|key| ("GOOGLE_SERVICE_ACCOUNT_KEY", key)));
    let ours = environment.iter().map(|(name, value)| (name, value.to_owned()));
    Ok(ours.chain(said).collect())
}

/// The fields of a JSON object, as texts. What is wrong is said without the values.
fn fields(environment: &Environment, variable: &str) -> Result<BTreeMap<String, String>, Failure> {
    let Some(json) = environment.get(variable) else { return Ok(BTreeMap::new()) };
    let parsed: BTreeMap<String, Value> = serde_json::from_str(json).map_err(|_| {
        let advice = "see whether the key of the storage secret is the right one";
        Failure::new(Kind::Usage, format!("{variable} is no JSON object"), advice)
    })?;
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    Ok(parsed.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

/// A key of Google's that is written base64, or in its parts.
fn service_account(spec: &BTreeMap<String, String>) -> Result<Option<String>, Failure> {
    if let Some(base64) = spec.get("base64_service_account") {
        let decoded = STANDARD.decode(base64.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        return decoded.map(Some).ok_or_else(|| {
            let what = format!("base64_service_account of {CONFIG} is not base64");
            Failure::new(Kind::Usage, what, "write it with `base64 --wrap=0 KEY.json`")
        });
    }
    let (Some(key), Some(email)) = (spec.get("private_key"), spec.get("client_email")) else { return Ok(None) };
    let id = spec.get("private_key_id").map_or("", String::as_str);
    let account = json!({
        "type": "service_account", "private_key": key, "private_key_id": id, "client_email": email,
    });
    Ok(Some(account.to_string()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn applied(config: &str, overridden: &str) -> Result<Environment, Failure> {
        apply(&[(CONFIG, config), (OVERRIDE, overridden), ("AWS_DEFAULT_REGION", "ours")].into_iter().collect())
    }

    #[test]
    fn its_fields_come_before_variables() {
        let config = r#"{"type": "s3", "access_key_id": "id", "secret_access_key": "planted", "region": "theirs",
            "endpoint_url": "http://minio:9000", "bucket": "models", "verify_ssl": false, "anonymous": "True"}"#;
        let environment =
            applied(config, r#"{"endpoint_url": "http://other:9000", "type": "", "bucket": ""}"#).unwrap();
        for (name, expected) in [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "planted"),
            ("AWS_DEFAULT_REGION", "theirs"),
            ("AWS_ENDPOINT_URL", "http://other:9000"),
            ("S3_VERIFY_SSL", "false"),
            ("awsAnonymousCredential", "True"),
        ] {
            assert_eq!(environment.get(name), Some(expected), "{name}");
        }
    }

    #[rstest]
    #[case(r#"{"type": "azure", "account_name": "acme"}"#, "AZURE_STORAGE_ACCOUNT_NAME", "acme")]
    #[case(r#"{"type": "gs", "base64_service_account": "e30="}"#, "GOOGLE_SERVICE_ACCOUNT_KEY", "{}")]
    #[case(r#"{"type": "gcs", "anonymous": true}"#, "GOOGLE_SKIP_SIGNATURE", "true")]
    #[case(r#"{"region": "theirs"}"#, "AWS_DEFAULT_REGION", "ours")]
    #[case("", "AWS_DEFAULT_REGION", "ours")]
    fn each_type_has_its_own(#[case] config: &str, #[case] name: &str, #[case] expected: &str) {
        assert_eq!(applied(config, "{}").unwrap().get(name), Some(expected));
    }

    #[test]
    fn a_key_of_google_may_be_in_parts() {
        let config = r#"{"type": "gcs", "private_key": "planted", "client_email": "me@example"}"#;
        let environment = applied(config, "").unwrap();
        let key: Value = serde_json::from_str(environment.get("GOOGLE_SERVICE_ACCOUNT_KEY").unwrap()).unwrap();
        assert_eq!((&key["private_key"], &key["client_email"]), (&json!("planted"), &json!("me@example")));
    }

    #[rstest]
    #[case("planted")]
    #[case(r#"["planted"]"#)]
    #[case(r#"{"type": "hdfs", "x": "planted"}"#)]
    #[case(r#"{"type": "gs", "base64_service_account": "planted!"}"#)]
    fn what_cannot_be_used_is_said_without_values(#[case] config: &str) {
        let failure = applied(config, "").unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.what.contains(CONFIG) && !failure.to_string().contains("planted"), "{failure}");
    }
}
