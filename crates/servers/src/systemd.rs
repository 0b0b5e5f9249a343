//! Tells systemd when a process is ready and when it stops, as `sd_notify(3)` describes.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The work has begun.
pub const READY: &str = "READY=1";
/// The process ends by itself.
pub const STOPPING: &str = "STOPPING=1";

/// Sends a state to the manager that started this process. Without one, nothing happens.
pub fn notify(state: &str) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&address, state) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, state, "systemd could not be told");
    }
}

/// Sends a datagram. An address that begins with `@` is in the abstract namespace.
fn send(address: &OsStr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let sent = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?),
        None => socket.send_to(state.as_bytes(), address),
    };
    sent.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next datagram of a socket.
    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn state_reaches_both_kinds_of_address() {
        let name = format!("clinicwire-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let abstract_socket = UnixDatagram::bind_addr(&address).unwrap();
        send(OsStr::new(&format!("@{name}")), READY).unwrap();
        assert_eq!(received(&abstract_socket), READY);

        let path = std::env::temp_dir().join(&name);
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), STOPPING).unwrap();
        assert_eq!(received(&socket), STOPPING);
        std::fs::remove_file(&path).unwrap();
        assert!(send(path.as_os_str(), READY).is_err());
    }
}
