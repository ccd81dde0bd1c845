//! Makes stores of URIs and credentials.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use secrecy::ExposeSecret;

use super::ObjectSource;
use super::checksums::Dialect;
use super::failures::misconfigured;
use super::transport::Connector;
use crate::environment::Environment;
use crate::source::credentials::azure::{self, Azure};
use crate::source::credentials::gcs::{self, Gcs};
use crate::source::credentials::s3::{Addressing, Identity, S3};
use crate::source::network::{Network, Trust};
use crate::uri::{ObjectScheme, ObjectUri};
use crate::{Failure, Kind};

const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");

/// Who has what the URI names. Storage itself is not asked yet.
pub async fn open(uri: &ObjectUri, environment: &Environment, network: &Network) -> Result<ObjectSource, Failure> {
    if let Some(endpoint) = &uri.endpoint {
        network.check(endpoint)?;
    }
    match uri.scheme {
        ObjectScheme::S3 => s3(uri, environment, network),
        ObjectScheme::Gcs => gcs(uri, environment, network).await,
        ObjectScheme::Azure => azure(uri, environment, network),
    }
}

/// Retries are our transport's own, and streams that break are the downloader's.
fn retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::from_secs(1) }
}

fn s3(uri: &ObjectUri, environment: &Environment, network: &Network) -> Result<ObjectSource, Failure> {
    let s3 = S3::read(uri, environment, network)?;
    if let Some(endpoint) = &s3.endpoint {
        network.check(endpoint)?;
    }
    let bucket = format!("s3://{}", uri.bucket);
    let connector = Connector::new(network, &s3.trust, &bucket)?;
    // Where the uploader gave a checksum, S3 tells it.
    let headers = HeaderMap::from_iter([(CHECKSUM_MODE, HeaderValue::from_static("ENABLED"))]);
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&uri.bucket)
        .with_region(&s3.region)
        .with_retry(retries())
        .with_client_options(ClientOptions::new().with_default_headers(headers))
        .with_http_connector(connector);
    let store = identified(addressed(builder, uri, &s3), &s3).build();
    let store = store.map_err(|error| misconfigured(&bucket, &error))?;
    let dialect = Dialect::of(uri.scheme, s3.endpoint.is_some());
    Ok(source(Box::new(store), dialect, bucket, uri))
}

async fn gcs(uri: &ObjectUri, environment: &Environment, network: &Network) -> Result<ObjectSource, Failure> {
    let bucket = format!("gs://{}", uri.bucket);
    // A token would go to wherever the URI says.
    if uri.endpoint.is_some() {
        let what = format!("{bucket} has an endpoint, which only S3 has in its URIs");
        return Err(Failure::new(Kind::Usage, what, "set STORAGE_EMULATOR_HOST for an emulator"));
    }
    let gcs = Gcs::read(environment, network).await?;
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&uri.bucket)
        .with_retry(retries())
        .with_http_connector(Connector::new(network, &Trust::of(network), &bucket)?);
    let builder = match &gcs.endpoint {
        Some(endpoint) => builder.with_base_url(endpoint.as_str().trim_end_matches('/')),
        None => builder,
    };
    let builder = match &gcs.identity {
        gcs::Identity::Anonymous => builder.with_skip_signature(true),
        gcs::Identity::File(path) => builder.with_application_credentials(path),
        gcs::Identity::Key(key) => builder.with_service_account_key(key.expose_secret()),
        gcs::Identity::Platform => builder,
    };
    let store = builder.build().map_err(|error| misconfigured(&bucket, &error))?;
    Ok(source(Box::new(store), Dialect::Google, bucket, uri))
}

fn azure(uri: &ObjectUri, environment: &Environment, network: &Network) -> Result<ObjectSource, Failure> {
    let azure = Azure::read(uri, environment)?;
    let container = format!("az://{}", uri.bucket);
    let builder = MicrosoftAzureBuilder::new()
        .with_account(&azure.account)
        .with_container_name(&uri.bucket)
        .with_retry(retries())
        .with_http_connector(Connector::new(network, &Trust::of(network), &container)?);
    let builder = match &azure.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint.as_str().trim_end_matches('/').to_owned()),
        None => builder,
    };
    let store = authorized(builder, &azure).build().map_err(|error| misconfigured(&container, &error))?;
    Ok(source(Box::new(store), Dialect::Azure, container, uri))
}

