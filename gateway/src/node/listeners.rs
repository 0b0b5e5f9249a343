//! The listening sockets of a node.

use std::{io, net::SocketAddr, time::Duration};

use super::StartError;

/// Connections that the system may hold for a shard which has not accepted them yet: the first
/// second of a reconnect storm. The system drops further ones, and their clients try again.
const BACKLOG: i32 = 4096;
/// Bytes that the system keeps unsent for one socket. Past them a write would block, and the
/// connection keeps its mark. A slow phone then gets its newest state next. A larger buffer would
/// first deliver a minute of old states.
const UNSENT_BYTES: u32 = 32 * 1024;
/// How long sent bytes may stay unacknowledged before the system gives up a dead peer.
const DEAD_PEER: Duration = Duration::from_secs(20);

/// Binds one listener per shard to the same address. The kernel spreads new connections over them.
pub(super) fn bind(
    address: SocketAddr,
    shards: usize,
) -> Result<Vec<std::net::TcpListener>, StartError> {
    let failed = |source| StartError::Listen { address, source };
    // The first listener is bound alone, so that an address which another program uses is an error.
    let first = std::net::TcpListener::bind(address).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    drop(first);
    (0..shards).map(|_| listener(address)).collect::<io::Result<_>>().map_err(failed)
}

fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit both.
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        socket.set_tcp_user_timeout(Some(DEAD_PEER))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
