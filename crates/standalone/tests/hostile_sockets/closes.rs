//! Messages that a strict server would refuse. The framing is in `rfc6455.rs`.

use std::collections::HashSet;

use serde_json::json;

use crate::clinic::Clinic;

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
