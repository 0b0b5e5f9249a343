//! One client's end of the wire: its socket, the frames as bytes, and the peer that sends them.

pub mod frames;
pub mod lent_socket;
pub mod peer;
pub mod security_headers;
pub mod socket;
