use super::*;

fn address(text: &str) -> ClientAddress {
    ClientAddress::new(text.parse().unwrap())
}

fn proxies(header: ClientHeader) -> TrustedProxies {
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    TrustedProxies::new(networks.to_vec(), header, true)
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn addresses_count_by_ipv4_or_ipv6_customer() {
    let group = |text| address(text).group();
    assert_eq!(group("::ffff:192.0.2.7"), group("192.0.2.7"));
    assert_ne!(group("192.0.2.7"), group("192.0.2.8"));
    assert_eq!(group("2001:db8:1:2::7"), group("2001:db8:1:2:ffff::"));
    assert_ne!(group("2001:db8:1:2::7"), group("2001:db8:1:3::7"));
}

#[test]
fn untrusted_peer_is_the_client() {
    let sent = headers(&[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https")]);
    for trusted in [TrustedProxies::default(), proxies(ClientHeader::XForwardedFor)] {
        let client = trusted.client(address("192.0.2.7"), &sent);
        assert_eq!(client, ReportedClient { address: address("192.0.2.7"), is_secure: None });
        assert!(!trusted.sends_proxy_header(address("192.0.2.7")));
    }
}

#[test]
fn last_untrusted_address_is_the_client() {
    for (lines, client) in [
        (&["192.0.2.7"][..], "192.0.2.7"),
        (&["192.0.2.7:4711"], "192.0.2.7"),
        (&["[2001:db8::7]:4711"], "2001:db8::7"),
        // The client's own values are further left.
        (&["127.0.0.1, 198.51.100.1, 192.0.2.7, 10.9.9.9"], "192.0.2.7"),
        (&["198.51.100.1", "192.0.2.7", "10.9.9.9, fd00::1"], "192.0.2.7"),
        (&["10.1.1.1"], "10.1.1.1"),
        (&["192.0.2.7, unknown"], "10.0.0.1"),
        (&["192.0.2.7, nonsense, 10.9.9.9"], "10.9.9.9"),
        (&[""], "10.0.0.1"),
        (&[], "10.0.0.1"),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let found =
            proxies(ClientHeader::XForwardedFor).client(address("10.0.0.1"), &headers(&lines));
        assert_eq!(found.address, address(client), "{lines:?}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    for (line, client, is_secure) in [
        ("for=192.0.2.7;proto=https", "192.0.2.7", Some(true)),
        ("For=\"[2001:db8::7]:4711\" ; Proto=HTTP", "2001:db8::7", Some(false)),
        ("for=198.51.100.1, for=192.0.2.7;by=\"a,b;for=1.1.1.1\"", "192.0.2.7", None),
        ("for=192.0.2.7;proto=https, for=10.1.1.1;proto=http", "192.0.2.7", Some(true)),
        ("for=192.0.2.7, for=_hidden", "10.0.0.1", None),
        ("for=192.0.2.7, proto=https", "10.0.0.1", Some(true)),
        ("for=\"192.0.2.7, for=10.1.1.1", "10.0.0.1", None),
    ] {
        // Only the configured header is read.
        let sent = headers(&[("forwarded", line), ("x-forwarded-for", "1.1.1.1")]);
        let found = proxies(ClientHeader::Forwarded).client(address("10.0.0.1"), &sent);
        let expected = ReportedClient { address: address(client), is_secure };
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn scheme_comes_from_the_outermost_trusted_proxy() {
    for (addresses, schemes, is_secure) in [
        ("192.0.2.7", "https", Some(true)),
        ("192.0.2.7, 10.1.1.1", "https, http", Some(true)),
        ("192.0.2.7, 10.1.1.1", "https", Some(true)),
        // The client's own claim does not count.
        ("198.51.100.1, 192.0.2.7", "https, http", Some(false)),
        ("198.51.100.1, 192.0.2.7, 10.1.1.1", "http, http", Some(false)),
        ("192.0.2.7", "gopher", None),
    ] {
        let sent = headers(&[("x-forwarded-for", addresses), ("x-forwarded-proto", schemes)]);
        let found = proxies(ClientHeader::XForwardedFor).client(address("10.0.0.1"), &sent);
        assert_eq!(found.is_secure, is_secure, "{addresses} {schemes}");
    }
}
