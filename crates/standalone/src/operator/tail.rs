//! `clinicwire tail`: follows channels in the terminal.

use anyhow::{Result, bail};
use http_body_util::BodyExt;
use hyper::Method;
use serde_json::{Value, json};

use super::{Print, arguments::TailArgs, gateway_client::GatewayClient};

/// Follows the channels until the stream ends, the count is reached or nobody reads any more.
///
/// # Errors
/// The refusal in words, and the end of a stream that was refused.
pub async fn run(arguments: &TailArgs, print: &mut Print<'_>) -> Result<()> {
    let client = GatewayClient::new(&arguments.gateway, "reception")?;
    let asked = json!({ "channels": arguments.channels });
    let ticket = client.ask(Method::POST, "/v1/stream-tickets", &asked).await?;
    let ticket = ticket["ticket"].as_str().unwrap_or_default();
    let channels: String =
        arguments.channels.iter().map(|channel| format!("&channel={channel}")).collect();
    let mut stream = client.open(&format!("/v1/stream?ticket={ticket}{channels}")).await?;
    let (mut events, mut left) = (Events::default(), arguments.count.unwrap_or(u64::MAX));
    while let Some(frame) = stream.frame().await {
        for (event, data) in events.read(&frame?.into_data().unwrap_or_default()) {
            if event == "problem" {
                bail!("{} ({})", text(&data, "message"), text(&data, "code"));
            }
            let mut line = data;
            line["event"] = json!(event);
            left = left.saturating_sub(1);
            if !print(&line.to_string()) || left == 0 {
                return Ok(());
            }
        }
    }
    bail!("the gateway ended the stream: run the command again")
}

fn text(data: &Value, field: &str) -> String {
    data[field].as_str().unwrap_or_default().to_owned()
}

/// The events of a stream (HTML Standard, §9.2), of which a part may have arrived.
#[derive(Default)]
struct Events {
    rest: Vec<u8>,
    event: String,
    data: String,
}

impl Events {
    /// Adds bytes, and returns the events that are complete now, with their names.
    fn read(&mut self, bytes: &[u8]) -> Vec<(String, Value)> {
        self.rest.extend_from_slice(bytes);
        let mut complete = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
                Some(("event", name)) => name.clone_into(&mut self.event),
                Some(("data", data)) => self.data.push_str(data),
                _ if line.is_empty() => {
                    let event = std::mem::take(&mut self.event);
                    let data = serde_json::from_str(&std::mem::take(&mut self.data));
                    complete.extend(data.ok().map(|data| (event, data)));
                }
                _ => {}
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_across_frames() {
        let mut events = Events::default();
        assert!(events.read(b"retry: 1000\n\n: ping\n\nevent: del").is_empty());
        assert!(events.read(b"ta\nid: 7\ndata: {\"to\"").is_empty());
        let complete = events.read(b":3}\n\n");
        assert_eq!(complete, [("delta".to_owned(), json!({"to": 3}))]);
    }
}
