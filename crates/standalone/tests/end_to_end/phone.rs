//! A client of the Centrifugal protocol in JSON, as small as can be.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::Response},
};

use crate::world::patiently;

pub struct Phone {
    socket: WebSocketStream<TcpStream>,
    last_id: u32,
    /// Messages of the last frame that were not looked at yet.
    unread: VecDeque<Value>,
    /// Pushes that came while a reply was awaited.
    pushes: VecDeque<Value>,
}

/// An error reply, or the code of the close that came in its place.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Error(u64),
    Closed(u16),
}

impl Phone {
    /// The bare socket, before any command.
    pub async fn open(node: &str) -> Self {
        Self::open_from(node, None).await.expect("the node takes the socket")
    }

    /// The same as a page of `origin` would; the HTTP status when the node does not want that.
    pub async fn open_from(node: &str, origin: Option<&str>) -> Result<Self, u16> {
        let host = node.strip_prefix("http://").expect("an address with its scheme");
        let url = format!("ws://{host}/connection/websocket");
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let tcp = TcpStream::connect(host).await.expect("the node accepts");
        tcp.set_nodelay(true).unwrap();
        match patiently("the upgrade", client_async(request, tcp)).await {
            Ok((socket, _)) => {
                Ok(Self { socket, last_id: 0, unread: VecDeque::new(), pushes: VecDeque::new() })
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                let answer: Response<_> = *answer;
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A socket that has said who it is.
    pub async fn connect(node: &str, token: &str) -> Self {
        let mut phone = Self::open(node).await;
        phone.ask("connect", json!({"token": token})).await.expect("the token is good");
        phone
    }

    pub async fn say(&mut self, text: String) {
        // A node that has closed already says why to whoever reads on.
        let _ = self.socket.send(Message::text(text)).await;
    }

    /// One command and its reply.
    pub async fn ask(&mut self, method: &str, request: Value) -> Result<Value, Refusal> {
        self.last_id += 1;
        let id = self.last_id;
        self.say(json!({"id": id, method: request}).to_string()).await;
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

    pub async fn subscribe(&mut self, channel: &str) -> Result<Value, Refusal> {
        self.ask("subscribe", json!({"channel": channel})).await
    }

    /// The next push, or the code of the close.
    pub async fn push(&mut self) -> Result<Value, u16> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(push);
        }
        let mut message = self.message().await?;
        assert!(message.get("push").is_some(), "a reply nobody waits for: {message}");
        Ok(message["push"].take())
    }

    /// The code with which the node closes the socket; 1006 when it just goes away.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.message().await {
                return code;
            }
        }
    }

    /// The next message: frames carry several, a line each. Pings are answered here.
    async fn message(&mut self) -> Result<Value, u16> {
        loop {
            if let Some(message) = self.unread.pop_front() {
                return Ok(message);
            }
            match patiently("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => self.read(&text).await,
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    async fn read(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.is_empty()) {
            if line == "{}" {
                self.say("{}".to_owned()).await;
            } else {
                self.unread.push_back(serde_json::from_str(line).expect("every line is JSON"));
            }
        }
    }
}
