//! The certificate of an HTTPS peer: who issued it, for which names, until when. It is looked at apart from the request
//! that is verified, so that a refusal can be explained.

use std::time::Duration;

use reqwest::tls::TlsInfo;
use service::http_client;
use url::{Host, Url};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::report::Finding;

/// From when on an expiry is near.
const NEAR: Duration = Duration::from_hours(14 * 24);

/// How the peer is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verification {
    /// By the system's authorities, and those of the setting.
    On,
    /// Not at all.
    Off,
}

/// What is known of a certificate.
struct Facts {
    issuer: String,
    names: Vec<String>,
    expiry: ASN1Time,
    is_self_signed: bool,
    covers: bool,
}

/// What there is to say of the certificate of `url`; nothing for HTTP. `refusal` is what a verified request to it said,
/// `setting` names the setting with the authority.
pub(super) async fn examine(
    check: &str,
    url: &Url,
    verification: Verification,
    setting: &str,
    refusal: Option<&str>,
) -> Option<Finding> {
    if url.scheme() != "https" {
        return None;
    }
    let facts = look(url).await?;
    Some(facts.judge(check, url, verification, setting, refusal))
}

/// The certificate that is shown at an address, whoever issued it. Nothing is sent but a request without a token.
async fn look(url: &Url) -> Option<Facts> {
    http_client::install_crypto_provider();
    let builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).tls_info(true);
    let client = builder.redirect(reqwest::redirect::Policy::none()).build().ok()?;
    let answer = client.head(url.clone()).send().await.ok()?;
    let der = answer.extensions().get::<TlsInfo>()?.peer_certificate()?.to_vec();
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let names = names(&certificate);
    let covers = url.host().is_some_and(|host| names.iter().any(|name| covers(name, &host)));
    Some(Facts {
        issuer: certificate.issuer().to_string(),
        expiry: certificate.validity().not_after,
        is_self_signed: certificate.issuer() == certificate.subject(),
        names,
        covers,
    })
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn covers(name: &str, host: &Host<&str>) -> bool {
    match host {
        Host::Domain(host) => match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
            None => name.eq_ignore_ascii_case(host),
        },
        Host::Ipv4(address) => name == address.to_string(),
        Host::Ipv6(address) => name == address.to_string(),
    }
}

impl Facts {
    fn judge(
        &self,
        check: &str,
        url: &Url,
        verification: Verification,
        setting: &str,
        refusal: Option<&str>,
    ) -> Finding {
        let check = format!("{check}: certificate");
        let host = url.host_str().unwrap_or_default();
        let left = self.expiry - ASN1Time::now();
        if verification == Verification::Off {
            let message = "it is not verified: anyone on the way can read the token";
            return Finding::warning(check, message, format!("give its authority with {setting}, and verify it"));
        }
        if left.is_none() {
            let message = format!("it has expired: {}", self.expiry);
            return Finding::failure(check, message, format!("whoever runs {host} must renew it"));
        }
        if let Some(refusal) = refusal {
            return self.explain(check, host, setting, refusal);
        }
        if left.is_some_and(|left| left.whole_seconds().unsigned_abs() < NEAR.as_secs()) {
            let message = format!("it expires soon: {}", self.expiry);
            return Finding::warning(check, message, format!("whoever runs {host} should renew it"));
        }
        Finding::ok(check, format!("issued by {}, until {}", self.issuer, self.expiry))
    }

    fn explain(&self, check: String, host: &str, setting: &str, refusal: &str) -> Finding {
        if !self.covers {
            let names = if self.names.is_empty() { "no name".to_owned() } else { self.names.join(", ") };
            let message = format!("it is for {names}, and not for {host} ({refusal})");
            let advice = format!("use one of its names in the URL, or have a certificate issued for {host}");
            return Finding::failure(check, message, advice);
        }
        let message = format!("it is issued by {}, whom nobody here trusts ({refusal})", self.issuer);
        let advice = if self.is_self_signed {
            format!("it signs itself: give this very certificate as a PEM file with {setting}")
        } else {
            format!("give the certificate of {} as a PEM file with {setting}", self.issuer)
        };
        Finding::failure(check, message, advice)
    }
}

/// Whether an error tells of TLS, by the words that rustls has for it.
pub(super) fn is_about_tls(message: &str) -> bool {
    let message = message.to_lowercase();
    ["certificate", "unknownissuer", "tls", "handshake"].iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_a_host_and_a_star_one_label_of_it() {
        let host = |text: &'static str| Host::Domain(text);
        assert!(covers("a.example.com", &host("A.example.com")));
        assert!(covers("*.example.com", &host("a.example.com")));
        assert!(!covers("*.example.com", &host("a.b.example.com")));
        assert!(!covers("a.example.com", &host("b.example.com")));
        assert!(covers("127.0.0.1", &Host::Ipv4("127.0.0.1".parse().unwrap())));
    }
}
