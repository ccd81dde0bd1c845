//! Who is on this machine, as far as an address tells: the rule where no token is set.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, ORIGIN};

/// Under this address Istio's sidecar passes on whatever it was sent from anywhere.
const ISTIO_PASSTHROUGH: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The addresses from which only this machine, or this pod, can send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnAddresses(BTreeSet<IpAddr>);

/// Why a request is not taken for one of this machine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It comes from another address.
    Elsewhere,
    /// It comes from a proxy on this machine, which asks for someone else.
    Forwarded,
    /// It comes from a browser, where any web page may have it sent.
    WebPage,
}

impl OwnAddresses {
    /// Loopback addresses and these; an address that stands for all is none.
    pub(super) fn new(own: impl IntoIterator<Item = IpAddr>) -> Self {
        Self(own.into_iter().map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified()).collect())
    }

    /// Whether a request with these `headers` comes from this machine. Headers only ever speak against it: anyone can
    /// write what they like into them. A `peer` that is not known may be anywhere.
    pub(super) fn judge(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Foreign> {
        if !peer.is_some_and(|peer| self.contains(peer)) {
            return Err(Foreign::Elsewhere);
        }
        if headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR) {
            return Err(Foreign::Forwarded);
        }
        if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
            return Err(Foreign::WebPage);
        }
        Ok(())
    }

    fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.contains(&peer) || (peer.is_loopback() && peer != ISTIO_PASSTHROUGH)
    }

    /// Those beside loopback, for messages.
    pub(super) fn shown(&self) -> String {
        let own = self.0.iter().filter(|ip| !ip.is_loopback()).map(ToString::to_string);
        std::iter::once("loopback".to_owned()).chain(own).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn pod() -> OwnAddresses {
        OwnAddresses::new([ip("10.1.2.3"), ip("0.0.0.0")])
    }

    #[test]
    fn loopback_and_the_pods_own_address_are_this_machine_and_nothing_else_is() {
        let none = HeaderMap::new();
        for own in ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "::ffff:127.0.0.1", "::ffff:10.1.2.3"] {
            assert_eq!(pod().judge(Some(ip(own)), &none), Ok(()), "{own}");
        }
        for other in ["10.1.2.4", "0.0.0.0", "::", "::2", "::ffff:10.1.2.4", "169.254.169.254", "fe80::1", "127.0.0.6"]
        {
            assert_eq!(pod().judge(Some(ip(other)), &none), Err(Foreign::Elsewhere), "{other}");
        }
        assert_eq!(pod().judge(None, &none), Err(Foreign::Elsewhere));
    }

    #[test]
    fn headers_make_no_stranger_one_of_this_machine() {
        for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("127.0.0.1"))]);
            assert_eq!(pod().judge(Some(ip("192.0.2.1")), &headers), Err(Foreign::Elsewhere), "{name}");
        }
    }

    #[test]
    fn what_a_proxy_or_a_browser_on_this_machine_sends_is_someone_elses() {
        for (name, value, expected) in [
            ("x-forwarded-for", "127.0.0.1", Foreign::Forwarded),
            ("forwarded", "for=127.0.0.1", Foreign::Forwarded),
            ("origin", "https://evil.example.com", Foreign::WebPage),
            ("sec-fetch-site", "cross-site", Foreign::WebPage),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(pod().judge(Some(ip("127.0.0.1")), &headers), Err(expected), "{name}");
        }
    }
}
