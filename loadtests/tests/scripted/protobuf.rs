//! The scripted server's messages in Protobuf, to and from those in JSON.

use clinicwire_loadtests::ws::protobuf::{
    Command, ConnectResult, ErrorReply, Publication, Push, Reply, SubscribeResult,
};
use prost::Message;
use serde_json::{Value, json};

/// The commands of one frame, as they would be in JSON; a pong is an empty one.
pub(crate) fn commands(mut frame: &[u8]) -> Vec<Value> {
    let mut commands = Vec::new();
    while !frame.is_empty() {
        let Command { id, connect, subscribe } =
            Command::decode_length_delimited(&mut frame).unwrap();
        commands.push(match (connect, subscribe) {
            (Some(connect), None) => json!({"id": id, "connect": {"token": connect.token}}),
            (None, Some(asked)) if asked.recover => {
                let since = json!({
                    "channel": asked.channel, "recover": true, "epoch": asked.epoch, "offset": asked.offset,
                });
                json!({"id": id, "subscribe": since})
            }
            (None, Some(asked)) => json!({"id": id, "subscribe": {"channel": asked.channel}}),
            _ => json!({}),
        });
    }
    commands
}

/// One frame of all replies.
pub(crate) fn frame(replies: &[Value]) -> Vec<u8> {
    replies.iter().flat_map(|reply| message(reply).encode_length_delimited_to_vec()).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn small(value: &Value) -> u32 {
    number(value).try_into().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn message(reply: &Value) -> Reply {
    let publication = |it: &Value| Publication {
        data: it["data"].to_string().into_bytes(),
        offset: number(&it["offset"]),
    };
    Reply {
        id: small(&reply["id"]),
        error: reply.get("error").map(|error| ErrorReply {
            code: small(&error["code"]),
            message: text(&error["message"]),
            temporary: false,
        }),
        push: reply.get("push").map(|push| Push {
            channel: text(&push["channel"]),
            publication: Some(publication(&push["pub"])),
            unsubscribe: None,
        }),
        connect: reply.get("connect").map(|connect| ConnectResult {
            client: text(&connect["client"]),
            ping: small(&connect["ping"]),
            pong: connect["pong"] == true,
        }),
        subscribe: reply.get("subscribe").map(|result| SubscribeResult {
            recoverable: result["recoverable"] == true,
            epoch: text(&result["epoch"]),
            publications: result["publications"]
                .as_array()
                .into_iter()
                .flatten()
                .map(publication)
                .collect(),
            recovered: result["recovered"] == true,
            offset: number(&result["offset"]),
            data: result.get("data").map(|data| data.to_string().into_bytes()).unwrap_or_default(),
        }),
    }
}
