//! Channels over WebSocket: what patients, boards and desks see, and how they resume.

use serde_json::{Value, json};
use testing::{
    centrifugal::client::{JsonClient, Refusal},
    follower::ChannelFollower,
};

use crate::world::{IssuedTicket, Site, World};

async fn issue_many(world: &World, site: &Site, count: usize) -> Vec<IssuedTicket> {
    let mut tickets = Vec::new();
    for _ in 0..count {
        tickets.push(world.issue(site, &site.general).await);
    }
    tickets
}

pub async fn patient_follows_ticket_to_its_end(world: &World) {
    let site = world.site().await;
    let tickets = issue_many(world, &site, 4).await;
    let mine = &tickets[3];
    let token = world.patient(&[mine]);
    let mut phone =
        ChannelFollower::start(world.here(), &token, &format!("ticket:{}", mine.ticket)).await;
    phone.until("the last place", |phone| phone.state()["position"] == 4).await;
    for place in [3, 2, 1] {
        let called = world.call_next(&site, &site.general, &site.room_1).await;
        assert_eq!(called, tickets[3 - place]);
        phone.until("a better place", |phone| phone.state()["position"] == place).await;
        assert_eq!(phone.state()["ahead"], place - 1);
    }
    world.call_next(&site, &site.general, &site.room_2).await;
    phone.until("the call", |phone| phone.state()["state"] == "called").await;
    assert_eq!(phone.state()["call"]["station"], "Room 2");
    assert!(
        phone.state().get("position").is_none(),
        "nobody stands in line any more: {}",
        phone.state()
    );
    world.ticket(&site, mine, "start").await;
    phone.until("the service", |phone| phone.state()["state"] == "in_service").await;
    world.ticket(&site, mine, "complete").await;
    phone.until("the end", |phone| phone.state()["state"] == "completed").await;

    let places: Vec<u64> =
        phone.states.iter().filter_map(|state| state["position"].as_u64()).collect();
    assert!(
        places.windows(2).all(|pair| pair[1] <= pair[0]),
        "a place only gets better here: {places:?}"
    );
    assert!(phone.states.iter().all(|state| state["label"] == mine.label));
    let shown = serde_json::to_string(&phone.states).unwrap();
    for other in &tickets[..3] {
        let leaks = shown.contains(&other.ticket) || shown.contains(&other.label);
        assert!(!leaks, "a patient sees nothing of another");
    }
    // The last state is still readable for a late client.
    let late =
        ChannelFollower::start(world.here(), &token, &format!("ticket:{}", mine.ticket)).await;
    assert_eq!(late.state()["state"], "completed");
}

pub async fn board_shows_current_and_recent_calls(world: &World) {
    let site = world.site().await;
    let tickets = issue_many(world, &site, 2).await;
    let mut board =
        ChannelFollower::start(world.here(), &site.display, &format!("board:{}", site.location))
            .await;
    let queue = format!("queue:{}", site.general);
    board.until("two waiting", |board| board.entry(&queue)["waiting"] == 2).await;
    assert_eq!(board.entry("board")["name"], "Testing");
    assert_eq!(board.entry("board")["languages"], json!(["fr", "en"]));

    world.call_next(&site, &site.general, &site.room_1).await;
    let call = |board: &ChannelFollower| {
        let calls = board.view.entries.keys().filter(|key| key.starts_with("call:"));
        calls.map(|key| board.entry(key)).find(|call| call["label"] == tickets[0].label)
    };
    board.until("the call", |board| call(board).is_some_and(|call| call["current"] == true)).await;
    assert_eq!(call(&board).unwrap()["station"], "Room 1");
    assert_eq!(board.entry(&queue)["waiting"], 1);
    world.ticket(&site, &tickets[0], "recall").await;
    board.until("the recall", |board| call(board).is_some_and(|call| call["recalls"] == 1)).await;
    world.ticket(&site, &tickets[0], "start").await;
    board
        .until("a recent call", |board| call(board).is_some_and(|call| call["current"] == false))
        .await;

    let shown = board.as_snapshot().to_string();
    for ticket in &tickets {
        assert!(!shown.contains(&ticket.ticket), "a board never carries a ticket's id");
    }
}

