//! Server-sent events, parsed by `sse-stream`, with the state that a browser's `EventSource` keeps.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use http_body_util::Empty;
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use sse_stream::SseStream;
use tokio::{net::TcpStream, task::JoinSet};

/// An open stream.
pub struct EventStream {
    pub status: u16,
    pub content_type: Option<String>,
    /// The last id that was received; a reconnecting client sends it back.
    pub last_id: Option<String>,
    /// The pause before a reconnect, when the server has set one.
    pub retry: Option<Duration>,
    events: SseStream<Incoming>,
    /// Drives the connection, and ends it when the stream is dropped.
    _connection: JoinSet<()>,
}

/// An event with data.
#[derive(Debug)]
pub struct StreamEvent {
    pub name: String,
    pub data: String,
}

impl EventStream {
    /// Requests `path` over a new connection. A stream that is refused has a status other than 200.
    ///
    /// # Errors
    /// When no answer arrives.
    pub async fn open(
        tcp: TcpStream,
        authority: &str,
        path: &str,
        last_id: Option<&str>,
    ) -> Result<Self> {
        let mut request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Empty::<Bytes>::new()).context("build the request")?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(tcp)).await.context("start HTTP")?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // The body reports a broken connection.
            let _ = connection.await;
        });
        let answer = sender.send_request(request).await.context("send the request")?;
        let content_type = answer.headers().get(header::CONTENT_TYPE);
        Ok(Self {
            status: answer.status().as_u16(),
            content_type: content_type.and_then(|kind| kind.to_str().ok()).map(str::to_owned),
            last_id: last_id.map(str::to_owned),
            retry: None,
            events: SseStream::new(answer.into_body()),
            _connection: driver,
        })
    }

    /// The next event with data, or `None` at the end. Safe to cancel.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            let block = self.events.next().await?.ok()?;
            if block.id.is_some() {
                self.last_id = block.id;
            }
            if let Some(ms) = block.retry {
                self.retry = Some(Duration::from_millis(ms));
            }
            if let Some(data) = block.data.filter(|data| !data.is_empty()) {
                return Some(StreamEvent { name: block.event.unwrap_or_default(), data });
            }
        }
    }
}
