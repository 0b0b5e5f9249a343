//! Histories and figures: what happened, by pages and in sums.

use serde_json::{Value, json};
use testing::http::ApiRequest;

use crate::world::World;

/// The stays of a history, read by pages of two.
async fn stays(world: &World, token: &str, path: &str) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), String::new());
    loop {
        let page = world.read(token, format!("{path}?limit=2{next}")).await;
        all.extend(page["stays"].as_array().expect("a list").iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return all,
        }
    }
}

fn states(stays: &[Value]) -> Vec<&str> {
    stays.iter().filter_map(|stay| stay["state"].as_str()).collect()
}

pub async fn history_has_every_state_of_a_ticket(world: &World) {
    let site = world.site().await;
    let mine = world.issue(&site, &site.general).await;
    let other = world.issue(&site, &site.lab).await;
    world.call_next(&site, &site.general, &site.room_1).await;
    world.ticket(&site, &mine, "start").await;
    world.ticket(&site, &mine, "complete").await;
    let of_ticket = format!("/v1/tickets/{}/history", mine.ticket);
    let patient = world.patient(&[&mine]);
    let found = stays(world, &patient, &of_ticket).await;
    assert_eq!(states(&found), ["completed", "in_service", "called", "waiting"]);
    assert_eq!(
        (&found[2]["station"], &found[2]["label"]),
        (&json!(site.room_1), &json!(mine.label))
    );
    assert_eq!(found[1]["until"], found[0]["from"]);

    let of_location = format!("/v1/locations/{}/history", site.location);
    assert_eq!(stays(world, &site.reception, &of_location).await.len(), 5);
    let of_lab = format!("/v1/queues/{}/history", site.lab);
    let line = stays(world, &site.admin, &of_lab).await;
    assert_eq!((states(&line), &line[0]["ticket"]), (vec!["waiting"], &json!(other.ticket)));

    let status = async |token: &str, path: &str| {
        world.api.call(world.here(), ApiRequest::get(path).token(token)).await.status
    };
    let theirs = format!("/v1/tickets/{}/history", other.ticket);
    assert_eq!(status(&patient, &theirs).await, 403);
    assert_eq!(status(&patient, &of_location).await, 403);
    let stranger = world.token("admin", json!({"tenant": "another"}));
    for path in [&of_ticket, &of_location, &of_lab] {
        assert_eq!(status(&stranger, path).await, 404, "{path}");
    }
    assert_eq!(status(&site.admin, &format!("{of_ticket}?cursor=none")).await, 400);
    assert_eq!(status(&site.admin, &format!("{of_ticket}?limit=501")).await, 422);
}

pub async fn figures_count_a_visit_once(world: &World) {
    let site = world.site().await;
    let first = world.issue(&site, &site.general).await;
    let second = world.issue(&site, &site.general).await;
    world.call_next(&site, &site.general, &site.room_1).await;
    world.ticket(&site, &first, "start").await;
    world.ticket(&site, &first, "complete").await;
    world.ticket(&site, &second, "leave").await;
    world.ticket(&site, &second, "revert").await;
    world.ticket(&site, &second, "leave").await;

    // The service day of the site may end while the test runs.
    let zone = jiff::tz::TimeZone::get("America/Toronto").expect("the zone is known");
    let today = jiff::Timestamp::now().to_zoned(zone).date();
    let (from, until) = (today.yesterday().unwrap(), today.tomorrow().unwrap());
    let path = format!("/v1/locations/{}/analytics?from={from}&until={until}", site.location);
    for by in ["queue", "doctor", "hour", "day"] {
        let found = world.read(&site.reception, format!("{path}&by={by}")).await;
        let total = &found["total"];
        assert_eq!((&found["by"], &total["arrived"]), (&json!(by), &json!(2)), "{found}");
        assert_eq!(total["methods"]["desk"], 2, "{found}");
        assert_eq!((&total["wait"]["count"], &total["service"]["count"]), (&json!(1), &json!(1)));
        assert_eq!((&total["ended"]["completed"], &total["ended"]["left"]), (&json!(1), &json!(1)));
        assert_eq!(total["abandoned"], 1, "the undo was counted backwards");
        assert!(found["peak_hour"].is_u64() && !found["rows"].as_array().unwrap().is_empty());
    }
    let by_queue = world.read(&site.admin, format!("{path}&by=queue")).await;
    assert_eq!(by_queue["rows"][0]["key"], json!(site.general));

    let table = ApiRequest::get(&format!("{path}&by=queue&format=csv")).token(&site.admin);
    let table = world.api.call(world.here(), table).await;
    assert_eq!(table.status, 200, "{}", table.text);
    let lines: Vec<_> = table.text.trim_start_matches('\u{feff}').lines().collect();
    assert!(lines[0].starts_with("queue,arrived,joined,by_desk"), "{}", lines[0]);
    assert!(lines[1].starts_with(&format!("{},2,0,2", site.general)), "{}", lines[1]);
    assert_eq!(lines.len(), 2);

    let refused = async |token: &str, path: &str| {
        let answer = world.api.call(world.here(), ApiRequest::get(path).token(token)).await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    let doctor = world.token("doctor", json!({"locations": [site.location]}));
    assert_eq!(refused(&doctor, &path).await, (403, "forbidden".to_owned()));
    let place = format!("/v1/locations/{}/analytics", site.location);
    for query in
        ["", "?from=2026-1-1", "?from=2026-01-02&until=2026-01-01", "?from=2026-01-01&by=room"]
    {
        let code = refused(&site.admin, &format!("{place}{query}")).await;
        assert_eq!(code, (422, "invalid_value".to_owned()), "{query}");
    }
}
