//! Commands over HTTP and their outcomes.

use std::time::{Duration, SystemTime};

use serde_json::json;
use testing::{follower::ChannelFollower, http::ApiRequest, tokens::unix_seconds};

use crate::world::{World, issued};

pub async fn repeated_http_command_has_one_effect(world: &World) {
    let site = world.site().await;
    let key = format!("once-{:x}", fastrand::u64(..));
    let issue = || {
        ApiRequest::post(&format!("/v1/queues/{}/tickets", site.general))
            .token(&site.reception)
            .key(&key)
            .json(json!({}))
    };
    let first = world.api.settle(world.there(), issue()).await;
    assert_eq!(
        (first.status, first.body["command"].as_str()),
        (200, Some(key.as_str())),
        "{}",
        first.body
    );
    // On the same node and on another.
    for node in [world.there(), world.here()] {
        let again = world.api.settle(node, issue()).await;
        assert_eq!(again.body, first.body);
    }
    let other = world.issue(&site, &site.general).await;
    assert_eq!((issued(&first.body).label.as_str(), other.label.as_str()), ("A-001", "A-002"));
    let status = ApiRequest::get(&format!("/v1/commands/{key}")).token(&site.reception);
    let status = world.api.call(world.here(), status).await;
    assert_eq!((status.status, &status.body), (200, &first.body));
}

pub async fn late_http_command_is_refused_as_expired(world: &World) {
    let site = world.site().await;
    let issue = |until: SystemTime| {
        ApiRequest::post(&format!("/v1/queues/{}/tickets", site.general))
            .token(&site.reception)
            .header("valid-until", rfc_3339(until))
            .json(json!({}))
    };
    let late =
        world.api.settle(world.there(), issue(SystemTime::now() - Duration::from_secs(60))).await;
    assert_eq!(
        (late.status, late.body["code"].as_str()),
        (409, Some("command_expired")),
        "{}",
        late.body
    );
    let early =
        world.api.settle(world.there(), issue(SystemTime::now() + Duration::from_secs(60))).await;
    assert_eq!((early.status, issued(&early.body).label.as_str()), (200, "A-001"));
}

/// Whether the text is a plausible UTC time of this century.
fn rfc_3339(time: SystemTime) -> String {
    let seconds =
        i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

pub async fn refused_command_answers_its_code(world: &World) {
    let site = world.site().await;
    let waiting = world.issue(&site, &site.general).await;
    let tickets = |queue: &str| format!("/v1/queues/{queue}/tickets");
    let of = |ticket: &str, verb: &str| format!("/v1/tickets/{ticket}/{verb}");
    let nobody = format!("{}.{:032x}", site.location, 7);
    let nowhere = format!("{}.nowhere", site.location);
    let unknown_place = world.token("admin", json!({}));
    let call_next = |queue: &str| format!("/v1/queues/{queue}/call-next");
    let table = [
        (tickets(&nowhere), json!({}), 422, "queue_unknown"),
        (tickets("no-such-place.general"), json!({}), 422, "location_unknown"),
        (of(&nobody, "call"), json!({"station": site.room_1}), 422, "ticket_unknown"),
        (of(&waiting.ticket, "call"), json!({"station": nowhere}), 422, "station_unknown"),
        (of(&waiting.ticket, "start"), json!({}), 409, "illegal_move"),
        (of(&waiting.ticket, "revert"), json!({}), 409, "nothing_to_revert"),
        (call_next(&site.lab), json!({"station": site.room_1}), 409, "queue_empty"),
        (of(&waiting.ticket, "prioritise"), json!({"priority": 10}), 422, "invalid_value"),
    ];
    for (path, body, status, code) in table {
        let answer = world
            .api
            .settle(world.there(), ApiRequest::post(&path).token(&unknown_place).json(body))
            .await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.body["status"], status, "{path}");
        assert!(
            answer.body["title"].is_string() && answer.body["type"].is_string(),
            "{}",
            answer.body
        );
        assert!(
            !answer.text.contains(&waiting.ticket),
            "a problem names no ticket: {}",
            answer.text
        );
    }
}

pub async fn http_offers_every_ticket_move(world: &World) {
    let site = world.site().await;
    let (one, two) =
        (world.issue(&site, &site.general).await, world.issue(&site, &site.general).await);
    let channel = format!("ticket:{}", one.ticket);
    let mut desk = ChannelFollower::start(world.here(), &site.reception, &channel).await;
    let station = json!({"station": site.room_1});
    let moves = [
        ("hold", json!({"reason": "results"}), "on_hold"),
        ("resume", json!({}), "waiting"),
        ("prioritise", json!({"priority": 4}), "waiting"),
        ("call", station.clone(), "called"),
        ("recall", json!({}), "called"),
        ("absent", json!({}), "absent"),
        ("return", json!({}), "waiting"),
        ("call", station.clone(), "called"),
        ("revert", json!({}), "waiting"),
        ("transfer", json!({"queue": site.lab}), "waiting"),
        ("call", station.clone(), "called"),
        ("start", json!({}), "in_service"),
        ("complete", json!({}), "completed"),
        ("revert", json!({}), "in_service"),
        ("complete", json!({}), "completed"),
    ];
    for (verb, body, state) in moves {
        let version = world.moves(&site, format!("/v1/tickets/{}/{verb}", one.ticket), body).await;
        // A higher priority changes nothing for the first in line, so nothing is published.
        desk.until(verb, |desk| desk.held.version >= version || verb == "prioritise").await;
        assert_eq!(desk.state()["state"], state, "after {verb}");
    }
    let three = world.issue(&site, &site.general).await;
    let four = world.issue(&site, &site.general).await;
    let five = world.issue(&site, &site.general).await;
    let order = json!({"tickets": [four.ticket, three.ticket]});
    world.moves(&site, format!("/v1/queues/{}/reorder", site.general), order).await;
    let first = world.call_next(&site, &site.general, &site.room_2).await;
    assert_eq!(first, four);
    for (ticket, verb) in [(&first, "no-show"), (&two, "cancel"), (&three, "leave")] {
        world.ticket(&site, ticket, verb).await;
    }
    for verb in ["pause", "resume", "close", "open"] {
        world.moves(&site, format!("/v1/queues/{}/{verb}", site.general), json!({})).await;
    }
    assert_eq!(world.call_next(&site, &site.general, &site.room_2).await, five);
}

pub async fn http_ticket_equals_its_channel(world: &World) {
    let site = world.site().await;
    let issued = world.issue(&site, &site.general).await;
    let token = world.patient(&[&issued]);
    let phone =
        ChannelFollower::start(world.here(), &token, &format!("ticket:{}", issued.ticket)).await;
    let read = world.read(&token, format!("/v1/tickets/{}", issued.ticket)).await;
    for (name, value) in phone.state().as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
    let position = (read["epoch"].as_str().map(str::to_owned), read["version"].as_u64());
    assert_eq!(position, (Some(phone.held.epoch.to_string()), Some(phone.held.version)));
    assert_eq!((&read["position"], &read["ahead"]), (&json!(1), &json!(0)));
    let now = unix_seconds() * 1000;
    assert!(
        read["issued_at"].as_u64().is_some_and(|at| at <= now + 1000 && at + 60_000 > now),
        "{read}"
    );
}
