//! Every kind of channel on every transport.

use futures_util::future::join_all;
use schemas::channel::Channel;
use serde_json::{Value, json};
use testing::{
    centrifugal::client::{JsonClient, Refusal},
    http::ApiRequest,
    sse::EventStream,
};
use tokio::net::TcpStream;

use super::planted::{CANARY, LOCATION, Planted, Stranger, queue};

/// Asks for the channels as every stranger.
pub async fn walk(planted: &Planted) {
    let channels = channels(planted);
    let strangers = planted.strangers();
    join_all(strangers.iter().map(|stranger| ask(planted, stranger, &channels))).await;
}

async fn ask(planted: &Planted, stranger: &Stranger, channels: &[String]) {
    // The runs of a tenant are no secret of a location.
    let is_own = |channel: &str| stranger.is_colleague && channel.starts_with("run:");
    let asked: Vec<_> = channels.iter().filter(|channel| !is_own(channel)).collect();
    for channel in &asked {
        websocket(planted, stranger, channel).await;
        stream(planted, stranger, channel).await;
    }
    socketio(planted, stranger, &asked).await;
}

/// A channel of each kind, with planted ids.
fn channels(planted: &Planted) -> Vec<String> {
    let name = |kind: &str| match kind {
        "ticket" => format!("ticket:{}", planted.ticket),
        "queue" => format!("queue:{}", queue()),
        "board" | "load" | "settings" => format!("{kind}:{LOCATION}"),
        "appointment" => format!("appointment:{}", planted.appointment),
        "schedule" => format!("schedule:{LOCATION}/dr-planted"),
        "run" => format!("run:{}", planted.run),
        kind => panic!("nobody planted a channel of the kind {kind}: add it here"),
    };
    let names: Vec<_> = Channel::KINDS.iter().map(|kind| name(kind)).collect();
    for name in &names {
        assert!(Channel::parse(name).is_ok(), "{name}");
    }
    names
}

fn is_refusal(code: u64) -> bool {
    matches!(code, 102 | 103)
}

async fn websocket(planted: &Planted, stranger: &Stranger, channel: &str) {
    let mut client = JsonClient::connect(&planted.url(), &stranger.token).await;
    match client.subscribe(channel).await {
        Err(Refusal::Error(code)) => {
            assert!(is_refusal(code), "{} {channel}: {code}", stranger.name);
        }
        other => panic!("{} {channel}: {other:?}", stranger.name),
    }
}

/// Asks for a stream ticket. Where a stranger gets one, because the ids are its own tenant's to
/// give, the stream says nothing of the planted tenant.
async fn stream(planted: &Planted, stranger: &Stranger, channel: &str) {
    let request = ApiRequest::post("/v1/stream-tickets").token(&stranger.token);
    let answer = planted.send(request.json(json!({"channels": [channel]}))).await;
    let said = format!("{} {channel}: {} {}", stranger.name, answer.status, answer.text);
    if answer.status == 403 {
        return;
    }
    assert!(!stranger.is_colleague && answer.status == 200, "{said}");
    let ticket = answer.body["ticket"].as_str().unwrap();
    let path = format!("/v1/stream?channel={channel}&ticket={ticket}");
    let tcp = TcpStream::connect(planted.authority()).await.unwrap();
    let mut events = EventStream::open(tcp, &planted.authority(), &path, None).await.unwrap();
    let mut event = events.next().await;
    while event.as_ref().is_some_and(|event| event.name == "beat") {
        event = events.next().await;
    }
    let event = event.expect("a refusal is an event");
    assert!(event.data.contains("unknown_channel") && !event.data.contains(CANARY), "{event:?}");
}

/// Asks for all channels on one Socket.IO session, by long-polling.
async fn socketio(planted: &Planted, stranger: &Stranger, channels: &[&String]) {
    const PATH: &str = "/socket.io/?EIO=4&transport=polling";
    let open = planted.send(ApiRequest::get(PATH)).await;
    let open: Value = serde_json::from_str(&open.text[1..]).unwrap();
    let path = format!("{PATH}&sid={}", open["sid"].as_str().unwrap());
    let post = async |packets: String| {
        let request = ApiRequest::post(&path).header("content-type", "text/plain");
        assert_eq!(planted.send(request.text(&packets)).await.text, "ok");
    };
    post(format!("40{}", json!({"token": stranger.token}))).await;
    let asks = channels
        .iter()
        .enumerate()
        .map(|(id, channel)| format!("42{id}{}", json!(["subscribe", {"channel": channel}])));
    let mut asks = Some(asks.collect::<Vec<_>>().join("\x1e"));
    let mut answered = 0;
    while answered < channels.len() {
        let packets = planted.send(ApiRequest::get(&path)).await.text;
        assert!(!packets.contains(CANARY), "{}: {packets}", stranger.name);
        for packet in packets.split('\x1e') {
            match packet.get(..2) {
                Some("40") => post(asks.take().expect("one connect")).await,
                Some("43") => {
                    let refused =
                        packet.contains("unknown_channel") || packet.contains("forbidden");
                    assert!(refused, "{}: {packet}", stranger.name);
                    answered += 1;
                }
                _ => assert!(matches!(packet, "2" | "6"), "{}: {packet}", stranger.name),
            }
        }
    }
}
