//! Moves of tickets to other locations: the answer, the outcome, and the person meanwhile.

use serde_json::{Value, json};
use testing::{
    follower::ChannelFollower,
    http::{ApiRequest, ApiResponse},
    patience::eventually,
};

use crate::world::{IssuedTicket, Site, World, issued};

/// A transfer that can be repeated.
pub fn transfer(from: &Site, ticket: &str, queue: &str) -> ApiRequest {
    ApiRequest::post(&format!("/v1/tickets/{ticket}/transfer"))
        .token(&from.admin)
        .key(&format!("move-{:x}", fastrand::u64(..)))
        .json(json!({"queue": queue}))
}

/// Sends the command, again if a node cannot answer now.
async fn send(world: &World, command: &ApiRequest) -> ApiResponse {
    let sent = eventually("the node answers", || async {
        let answer = world.api.call(world.there(), command.clone()).await;
        (!answer.is_transient()).then_some(answer)
    });
    sent.await
}

/// Starts a move, and reads its outcome where the answer says until the move is settled.
pub async fn settled_move(world: &World, command: &ApiRequest) -> Value {
    let answer = send(world, command).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    // A decision that takes longer than the patience of the node is `pending` first.
    let first = answer.body["outcome"].as_str();
    assert!(matches!(first, Some("moving" | "pending")), "{}", answer.body);
    let outcome = command.poll(answer.location().expect("a move has an address to ask later"));
    let settled = eventually("the move is settled", || async {
        let answer = world.api.call(world.here(), outcome.clone()).await;
        let is_open = answer.status != 200 || answer.body["outcome"] == "moving";
        (!is_open).then_some(answer.body)
    });
    settled.await
}

/// Follows a ticket with the token of `holder`.
async fn phone_of(world: &World, holder: &IssuedTicket, ticket: &str) -> ChannelFollower {
    let token = world.patient(&[holder]);
    ChannelFollower::start(world.here(), &token, &format!("ticket:{ticket}")).await
}

pub async fn moved_ticket_continues_at_other_location(world: &World) {
    let (from, to) = (world.site().await, world.site().await);
    let one = world.issue(&from, &from.general).await;
    let mut phone = phone_of(world, &one, &one.ticket).await;
    let command = transfer(&from, &one.ticket, &to.lab);
    let outcome = settled_move(world, &command).await;
    assert_eq!(outcome["outcome"], "applied", "{outcome}");
    let successor = outcome["result"]["ticket"].as_str().expect("the successor").to_owned();
    assert!(successor.starts_with(&format!("{}.", to.location)), "{successor}");
    phone.until("the end here", |phone| phone.state()["state"] == "transferred").await;
    assert_eq!(phone.state()["successor"], json!(successor));
    // A repetition gets the outcome of the move, not the first answer.
    let again = send(world, &command).await;
    assert_eq!((again.status, &again.body["outcome"]), (200, &json!("applied")));
    assert_eq!(again.body["result"]["ticket"], json!(successor));

    let there = world.read(&to.reception, format!("/v1/queues/{}", to.lab)).await;
    let entry = &there["entries"][&successor];
    assert_eq!(
        (&entry["state"], &entry["moved_from"]),
        (&json!("waiting"), &json!(from.location)),
        "{there}"
    );
    let board = world.read(&from.display, format!("/v1/boards/{}", from.location)).await;
    let entries = board["entries"].as_object().expect("a board has entries");
    assert!(entries.keys().all(|key| !key.starts_with("move:")), "{board}");
    let here = world.read(&from.reception, format!("/v1/queues/{}", from.general)).await;
    assert_eq!(here["entries"].get(&one.ticket), None, "{here}");
}

pub async fn patient_follows_two_moves_with_one_token(world: &World) {
    let (from, to) = (world.site().await, world.site().await);
    let one = world.issue(&from, &from.general).await;
    let mut ticket = one.ticket.clone();
    for (at, queue) in [(&from, &to.lab), (&to, &from.lab)] {
        let outcome = settled_move(world, &transfer(at, &ticket, queue)).await;
        ticket = outcome["result"]["ticket"].as_str().expect("the successor").to_owned();
        let phone = phone_of(world, &one, &ticket).await;
        assert_eq!(
            (&phone.state()["state"], &phone.state()["queue"], &phone.state()["ahead"]),
            (&json!("waiting"), &json!(queue), &json!(0))
        );
    }
    let mut phone = phone_of(world, &one, &ticket).await;
    assert_eq!(world.call_next(&from, &from.lab, &from.room_1).await.ticket, ticket);
    phone.until("the call", |phone| phone.state()["state"] == "called").await;
    // Nobody is left at the other location.
    let lab = world.read(&to.reception, format!("/v1/queues/{}", to.lab)).await;
    assert_eq!(lab["entries"].as_object().map(|entries| entries.len()), Some(1), "{lab}");
}

pub async fn refused_move_leaves_person_in_line(world: &World) {
    let (from, to) = (world.site().await, world.site().await);
    let first = world.issue(&from, &from.general).await;
    let own = world.issue(&from, &from.general).await;
    let last = world.issue(&from, &from.general).await;
    world.moves(&to, format!("/v1/queues/{}/close", to.lab), json!({})).await;
    let mut phone = phone_of(world, &own, &own.ticket).await;
    let refusals = [
        (to.lab.clone(), "queue_not_open"),
        (format!("{}.nowhere", to.location), "queue_unknown"),
        (format!("{}-unknown.lab", to.location), "location_unknown"),
    ];
    for (queue, code) in refusals {
        let command = transfer(&from, &own.ticket, &queue);
        let outcome = settled_move(world, &command).await;
        assert_eq!(
            (&outcome["outcome"], &outcome["code"]),
            (&json!("refused"), &json!(code)),
            "{queue}: {outcome}"
        );
        // The desk gets the refusal as a problem when it repeats the request.
        let again = send(world, &command).await;
        assert_eq!(again.problem_code(), code, "{}", again.body);
        phone.until("the return", |phone| phone.state()["state"] == "waiting").await;
        let seen = (phone.state()["position"].clone(), phone.state().get("moving_to").cloned());
        assert_eq!(seen, (json!(2), None), "after {code}");
    }
    for expected in [first, own, last] {
        let path = format!("/v1/queues/{}/call-next", from.general);
        let body = json!({"station": from.room_1, "force": true});
        let called = world.apply(&from.reception, hyper::Method::POST, path, body).await;
        assert_eq!(issued(&called), expected);
    }
}
