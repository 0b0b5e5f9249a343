//! WebSocket connections without TLS.

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        client::IntoClientRequest,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};

/// The read buffer of a connection. Frames are small, and the default of 128 KiB would be the
/// largest cost of a load test with thousands of connections.
const READ_BUFFER: usize = 4096;

/// The request of a client in its handshake, beside the path.
#[derive(Clone, Copy, Default)]
pub struct Handshake<'a> {
    pub subprotocol: Option<&'static str>,
    /// The origin of the page that a browser connects from.
    pub origin: Option<&'a str>,
}

/// Upgrades a connection to `authority` at `path`.
///
/// # Errors
/// The error of tungstenite when the server does not upgrade. [`refused_status`] finds its status.
pub async fn open(
    tcp: TcpStream,
    authority: &str,
    path: &str,
    handshake: Handshake<'_>,
) -> Result<WebSocketStream<TcpStream>> {
    tcp.set_nodelay(true).context("set TCP_NODELAY")?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let mut request =
        format!("ws://{authority}{path}").into_client_request().context("build the handshake")?;
    let headers = request.headers_mut();
    if let Some(name) = handshake.subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    if let Some(origin) = handshake.origin {
        headers.insert(header::ORIGIN, origin.parse().context("use the origin")?);
    }
    let (socket, _) = client_async_with_config(request, tcp, Some(config)).await?;
    Ok(socket)
}

/// The HTTP status of an answer that refused the upgrade.
#[must_use]
pub fn refused_status(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref()? {
        tokio_tungstenite::tungstenite::Error::Http(answer) => Some(answer.status().as_u16()),
        _ => None,
    }
}

/// A masked frame. The mask is zero, so that the payload is sent as it is.
///
/// # Panics
/// When the payload has 64 KiB or more.
#[must_use]
pub fn masked_frame(is_final: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(is_final) << 7 | opcode];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            let length = u16::try_from(payload.len()).expect("a payload below 64 KiB");
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
