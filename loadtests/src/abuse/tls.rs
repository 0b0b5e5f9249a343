//! TLS on both sides: the certificate of a node under attack, hostile clients that speak TLS, and
//! the tunnel through which the neighbour reaches the node.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use testing::certificates::{TestAuthority, TestCertificate};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Siege;

/// The certificate of a node, and how its clients speak to it. The files are removed when it is
/// dropped.
pub struct NodeTls {
    pub certificate: TestCertificate,
    pub authority: TestAuthority,
    _directory: tempfile::TempDir,
}

impl NodeTls {
    /// Makes a certificate.
    ///
    /// # Errors
    /// When there is no directory for its files.
    pub fn new() -> Result<Self> {
        let directory = tempfile::tempdir().context("make a directory for certificates")?;
        let authority = TestAuthority::new(directory.path());
        let certificate = authority.issue("node", 1);
        Ok(Self { certificate, authority, _directory: directory })
    }

    /// A client that speaks the protocol.
    ///
    /// # Errors
    /// When the certificate of the authority cannot be read.
    pub fn client(&self, protocol: &[u8]) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority.certificate())?)?;
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }
}

/// The name in the certificate.
fn name() -> Result<ServerName<'static>> {
    ServerName::try_from("localhost").context("use the name of the node")
}

/// Does the handshake of a hostile client.
///
/// # Errors
/// When the node refuses it.
pub async fn handshake(siege: &Siege, socket: TcpStream) -> Result<TlsStream<TcpStream>> {
    let config = siege.tls.clone().context("a node with TLS")?;
    Ok(TlsConnector::from(config).connect(name()?, socket).await?)
}

/// The first bytes of a client that agrees on HTTP/2: a whole hello, ready to be sent many times.
///
/// # Errors
/// When rustls cannot make it.
pub fn hello(config: Arc<ClientConfig>) -> Result<Vec<u8>> {
    let mut client = ClientConnection::new(config, name()?)?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello)?;
    Ok(hello)
}

/// Passes each connection to an address of its own on to the node over TLS. Dropping it ends it.
pub struct Tunnel {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// Starts a tunnel to the node.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(node: SocketAddr, tls: &NodeTls) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen")?;
        let address = listener.local_addr()?;
        let connector = TlsConnector::from(tls.client(b"http/1.1")?);
        let task = tokio::spawn(async move {
            while let Ok((plain, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    // The neighbour notices a tunnel that fails.
                    let _ = pass_on(plain, node, &connector).await;
                });
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(mut plain: TcpStream, node: SocketAddr, connector: &TlsConnector) -> Result<()> {
    plain.set_nodelay(true)?;
    let socket = TcpStream::connect(node).await?;
    socket.set_nodelay(true)?;
    let mut sealed = connector.connect(name()?, socket).await?;
    copy_bidirectional(&mut plain, &mut sealed).await?;
    Ok(())
}