pub async fn folded_steps_equal_server_snapshot(world: &World) {
    let site = world.site().await;
    let mut desk =
        ChannelFollower::start(world.here(), &site.reception, &format!("queue:{}", site.general))
            .await;
    let version = a_busy_quarter_hour(world, &site).await;
    desk.until("all of it", |desk| desk.held.version >= version).await;
    let path = format!("/v1/queues/{}", site.general);
    let read = world.read(&site.reception, path).await;
    assert_eq!(read, desk.as_snapshot());
    // A new client gets exactly this state.
    let fresh =
        ChannelFollower::start(world.here(), &site.reception, &format!("queue:{}", site.general))
            .await;
    assert_eq!(fresh.as_snapshot(), desk.as_snapshot());
    assert_eq!(fresh.held, desk.held);
}

/// Makes one change of each kind; returns the last version, which moved the general queue.
async fn a_busy_quarter_hour(world: &World, site: &Site) -> u64 {
    let tickets = issue_many(world, site, 6).await;
    let called = world.call_next(site, &site.general, &site.room_1).await;
    world.ticket(site, &called, "start").await;
    world.ticket(site, &tickets[1], "hold").await;
    world.ticket(site, &tickets[2], "leave").await;
    let to_lab = json!({"queue": site.lab});
    world.moves(site, format!("/v1/tickets/{}/transfer", tickets[3].ticket), to_lab).await;
    world
        .moves(
            site,
            format!("/v1/tickets/{}/prioritise", tickets[5].ticket),
            json!({"priority": 7}),
        )
        .await;
    let next = world.call_next(site, &site.general, &site.room_2).await;
    assert_eq!(next, tickets[5], "the urgent one goes first");
    world.ticket(site, &tickets[1], "resume").await;
    world.ticket(site, &called, "complete").await
}

pub async fn resuming_client_gets_one_merged_step(world: &World) {
    let site = world.site().await;
    let channel = format!("queue:{}", site.general);
    let before = ChannelFollower::start(world.here(), &site.reception, &channel).await;
    let held = before.held;
    let version = a_busy_quarter_hour(world, &site).await;
    // Another node, where there is one: positions are the same on all nodes.
    let mut resumed = before.resume(world.there(), &site.reception).await;
    assert!(resumed.recovered, "the tail still holds a quarter of an hour");
    assert_eq!(resumed.missed, 1, "everything missed arrives as one step");
    resumed.follower.until("the rest", |desk| desk.held.version >= version).await;
    assert!(resumed.follower.held.version > held.version);
    let fresh = ChannelFollower::start(world.there(), &site.reception, &channel).await;
    assert_eq!(resumed.follower.as_snapshot(), fresh.as_snapshot());
    // A client that missed nothing gets nothing.
    let at_once = resumed.follower.resume(world.there(), &site.reception).await;
    assert!(at_once.recovered);
    assert_eq!(at_once.missed, 0);
}

pub async fn sleeping_phone_gets_only_last_state(world: &World) {
    let site = world.site().await;
    let tickets = issue_many(world, &site, 3).await;
    let mine = &tickets[2];
    let token = world.patient(&[mine]);
    let phone =
        ChannelFollower::start(world.here(), &token, &format!("ticket:{}", mine.ticket)).await;
    for _ in 0..2 {
        world.call_next(&site, &site.general, &site.room_1).await;
    }
    let version = world.ticket(&site, mine, "hold").await;
    // After another client of the node has seen the change, the node has it.
    let mut witness =
        ChannelFollower::start(world.here(), &site.reception, &format!("queue:{}", site.general))
            .await;
    witness.until("the hold", |desk| desk.held.version >= version).await;
    let resumed = phone.resume(world.here(), &token).await;
    assert!(resumed.missed <= 1, "a sleeper is owed one state: {}", resumed.missed);
    assert_eq!(resumed.follower.state()["state"], "on_hold");
}

