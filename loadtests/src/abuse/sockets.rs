//! Hostile WebSockets. Each attack opens a socket, does harm until the node closes it, and begins
//! again.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;
use testing::{centrifugal::PATH, tokens::unix_seconds, websocket::masked_frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::Siege;

/// Frames that are written at once.
const BATCH: usize = 1000;
/// The pause of an attacker whose connection the node refuses.
pub const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// Opens a WebSocket from one of the attackers' addresses.
///
/// # Errors
/// When the node refuses it.
pub async fn open_from(siege: &Siege, address: u8) -> Result<TcpStream> {
    let mut socket = siege.node.dial_hostile_from(address).await?;
    let head = format!(
        "GET {PATH} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        siege.node.authority
    );
    socket.write_all(head.as_bytes()).await?;
    let mut answer = [0; 1024];
    let length = socket.read(&mut answer).await?;
    anyhow::ensure!(answer[..length].starts_with(b"HTTP/1.1 101"), "the upgrade was refused");
    Ok(socket)
}

/// Opens the next socket, as soon as the node accepts one.
pub async fn next_socket(siege: &Siege) -> TcpStream {
    loop {
        siege.attempts.fetch_add(1, Relaxed);
        match open_from(siege, 0).await {
            Ok(socket) => return socket,
            Err(_) => sleep(REFUSED_PAUSE).await,
        }
    }
}

/// Sends one frame in a loop. A continuation follows the begin of a message.
pub async fn flood(siege: &Siege, bytes: &[u8]) {
    let begin = if bytes[0] & 0x0f == 0 { masked_frame(false, 1, b"{") } else { Vec::new() };
    let batch = bytes.repeat(BATCH);
    loop {
        let mut socket = next_socket(siege).await;
        let mut sent = socket.write_all(&begin).await;
        while sent.is_ok() {
            sent = socket.write_all(&batch).await;
            siege.attempts.fetch_add(BATCH as u64, Relaxed);
        }
    }
}

/// Sends connects with an expired token in a loop.
pub async fn expired_connects(siege: &Siege) {
    let token = siege.node.token("reception", &json!({"exp": unix_seconds() - 60}));
    let connect = json!({"id": 1, "connect": {"token": token}}).to_string();
    flood(siege, &masked_frame(true, 1, connect.as_bytes())).await;
}

/// Subscribes and unsubscribes in a loop.
pub async fn subscribes(siege: &Siege) {
    let token = siege.node.token("reception", &json!({"sub": "hostile"}));
    let connect = json!({"id": 1, "connect": {"token": token}}).to_string();
    let channel = json!({"channel": format!("ticket:{}.{}", siege.node.location, "0".repeat(32))});
    let subscribe = json!({"id": 2, "subscribe": channel});
    let unsubscribe = json!({"id": 3, "unsubscribe": channel});
    let connect = masked_frame(true, 1, connect.as_bytes());
    let pair = masked_frame(true, 1, format!("{subscribe}\n{unsubscribe}").as_bytes());
    loop {
        let socket = next_socket(siege).await;
        let _ = send_and_read(siege, socket, &connect, &pair).await;
    }
}

/// Begins Socket.IO sessions by long-polling in a loop.
pub async fn newcomers(siege: &Siege) {
    let host = &siege.node.authority;
    let request =
        format!("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: {host}\r\n\r\n");
    loop {
        if let Ok(socket) = siege.node.dial_hostile().await {
            let _ = send_and_read(siege, socket, b"", request.as_bytes()).await;
        }
        sleep(REFUSED_PAUSE).await;
    }
}

/// Sends Socket.IO events with as many attachments as are read, and their attachments.
pub async fn attachments(siege: &Siege) {
    const EACH: usize = 100;
    let token = siege.node.token("reception", &json!({"sub": "hostile"}));
    let host = &siege.node.authority;
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: {host}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let connect = masked_frame(true, 1, format!("40{}", json!({"token": token})).as_bytes());
    let places: Vec<_> = (0..EACH).map(|num| json!({"_placeholder": true, "num": num})).collect();
    let event = format!("45{EACH}-{}", json!(["subscribe", {"channel": places}]));
    let attachments = masked_frame(true, 2, b"a").repeat(EACH);
    let event = [masked_frame(true, 1, event.as_bytes()), attachments].concat();
    loop {
        if let Ok(socket) = siege.node.dial_hostile().await {
            let first = [head.as_bytes(), &connect].concat();
            let _ = send_and_read(siege, socket, &first, &event).await;
        }
        sleep(REFUSED_PAUSE).await;
    }
}

/// Sends `first`, and then `next` in a loop. The replies are read, because a client that reads
/// nothing is closed as slow.
pub async fn send_and_read(
    siege: &Siege,
    socket: TcpStream,
    first: &[u8],
    next: &[u8],
) -> Result<()> {
    let (mut reading, mut writing) = socket.into_split();
    writing.write_all(first).await?;
    let batch = next.repeat(20);
    let read = async {
        let mut buffer = vec![0; 16 * 1024];
        while reading.read(&mut buffer).await.context("read")? > 0 {}
        anyhow::Ok(())
    };
    let write = async {
        loop {
            writing.write_all(&batch).await?;
            siege.attempts.fetch_add(20, Relaxed);
        }
    };
    tokio::select! {
        read = read => read,
        write = write => write,
    }
}
