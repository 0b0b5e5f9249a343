//! The bytes of a connection: its socket, the frames, and the peer that sends them.

pub mod frames;
pub mod lent_socket;
pub mod peer;
pub mod security_headers;
pub mod socket;
