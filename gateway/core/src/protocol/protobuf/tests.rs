use proptest::prelude::*;
use schemas::{
    channel::Channel,
    codes::{Close, Code},
    view::{Position, raw},
};
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::protocol::{MAX_COMMANDS, json};

/// A command in both encodings: (JSON, Protobuf).
fn both(id: u32, method: &str, request: Value) -> (String, Vec<u8>) {
    let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
    let token = || Some(TokenRequest { token: text("token") });
    let mut message = CommandMessage { id, ..CommandMessage::default() };
    match method {
        "connect" => message.connect = token(),
        "refresh" => message.refresh = token(),
        "unsubscribe" => message.unsubscribe = Some(ChannelRequest { channel: text("channel") }),
        "subscribe" => {
            message.subscribe = Some(SubscribeRequest {
                channel: text("channel"),
                recover: request["recover"].as_bool().unwrap_or_default(),
                epoch: text("epoch"),
                offset: request["offset"].as_u64().unwrap_or_default(),
            });
        }
        "publish" => message.publish = Some(Nothing {}),
        "presence" => message.presence = Some(Nothing {}),
        "presence_stats" => message.presence_stats = Some(Nothing {}),
        "history" => message.history = Some(Nothing {}),
        "ping" => message.ping = Some(Nothing {}),
        "send" => message.send = Some(Nothing {}),
        "rpc" => message.rpc = Some(Nothing {}),
        "sub_refresh" => message.sub_refresh = Some(Nothing {}),
        _ => {}
    }
    let line =
        if method.is_empty() { json!({ "id": id }) } else { json!({ "id": id, method: request }) };
    (line.to_string(), message.encode_length_delimited_to_vec())
}

fn any_command() -> impl Strategy<Value = (String, Vec<u8>)> {
    let epoch =
        prop_oneof![any::<u64>().prop_map(|epoch| epoch.to_string()), Just("_".into()), ".{0,5}"];
    let subscribe = (".{0,40}", any::<bool>(), epoch, any::<u64>()).prop_map(
        |(channel, recover, epoch, offset)| {
            let request =
                json!({"channel": channel, "recover": recover, "epoch": epoch, "offset": offset});
            ("subscribe", request)
        },
    );
    let token = |method| ".{0,40}".prop_map(move |token| (method, json!({ "token": token })));
    let others = [
        "",
        "publish",
        "presence",
        "presence_stats",
        "history",
        "ping",
        "send",
        "rpc",
        "sub_refresh",
    ];
    let request = prop_oneof![
        subscribe,
        token("connect"),
        token("refresh"),
        ".{0,40}".prop_map(|channel| ("unsubscribe", json!({ "channel": channel }))),
        prop::sample::select(others.to_vec()).prop_map(|method| (method, json!({}))),
    ];
    (any::<u32>(), request).prop_map(|(id, (method, request))| both(id, method, request))
}

/// Owned values from which [`replies`] builds one reply of every kind.
type Parts = (u32, (u64, u64, u64), (String, String), Option<Box<RawValue>>, (usize, usize, bool));

fn any_parts() -> impl Strategy<Value = Parts> {
    let data = prop::option::of(
        (".{0,20}", any::<i32>()).prop_map(|(key, value)| raw(&json!({ key: value }))),
    );
    (
        any::<u32>(),
        any::<(u64, u64, u64)>(),
        (".{0,20}", ".{0,20}"),
        data,
        any::<(usize, usize, bool)>(),
    )
}

/// One reply of every kind, with the values of `parts`.
fn replies<'a>(parts: &'a Parts, channel: &'a Channel) -> Vec<Reply<'a>> {
    let (id, (epoch, version, held), (client, name), data, (code, close, flag)) = parts;
    let (id, position) = (*id, Position { epoch: *epoch, version: *version });
    let mut replies = vec![
        Reply::Error { id, code: Code::ALL[code % Code::ALL.len()] },
        Reply::Connect { id, client, version: name, ttl_s: id / 3, ping_s: id / 5 },
        Reply::Refresh { id, ttl_s: id / 7 },
        Reply::Subscribe {
            id,
            start: Start::Recovered { position, held: *held, missed: data.as_deref() },
        },
        Reply::Done { id, method: Method::Unsubscribe },
        Reply::Done { id, method: Method::Ping },
        Reply::Ping,
        Reply::Unsubscribe { channel, close: Close::ALL[close % Close::ALL.len()] },
    ];
    if let Some(data) = data {
        let start = Start::Snapshot { position, data, was_recovering: *flag, resets: false };
        replies.push(Reply::Subscribe { id, start });
    }
    replies
}

fn one<'a>(
    mut commands: impl Iterator<Item = Option<ClientCommand<'a>>>,
) -> Option<ClientCommand<'a>> {
    let command = commands.next().flatten();
    assert!(commands.next().is_none(), "the frame holds one command");
    command
}

