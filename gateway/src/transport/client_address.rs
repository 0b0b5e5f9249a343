//! The address of the client behind a socket or a request. Every limit per address counts by it.

pub(crate) mod audited_client;
pub(crate) mod proxy_protocol;

mod forwarded;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// Bits of an IPv6 address that name a customer: providers assign a /64 or more to each, so one
/// client has 2^64 addresses and counts as one.
const IPV6_CUSTOMER_BITS: u8 = 64;

/// The address of a client: of the socket's peer or, behind trusted proxies, the one that they
/// report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(IpAddr);

/// The addresses that limits count as one client: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressGroup(IpAddr);

impl ClientAddress {
    /// The address of requests without a socket, as in tests. They count as one client.
    pub const NONE: ClientAddress = ClientAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// An IPv4 address in IPv6 form counts as the IPv4 address.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address in the extensions of a request.
    pub fn from_extensions(extensions: &Extensions) -> Self {
        extensions.get().map_or(Self::NONE, |client: &ReportedClient| client.address)
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// The key by which limits count.
    pub fn group(self) -> AddressGroup {
        AddressGroup(match self.0 {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let customer = u128::MAX << (128 - IPV6_CUSTOMER_BITS);
                Ipv6Addr::from_bits(address.to_bits() & customer).into()
            }
        })
    }

    /// Whether the client is on this machine.
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

/// The header in which trusted proxies report the client. Only one is read: a proxy that sets one
/// header usually passes the other on as the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl FromStr for ClientHeader {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("expected x-forwarded-for or forwarded"),
        }
    }
}

/// Reads a network, such as `10.0.0.0/8`, or one address.
///
/// # Errors
/// A message for the person who typed it.
pub fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse().ok().map(|address: IpAddr| IpNet::from(address));
    let network = text.parse().ok().or_else(address);
    network.ok_or("expected a network such as 10.0.0.0/8, or an address")
}

/// The proxies whose reports about their clients are trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ClientHeader,
    /// Whether each connection of a trusted proxy begins with a header of the PROXY protocol.
    proxy_protocol: bool,
}

/// The address of the client of one request: an extension of every request that a socket
/// brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedClient {
    /// The address.
    pub address: ClientAddress,
    /// Whether the client uses TLS, as far as that is known: the outermost trusted proxy said so,
    /// or else its connection to this node does.
    pub is_secure: Option<bool>,
}

impl ReportedClient {
    /// The client of a request that came by TLS, or not.
    pub fn over(self, is_tls: bool) -> Self {
        Self { is_secure: self.is_secure.or(is_tls.then_some(true)), ..self }
    }
}

impl TrustedProxies {
    /// Trusts the proxies in these networks, which report clients in this header.
    pub fn new(networks: Vec<IpNet>, header: ClientHeader, proxy_protocol: bool) -> Self {
        Self { networks, header, proxy_protocol }
    }

    /// Whether the address is that of a trusted proxy.
    pub fn trusts(&self, address: ClientAddress) -> bool {
        self.networks.iter().any(|network| network.contains(&address.0))
    }

    /// Whether connections of this peer begin with a header of the PROXY protocol.
    pub fn sends_proxy_header(&self, peer: ClientAddress) -> bool {
        self.proxy_protocol && self.trusts(peer)
    }

    /// The client of a request that came from `peer`.
    ///
    /// The reports are read from the right, since each proxy appends the address of its own peer:
    /// the first address that is no trusted proxy's is the client's. All addresses further left
    /// were sent by the client itself. An unreadable report ends the search, so that the client
    /// counts as the proxy that made the report.
    pub fn client(&self, peer: ClientAddress, headers: &HeaderMap) -> ReportedClient {
        let mut client = ReportedClient { address: peer, is_secure: None };
        if !self.trusts(peer) {
            return client;
        }
        let mut reports = forwarded::reports(self.header, headers).into_iter().rev();
        while self.trusts(client.address) {
            let Some(report) = reports.next() else { break };
            client.is_secure = report.is_secure.or(client.is_secure);
            let Some(address) = report.address else { break };
            client.address = ClientAddress::new(address);
        }
        client
    }
}

#[cfg(test)]
mod tests;
