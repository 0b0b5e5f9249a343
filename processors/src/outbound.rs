//! HTTP clients for servers that others name: push services and receivers of webhooks. They follow
//! no redirect, use no proxy, and reach only addresses of the public internet and of the networks
//! that the settings name.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};

/// How long a connection may take, and a whole request. A message that waits longer is tried again,
/// and does not hold its place.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The settings that all clients share.
pub(crate) fn client() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("clinicwire-processors/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN)
}

/// The pause that an answer asks for, in seconds. A date is not understood: our clocks may differ.
pub(crate) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The addresses that a client may reach.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressGuard {
    /// Networks beside the public internet.
    networks: Arc<[IpNet]>,
}

impl AddressGuard {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self { networks: networks.into() }
    }

    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Finds the allowed addresses of a name alone, so that a name that resolves to an address of our
/// own network reaches nothing there. A client does not ask for the address of an address: whoever
/// builds the request checks it.
impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|at| guard.allows(at.ip())).collect();
            if allowed.is_empty() {
                return Err(Box::new(ForbiddenAddress) as _);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name has only addresses that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("the server has no address that may be reached")]
pub(crate) struct ForbiddenAddress;

/// Whether an address is one of the public internet (IANA's registries of special addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 224;
    !is_special
}

/// Only global unicast addresses, 2000::/3, without those for documentation and those that contain
/// an IPv4 address (6to4 and Teredo).
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    (0x2000..0x4000).contains(&a) && a != 0x2002 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for (address, expected) in [
            ("142.250.69.10", true),
            ("2607:f8b0:4020:801::200a", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.31.0.1", false),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("198.18.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::", false),
            ("fc00::1", false),
            ("fe80::1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn named_networks_are_allowed_too() {
        let guard = AddressGuard::new(&["10.1.0.0/16".parse().unwrap()]);
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("127.0.0.1", false),
            ("142.250.69.10", true),
        ] {
            assert_eq!(guard.allows(address.parse().unwrap()), expected, "{address}");
        }
    }
}
