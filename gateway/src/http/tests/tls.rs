//! Clients of a node over TLS and HTTP/2, with frames that no library would send.

mod past_bounds;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;
use testing::certificates::TestAuthority;

use super::*;
use crate::{
    client_address::{ClientHeader, TrustedProxies},
    node::{self, RunningNode},
    settings::TlsFiles,
};

/// First bytes of a client of HTTP/2: the preface and empty settings.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// `GET /` of `localhost`, in HPACK.
const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";
const PING: (u8, u8, &[u8]) = (6, 0, b"whatever");
const LONGEST: Duration = Duration::from_secs(30);

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A running node with a certificate.
struct TlsNode {
    node: RunningNode,
    fakes: Arc<FakeBackends>,
    authority: TestAuthority,
    _directory: TempDir,
}

impl TlsNode {
    fn start(settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = TestAuthority::new(directory.path());
        let issued = authority.issue("node", 1);
        let tls = Some(TlsFiles { certificate: issued.certificate, key: issued.key });
        let fakes = super::node().fakes;
        let backends = backends(&fakes, Arc::new(InMemory::new()));
        let node = node::start(Settings { tls, ..settings }, backends).unwrap();
        Self { node, fakes, authority, _directory: directory }
    }

    fn tls(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority.certificate()).unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }

    /// Does something with a client on a thread of its own, after `before` was sent in the clear.
    async fn with_client<T: Send + 'static>(
        &self,
        protocol: &[u8],
        before: &'static str,
        act: impl FnOnce(Client) -> T + Send + 'static,
    ) -> T {
        let (address, config) = (self.node.address(), self.tls(protocol));
        let act = move || {
            let mut socket = connect(address);
            socket.write_all(before.as_bytes()).unwrap();
            let session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
            act(StreamOwned::new(session, socket))
        };
        tokio::task::spawn_blocking(act).await.unwrap()
    }

    async fn metrics(&self) -> String {
        self.with_client(b"http/1.1", "", |mut client| {
            let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            client.write_all(request.as_bytes()).unwrap();
            String::from_utf8(read_to_end(&mut client)).unwrap()
        })
        .await
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LONGEST)).unwrap();
    socket
}

fn frame((kind, flags, payload): (u8, u8, &[u8]), stream: u32) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request without a body.
fn request(stream: u32) -> Vec<u8> {
    const END_STREAM_AND_HEADERS: u8 = 5;
    frame((1, END_STREAM_AND_HEADERS, GET), stream)
}

