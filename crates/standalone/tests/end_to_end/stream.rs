//! An SSE client that behaves as a browser's `EventSource`.

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    body::{Bytes, Incoming},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::{
    api::Call,
    world::{World, patiently},
};

pub struct Stream {
    pub status: u16,
    body: Incoming,
    buffer: String,
    pub last_id: Option<String>,
    // Its pool would close the connection with it.
    _client: Client<HttpConnector, Empty<Bytes>>,
}

#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

/// The path of a stream of `channels`, with a one-time ticket in it.
pub async fn path_for(world: &World, token: &str, channels: &[&str]) -> String {
    let call = Call::post("/v1/stream-tickets").token(token).json(json!({"channels": channels}));
    let answer = world.api.call(world.here(), call).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["expires_in"], 30);
    path_with(answer.body["ticket"].as_str().expect("a ticket is text"), channels)
}

pub fn path_with(ticket: &str, channels: &[&str]) -> String {
    let channels: String = channels.iter().map(|channel| format!("&channel={channel}")).collect();
    format!("/v1/stream?ticket={ticket}{channels}")
}

impl Stream {
    pub async fn open(node: &str, path: &str, last_id: Option<&str>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut request =
            Request::get(format!("{node}{path}")).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Empty::new()).unwrap();
        let answer =
            patiently("the stream", client.request(request)).await.expect("the node answers");
        let status = answer.status().as_u16();
        if status == 200 {
            let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
            assert!(kind.is_some_and(|kind| kind.starts_with("text/event-stream")), "{kind:?}");
        }
        let last_id = last_id.map(str::to_owned);
        Self { status, body: answer.into_body(), buffer: String::new(), last_id, _client: client }
    }

    /// The next event; `None` at the stream's end.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                if let Some(event) = self.read(&block) {
                    return Some(event);
                }
                continue;
            }
            let frame = patiently("an event", self.body.frame()).await?.ok()?;
            if let Ok(bytes) = frame.into_data() {
                self.buffer += &String::from_utf8_lossy(&bytes);
            }
        }
    }

    /// Reads one block; comments, beats and a `retry:` alone tell nothing.
    fn read(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = (String::new(), None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => data = Some(value.to_owned()),
                Some(("id", value)) => {
                    let good = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
                    assert!(value.chars().all(good), "an id survives every proxy: {value}");
                    self.last_id = Some(value.to_owned());
                }
                _ => {}
            }
        }
        if name == "beat" {
            return None;
        }
        let data = serde_json::from_str(&data?).expect("the data of an event is JSON");
        Some(Event { name, data })
    }

    /// The next event, which must have that name.
    pub async fn expect(&mut self, name: &str) -> Value {
        let event = self.event().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
        assert_eq!(event.name, name, "{}", event.data);
        event.data
    }
}