/// A Protobuf reply as the protocol writes it in JSON.
fn as_json(frame: &[u8]) -> Value {
    let message = ReplyMessage::decode_length_delimited(frame).expect("a reply can be read");
    let text = |data: &[u8]| serde_json::from_slice::<Value>(data).expect("data is JSON text");
    let publication = |publication: Publication| -> Value {
        json!({"data": text(&publication.data), "offset": publication.offset})
    };
    without_zeros(json!({
        "id": message.id,
        "error": message.error.map(|error| {
            json!({"code": error.code, "message": error.message, "temporary": error.temporary})
        }),
        "connect": message.connect.map(|connect| json!({
            "client": connect.client, "version": connect.version, "expires": connect.expires,
            "ttl": connect.ttl, "ping": connect.ping, "pong": connect.pong,
        })),
        "refresh": message.refresh.map(|refresh| {
            json!({"expires": refresh.expires, "ttl": refresh.ttl})
        }),
        "unsubscribe": message.unsubscribe.map(|_| json!({})),
        "ping": message.ping.map(|_| json!({})),
        "subscribe": message.subscribe.map(|subscribe| json!({
            "recoverable": subscribe.recoverable, "positioned": subscribe.positioned,
            "epoch": subscribe.epoch, "offset": subscribe.offset, "recovered": subscribe.recovered,
            "was_recovering": subscribe.was_recovering,
            "publications": subscribe.publications.into_iter().map(publication).collect::<Vec<_>>(),
            "data": (!subscribe.data.is_empty()).then(|| text(&subscribe.data)),
        })),
        "push": message.push.map(|push| json!({
            "channel": push.channel,
            "unsubscribe": push.unsubscribe.map(|end| {
                json!({"code": end.code, "reason": end.reason})
            }),
            "pub": push.publication.map(publication),
        })),
    }))
}

/// Removes zero values, which an encoder may write or leave out. `data` belongs to the application
/// and stays as it is.
fn without_zeros(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        for (_, field) in fields.iter_mut().filter(|(name, _)| *name != "data") {
            *field = without_zeros(field.take());
        }
        fields.retain(|name, field| {
            let zero = [json!(null), json!(0), json!(""), json!(false), json!([])].contains(field);
            name == "data" && !field.is_null() || !zero
        });
    }
    value
}

proptest! {
    #[test]
    fn command_reads_the_same_in_both_encodings((line, frame) in any_command()) {
        prop_assert_eq!(one(json::commands(&line)), one(commands(&frame)));
    }

    #[test]
    fn reply_reads_the_same_in_both_encodings(parts in any_parts()) {
        let channel = Channel::parse("board:riverside").unwrap();
        for reply in replies(&parts, &channel) {
            let line: Value =
                serde_json::from_slice(&json::write(&reply)).expect("a reply is JSON");
            prop_assert_eq!(without_zeros(line), as_json(&write(&reply)));
        }
    }

    #[test]
    fn publication_reads_the_same_in_both_encodings(offset: u64, entry in ".{0,40}") {
        let channel = Channel::parse("board:riverside").unwrap();
        let data = |to: &mut Vec<u8>| {
            serde_json::to_writer(to, &json!({ "set": { "a": entry } })).unwrap();
        };
        let (mut line, mut frame) = (Vec::new(), Vec::new());
        json::write_publication(&mut line, &channel, offset, data);
        write_publication(&mut frame, &channel, offset, data);
        let line: Value = serde_json::from_slice(&line).expect("a publication is JSON");
        prop_assert_eq!(without_zeros(line), as_json(&frame));
    }

    #[test]
    fn frame_may_carry_several_commands(sent in prop::collection::vec(any_command(), 0..5)) {
        let lines: Vec<&str> = sent.iter().map(|(line, _)| line.as_str()).collect();
        let frame: Vec<u8> = sent.iter().flat_map(|(_, message)| message.clone()).collect();
        let lines = lines.join("\n");
        let (in_json, in_protobuf) = (json::commands(&lines), commands(&frame));
        prop_assert_eq!(in_json.collect::<Vec<_>>(), in_protobuf.collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_loop(frame in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(commands(&frame).count() <= frame.len());
    }
}

#[test]
fn length_beyond_the_frame_ends_it() {
    let too_long = [0x05, 0x08, 0x01];
    let four_gigabytes = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x08];
    let more_than_64_bits = [0xff; 11];
    let unfinished = [0x80];
    for frame in [&too_long[..], &four_gigabytes, &more_than_64_bits, &unfinished] {
        assert_eq!(commands(frame).collect::<Vec<_>>(), [None], "{frame:?}");
    }
    // A length inside a message is checked too: a token whose length passes the end of its message.
    assert_eq!(commands(&[0x04, 0x22, 0x02, 0x0a, 0x7f]).collect::<Vec<_>>(), [None]);
}

#[test]
fn pong_is_an_empty_message() {
    assert_eq!(write(&Reply::Ping), [0]);
    assert_eq!(one(commands(&[0])), Some(ClientCommand { id: 0, request: Request::Pong }));
    assert!(
        commands(&[0; MAX_COMMANDS + 1]).count() > MAX_COMMANDS,
        "the caller bounds the number of commands"
    );
}

#[test]
fn unknown_fields_of_a_command_are_skipped() {
    // {id: 1, connect: {token: "t", data: "{}", name: "go"}, 99: 7}
    let frame = b"\x12\x08\x01\x22\x0b\x0a\x01t\x12\x02{}\x22\x02go\x98\x06\x07";
    assert_eq!(
        one(commands(frame)),
        Some(ClientCommand { id: 1, request: Request::Connect { token: "t".into() } })
    );
}
