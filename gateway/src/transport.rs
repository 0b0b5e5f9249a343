//! Sockets: accepting them, answering HTTP on them, and speaking WebSocket, SSE and Socket.IO.

pub mod accept;
pub mod admission;
pub mod connection;
mod guarded_body;
pub mod lent_socket;
pub mod peer;
pub mod socket;
pub mod socketio;
