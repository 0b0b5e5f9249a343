//! The audit: admins read who opened and saw what.

use serde_json::{Value, json};
use testing::{centrifugal::client::JsonClient, http::ApiRequest, patience::eventually};

use crate::world::World;

/// The entries of a question once they satisfy `enough`.
async fn entries(
    world: &World,
    admin: &str,
    query: &str,
    enough: fn(&[Value]) -> bool,
) -> Vec<Value> {
    let path = format!("/v1/audit?{query}");
    eventually("the entries are stored", || async {
        let answer = world.api.call(world.there(), ApiRequest::get(&path).token(admin)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let entries = answer.body["entries"].as_array().expect("a list").clone();
        enough(&entries).then_some(entries)
    })
    .await
}

fn find<'a>(entries: &'a [Value], action: &str) -> Option<&'a Value> {
    entries.iter().find(|entry| entry["action"] == action)
}

pub async fn audit_names_who_saw_a_ticket_and_what(world: &World) {
    let site = world.site().await;
    let mine = world.issue(&site, &site.general).await;
    let channel = format!("ticket:{}", mine.ticket);
    let mut phone = JsonClient::connect(world.here(), &world.patient(&[&mine])).await;
    let shown = phone.subscribe(&channel).await;
    let first = shown.expect("a patient follows its ticket")["offset"].clone();
    let version = world.ticket(&site, &mine, "cancel").await;
    let frame = phone.push().await.expect("the socket is open");
    assert_eq!(frame["pub"]["offset"], version, "{frame}");
    drop(phone);
    let query = format!("ticket={}", mine.ticket);
    let entries = entries(world, &site.admin, &query, |entries| {
        find(entries, "channel.close").is_some() && find(entries, "ticket.cancel").is_some()
    })
    .await;
    let open = find(&entries, "channel.open").expect("it was opened before");
    let close = find(&entries, "channel.close").expect("it was waited for");
    for entry in [open, close] {
        assert_eq!((&entry["role"], &entry["what"]), (&json!("patient"), &json!([channel])));
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
    }
    assert_eq!((&close["first"]["version"], &close["last"]["version"]), (&first, &json!(version)));
    assert_eq!(find(&entries, "ticket.cancel").expect("waited for")["role"], "reception");
    let numbers: Vec<_> = entries.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|newer, older| newer > older), "newest first: {numbers:?}");
    let stranger = world.token("admin", json!({"tenant": "another"}));
    let path = format!("/v1/audit?{query}");
    let foreign = world.api.call(world.here(), ApiRequest::get(&path).token(&stranger)).await;
    assert_eq!(foreign.body["entries"], json!([]), "{}", foreign.body);
}

pub async fn emergency_access_is_listed_with_its_reason(world: &World) {
    let (site, elsewhere) = (world.site().await, world.site().await);
    let path = format!("/v1/locations/{}/crossings", elsewhere.location);
    let reason = "Code blue in the waiting room";
    let request = ApiRequest::post(&path).token(&site.reception);
    let request = request.header("clinicwire-reason", reason);
    let answer = world.api.call(world.here(), request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let crossed = answer.body["token"].as_str().expect("a token");
    let queue = format!("queue:{}", elsewhere.general);
    let mut desk = JsonClient::connect(world.there(), crossed).await;
    desk.subscribe(&queue).await.expect("the queue is open there");
    let entries = entries(world, &site.admin, "action=location.cross", |entries| {
        find(entries, "location.cross").is_some()
    })
    .await;
    let listed = entries.iter().find(|entry| entry["what"] == json!([elsewhere.location]));
    assert_eq!(listed.expect("it is listed")["reason"], reason);
}
