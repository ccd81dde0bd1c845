//! What object stores say when they refuse, and what to do about it.

use http::{HeaderMap, StatusCode};
use reqwest::Response;
use serde::Deserialize;
use service::guard::read_up_to;

use crate::source::retry::{excerpt, refused};
use crate::{Failure, Kind};

const BODY_LIMIT: usize = 64 << 10;

/// The error of S3 and of those who speak its API, of Azure, and of the XML API of GCS.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", default)]
struct Said {
    code: String,
    message: String,
    region: String,
    /// STS has it one level deeper.
    error: Option<Box<Said>>,
}

/// What those say who exchange tokens.
#[derive(Debug, Deserialize)]
struct SaidOfToken {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Reads a refusal.
pub(super) async fn read(what: &str, response: Response) -> Failure {
    let (status, headers) = (response.status(), response.headers().clone());
    // A body that cannot be read does not make the refusal another one.
    let body = read_up_to(response, BODY_LIMIT).await.ok().flatten().unwrap_or_default();
    let said = parse(&headers, &String::from_utf8_lossy(&body));
    failure(what, status, &headers, &said)
}

fn parse(headers: &HeaderMap, body: &str) -> Said {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut said = match serde_json::from_str::<SaidOfToken>(body) {
        Ok(said) => Said { code: said.error, message: said.error_description, ..Said::default() },
        Err(_) => quick_xml::de::from_str::<Said>(body.trim_start_matches('\u{feff}')).unwrap_or_default(),
    };
    if let Some(inner) = said.error.take() {
        said = *inner;
    }
    // The answer to HEAD has no body.
    if said.code.is_empty() {
        said.code = header("x-ms-error-code");
    }
    if said.region.is_empty() {
        said.region = header("x-amz-bucket-region");
    }
    said
}

fn failure(what: &str, status: StatusCode, headers: &HeaderMap, said: &Said) -> Failure {
    let code = excerpt(&said.code);
    let message = excerpt(&said.message);
    let detail = if message.is_empty() || message == code { code.clone() } else { format!("{code}: {message}") };
    let failure = refused(what, status, headers, &detail);
    let is_elsewhere = status.is_redirection() || code == "AuthorizationHeaderMalformed" || code.ends_with("Redirect");
    if is_elsewhere && !said.region.is_empty() {
        let region = excerpt(&said.region);
        let advice = format!("the bucket is in the region {region}: set AWS_DEFAULT_REGION to it");
        return Failure { kind: Kind::Usage, advice, ..failure };
    }
    match meaning(&code) {
        Some(Meaning::Transient) if !failure.is_transient => {
            Failure { kind: Kind::Unavailable, advice: "try again later".to_owned(), ..failure.transient() }
        }
        Some(Meaning::Is(kind, advice)) => {
            Failure { kind, advice: advice.to_owned(), is_transient: false, retry_after: None, ..failure }
        }
        _ => failure,
    }
}

enum Meaning {
    Is(Kind, &'static str),
    Transient,
}

fn meaning(code: &str) -> Option<Meaning> {
    use Kind::{NotFound, Permission, Usage};
    Some(match code {
        "NoSuchBucket" | "ContainerNotFound" => {
            Meaning::Is(NotFound, "see whether the bucket, the endpoint and the region are right")
        }
        "NoSuchKey" | "BlobNotFound" => Meaning::Is(NotFound, "see whether the key is right"),
        "InvalidBucketName" | "InvalidResourceName" => Meaning::Is(Usage, "see whether the bucket's name is right"),
        "AccessDenied" | "AllAccessDisabled" | "AuthorizationFailure" | "AuthorizationPermissionMismatch" => {
            Meaning::Is(Permission, "let the credentials read and list the bucket, or give others")
        }
        "PublicAccessNotPermitted" | "NoAuthenticationInformation" | "ResourceNotFound" => {
            Meaning::Is(Permission, "the container is not public: give credentials")
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthenticationFailed" | "InvalidAuthenticationInfo" => {
            Meaning::Is(Permission, "see whether the access key and its secret are right, and for this endpoint")
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken" | "RequestExpired" => {
            Meaning::Is(Permission, "the credentials have expired: give new ones")
        }
        "RequestTimeTooSkewed" => Meaning::Is(Permission, "the clock of this machine is wrong: set it"),
        "InvalidIdentityToken" | "invalid_grant" | "invalid_client" | "unauthorized_client" => Meaning::Is(
            Permission,
            "see whether the role trusts this service account, the key is still valid, and the clock right",
        ),
        "SlowDown"
        | "RequestTimeout"
        | "InternalError"
        | "ServiceUnavailable"
        | "ServerBusy"
        | "OperationTimedOut"
        | "Throttling"
        | "ThrottlingException" => Meaning::Transient,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn told(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let said = parse(&headers, body);
        failure("GET https://s3.example/models", StatusCode::from_u16(status).unwrap(), &headers, &said)
    }

    fn xml(code: &str) -> String {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>It is so.</Message></Error>")
    }

    #[rstest]
    #[case(404, "NoSuchBucket", Kind::NotFound, "bucket")]
    #[case(403, "AccessDenied", Kind::Permission, "read and list")]
    #[case(403, "SignatureDoesNotMatch", Kind::Permission, "secret")]
    #[case(400, "ExpiredToken", Kind::Permission, "expired")]
    #[case(403, "RequestTimeTooSkewed", Kind::Permission, "clock")]
    #[case(409, "PublicAccessNotPermitted", Kind::Permission, "give credentials")]
    #[case(400, "InvalidBucketName", Kind::Usage, "name")]
    fn codes_become_what_to_do(#[case] status: u16, #[case] code: &str, #[case] kind: Kind, #[case] advice: &str) {
        let failure = told(status, &[], &xml(code));
        assert_eq!((failure.kind, failure.is_transient), (kind, false), "{failure}");
        assert!(failure.what.contains(code) && failure.what.contains("It is so."), "{failure}");
        assert!(failure.advice.contains(advice), "{failure}");
    }

    #[test]
    fn a_busy_store_is_asked_again_whatever_its_status() {
        assert!(told(400, &[], &xml("RequestTimeout")).is_transient);
        let busy = told(503, &[("retry-after", "3")], &xml("SlowDown"));
        assert_eq!((busy.is_transient, busy.retry_after), (true, Some(std::time::Duration::from_secs(3))));
    }

    #[rstest]
    #[case(301, &[("x-amz-bucket-region", "eu-west-1")], String::new())]
    #[case(400, &[], "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>".to_owned())]
    fn a_bucket_elsewhere_says_where(
        #[case] status: u16,
        #[case] headers: &[(&'static str, &str)],
        #[case] body: String,
    ) {
        let failure = told(status, headers, &body);
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.advice.contains("eu-west-1") && failure.advice.contains("AWS_DEFAULT_REGION"), "{failure}");
    }

    #[test]
    fn exchanges_of_tokens_say_why() {
        let google = told(400, &[], r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#);
        assert_eq!(google.kind, Kind::Permission);
        assert!(google.what.contains("Invalid JWT Signature."), "{google}");
        let amazon = told(
            400,
            &[],
            "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code></Error></ErrorResponse>",
        );
        assert_eq!(amazon.kind, Kind::Permission);
        assert!(amazon.advice.contains("expired"), "{amazon}");
    }

    #[test]
    fn what_is_no_error_of_a_store_is_not_shown() {
        let failure = told(502, &[], "<html><body>token=planted-secret</body></html>");
        assert!(!failure.to_string().contains("planted"), "{failure}");
        assert_eq!((failure.kind, failure.is_transient), (Kind::Unavailable, true));
    }
}
