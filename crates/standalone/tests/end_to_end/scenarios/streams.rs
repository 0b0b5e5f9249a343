//! Channels over SSE, opened and reopened like a browser's `EventSource`.

use serde_json::{Value, json};
use testing::http::ApiRequest;

use crate::{
    stream::{self, Stream},
    world::World,
};

fn offset(event: &Value) -> u64 {
    event["offset"].as_u64().expect("an event has its offset")
}

pub async fn stream_begins_with_snapshot_then_steps(world: &World) {
    let site = world.site().await;
    let issued = world.issue(&site, &site.general).await;
    let board = format!("board:{}", site.location);
    let path = stream::path_for(world, &site.display, &[&board]).await;
    let mut screen = Stream::open(world.here(), &path, None).await;
    let snapshot = screen.expect("snapshot").await;
    assert_eq!(snapshot["channel"], board);
    assert_eq!(snapshot["data"]["entries"]["board"]["name"], "Testing");
    assert_eq!(snapshot["data"]["version"], snapshot["offset"]);
    world.call_next(&site, &site.general, &site.room_1).await;
    let mut held = offset(&snapshot);
    loop {
        let delta = screen.expect("delta").await;
        assert!(delta["data"]["from"].as_u64().is_some_and(|from| from <= held), "{delta}");
        assert!(offset(&delta) > held, "{delta}");
        held = offset(&delta);
        if delta.to_string().contains(&issued.label) {
            break;
        }
    }
    // The stream of a patient carries whole states.
    let ticket = format!("ticket:{}", issued.ticket);
    let path = stream::path_for(world, &world.patient(&[&issued]), &[&ticket]).await;
    let mut phone = Stream::open(world.here(), &path, None).await;
    while phone.expect("state").await["data"]["state"] != "called" {}
    world.ticket(&site, &issued, "start").await;
    while phone.expect("state").await["data"]["state"] != "in_service" {}
}

pub async fn stream_resumes_after_ticket_is_spent(world: &World) {
    let site = world.site().await;
    let (board, queue) = (format!("board:{}", site.location), format!("queue:{}", site.general));
    let path = stream::path_for(world, &site.reception, &[&board, &queue]).await;
    let mut screen = Stream::open(world.here(), &path, None).await;
    let (one, two) = (screen.expect("snapshot").await, screen.expect("snapshot").await);
    assert_eq!(
        [&one["channel"], &two["channel"]].map(|channel| channel.as_str().unwrap().len() > 5),
        [true, true]
    );
    assert_ne!(one["channel"], two["channel"]);
    let held = offset(&one).max(offset(&two));
    let id = screen.last_id().expect("events have ids").to_owned();
    drop(screen);
    let issued = world.issue(&site, &site.general).await;
    // A browser repeats its URL with the last id it saw, on any node.
    let mut again = Stream::open(world.there(), &path, Some(&id)).await;
    assert_eq!(again.status(), 200);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = again.event().await.expect("the stream goes on");
        assert_eq!(event.name, "delta", "what was missed, not everything again: {}", event.data);
        assert!(offset(&event.data) > held);
        seen.push(event.data);
    }
    assert!(
        seen.iter().any(|event| event.to_string().contains(&issued.ticket)),
        "the line holds the new ticket"
    );
    // The id may also be a query parameter, for clients that cannot set headers.
    let by_query = format!("{path}&last_event_id={}", again.last_id().unwrap());
    let mut third = Stream::open(world.here(), &by_query, None).await;
    world.issue(&site, &site.general).await;
    assert_eq!(third.event().await.expect("the stream goes on").name, "delta");
}

/// Reads the refusal of a stream: an event after which a browser stops.
async fn assert_refused(world: &World, path: &str, id: Option<&str>, code: &str) {
    let mut refused = Stream::open(world.here(), path, id).await;
    assert_eq!(refused.status(), 200, "an EventSource never says why it got anything else");
    let error = refused.expect("problem").await;
    assert_eq!((error["code"].as_str(), &error["retry"]), (Some(code), &json!(false)), "{error}");
    assert!(error["message"].is_string());
    while refused.event().await.is_some() {}
    let id = refused.last_id().expect("the refusal has an id").to_owned();
    assert_eq!(Stream::open(world.here(), path, Some(&id)).await.status(), 204);
}

pub async fn spent_ticket_opens_no_second_stream(world: &World) {
    let site = world.site().await;
    let path = stream::path_for(world, &site.display, &[&format!("board:{}", site.location)]).await;
    let mut screen = Stream::open(world.here(), &path, None).await;
    screen.expect("snapshot").await;
    assert_refused(world, &path, None, "stream_ticket_invalid").await;
    let never = stream::path_with("never-given", &[&format!("board:{}", site.location)]);
    assert_refused(world, &never, None, "stream_ticket_invalid").await;
    // The first stream is unaffected.
    world.issue(&site, &site.general).await;
    screen.expect("delta").await;
}

pub async fn forged_stream_id_is_refused(world: &World) {
    let (site, elsewhere) = (world.site().await, world.site().await);
    let board = format!("board:{}", site.location);
    let path = stream::path_for(world, &site.display, &[&board]).await;
    let mut screen = Stream::open(world.here(), &path, None).await;
    screen.expect("snapshot").await;
    let id = screen.last_id().unwrap().to_owned();
    let last = if id.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &id[..id.len() - 1]);
    let shifted = id.replacen("demo", "dema", 1);
    assert_ne!(shifted, id, "the id names its tenant");
    for bad in [forged.as_str(), shifted.as_str(), "1.1:nonsense"] {
        assert_refused(world, &path, Some(bad), "stream_ticket_invalid").await;
    }
    // A valid id for another channel is refused too.
    let other = path.replace(&site.location, &elsewhere.location);
    assert_refused(world, &other, Some(&id), "stream_ticket_invalid").await;
}

pub async fn stream_ticket_opens_only_its_channels(world: &World) {
    let site = world.site().await;
    let (board, queue) = (format!("board:{}", site.location), format!("queue:{}", site.general));
    let path = stream::path_for(world, &site.reception, &[&board]).await;
    assert_refused(world, &path.replace(&board, &queue), None, "stream_ticket_invalid").await;
    assert_refused(world, "/v1/stream?ticket=x&channel=run:1", None, "unknown_channel").await;
    assert_refused(world, "/v1/stream?ticket=x", None, "malformed").await;
    let call =
        ApiRequest::post("/v1/stream-tickets").token(&site.reception).json(json!({"channels": []}));
    let answer = world.api.call(world.here(), call).await;
    assert!([400, 422].contains(&answer.status), "{}", answer.text);
}