fn authorized(builder: MicrosoftAzureBuilder, azure: &Azure) -> MicrosoftAzureBuilder {
    use azure::{Identity, Principal};

    let of = |builder: MicrosoftAzureBuilder, principal: &Principal| {
        let builder = builder.with_client_id(&principal.client).with_tenant_id(&principal.tenant);
        match &principal.authority {
            Some(authority) => builder.with_authority_host(authority),
            None => builder,
        }
    };
    match &azure.identity {
        Identity::Anonymous => builder.with_skip_signature(true),
        Identity::Signature(signature) => builder.with_sas_authorization(azure::pairs(signature.expose_secret())),
        Identity::AccessKey(key) => builder.with_access_key(key.expose_secret()),
        Identity::Token(token) => builder.with_bearer_token_authorization(token.expose_secret()),
        Identity::Secret { principal, secret } => of(builder, principal).with_client_secret(secret.expose_secret()),
        Identity::Workload { principal, token_file } => of(builder, principal).with_federated_token_file(token_file),
        Identity::Managed { client } => builder.with_client_id(client),
    }
}

fn source(store: Box<dyn ObjectStore>, dialect: Dialect, bucket: String, uri: &ObjectUri) -> ObjectSource {
    ObjectSource { store, dialect, bucket, key: uri.key.clone() }
}

fn addressed(builder: AmazonS3Builder, uri: &ObjectUri, s3: &S3) -> AmazonS3Builder {
    let builder = builder.with_virtual_hosted_style_request(s3.addressing != Addressing::Path);
    match (&s3.endpoint, s3.addressing) {
        (None, Addressing::Accelerated) => {
            builder.with_endpoint(format!("https://{}.s3-accelerate.amazonaws.com", uri.bucket))
        }
        (None, _) => builder,
        (Some(endpoint), Addressing::Path) => builder.with_endpoint(endpoint.as_str()),
        // The host is to have the bucket's name already.
        (Some(endpoint), Addressing::Virtual | Addressing::Accelerated) => {
            let mut endpoint = endpoint.clone();
            let host = format!("{}.{}", uri.bucket, endpoint.host_str().unwrap_or_default());
            // A bucket whose name makes no host is refused by the store, which has no such bucket.
            let _ = endpoint.set_host(Some(&host));
            builder.with_endpoint(endpoint.as_str().trim_end_matches('/'))
        }
    }
}

fn identified(builder: AmazonS3Builder, s3: &S3) -> AmazonS3Builder {
    use object_store::aws::AmazonS3ConfigKey as Key;

    let with = |builder: AmazonS3Builder, key: Key, value: Option<&str>| match value {
        Some(value) => builder.with_config(key, value),
        None => builder,
    };
    match &s3.identity {
        Identity::Anonymous => builder.with_skip_signature(true),
        Identity::Keys { id, secret, token } => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret());
            with(builder, Key::Token, token.as_ref().map(ExposeSecret::expose_secret))
        }
        Identity::WebIdentity { role, token_file, session, sts } => {
            let builder = builder.with_config(Key::RoleArn, role).with_config(Key::WebIdentityTokenFile, token_file);
            let builder = with(builder, Key::RoleSessionName, session.as_deref());
            with(builder, Key::StsEndpoint, sts.as_ref().map(url::Url::as_str))
        }
        Identity::Container { relative, full, token_file } => {
            let builder = with(builder, Key::ContainerCredentialsRelativeUri, relative.as_deref());
            let builder = with(builder, Key::ContainerCredentialsFullUri, full.as_deref());
            with(builder, Key::ContainerAuthorizationTokenFile, token_file.as_deref())
        }
        Identity::Instance => builder,
    }
}
