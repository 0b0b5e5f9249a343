//! The handshake of TLS, on a node that has a certificate.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::{
    client_address::ClientAddress,
    context::NodeContext,
    wire::socket::{Protocol, Socket},
};

/// Whether clients of this node speak TLS.
#[cfg(feature = "tls")]
pub(super) fn is_required(node: &NodeContext) -> bool {
    node.certificates.is_some()
}

/// Whether clients of this node speak TLS.
#[cfg(not(feature = "tls"))]
pub(super) fn is_required(_: &NodeContext) -> bool {
    false
}

/// Makes the stream of a client, and determines its protocol. `None` when the client fails the
/// handshake or takes too long.
///
/// A handshake takes more of the node than any other request without a token, so it has a rate of
/// its own. Connections of a trusted proxy are many clients' and are not counted.
#[cfg(feature = "tls")]
pub(super) async fn take(
    node: &NodeContext,
    tcp: TcpStream,
    peer: ClientAddress,
    within: Duration,
) -> Option<(Socket, Protocol)> {
    use crate::{limits::Limit, wire::socket::tls};

    let Some(certificates) = &node.certificates else { return Some((tcp.into(), Protocol::Http1)) };
    let handshakes = &node.metrics.tls;
    let key = node.limits.address_key(peer.group());
    if !node.proxies.trusts(peer) && node.limits.spend(Limit::Handshakes, key).is_err() {
        return None;
    }
    // Boxed, so that connections without TLS do not pay for it.
    let accepting = Box::pin(tls::accept(tcp, certificates.config()));
    match tokio::time::timeout(within, accepting).await {
        Ok(Ok(accepted)) => {
            handshakes.handshake("done");
            Some(accepted)
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client failed the handshake of TLS");
            handshakes.handshake("failed");
            None
        }
        Err(_) => {
            handshakes.handshake("slow");
            None
        }
    }
}

/// Makes the stream of a client.
#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "with TLS it waits")]
pub(super) async fn take(
    _: &NodeContext,
    tcp: TcpStream,
    _: ClientAddress,
    _: Duration,
) -> Option<(Socket, Protocol)> {
    Some((tcp.into(), Protocol::Http1))
}
