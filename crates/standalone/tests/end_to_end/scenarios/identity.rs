//! Keys of commands belong to their callers, who alone read the outcomes.

use hyper::Method;
use serde_json::{Value, json};
use testing::{
    http::{ApiRequest, ApiResponse},
    patience::eventually,
};

use crate::{
    clerk::{Clerk, export},
    world::{Site, World, issued},
};

/// A token of reception at this location under its own subject.
fn kiosk(world: &World, site: &Site, subject: &str) -> String {
    world.token("reception", json!({"sub": subject, "locations": [site.location]}))
}

/// A key that no other scenario uses.
fn fresh_key() -> String {
    format!("k-{:x}", fastrand::u64(..))
}

fn issue(site: &Site, token: &str, key: &str) -> ApiRequest {
    let path = format!("/v1/queues/{}/tickets", site.general);
    ApiRequest::post(&path).token(token).key(key).json(json!({}))
}

/// Whether the key was used for another request before.
fn is_reused(answer: &ApiResponse) -> bool {
    (answer.status, answer.problem_code()) == (422, "idempotency_key_reused")
}

pub async fn two_kiosks_with_one_key_get_two_tickets(world: &World) {
    let (site, key) = (world.site().await, fresh_key());
    let mut labels = Vec::new();
    for subject in ["kiosk-1", "kiosk-2", "kiosk-1"] {
        let token = kiosk(world, &site, subject);
        let answer = world.api.settle(world.there(), issue(&site, &token, &key)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        labels.push(issued(&answer.body).label);
    }
    assert_eq!(labels, ["A-001", "A-002", "A-001"]);
}

pub async fn reused_key_is_refused_and_first_outcome_stays(world: &World) {
    let (site, key) = (world.site().await, fresh_key());
    let first = world.api.settle(world.there(), issue(&site, &site.admin, &key)).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let renamed = json!({"name": "Renamed", "time_zone": "UTC", "languages": ["fr"]});
    let configure = ApiRequest::new(Method::PUT, &format!("/v1/locations/{}", site.location));
    let elsewhere = world.site().await;
    let board = async || world.read(&site.display, format!("/v1/boards/{}", site.location)).await;
    let before = board().await;
    for other in [
        configure.token(&site.admin).key(&key).json(renamed),
        issue(&site, &site.admin, &key).json(json!({"priority": 3})),
        issue(&elsewhere, &site.admin, &key),
    ] {
        let answer = world.api.settle(world.there(), other).await;
        assert!(is_reused(&answer), "{} {}", answer.status, answer.body);
    }
    assert_eq!(board().await, before, "nothing was changed");
    let again = world.api.settle(world.here(), issue(&site, &site.admin, &key)).await;
    let path = format!("/v1/commands/{key}");
    let read = world.api.call(world.here(), ApiRequest::get(&path).token(&site.admin)).await;
    assert_eq!((&again.body, &read.body), (&first.body, &first.body));
}

/// A key of a patient that looks like the name and the key of a source.
pub async fn key_of_a_patient_does_not_swallow_a_booking(world: &World) {
    let site = world.site().await;
    let number = fastrand::u32(..);
    let ticket = world.issue(&site, &site.general).await;
    let patient = world.patient(&[&ticket]);
    let path = format!("/v1/tickets/{}/leave", ticket.ticket);
    let source = world.token("source", json!({"sub": "his"}));
    let booking = json!({
        "location": site.location, "key": "4711", "version": 3, "status": "waitlist",
    });
    for key in [format!("his:{number}-3"), format!("{number}-3")] {
        let leave = ApiRequest::post(&path).token(&patient).key(&key).json(json!({}));
        world.api.settle(world.there(), leave).await;
    }
    let report = ApiRequest::post("/v1/appointments").token(&source).json(booking);
    let answer = world.api.settle(world.there(), report.key(&format!("{number}-3"))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["result"]["change"], "booked", "{}", answer.body);
    let appointment = answer.body["result"]["appointment"].as_str().unwrap();
    let booked = world.read(&site.reception, format!("/v1/appointments/{appointment}")).await;
    assert_eq!(booked["entries"]["appointment"]["status"], "waitlist", "{booked}");
}

pub async fn outcome_is_read_only_by_submitter_reception_and_admin(world: &World) {
    let (site, elsewhere, key) = (world.site().await, world.site().await, fresh_key());
    let subject = format!("kiosk-{key}");
    let token = kiosk(world, &site, &subject);
    let first = world.api.settle(world.there(), issue(&site, &token, &key)).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let own = format!("/v1/commands/{key}");
    let named = format!("{own}?subject={subject}");
    let read = async |token: &str, path: &str| {
        let answer = world.api.call(world.here(), ApiRequest::get(path).token(token)).await;
        (answer.status, answer.body)
    };
    for (reader, path) in [(&token, &own), (&site.reception, &named), (&site.admin, &named)] {
        assert_eq!(read(reader, path).await, (200, first.body.clone()));
    }
    let stranger = world.token("admin", json!({"tenant": "another"}));
    let doctor = world.token("doctor", json!({"locations": [site.location], "doctor": "dr-roy"}));
    let unknown = read(&site.admin, &format!("/v1/commands/{key}?subject=nobody")).await;
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    for (reader, path) in [
        (&site.reception, &own),
        (&site.admin, &own),
        (&site.display, &named),
        (&elsewhere.reception, &named),
        (&stranger, &named),
        (&doctor, &named),
    ] {
        assert_eq!(read(reader, path).await, unknown, "the answer for an unknown command");
    }
}

pub async fn key_of_a_run_belongs_to_clerk_and_file(world: &World) {
    let clerk = Clerk::new(world);
    let claims = json!({"tenant": clerk.tenant, "sub": "another-clerk"});
    let other = Clerk { editor: world.token("editor", claims), ..Clerk::new(world) };
    let file = clerk.upload(&export(5, 2).bytes).await;
    let request = |file: &str| json!({"file": file});
    let first = clerk.request(request(&file), Some("march")).await;
    // A file goes when its first check has ended.
    let same = other.upload(&export(5, 2).bytes).await;
    let theirs = other.request(request(&same), Some("march")).await;
    assert_eq!((first.status, theirs.status), (202, 202), "{} {}", first.body, theirs.body);
    assert_ne!(first.body["run"], theirs.body["run"]);
    let second = clerk.upload(&export(6, 3).bytes).await;
    let reused = eventually("the processor decides", || async {
        let answer = clerk.request(request(&second), Some("march")).await;
        (answer.status != 202).then_some(answer)
    })
    .await;
    assert!(is_reused(&reused), "{} {}", reused.status, reused.body);
    let again: Value = clerk.request(request(&file), Some("march")).await.body;
    assert_eq!(again, first.body);
}
