use std::{net, thread};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::pem::PemObject,
};
use rustls::{crypto::aws_lc_rs, pki_types::CertificateDer};
use testing::certificates::TestAuthority;
use tokio::net::TcpListener;

use super::*;
use crate::{certificates::Certificates, settings::TlsFiles};

type Client = StreamOwned<ClientConnection, net::TcpStream>;

/// The node's end of a connection, and the client on a thread of its own.
struct Pair {
    socket: Socket,
    protocol: Protocol,
    client: thread::JoinHandle<Vec<u8>>,
}

/// Does a handshake with a client that offers `protocols` and then does `serve`.
async fn pair(protocols: &[&[u8]], serve: impl FnOnce(Client) -> Vec<u8> + Send + 'static) -> Pair {
    let directory = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new(directory.path());
    let issued = authority.issue("node", 1);
    let files = TlsFiles { certificate: issued.certificate, key: issued.key };
    let certificates = Certificates::read(files, Arc::default()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let name = "localhost".try_into().unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        serve(StreamOwned::new(session, net::TcpStream::connect(address).unwrap()))
    });
    let tcp = listener.accept().await.unwrap().0;
    let (socket, protocol) = accept(tcp, certificates.config()).await.unwrap();
    Pair { socket, protocol, client }
}

/// Reads everything. A client that gets a close notification reads the end of the stream.
fn read_all(mut client: Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn protocol_is_the_one_that_was_agreed_on() {
    for (offered, agreed) in [
        (&[&b"h2"[..], b"http/1.1"][..], Protocol::Http2),
        (&[b"http/1.1"], Protocol::Http1),
        (&[], Protocol::Http1),
    ] {
        let Pair { socket, protocol, client } = pair(offered, |mut client| {
            client.flush().unwrap();
            read_all(client)
        })
        .await;
        assert_eq!(protocol, agreed);
        socket.finish().unwrap();
        client.join().unwrap();
    }
}

#[tokio::test]
async fn bytes_that_a_client_does_not_take_wait_and_then_arrive() {
    let (go_on, wait) = std::sync::mpsc::channel();
    let Pair { socket, client, .. } = pair(&[], move |mut client| {
        client.flush().unwrap();
        wait.recv().unwrap();
        read_all(client)
    })
    .await;
    let content: Vec<u8> = (0..16_000_000u32).map(|at| at as u8).collect();
    let mut taken = socket.try_write(&content).unwrap();
    assert!(taken < content.len(), "the buffers of a socket are smaller");
    assert!(socket.has_unsent());
    assert_eq!(socket.try_write(&content[taken..]).unwrap_err().kind(), ErrorKind::WouldBlock);
    go_on.send(()).unwrap();
    while taken < content.len() || socket.has_unsent() {
        socket.writable().await;
        match socket.try_write(&content[taken..]) {
            Ok(length) => taken += length,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    socket.finish().unwrap();
    assert!(client.join().unwrap() == content, "the content arrived as it was");
}

#[tokio::test]
async fn content_is_read_in_pieces_up_to_the_end() {
    let Pair { socket, client, .. } = pair(&[], |mut client| {
        client.write_all(&[7; 40_000]).unwrap();
        client.conn.send_close_notify();
        client.flush().unwrap();
        read_all(client)
    })
    .await;
    let (mut read, mut buffer) = (0, [0; 1000]);
    loop {
        socket.readable().await;
        match socket.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => read += length,
            Err(error) => {
                let passes = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
                assert!(passes.contains(&error.kind()), "{error}");
            }
        }
    }
    assert_eq!(read, 40_000);
    socket.finish().unwrap();
    client.join().unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_handshake_are_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let issued = TestAuthority::new(directory.path()).issue("node", 1);
    let files = TlsFiles { certificate: issued.certificate, key: issued.key };
    let certificates = Certificates::read(files, Arc::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let tcp = listener.accept().await.unwrap().0;
    assert!(accept(tcp, certificates.config()).await.is_err());
}
