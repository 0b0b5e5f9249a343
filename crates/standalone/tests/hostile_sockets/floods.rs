//! Floods of frames and commands on one WebSocket.

use serde_json::json;
use testing::{patience::patiently, tokens::unix_seconds, websocket::masked_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clinic::Clinic;

const TOO_MANY_REQUESTS: u16 = 3013;

/// Sends the frames in a loop until the node closes.
async fn assert_flood_is_closed(clinic: &Clinic, frames: &[u8], limit: &str) {
    let mut socket = clinic.open().await;
    for _ in 0..20 {
        socket.send_bytes(&frames.repeat(50)).await;
        clinic.assert_neighbour_is_served().await;
    }
    assert_eq!(socket.closed().await, TOO_MANY_REQUESTS, "{limit}");
    let line = format!("clinicwire_limited_total{{limit=\"{limit}\"}}");
    assert!(clinic.metric(&line).await > 0);
}

#[tokio::test]
async fn flood_of_small_frames_is_closed() {
    let clinic = Clinic::start().await;
    let fragments = [masked_frame(false, 1, b"{"), masked_frame(false, 0, b"").repeat(40)].concat();
    for (frames, limit) in [
        (masked_frame(true, 10, b""), "control-frames"),
        (masked_frame(true, 9, b"ping"), "control-frames"),
        (fragments, "fragments"),
        (masked_frame(true, 1, b""), "commands"),
    ] {
        assert_flood_is_closed(&clinic, &frames, limit).await;
    }
    clinic.stop().await;
}

#[tokio::test]
async fn flood_of_commands_is_closed() {
    let clinic = Clinic::start().await;
    let mut socket = clinic.connect().await;
    socket.send_bytes(&masked_frame(true, 1, b"{\"id\":9,\"ping\":{}}").repeat(2000)).await;
    clinic.assert_neighbour_is_served().await;
    assert_eq!(socket.closed().await, TOO_MANY_REQUESTS);
    clinic.stop().await;
}

/// Packets that are no commands, and attachments, are counted too.
#[tokio::test]
async fn flood_of_socketio_packets_is_closed() {
    const HEAD: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: here\r\n\
        connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let clinic = Clinic::start().await;
    let token = clinic.token("reception", &json!({}));
    let connect = masked_frame(true, 1, format!("40{}", json!({"token": token})).as_bytes());
    let places: Vec<_> = (0..100).map(|num| json!({"_placeholder": true, "num": num})).collect();
    let event = format!("45100-{}", json!(["subscribe", {"channel": places}]));
    let event =
        [masked_frame(true, 1, event.as_bytes()), masked_frame(true, 2, b"a").repeat(100)].concat();
    for flood in [event.repeat(12), masked_frame(true, 1, b"3").repeat(1200)] {
        let (mut reading, mut writing) = clinic.dial().await.into_split();
        writing.write_all(&[HEAD.as_bytes(), &connect, &flood].concat()).await.unwrap();
        clinic.assert_neighbour_is_served().await;
        let mut heard = Vec::new();
        // The node may reset what it has not read.
        let _ = patiently("the end of the session", reading.read_to_end(&mut heard)).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(heard.contains("too many requests"), "{heard}");
    }
    assert_eq!(clinic.metric("clinicwire_limited_total{limit=\"commands\"}").await, 2);
    clinic.stop().await;
}

#[tokio::test]
async fn flood_after_the_close_delays_nobody() {
    let clinic = Clinic::start().await;
    let mut socket = clinic.open().await;
    socket.send("not a command").await;
    for _ in 0..50 {
        socket.send_bytes(&masked_frame(true, 10, b"").repeat(1000)).await;
        clinic.assert_neighbour_is_served().await;
    }
    clinic.stop().await;
}

#[tokio::test]
async fn refused_connect_ends_the_socket() {
    let clinic = Clinic::start().await;
    let now = unix_seconds();
    for (claims, error, close) in [
        (json!({"exp": now - 5}), 109, 3005),
        (json!({"nbf": now + 600}), 101, 4001),
        (json!({"aud": "another"}), 101, 3500),
    ] {
        let mut socket = clinic.open().await;
        let token = clinic.token("reception", &claims);
        socket.send(&json!({"id": 1, "connect": {"token": token}}).to_string()).await;
        assert_eq!(socket.reply().await.unwrap()["error"]["code"], error);
        assert_eq!(socket.closed().await, close);
    }
    clinic.stop().await;
}

#[tokio::test]
async fn subscribes_in_a_loop_are_refused_for_a_while() {
    let clinic = Clinic::start().await;
    let mut socket = clinic.connect().await;
    let channel = json!({"channel": "board:riverside"});
    for id in 1..150 {
        let subscribe = json!({"id": 2 * id, "subscribe": channel});
        let unsubscribe = json!({"id": 2 * id + 1, "unsubscribe": channel});
        socket.send(&format!("{subscribe}\n{unsubscribe}")).await;
    }
    socket.send(&json!({"id": 1000, "ping": {}}).to_string()).await;
    let mut refused = 0;
    loop {
        let reply = socket.reply().await.expect("the connection stays open");
        if reply["id"] == 1000 {
            break;
        }
        if reply["error"]["code"] == 111 {
            assert_eq!(reply["error"]["temporary"], true);
            refused += 1;
        }
    }
    assert!(refused > 0, "the rate of subscribes has a bound");
    clinic.stop().await;
}
