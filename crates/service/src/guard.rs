//! Requests to addresses that are data: those that registries, clusters and redirects give, and that anyone may have
//! written who may write there.
//!
//! Such a request is to reach nothing that only the bridge's own host can reach. Only http and https are spoken, and
//! addresses are checked where they are used: in the URL, in each redirect, and, because a name may resolve to another
//! address each time it is asked for, in what the connection is made to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{ClientBuilder, Response};
use thiserror::Error;
use url::{Host, Url};

/// How many redirects are followed, by all clients of the bridge.
pub const MAX_REDIRECTS: usize = 3;

/// Whether a foreign URL may lead to the bridge's own host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// It may: served models and registries run beside the bridge, as on a developer's machine.
    Allowed,
    /// It may not: what else runs in the pod is not for others to reach.
    Refused,
}

/// An address that is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Cloud providers answer there with credentials, or nobody does.
    #[error("{0} is a link-local or metadata address, or of no one host, which is never asked")]
    Address(IpAddr),
    /// It is the bridge's own host.
    #[error("{0} is the bridge's own host, which is asked only with --allow-loopback / ALLOW_LOOPBACK")]
    Loopback(IpAddr),
    /// A name that providers give to their metadata.
    #[error("`{0}` is a metadata server, which is never asked")]
    Metadata(String),
    /// Only http and https are spoken.
    #[error("`{0}:` is not http or https")]
    Scheme(String),
    /// It leads from one place to the next.
    #[error("it redirects more than {MAX_REDIRECTS} times")]
    Redirects,
    /// It leads out of TLS.
    #[error("it redirects from https to http")]
    Downgrade,
}

/// Says which foreign addresses are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Whether the bridge's own host is among them.
    pub loopback: Loopback,
}

impl Guard {
    /// Whether that URL may be asked, as far as the URL says.
    pub fn check(self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(address.into()),
            Some(Host::Ipv6(address)) => self.check_address(address.into()),
            Some(Host::Domain(name)) => check_name(name),
            None => Ok(()),
        }
    }

    /// Whether a connection to that address may be made.
    pub fn check_address(self, address: IpAddr) -> Result<(), Refused> {
        let meant = meant_by(address);
        if meant.iter().any(|address| is_never_asked(*address)) {
            return Err(Refused::Address(address));
        }
        if self.loopback == Loopback::Refused && meant.iter().any(IpAddr::is_loopback) {
            return Err(Refused::Loopback(address));
        }
        Ok(())
    }

    /// Makes a client ask only such addresses, whatever redirects and names lead to. The first URL is still to be
    /// [checked](Guard::check): a client looks no addresses up that are written out.
    pub fn restrict(self, builder: ClientBuilder) -> ClientBuilder {
        let follow = move |attempt: Attempt<'_>| match self.check(attempt.url()) {
            Ok(()) => bounded(attempt),
            Err(refused) => attempt.error(refused),
        };
        builder.redirect(Policy::custom(follow)).dns_resolver(Arc::new(GuardedResolver(self)))
    }
}

/// The redirects that any client follows: few, and none that leaves TLS. What is sent for authorisation is left out by
/// the client itself where a redirect leads to another scheme, host or port.
pub(crate) fn redirects() -> Policy {
    Policy::custom(bounded)
}

fn bounded(attempt: Attempt<'_>) -> Action {
    let leaves_tls =
        attempt.url().scheme() != "https" && attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if leaves_tls {
        attempt.error(Refused::Downgrade)
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error(Refused::Redirects)
    } else {
        attempt.follow()
    }
}

/// The body of an answer as it is when decompressed; `None` when it is larger than `limit` bytes.
pub async fn read_up_to(mut response: Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    // Where the answer is compressed the client gives no length.
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Names of metadata servers. They resolve to addresses that are refused, too; but perhaps not where a proxy asks.
const METADATA_NAMES: [&str; 3] = ["metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"];

fn check_name(name: &str) -> Result<(), Refused> {
    let bare = name.trim_end_matches('.').to_ascii_lowercase();
    if METADATA_NAMES.contains(&bare.as_str()) { Err(Refused::Metadata(bare)) } else { Ok(()) }
}

/// The address, and the IPv4 addresses that it stands for.
fn meant_by(address: IpAddr) -> Vec<IpAddr> {
    let mut all = vec![address];
    if let IpAddr::V6(v6) = address {
        all.extend(embedded(v6).into_iter().map(IpAddr::V4));
    }
    all
}

/// The IPv4 addresses in an IPv6 address of a kind that carries one.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    let last = v4(segments[6], segments[7]);
    match segments {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // NAT64 of a network's own, in which the address may stand at either place.
        [0x64, 0xff9b, 1, high, middle, low, ..] => vec![last, v4(high, (middle << 8) | (low >> 8))],
        // 6to4.
        [0x2002, high, low, ..] => vec![v4(high, low)],
        // Teredo, whose client's address is inverted.
        [0x2001, 0, high, low, ..] => vec![v4(high, low), Ipv4Addr::from(!u32::from(last))],
        // IPv4-compatible, IPv4-mapped, IPv4-translated, NAT64, ISATAP.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![last],
        _ => Vec::new(),
    }
}

/// Where providers answer outside the link-local range.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

fn is_never_asked(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            // 0.0.0.0/8 is this host, and from 240.0.0.0 on there is nobody but the broadcast address.
            first == 0 || first >= 240 || v4.is_link_local() || v4.is_multicast() || METADATA.contains(&v4)
        }
        IpAddr::V6(v6) => {
            let [a, b, .., h] = v6.segments();
            let is_metadata = (a, b) == (0xfd00, 0xec2) || (a == 0xfd20 && b == 0xce && h == 0x254);
            v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified() || is_metadata
        }
    }
}

/// Looks names up, and refuses those that lead where nobody is to be asked. The connection is made to what is checked
/// here, so a name that means something else the next moment gains nothing.
#[derive(Debug)]
struct GuardedResolver(Guard);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0;
        Box::pin(async move {
            check_name(name.as_str())?;
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                guard.check_address(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
