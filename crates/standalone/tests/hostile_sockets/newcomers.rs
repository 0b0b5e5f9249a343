//! Socket.IO sessions of clients that never show a token.

use std::time::Duration;

use testing::{
    http::{ApiClient, ApiRequest},
    patience::eventually,
};

use crate::clinic::Clinic;

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test]
async fn sessions_without_a_token_are_few_and_go_soon() {
    let clinic = Clinic::start_with(&["newcomers-address=200"]).await;
    let (api, url) = (ApiClient::new(Duration::from_secs(30)), clinic.url());
    let mut statuses = Vec::new();
    for _ in 0..220 {
        statuses.push(api.send(&url, ApiRequest::get(OPEN)).await.unwrap().status);
    }
    assert_eq!(statuses.iter().position(|status| *status == 429), Some(200));
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 200);
    assert_eq!(clinic.metric("clinicwire_limited_total{limit=\"newcomers-address\"}").await, 20);
    clinic.assert_neighbour_is_served().await;
    eventually("the sessions are gone", async || {
        let answer = api.send(&url, ApiRequest::get(OPEN)).await.unwrap();
        (answer.status == 200).then_some(())
    })
    .await;
    clinic.stop().await;
}