pub async fn unknown_position_gets_a_snapshot(world: &World) {
    let site = world.site().await;
    let mut phone = JsonClient::connect(world.here(), &site.reception).await;
    let channel = format!("queue:{}", site.general);
    for (epoch, offset) in [("1", 5), ("1", 0), ("_", 0), ("", 0)] {
        let since = json!({"channel": channel, "recover": true, "epoch": epoch, "offset": offset});
        let reply = phone.command("subscribe", since).await.unwrap();
        assert!(reply.get("recovered").is_none_or(|recovered| recovered == false), "{reply}");
        assert!(reply["data"]["entries"]["queue"].is_object(), "{reply}");
        assert!(reply["epoch"].as_str().unwrap().parse::<u64>().unwrap() > 1, "{reply}");
        phone.command("unsubscribe", json!({"channel": channel})).await.unwrap();
    }
}

pub async fn every_phone_sees_its_own_place(world: &World) {
    let site = world.site().await;
    let tickets = issue_many(world, &site, 12).await;
    let mut phones = Vec::new();
    for (index, ticket) in tickets.iter().enumerate() {
        // Spread over the nodes.
        let node = &world.nodes[index % world.nodes.len()];
        let token = world.patient(&[ticket]);
        phones
            .push(ChannelFollower::start(node, &token, &format!("ticket:{}", ticket.ticket)).await);
    }
    // The next call ends this one, and a busy node shows only the newest state.
    for phone in &mut phones[..6] {
        world.call_next(&site, &site.general, &site.room_1).await;
        phone.until("the call", |phone| phone.state()["state"] == "called").await;
    }
    for (index, phone) in phones.iter_mut().enumerate() {
        if index >= 6 {
            phone.until("the place", |phone| phone.state()["position"] == index - 5).await;
        }
        let places: Vec<u64> =
            phone.states.iter().filter_map(|state| state["position"].as_u64()).collect();
        assert!(places.windows(2).all(|pair| pair[1] <= pair[0]), "{places:?}");
    }
}

pub async fn unsubscribe_ends_publications(world: &World) {
    let site = world.site().await;
    let (general, lab) = (format!("queue:{}", site.general), format!("queue:{}", site.lab));
    let mut phone = JsonClient::connect(world.here(), &site.reception).await;
    phone.subscribe(&general).await.unwrap();
    phone.subscribe(&lab).await.unwrap();
    phone.command("unsubscribe", json!({"channel": general})).await.unwrap();
    world.issue(&site, &site.general).await;
    world.issue(&site, &site.lab).await;
    // A location has one order: a publication of the first channel would come before this one.
    let push: Value = phone.push().await.unwrap();
    assert_eq!(push["channel"], lab);
    assert_eq!(phone.subscribe(&general).await.map(drop), Ok(()));
    assert_eq!(phone.subscribe(&general).await.map(drop), Err(Refusal::Error(105)));
}

pub async fn simultaneous_patients_are_all_answered(world: &World) {
    let site = world.site().await;
    for number in 1..=40 {
        let issued = world.issue(&site, &site.general).await;
        // This node may read of the ticket only now, while it fetches it.
        let channel = format!("ticket:{}", issued.ticket);
        let mut phone =
            ChannelFollower::start(world.here(), &world.patient(&[&issued]), &channel).await;
        phone.until("the place", |phone| phone.state()["position"] == number).await;
        // Nobody else follows this queue: each phone that leaves closes its hot view.
    }
}

/// The position was lost, for example with a restored database.
pub async fn client_ahead_of_authority_gets_snapshot(world: &World) {
    let site = world.site().await;
    let channel = format!("board:{}", site.location);
    let mut phone = JsonClient::connect(world.here(), &site.admin).await;
    let known = phone.subscribe(&channel).await.unwrap();
    let lost = json!({
        "channel": channel, "recover": true, "epoch": known["epoch"], "offset": 1_000_000,
    });
    let mut back = JsonClient::connect(world.here(), &site.admin).await;
    let start = back.command("subscribe", lost).await.unwrap();
    assert_eq!(start["offset"], known["offset"], "{start}");
    assert_eq!((&start["was_recovering"], &start["recovered"]), (&json!(true), &json!(null)));
    assert!(start["data"].is_object(), "{start}");
    world.issue(&site, &site.general).await;
    assert!(back.push().await.unwrap()["pub"]["data"].is_object(), "it goes on from there");
}
