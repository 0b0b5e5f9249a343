//! The Centrifugal protocol from the client's side, written from its public schema and sharing no
//! code with the server: a mistake of the server is not repeated here.

pub mod client;
pub mod encoding;
pub mod messages;
pub mod protobuf;

/// The path of the WebSocket endpoint.
pub const PATH: &str = "/connection/websocket";
