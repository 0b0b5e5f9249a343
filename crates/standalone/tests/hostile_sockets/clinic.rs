//! A node with one shard and one location, and raw WebSocket clients.

use std::{sync::Arc, time::Duration};

use claims::tables::Tables;
use futures_util::{SinkExt, StreamExt};
use gateway::{access::auth::DevelopmentKey, limits::settings::LimitSettings};
use serde_json::{Value, json};
use standalone::one_process::{OneProcess, Settings};
use testing::{
    centrifugal::{PATH, encoding::Encoding},
    http::{ApiClient, ApiRequest},
    patience::patiently,
    tokens::DevelopmentIssuer,
    websocket::{self, Handshake},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::NEIGHBOUR_WITHIN;

const WORDS: &str = "words of the tests with hostile sockets";
pub(crate) const LOCATION: &str = "riverside";

/// A node that is stopped at the end.
pub(crate) struct Clinic {
    server: OneProcess,
    issuer: DevelopmentIssuer,
}

impl Clinic {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a node without limits but these, such as `connections-address=3`.
    pub(crate) async fn start_with(limits: &[&str]) -> Self {
        let limits: Vec<_> = limits.iter().map(|limit| limit.parse().unwrap()).collect();
        let server = OneProcess::start(Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: None,
            // One shard, so that every neighbour shares it with the hostile client.
            shards: 1,
            key: DevelopmentKey::from_words(WORDS),
            drain: Duration::ZERO,
            tables: Arc::new(Tables::empty()),
            // These tests are about sockets.
            limits: LimitSettings::off().changed(&limits),
            push_services: schemas::push::PushServices::default(),
            webhook_networks: Vec::new(),
        });
        let issuer = DevelopmentIssuer::from_words(WORDS, 3600);
        let clinic = Self { server: server.unwrap(), issuer };
        let body = json!({"name": "Hostile", "time_zone": "America/Toronto", "languages": ["fr"]});
        let path = format!("/v1/locations/{LOCATION}");
        let admin = clinic.token("admin", &json!({}));
        let create = ApiRequest::new(hyper::Method::PUT, &path).token(&admin).json(body);
        let api = ApiClient::new(Duration::from_secs(30));
        let deadline = Instant::now() + Duration::from_secs(30);
        let answer = api.settle(&clinic.url(), create, deadline).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        clinic
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub(crate) fn token(&self, role: &str, claims: &Value) -> String {
        let mut all = json!({"locations": [LOCATION]});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.issuer.sign(role, &all)
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.unwrap()
    }

    /// Opens a WebSocket that has sent no command.
    pub(crate) async fn open(&self) -> RawSocket {
        self.open_with(Encoding::Json).await
    }

    /// Opens a WebSocket for commands in this encoding.
    pub(crate) async fn open_with(&self, encoding: Encoding) -> RawSocket {
        let authority = self.server.address().to_string();
        let handshake = Handshake { subprotocol: encoding.subprotocol(), origin: None };
        let opening = websocket::open(self.dial().await, &authority, PATH, handshake);
        RawSocket(patiently("the upgrade", opening).await.unwrap())
    }

    /// Opens a WebSocket and connects as a reception.
    pub(crate) async fn connect(&self) -> RawSocket {
        let mut socket = self.open().await;
        let reply = socket.connect(&self.token("reception", &json!({}))).await.unwrap();
        assert!(reply["connect"].is_object(), "{reply}");
        socket
    }

    /// The whole answer to a request on a connection of its own. Empty when the node answers
    /// nothing.
    pub(crate) async fn get(&self, path: &str) -> String {
        let request = async {
            let mut socket = self.dial().await;
            let address = self.server.address();
            let head =
                format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            let mut answer = String::new();
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.read_to_string(&mut answer).await;
            answer
        };
        timeout(NEIGHBOUR_WITHIN, request).await.expect("the request is served")
    }

    pub(crate) async fn assert_neighbour_is_served(&self) {
        let answer = self.get("/health/live").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let api = ApiClient::new(Duration::from_secs(30));
        let text = api.send(&self.url(), ApiRequest::get("/metrics")).await.unwrap().text;
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("{line} is not in\n{text}"))
    }

    pub(crate) async fn stop(self) {
        self.server.shut_down().await;
    }
}

/// A WebSocket whose client may send any bytes.
pub(crate) struct RawSocket(WebSocketStream<TcpStream>);

impl RawSocket {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Sends a connect and returns its reply.
    pub(crate) async fn connect(&mut self, token: &str) -> Result<Value, u16> {
        self.send(&json!({"id": 1, "connect": {"token": token}}).to_string()).await;
        self.reply().await
    }

    /// The connection without the library. Bytes of the node that no call has returned are lost.
    pub(crate) fn into_tcp(self) -> TcpStream {
        self.0.into_inner()
    }

    /// Sends bytes beside the library. A node that has already closed takes no more of them.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes).await;
    }

    /// The next reply, or the code of a close: 1006 without a close frame.
    pub(crate) async fn reply(&mut self) -> Result<Value, u16> {
        loop {
            match patiently("a frame", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The code of the close. Replies before it are skipped.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.reply().await {
                return code;
            }
        }
    }
}
