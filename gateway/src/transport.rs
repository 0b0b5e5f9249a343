//! Sockets: accepting them, answering HTTP on them, and speaking WebSocket, SSE and Socket.IO.

pub mod accept;
#[cfg(feature = "tls")]
pub mod certificates;
pub mod client_address;
pub mod connection;
mod guarded_body;
pub mod socketio;
mod websocket_handshake;
