//! Event streams, opened with a one-time ticket as a browser's `EventSource` is.

use serde_json::{Value, json};
use testing::{http::ApiRequest, patience::patiently, sse::EventStream};
use tokio::net::TcpStream;

use crate::world::World;

pub struct Stream(EventStream);

#[derive(Debug)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

/// The path of a stream of `channels`, with a one-time ticket in it.
pub async fn path_for(world: &World, token: &str, channels: &[&str]) -> String {
    let body = json!({"channels": channels});
    let request = ApiRequest::post("/v1/stream-tickets").token(token).json(body);
    let answer = world.api.call(world.here(), request).await;
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
        let authority = node.strip_prefix("http://").expect("an address with its scheme");
        let tcp = TcpStream::connect(authority).await.expect("the node accepts connections");
        let opening = EventStream::open(tcp, authority, path, last_id);
        let stream = patiently("the stream", opening).await.expect("the node answers");
        if stream.status == 200 {
            let kind = stream.content_type.as_deref();
            assert!(kind.is_some_and(|kind| kind.starts_with("text/event-stream")), "{kind:?}");
        }
        Self(stream)
    }

    pub fn status(&self) -> u16 {
        self.0.status
    }

    pub fn last_id(&self) -> Option<&str> {
        self.0.last_id.as_deref()
    }

    /// The next event that is not a beat, or `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            let event = patiently("an event", self.0.next()).await?;
            if let Some(id) = self.last_id() {
                let is_safe = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
                assert!(id.chars().all(is_safe), "a proxy could change the id {id}");
            }
            if event.name != "beat" {
                let data = serde_json::from_str(&event.data).expect("the data is JSON");
                return Some(Event { name: event.name, data });
            }
        }
    }

    /// The next event, which must have this name.
    pub async fn expect(&mut self, name: &str) -> Value {
        let event = self.event().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
        assert_eq!(event.name, name, "{}", event.data);
        event.data
    }
}
