//! The headers by which proxies report their clients.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::ClientHeader;

/// One proxy's report about its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    /// `None` when the report hides the address or cannot be read.
    pub address: Option<IpAddr>,
    /// Whether the peer used TLS, if the report says so.
    pub is_secure: Option<bool>,
}

/// All reports, in the order of the proxies that a request passed.
pub(super) fn reports(header: ClientHeader, headers: &HeaderMap) -> Vec<Report> {
    match header {
        ClientHeader::XForwardedFor => x_forwarded_for(headers),
        ClientHeader::Forwarded => lines(headers, "forwarded")
            .flat_map(|line| split(line, ','))
            .map(forwarded_element)
            .collect(),
    }
}

/// `X-Forwarded-For` with the scheme of `X-Forwarded-Proto`, whose last value is that of the
/// nearest proxy. One proxy of a chain may write a single scheme; it then counts for all.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Report> {
    let values = |name| lines(headers, name).flat_map(|line| line.split(',')).map(str::trim);
    let mut schemes: Vec<_> = values("x-forwarded-proto").map(is_https).collect();
    let addresses: Vec<_> = values("x-forwarded-for").map(node_address).collect();
    if schemes.len() == 1 {
        schemes.resize(addresses.len(), schemes[0]);
    }
    let surplus = addresses.len().saturating_sub(schemes.len());
    let schemes = std::iter::repeat_n(None, surplus).chain(schemes);
    let reports = addresses.into_iter().zip(schemes);
    reports.map(|(address, is_secure)| Report { address, is_secure }).collect()
}

/// The lines of a header, which are one list. A line that is not ASCII is one unreadable report.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unreadable"))
}

/// One element of `Forwarded`, such as `for="[2001:db8::7]:4711";proto=https`.
fn forwarded_element(element: &str) -> Report {
    let mut report = Report { address: None, is_secure: None };
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => report.address = node_address(value),
            name if name.eq_ignore_ascii_case("proto") => report.is_secure = is_https(value),
            _ => {}
        }
    }
    report
}

/// Splits at a separator that no quoted string contains. A quote that is never closed reaches to
/// the end of the line.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let is_separator = c == separator && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        is_separator
    })
}

fn is_https(scheme: &str) -> Option<bool> {
    match scheme {
        scheme if scheme.eq_ignore_ascii_case("https") => Some(true),
        scheme if scheme.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

/// An address as proxies write it: with or without a port and the brackets of IPv6.
fn node_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok();
    address.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}
