//! The end of a WebSocket by its client, and messages that a strict server would refuse.

use std::collections::HashSet;

use serde_json::json;
use testing::websocket::masked_frame;

use crate::clinic::Clinic;

#[tokio::test]
async fn close_of_a_client_is_answered() {
    let clinic = Clinic::start().await;
    for (sent, answered) in
        [(1000_u16, 1000), (1001, 1001), (3000, 3000), (1005, 1002), (999, 1002)]
    {
        let mut socket = clinic.connect().await;
        socket.send_bytes(&masked_frame(true, 8, &sent.to_be_bytes())).await;
        assert_eq!(socket.closed().await, answered, "{sent}");
    }
    let mut socket = clinic.connect().await;
    socket.send_bytes(&masked_frame(true, 8, b"")).await;
    assert_eq!(socket.closed().await, 1005, "a close without a code");
    clinic.stop().await;
}

/// The faults of RFC 6455, sections 5 and 8.1, with the close code of section 7.4.1.
#[tokio::test]
async fn broken_frames_get_the_codes_of_the_rfc() {
    let clinic = Clinic::start().await;
    let reserved_bit = {
        let mut frame = masked_frame(true, 1, b"{}");
        frame[0] |= 0x40;
        frame
    };
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let close = |payload: &[u8]| masked_frame(true, 8, payload);
    let faults = [
        ("a reserved bit", reserved_bit, 1002),
        ("a reserved opcode", masked_frame(true, 3, b""), 1002),
        ("a frame without a mask", unmasked, 1002),
        ("a fragmented ping", masked_frame(false, 9, b""), 1002),
        ("a ping of 126 bytes", masked_frame(true, 9, &[0; 126]), 1002),
        ("a continuation of nothing", masked_frame(true, 0, b"{}"), 1002),
        (
            "a message inside another one",
            [masked_frame(false, 1, b"{"), masked_frame(true, 1, b"}")].concat(),
            1002,
        ),
        ("a close of one byte", close(&[3]), 1002),
        ("a reason that is not UTF-8", close(&[0x03, 0xe8, 0xff]), 1007),
        ("a text that is not UTF-8", masked_frame(true, 1, &[0xff]), 1007),
    ];
    for (fault, frame, code) in faults {
        let mut socket = clinic.connect().await;
        socket.send_bytes(&frame).await;
        assert_eq!(socket.closed().await, code, "{fault}");
    }
    clinic.stop().await;
}

#[tokio::test]
async fn surplus_commands_of_a_message_are_refused() {
    let clinic = Clinic::start().await;
    let mut socket = clinic.open().await;
    let connect = json!({"id": 1, "connect": {"token": clinic.token("reception", &json!({}))}});
    let subscribe = |id| {
        json!({"id": id, "subscribe": {"channel": format!("queue:riverside.q{id}")}}).to_string()
    };
    let subscribes: Vec<_> = (2..=201).map(subscribe).collect();
    socket.send(&format!("{connect}\n{}", subscribes.join("\n"))).await;
    let (mut ids, mut limited) = (HashSet::new(), 0);
    while ids.len() < 201 {
        let reply = socket.reply().await.expect("the connection stays open");
        assert!(ids.insert(reply["id"].as_u64().unwrap()), "{reply}");
        limited += usize::from(reply["error"]["code"] == 106);
    }
    assert_eq!(limited, 200 - 64, "64 channels, and 128 commands of a message");
    socket.send(&json!({"id": 300, "ping": {}}).to_string()).await;
    assert_eq!(socket.reply().await.unwrap()["id"], 300);
    clinic.stop().await;
}

#[tokio::test]
async fn send_is_refused_and_client_ids_are_unique() {
    let clinic = Clinic::start().await;
    let token = clinic.token("reception", &json!({}));
    let mut ids = HashSet::new();
    for _ in 0..3 {
        let mut socket = clinic.open().await;
        let reply = socket.connect(&token).await.unwrap();
        assert!(ids.insert(reply["connect"]["client"].as_str().unwrap().to_owned()));
        socket.send(&json!({"send": {"data": {}}}).to_string()).await;
        assert_eq!(socket.reply().await.unwrap()["error"]["code"], 108);
        // The SDKs take a reply without an id for a ping, and answer it.
        socket.send("{}").await;
        socket.send(&json!({"id": 9, "ping": {}}).to_string()).await;
        assert_eq!(socket.reply().await.unwrap()["id"], 9);
    }
    clinic.stop().await;
}
