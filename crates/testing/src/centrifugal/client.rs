//! A small client in JSON for tests: one command at a time, with the whole reply.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::PATH;
use crate::{
    patience::patiently,
    websocket::{self, Handshake, refused_status},
};

/// A connection. All waits are bounded by [`crate::patience::PATIENCE`].
pub struct JsonClient {
    socket: WebSocketStream<TcpStream>,
    last_id: u32,
    /// Messages of the last frame that were not read yet.
    unread: VecDeque<Value>,
    /// Pushes that arrived while a reply was awaited.
    pushes: VecDeque<Value>,
}

/// An error reply, or the code of the close that arrived in its place.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Error(u64),
    Closed(u16),
}

/// The connection ended without a close frame.
const ABNORMAL_CLOSE: u16 = 1006;
/// The close frame has no code.
const NO_CODE: u16 = 1005;

impl JsonClient {
    /// Opens a socket without sending a command.
    ///
    /// # Panics
    /// When the node refuses the upgrade.
    pub async fn open(node: &str) -> Self {
        Self::open_from(node, None).await.expect("the node upgrades the connection")
    }

    /// Opens a socket as a page of `origin` does.
    ///
    /// # Errors
    /// The HTTP status of an answer that refuses the upgrade.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn open_from(node: &str, origin: Option<&str>) -> Result<Self, u16> {
        let authority = node.strip_prefix("http://").expect("an address with its scheme");
        let tcp = TcpStream::connect(authority).await.expect("the node accepts connections");
        let handshake = Handshake { subprotocol: None, origin };
        match patiently("the upgrade", websocket::open(tcp, authority, PATH, handshake)).await {
            Ok(socket) => {
                Ok(Self { socket, last_id: 0, unread: VecDeque::new(), pushes: VecDeque::new() })
            }
            Err(error) => Err(refused_status(&error).unwrap_or_else(|| panic!("{error:#}"))),
        }
    }

    /// Opens a socket and sends `connect`.
    ///
    /// # Panics
    /// When the token is refused.
    pub async fn connect(node: &str, token: &str) -> Self {
        let mut client = Self::open(node).await;
        client.command("connect", json!({"token": token})).await.expect("the token is accepted");
        client
    }

    /// Sends a text frame as it is.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        // A node that has already closed states the reason to the next read.
        let _ = self.socket.send(Message::text(text.into())).await;
    }

    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// The code of an error reply, or of a close.
    pub async fn command(&mut self, method: &str, request: Value) -> Result<Value, Refusal> {
        self.last_id += 1;
        let id = self.last_id;
        self.send_text(json!({"id": id, method: request}).to_string()).await;
        let reply = loop {
            let mut message = self.message().await.map_err(Refusal::Closed)?;
            if message["id"] == id {
                break message;
            }
            self.pushes.push_back(message["push"].take());
        };
        match reply["error"]["code"].as_u64() {
            Some(code) => Err(Refusal::Error(code)),
            None => Ok(reply[method].clone()),
        }
    }

    /// Subscribes without a position.
    ///
    /// # Errors
    /// The errors of [`JsonClient::command`].
    pub async fn subscribe(&mut self, channel: &str) -> Result<Value, Refusal> {
        self.command("subscribe", json!({"channel": channel})).await
    }

    /// The next push.
    ///
    /// # Errors
    /// The code of a close.
    ///
    /// # Panics
    /// When a reply without a command arrives.
    pub async fn push(&mut self) -> Result<Value, u16> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(push);
        }
        let mut message = self.message().await?;
        assert!(message.get("push").is_some(), "a reply without a command: {message}");
        Ok(message["push"].take())
    }

    /// Waits until the node closes the socket, and returns the code: 1006 without a close frame.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.message().await {
                return code;
            }
        }
    }

    /// The next message. A frame has several, one on each line. Pings are answered here.
    async fn message(&mut self) -> Result<Value, u16> {
        loop {
            if let Some(message) = self.unread.pop_front() {
                return Ok(message);
            }
            match patiently("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => self.read_lines(&text).await,
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(NO_CODE, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(ABNORMAL_CLOSE),
            }
        }
    }

    async fn read_lines(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.is_empty()) {
            if line == "{}" {
                self.send_text("{}").await;
            } else {
                self.unread.push_back(serde_json::from_str(line).expect("every line is JSON"));
            }
        }
    }
}
