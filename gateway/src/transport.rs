//! Sockets: accepting them, answering HTTP on them, and the tasks of WebSocket, SSE and Socket.IO
//! connections.

pub mod accept;
pub mod connection;
pub mod lent_socket;
pub mod socketio;
