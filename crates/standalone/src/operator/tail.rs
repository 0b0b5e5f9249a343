//! `clinicwire tail`: follows channels in the terminal.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::StreamExt;
use serde_json::{Value, json};
use sse_stream::{Sse, SseStream};

use super::{
    Terminal,
    arguments::TailArgs,
    gateway_client::{GatewayClient, RequestError},
};

/// The pause before a lost stream is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// The reason why a stream is no longer read.
enum StreamEnd {
    /// The count is reached, or nobody reads the output any more.
    Done,
    /// The gateway is away or ended the stream, and another stream can continue.
    Lost,
}

/// A stream that is opened again after each loss.
struct Follower<'a> {
    client: GatewayClient,
    channels: &'a [String],
    /// The id of the last event, after which the next stream continues.
    last_id: Option<String>,
    /// Messages until the end.
    left: u64,
}

/// Follows the channels until the count is reached or nobody reads any more.
///
/// # Errors
/// A refusal in words, and that nothing answers at the start. A stream that is lost later is opened
/// again.
pub async fn run(arguments: &TailArgs, terminal: &mut Terminal<'_>) -> Result<()> {
    let mut follower = Follower {
        client: GatewayClient::new(&arguments.gateway, "reception")?,
        channels: &arguments.channels,
        last_id: None,
        left: arguments.count.unwrap_or(u64::MAX),
    };
    let mut stream = follower.open().await?;
    loop {
        if let StreamEnd::Done = follower.read(stream, terminal).await? {
            return Ok(());
        }
        terminal.note("the stream has ended; connecting again (Ctrl-C stops)");
        stream = loop {
            tokio::time::sleep(PAUSE).await;
            match follower.open().await {
                Err(error) if error.is_temporary() => {}
                opened => break opened?,
            }
        };
    }
}

type EventStream = SseStream<hyper::body::Incoming>;

impl Follower<'_> {
    async fn open(&self) -> Result<EventStream, RequestError> {
        let wanted = json!({ "channels": self.channels });
        let ticket = self.client.post("/v1/stream-tickets", &wanted).await?;
        let ticket = ticket["ticket"].as_str().unwrap_or_default();
        let channels: String =
            self.channels.iter().map(|channel| format!("&channel={channel}")).collect();
        let path = format!("/v1/stream?ticket={ticket}{channels}");
        Ok(SseStream::new(self.client.open_stream(&path, self.last_id.as_deref()).await?))
    }

    /// Prints the messages of a stream.
    async fn read(
        &mut self,
        mut stream: EventStream,
        terminal: &mut Terminal<'_>,
    ) -> Result<StreamEnd> {
        while let Some(Ok(event)) = stream.next().await {
            let Some((name, data)) = content(&event) else { continue };
            if name == "problem" {
                if data["retry"] == true {
                    return Ok(StreamEnd::Lost);
                }
                bail!("{} ({})", text(&data, "message"), text(&data, "code"));
            }
            let line = message(name, data);
            self.last_id = event.id.or(self.last_id.take());
            self.left = self.left.saturating_sub(1);
            if !terminal.print(&line) || self.left == 0 {
                return Ok(StreamEnd::Done);
            }
        }
        Ok(StreamEnd::Lost)
    }
}

/// The name and the data of an event. None for a beat, which only shows that the stream is alive.
fn content(event: &Sse) -> Option<(&str, Value)> {
    let name = event.event.as_deref().filter(|name| *name != "beat")?;
    Some((name, serde_json::from_str(event.data.as_deref()?).ok()?))
}

/// A line for a message.
fn message(event: &str, mut data: Value) -> String {
    data["event"] = json!(event);
    data.to_string()
}

fn text<'a>(data: &'a Value, field: &str) -> &'a str {
    data[field].as_str().unwrap_or_default()
}
