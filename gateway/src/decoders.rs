//! The readers of bytes from clients that have no other public name, as the fuzz targets call them
//! (`fuzz/`). Nothing else does.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use gateway_core::protocol::Request;
use schemas::{codes::Code, view::Position};

pub use crate::access::grant::{Grant, GrantKey};
use crate::{
    client_address::{ClientAddress, proxy_protocol},
    http::claims::files,
    transport::{
        accept::sse,
        socketio::{probe, requests},
    },
    wire::peer::events,
};

/// The client that a header of the PROXY protocol names. `bytes` then begins after the header.
///
/// # Errors
/// The errors of a stream that ends early, and of a header that is malformed.
pub async fn proxy_header(bytes: &mut &[u8]) -> io::Result<Option<ClientAddress>> {
    proxy_protocol::read(bytes).await
}

/// The request in an event of a Socket.IO client.
///
/// # Errors
/// The code of the refusal.
pub fn socketio_event(text: &str) -> Result<Request<'static>, Code> {
    events::read(text)
}

/// Whether Engine.IO offers what a request line with this address asks for.
pub fn reads_engine_request(method: http::Method, address: http::Uri) -> bool {
    let mut request = http::Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (method, address);
    requests::read(&request).is_ok()
}

/// The first messages of a WebSocket that an Engine.IO session probes.
pub fn probe_frames(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    probe::frames(bytes)
}

/// The positions in the id of an SSE event, for a stream of so many channels.
pub fn event_positions(text: &str, channels: usize) -> Vec<Option<Position>> {
    sse::read_positions(text, channels)
}

/// The file in a form whose body arrives in these pieces.
///
/// # Errors
/// The code of the refusal.
pub async fn form_file(pieces: Vec<Bytes>, boundary: String) -> Result<Vec<u8>, Code> {
    let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
    files::form_file(Body::from_stream(stream::iter(pieces)), boundary).await
}
