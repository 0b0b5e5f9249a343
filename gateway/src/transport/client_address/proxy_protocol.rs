//! The PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>): the first bytes of a connection
//! tell the address of the client for which a proxy has opened it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::ClientAddress;

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of the shortest header of version 1, `PROXY UNKNOWN\r\n`, so that reading them reads
/// nothing of the request.
const SHORTEST: usize = 15;
/// Bytes of the longest header of version 1.
const LONGEST_TEXT: usize = 107;
/// Most bytes of addresses and extensions in version 2. The protocol demands 536; proxies that
/// describe a client's certificate send more.
const MAX_BINARY: usize = 4096;

/// Reads the header at the start of a connection, and no byte beyond it.
/// Returns `None` when the proxy connects for itself, as in its health checks, or does not know the
/// client: then the proxy counts as the client.
///
/// # Errors
/// `InvalidData` when the connection begins with something else, or an error of the connection.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<ClientAddress>> {
    let mut header = vec![0; SHORTEST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(SIGNATURE) {
        header.push(stream.read_u8().await?);
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if rest > MAX_BINARY {
            return Err(invalid());
        }
        let mut addresses = vec![0; rest];
        stream.read_exact(&mut addresses).await?;
        return binary(header[12], header[13], &addresses).ok_or_else(invalid);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(invalid());
    }
    while !header.ends_with(b"\r\n") {
        if header.len() == LONGEST_TEXT {
            return Err(invalid());
        }
        header.push(stream.read_u8().await?);
    }
    text(&header).ok_or_else(invalid)
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

/// A header of version 1. The outer `None` means that it cannot be read.
fn text(header: &[u8]) -> Option<Option<ClientAddress>> {
    let line = std::str::from_utf8(header).ok()?.strip_suffix("\r\n")?;
    let mut words = line.split(' ').skip(1);
    let address: IpAddr = match words.next()? {
        "UNKNOWN" => return Some(None),
        "TCP4" => words.next()?.parse::<Ipv4Addr>().ok()?.into(),
        "TCP6" => words.next()?.parse::<Ipv6Addr>().ok()?.into(),
        _ => return None,
    };
    (words.count() == 3).then(|| Some(ClientAddress::new(address)))
}

/// A header of version 2: its version and command, its family and transport, and what follows.
fn binary(version: u8, family: u8, addresses: &[u8]) -> Option<Option<ClientAddress>> {
    match version {
        0x20 => return Some(None), // LOCAL
        0x21 => {}
        _ => return None,
    }
    let address: IpAddr = match family {
        0x11 => {
            let (source, _) = addresses.get(..12)?.split_first_chunk::<4>()?;
            Ipv4Addr::from(*source).into()
        }
        0x21 => {
            let (source, _) = addresses.get(..36)?.split_first_chunk::<16>()?;
            Ipv6Addr::from(*source).into()
        }
        // Unspecified families and local sockets have no address to count by.
        _ => return Some(None),
    };
    Some(Some(ClientAddress::new(address)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a header from `bytes`. Returns the client and the number of bytes left.
    async fn read_from(bytes: &[u8]) -> (io::Result<Option<ClientAddress>>, usize) {
        let mut rest = bytes;
        (read(&mut rest).await, rest.len())
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, addresses].concat()
    }

    #[tokio::test]
    async fn headers_of_both_versions_name_the_client() {
        let request = b"GET / HTTP/1.1\r\n";
        let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let ipv4 = [&[192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4][..], b"extensions"].concat();
        let ipv6 = [&v6.octets()[..], &[0; 20]].concat();
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 40000 443\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 40000 443\r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever it says\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &ipv4), Some("192.0.2.7")),
            (version_2(0x21, 0x21, &ipv6), Some("2001:db8::7")),
            (version_2(0x20, 0x00, &[]), None),
            (version_2(0x21, 0x31, &[0; 216]), None),
        ] {
            let (read, left) = read_from(&[&header[..], request].concat()).await;
            let client = client.map(|client| ClientAddress::new(client.parse().unwrap()));
            assert_eq!(read.unwrap(), client, "{header:?}");
            assert_eq!(left, request.len(), "{header:?}");
        }
    }

    #[tokio::test]
    async fn other_beginnings_are_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 443\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 ::1 40000 443\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 10.0.0.1 40000 443\r\n".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
            version_2(0x31, 0x11, &[0; 12]),
            version_2(0x21, 0x11, &[0; 8]),
            version_2(0x21, 0x11, &[0; MAX_BINARY + 1]),
            b"PROXY".to_vec(),
        ] {
            assert!(read_from(&bytes).await.0.is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            start in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", SIGNATURE]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [start, &rest].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_from(&bytes));
        }
    }
}