/// Reads to the end of the connection, however it ends.
fn read_to_end(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = client.read_to_end(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_keep_no_idle_http2_connection_open() {
    let node = TlsNode::start(test_settings());
    let lasted = node
        .with_client(b"h2", "", |mut client| {
            client.write_all(&[BEGIN, &request(1)].concat()).unwrap();
            let began = Instant::now();
            client.sock.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut bytes = [0; 64 * 1024];
            'open: while began.elapsed() < LONGEST {
                let pinged = client.write_all(&frame(PING, 0)).and_then(|()| client.flush());
                loop {
                    match client.read(&mut bytes) {
                        Ok(0) => break 'open,
                        Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break 'open,
                        _ if pinged.is_err() => break 'open,
                        Ok(_) => {}
                        // The node says nothing more: the next ping.
                        Err(_) => break,
                    }
                }
            }
            began.elapsed()
        })
        .await;
    assert!((9..=20).contains(&lasted.as_secs()), "{lasted:?}");
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_control_frames_ends_its_own_http2_connection() {
    const SETTINGS: (u8, u8, &[u8]) = (4, 0, &[0, 4, 0, 0, 0xff, 0xff]);
    const PRIORITY: (u8, u8, &[u8]) = (2, 0, &[0, 0, 0, 0, 1]);
    const UNKNOWN: (u8, u8, &[u8]) = (0x77, 0, &[]);
    let node = TlsNode::start(test_settings());
    for (kind, stream) in [(SETTINGS, 0), (PING, 0), (PRIORITY, 1), (UNKNOWN, 0)] {
        let (few, many) = node
            .with_client(b"h2", "", move |mut client| {
                let frames = |count| frame(kind, stream).repeat(count);
                client.write_all(&[BEGIN, &frames(50), &request(1)].concat()).unwrap();
                let mut bytes = [0; 64 * 1024];
                let few = (0..20).any(|_| {
                    let read = client.read(&mut bytes).unwrap();
                    bytes[..read].windows(6).any(|part| part == b"<html ")
                });
                let sent = client.write_all(&frames(2_000));
                drop(sent.and_then(|()| client.flush()));
                let began = Instant::now();
                read_to_end(&mut client);
                (few, began.elapsed())
            })
            .await;
        assert!(few, "a client that sends some of {kind:?} is served");
        assert!(many < Duration::from_secs(5), "{kind:?}: {many:?}");
    }
    let metrics = node.metrics().await;
    let counted = r#"clinicwire_limited_total{limit="control-frames"} 4"#;
    assert!(metrics.contains(counted), "{metrics}");
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_resets_ends_its_own_http2_connection() {
    const RESET: (u8, u8, &[u8]) = (3, 0, &[0, 0, 0, 8]);
    let node = TlsNode::start(test_settings());
    let flooded = node
        .with_client(b"h2", "", |mut client| {
            client.write_all(BEGIN).unwrap();
            let flood =
                (0..2_000_u32).flat_map(|n| [request(2 * n + 1), frame(RESET, 2 * n + 1)].concat());
            let sent = client.write_all(&flood.collect::<Vec<_>>());
            drop(sent.and_then(|()| client.flush()));
            let began = Instant::now();
            read_to_end(&mut client);
            began.elapsed()
        })
        .await;
    assert!(flooded < Duration::from_secs(5), "{flooded:?}");
    let served = node
        .with_client(b"h2", "", |mut client| {
            client.write_all(&[BEGIN, &request(1)].concat()).unwrap();
            let mut bytes = [0; 16 * 1024];
            (0..10).any(|_| {
                let read = client.read(&mut bytes).unwrap();
                bytes[..read].windows(6).any(|part| part == b"<html ")
            })
        })
        .await;
    assert!(served, "a neighbour gets its page");
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshake_is_cut_and_counted() {
    let node = TlsNode::start(test_settings());
    let address = node.node.address();
    let lasted = tokio::task::spawn_blocking(move || {
        let mut socket = connect(address);
        let began = Instant::now();
        // The head of a record of 512 bytes, which never come.
        socket.write_all(&[22, 3, 1, 2, 0]).unwrap();
        assert!(!matches!(socket.read(&mut [0; 64]), Ok(1..)), "no answer to no hello");
        began.elapsed()
    });
    let lasted = lasted.await.unwrap();
    assert!((9..=15).contains(&lasted.as_secs()), "{lasted:?}");
    let metrics = node.metrics().await;
    assert!(metrics.contains(r#"clinicwire_tls_handshakes_total{result="slow"} 1"#), "{metrics}");
    node.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_header_before_the_handshake_names_the_client() {
    let loopback = vec!["127.0.0.0/8".parse().unwrap()];
    let proxies = TrustedProxies::new(loopback, ClientHeader::XForwardedFor, true);
    let node = TlsNode::start(Settings { proxies, ..test_settings() });
    let before = "PROXY TCP4 192.0.2.7 127.0.0.1 40000 8443\r\n";
    let token = token(Role::Display);
    let answer = node
        .with_client(b"http/1.1", before, move |mut client| {
            let request = format!(
                "GET /v1/boards/riverside HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 authorization: Bearer {token}\r\n\r\n"
            );
            client.write_all(request.as_bytes()).unwrap();
            String::from_utf8(read_to_end(&mut client)).unwrap()
        })
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("strict-transport-security: "), "{answer}");
    let audited = node.fakes.audited.lock().unwrap().clone();
    let address = audited.first().and_then(|(_, entry)| entry.address);
    assert_eq!(address, "192.0.2.7".parse().ok());
    node.node.shut_down().await;
}
