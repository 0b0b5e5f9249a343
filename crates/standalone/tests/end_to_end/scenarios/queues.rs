//! Queues: their removal and their settings.

use hyper::Method;
use serde_json::json;
use testing::{
    centrifugal::client::{JsonClient, Refusal},
    follower::ChannelFollower,
    http::ApiRequest,
    patience::eventually,
};

use crate::world::World;

pub async fn removed_queue_moves_its_line_and_can_return(world: &World) {
    let site = world.site().await;
    let tickets =
        [world.issue(&site, &site.general).await, world.issue(&site, &site.general).await];
    let channel = format!("queue:{}", site.general);
    let mut phone = ChannelFollower::start(
        world.here(),
        &world.patient(&[&tickets[1]]),
        &format!("ticket:{}", tickets[1].ticket),
    )
    .await;
    let mut desk = JsonClient::connect(world.here(), &site.reception).await;
    desk.subscribe(&channel).await.unwrap_or_else(|_| panic!("the queue is there"));

    let path = format!("/v1/queues/{}", site.general);
    let refused = ApiRequest::new(Method::DELETE, &path).token(&site.admin);
    let refused = world.api.settle(world.there(), refused).await;
    assert_eq!((refused.status, refused.body["code"].as_str()), (409, Some("queue_not_empty")));
    let moving = format!("{path}?move_to={}", site.lab);
    world.apply(&site.admin, Method::DELETE, moving, json!({})).await;

    phone.until("the move", |phone| phone.state()["queue"] == site.lab).await;
    assert_eq!(
        (&phone.state()["position"], &phone.state()["state"]),
        (&json!(2), &json!("waiting"))
    );
    // Followers must subscribe again, and are then refused because the queue does not exist.
    let unsubscribed = loop {
        let push = desk.push().await.unwrap_or_else(|code| panic!("closed with {code}"));
        if let Some(unsubscribe) = push.get("unsubscribe") {
            break unsubscribe["code"].as_u64();
        }
    };
    assert_eq!(unsubscribed, Some(2500));
    assert_eq!(desk.subscribe(&channel).await.map(drop), Err(Refusal::Error(102)));
    for node in [world.here(), world.there()] {
        eventually("the queue is unknown", || async {
            let gone = ApiRequest::new(Method::GET, &path).token(&site.reception);
            (world.api.call(node, gone).await.status == 404).then_some(())
        })
        .await;
    }

    let body = json!({"name": "General", "prefix": "A"});
    world.apply(&site.admin, Method::PUT, path.clone(), body).await;
    world.apply(&site.admin, Method::POST, format!("{path}/open"), json!({})).await;
    let again = world.issue(&site, &site.general).await;
    assert_eq!(again.label, "A-003");
    let fresh = ChannelFollower::start(world.there(), &site.reception, &channel).await;
    assert_eq!(fresh.entry(&again.ticket)["label"], "A-003");
    assert_eq!(fresh.as_snapshot()["entries"].as_object().map(|entries| entries.len()), Some(2));
}

pub async fn settings_are_read_as_they_were_written(world: &World) {
    let site = world.site().await;
    let channel = format!("settings:{}", site.location);
    let mut desk = ChannelFollower::start(world.here(), &site.reception, &channel).await;
    let body = json!({"name": "Room 1", "queues": [site.lab]});
    world.apply(&site.admin, Method::PUT, format!("/v1/stations/{}", site.room_1), body).await;
    world.moves(&site, format!("/v1/stations/{}/close", site.room_1), json!({})).await;
    world.moves(&site, format!("/v1/queues/{}/pause", site.lab), json!({})).await;
    let clinician = world.token("doctor", json!({"locations": [site.location]}));
    eventually("the settings", || async {
        let station = world.read(&clinician, format!("/v1/stations/{}", site.room_1)).await;
        let queue = world.read(&clinician, format!("/v1/queues/{}/settings", site.lab)).await;
        let written = station["queues"] == json!([site.lab]) && station["open"] == false;
        (written && queue["state"] == "paused").then_some(())
    })
    .await;
    let key = format!("queue:{}", site.lab);
    desk.until("the pause", |desk| desk.entry(&key)["state"] == "paused").await;
    let location = world.read(&clinician, format!("/v1/locations/{}", site.location)).await;
    assert_eq!(
        (&location["call_order"], &location["timers"]["call_grace_s"]),
        (&json!("arrival"), &json!(900))
    );
    let list = world.read(&clinician, format!("/v1/locations/{}/queues", site.location)).await;
    let ids: Vec<_> = list["entries"].as_array().unwrap().iter().map(|one| &one["queue"]).collect();
    assert_eq!(ids, [&json!(site.general), &json!(site.lab)]);
    let list = world.read(&clinician, format!("/v1/locations/{}/stations", site.location)).await;
    assert_eq!(list["entries"].as_array().map(Vec::len), Some(2));
}
