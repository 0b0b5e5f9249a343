//! Subscribes that make a node load views, to channels that do not exist.

use serde_json::json;
use testing::http::{ApiClient, ApiRequest};

use crate::clinic::Clinic;

const ABSENT: &str = "clinicwire_view_fetches_total{source=\"absent\"}";

#[tokio::test]
async fn missing_ticket_is_looked_for_once_a_second() {
    let clinic = Clinic::start().await;
    let mut socket = clinic.connect().await;
    let channel = json!({"channel": format!("ticket:riverside.{}", "0".repeat(32))});
    let before = clinic.metric(ABSENT).await;
    for id in 2..100 {
        socket.send(&json!({"id": id, "subscribe": channel}).to_string()).await;
        assert_eq!(socket.reply().await.unwrap()["error"]["code"], 102);
    }
    let looked = clinic.metric(ABSENT).await - before;
    assert!(looked < 20, "{looked} loads for 98 subscribes");
    clinic.stop().await;
}

#[tokio::test]
async fn new_channel_opens_at_once_although_it_was_absent() {
    let clinic = Clinic::start().await;
    let claims = json!({"locations": ["riverside", "harbour"]});
    let (reception, admin) = (clinic.token("reception", &claims), clinic.token("admin", &claims));
    let mut socket = clinic.open().await;
    socket.connect(&reception).await.unwrap();
    let channel = json!({"channel": "board:harbour"});
    socket.send(&json!({"id": 2, "subscribe": channel}).to_string()).await;
    assert_eq!(socket.reply().await.unwrap()["error"]["code"], 102);
    let api = ApiClient::new(std::time::Duration::from_secs(30));
    let body = json!({"name": "Harbour", "time_zone": "America/Toronto", "languages": ["fr"]});
    let create = ApiRequest::new(hyper::Method::PUT, "/v1/locations/harbour").token(&admin);
    let answer = api.send(&clinic.url(), create.json(body).key("a-new-location")).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    socket.send(&json!({"id": 3, "subscribe": channel}).to_string()).await;
    let reply = socket.reply().await.unwrap();
    assert!(reply["subscribe"].is_object(), "{reply}");
    clinic.stop().await;
}

/// A client of the protocol waits for the reply to each of its commands.
#[tokio::test]
async fn subscribe_that_is_taken_back_is_answered() {
    let clinic = Clinic::start().await;
    let mut socket = clinic.connect().await;
    let channel = json!({"channel": "board:riverside"});
    let subscribe = json!({"id": 2, "subscribe": channel});
    let unsubscribe = json!({"id": 3, "unsubscribe": channel});
    socket.send(&format!("{subscribe}\n{unsubscribe}")).await;
    let (first, second) = (socket.reply().await.unwrap(), socket.reply().await.unwrap());
    assert_eq!((&first["id"], &first["error"]["code"]), (&json!(2), &json!(100)));
    assert_eq!((&second["id"], &second["unsubscribe"]), (&json!(3), &json!({})));
    clinic.stop().await;
}
