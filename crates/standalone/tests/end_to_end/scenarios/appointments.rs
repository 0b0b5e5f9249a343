//! Appointments, from the facts of a source to the patient who checked in, on every channel.

use hyper::Method;
use serde_json::{Value, json};
use testing::{
    centrifugal::client::{JsonClient, Refusal},
    follower::ChannelFollower,
    http::ApiRequest,
    patience::eventually,
};

use crate::world::{Site, World};

/// The time in this many minutes, in the form that sources write.
fn moment(minutes: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string()
}

/// A booking with Dr. Roy that begins now. A source has one key for it, wherever it takes place, so
/// that scenarios of one world need keys of their own.
fn booking(site: &Site) -> Value {
    json!({
        "location": site.location, "key": site.location, "version": 1, "status": "booked",
        "start": moment(0), "end": moment(20), "doctor": {"id": "dr-roy", "name": "Dr Roy"},
        "queue": site.general, "label": "J. T.",
    })
}

/// The previous fact with these fields replaced.
fn with(told: &Value, fields: Value) -> Value {
    let mut told = told.clone();
    for (name, value) in fields.as_object().unwrap() {
        told[name] = value.clone();
    }
    told
}

/// Reports a fact that must be accepted; returns the appointment's id and the change it made.
async fn tell(world: &World, told: &Value) -> (String, String) {
    let source = world.token("source", json!({}));
    let outcome = world.apply(&source, Method::POST, "/v1/appointments".into(), told.clone()).await;
    let text =
        |name: &str| outcome["result"][name].as_str().expect("the result names it").to_owned();
    (text("appointment"), text("change"))
}

/// Reads the channel of an appointment.
fn seen(follower: &ChannelFollower) -> Value {
    follower.entry("appointment")
}

fn patient_of(world: &World, appointment: &str) -> String {
    world.token("patient", json!({"appointments": [appointment]}))
}

async fn check_in(world: &World, site: &Site, body: Value) -> Value {
    world.apply(&site.reception, Method::POST, "/v1/check-ins".into(), body).await["result"].take()
}

/// Waits until a follower holds what the snapshot route returns, and compares the two.
async fn agrees_with_its_snapshot(
    world: &World,
    follower: &mut ChannelFollower,
    token: &str,
    path: &str,
) {
    let snapshot = world.read(token, path.to_owned()).await;
    let version = snapshot["version"].as_u64().unwrap();
    follower.until(path, |follower| follower.held.version >= version).await;
    let snapshot = world.read(token, path.to_owned()).await;
    assert_eq!(follower.as_snapshot(), snapshot, "{path}");
}

pub async fn appointment_and_ticket_agree_until_end(world: &World) {
    let site = world.site().await;
    let (id, change) = tell(world, &booking(&site)).await;
    assert_eq!(change, "booked");
    let patient = patient_of(world, &id);
    let doctor = world.token("doctor", json!({"locations": [site.location], "doctor": "dr-roy"}));
    let mut appointment =
        ChannelFollower::start(world.here(), &patient, &format!("appointment:{id}")).await;
    let path = format!("{}/dr-roy", site.location);
    let mut schedule =
        ChannelFollower::start(world.here(), &doctor, &format!("schedule:{path}")).await;
    let mut load =
        ChannelFollower::start(world.here(), &doctor, &format!("load:{}", site.location)).await;
    assert_eq!(
        (&seen(&appointment)["status"], &seen(&appointment)["doctor"]),
        (&json!("booked"), &json!("Dr Roy"))
    );
    assert_eq!(seen(&appointment).get("ticket"), None);
    assert_eq!(schedule.entry("schedule")["doctor"], "Dr Roy");
    assert_eq!(
        (&schedule.entry(&id)["status"], &schedule.entry(&id)["label"]),
        (&json!("booked"), &json!("J. T."))
    );
    assert_eq!(load.entry("load")["appointments"]["due"], 1);

    let result = check_in(world, &site, json!({"appointment": id})).await;
    assert_eq!(
        result,
        json!({"ticket": id, "label": "A-001", "appointment": id}),
        "a ticket has the digits of its appointment"
    );
    let mut ticket = ChannelFollower::start(world.here(), &patient, &format!("ticket:{id}")).await;
    let calls = json!({"station": site.room_1});
    let moves = [
        (None, "waiting", "checked-in"),
        (Some(("call", calls.clone())), "called", "checked-in"),
        (Some(("absent", json!({}))), "absent", "checked-in"),
        (Some(("return", json!({}))), "waiting", "checked-in"),
        (Some(("call", calls)), "called", "checked-in"),
        (Some(("start", json!({}))), "in_service", "fulfilled"),
        (Some(("revert", json!({}))), "called", "checked-in"),
        (Some(("start", json!({}))), "in_service", "fulfilled"),
        (Some(("complete", json!({}))), "completed", "fulfilled"),
    ];
    for (order, state, status) in moves {
        if let Some((verb, body)) = order {
            world.moves(&site, format!("/v1/tickets/{id}/{verb}"), body).await;
        }
        ticket.until(state, |ticket| ticket.state()["state"] == state).await;
        appointment.until(status, |appointment| seen(appointment)["status"] == status).await;
        assert_eq!(
            (&seen(&appointment)["ticket"], &seen(&appointment)["ticket_label"]),
            (&json!(id), &json!("A-001"))
        );
        let shown = |schedule: &ChannelFollower| schedule.entry(&id);
        schedule.until(state, |schedule| shown(schedule)["ticket"]["state"] == state).await;
        assert_eq!(shown(&schedule)["status"], status, "{state}");
        assert_eq!(shown(&schedule)["ticket"]["label"], "A-001");
    }
    let counts = |load: &ChannelFollower| load.entry("load")["appointments"].clone();
    load.until("the load", |load| counts(load)["fulfilled"] == 1).await;
    assert_eq!((&counts(&load)["due"], &counts(&load)["arrived"]), (&json!(0), &json!(0)));
    agrees_with_its_snapshot(world, &mut appointment, &patient, &format!("/v1/appointments/{id}"))
        .await;
    agrees_with_its_snapshot(world, &mut schedule, &doctor, &format!("/v1/schedules/{path}")).await;
    agrees_with_its_snapshot(world, &mut load, &doctor, &format!("/v1/loads/{}", site.location))
        .await;
}

pub async fn fact_order_and_repetition_do_not_matter(world: &World) {
    let site = world.site().await;
    let first = booking(&site);
    let second = with(&first, json!({"version": 2, "end": moment(40), "label": "R. S."}));
    let third = with(&second, json!({"version": 3, "status": "cancelled", "reason": "ill"}));
    let facts = [first, second, third];
    let orders: [(&[usize], &[&str]); 5] = [
        (&[0, 1, 2], &["booked", "rescheduled", "cancelled"]),
        (
            &[0, 0, 1, 1, 2, 2],
            &["booked", "repeated", "rescheduled", "repeated", "cancelled", "repeated"],
        ),
        (&[0, 2, 1], &["booked", "cancelled", "stale"]),
        (&[1, 0, 2, 0], &["booked", "stale", "cancelled", "stale"]),
        (&[2, 1, 0], &["cancelled", "stale", "stale"]),
    ];
    let mut ends = Vec::new();
    for (number, (order, changes)) in orders.into_iter().enumerate() {
        let mut id = None;
        for (fact, expected) in order.iter().zip(changes) {
            let told = with(&facts[*fact], json!({"key": format!("order-{number}")}));
            let (told_of, change) = tell(world, &told).await;
            assert_eq!(change, *expected, "version {} of {order:?}", fact + 1);
            assert_eq!(id.get_or_insert(told_of.clone()), &told_of, "{order:?}: one appointment");
        }
        let path = format!("/v1/appointments/{}", id.unwrap());
        let mut view = world.read(&site.reception, path).await["entries"]["appointment"].take();
        view.as_object_mut().unwrap().remove("appointment");
        ends.push(view);
    }
    assert_eq!((&ends[0]["status"], &ends[0]["reason"]), (&json!("cancelled"), &json!("ill")));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    // Ignored facts are counted where staff see them.
    let load = world.read(&site.admin, format!("/v1/loads/{}", site.location)).await;
    let facts = json!({"applied": 11, "repeated": 3, "stale": 5, "overruled": 0});
    assert_eq!(load["entries"]["load"]["facts"], facts);
    assert_eq!(load["entries"]["load"]["appointments"]["cancelled"], 5);
}

pub async fn after_check_in_source_can_only_cancel(world: &World) {
    let site = world.site().await;
    let booked = booking(&site);
    let (id, _) = tell(world, &booked).await;
    check_in(world, &site, json!({"appointment": id})).await;
    let patient = patient_of(world, &id);
    let mut appointment =
        ChannelFollower::start(world.here(), &patient, &format!("appointment:{id}")).await;
    let mut ticket = ChannelFollower::start(world.here(), &patient, &format!("ticket:{id}")).await;

    let unheard = with(
        &booked,
        json!({"version": 2, "status": "noshow", "doctor": {"id": "dr-roy", "name": "Dr A. Roy"}}),
    );
    assert_eq!(tell(world, &unheard).await.1, "overruled");
    appointment
        .until("the doctor's name", |appointment| seen(appointment)["doctor"] == "Dr A. Roy")
        .await;
    assert_eq!(
        (&seen(&appointment)["status"], &ticket.state()["state"]),
        (&json!("checked-in"), &json!("waiting"))
    );

    let off = with(&booked, json!({"version": 3, "status": "cancelled", "reason": "ill"}));
    assert_eq!(tell(world, &off).await.1, "cancelled");
    ticket.until("the end", |ticket| ticket.state()["state"] == "cancelled").await;
    appointment.until("the end", |appointment| seen(appointment)["status"] == "cancelled").await;
    assert_eq!(
        (&ticket.state()["reason"], &seen(&appointment)["reason"]),
        (&json!("ill"), &json!("ill"))
    );
    // A late duplicate changes nothing.
    assert_eq!(tell(world, &booked).await, (id.clone(), "stale".to_owned()));
    let read = world.read(&patient, format!("/v1/appointments/{id}")).await;
    assert_eq!(read["entries"]["appointment"]["status"], "cancelled");
}

pub async fn early_end_of_a_visit_opens_the_appointment(world: &World) {
    let site = world.site().await;
    let booked = booking(&site);
    let (id, _) = tell(world, &booked).await;
    let patient = patient_of(world, &id);
    let mut appointment =
        ChannelFollower::start(world.here(), &patient, &format!("appointment:{id}")).await;
    let arrived = async || {
        let load = world.read(&site.admin, format!("/v1/loads/{}", site.location)).await;
        load["entries"]["load"]["appointments"]["arrived"].clone()
    };
    // The patient leaves, and comes back.
    let first = check_in(world, &site, json!({"appointment": id})).await["ticket"].take();
    assert_eq!(arrived().await, 1);
    let leave = format!("/v1/tickets/{id}/leave");
    world.apply(&patient, Method::POST, leave, json!({})).await;
    appointment.until("open", |appointment| seen(appointment)["status"] == "booked").await;
    assert_eq!(arrived().await, 0);
    let second = check_in(world, &site, json!({"appointment": id})).await["ticket"].take();
    let second = second.as_str().expect("a ticket").to_owned();
    assert_ne!(first, second);
    // The link of the appointment opens the second ticket too.
    let mut ticket =
        ChannelFollower::start(world.here(), &patient, &format!("ticket:{second}")).await;
    assert_eq!(ticket.state()["state"], "waiting");

    // The desk undoes the second check-in.
    let undo = format!("/v1/appointments/{id}/undo-check-in");
    world.moves(&site, undo.clone(), json!({})).await;
    ticket.until("the end", |ticket| ticket.state()["state"] == "cancelled").await;
    assert_eq!(ticket.state()["reason"], "check_in_undone");
    let again = ApiRequest::post(&undo).token(&site.reception).json(json!({}));
    let again = world.api.settle(world.there(), again).await;
    assert_eq!((again.status, again.body["code"].as_str()), (409, Some("not_checked_in")));

    // The source cancels after a check-in, and books again.
    check_in(world, &site, json!({"appointment": id})).await;
    let off = with(&booked, json!({"version": 2, "status": "cancelled"}));
    assert_eq!(tell(world, &off).await.1, "cancelled");
    assert_eq!(tell(world, &with(&booked, json!({"version": 3}))).await.1, "booked");
    check_in(world, &site, json!({"appointment": id})).await;
    let ends = |follower: &ChannelFollower| {
        let visits = seen(follower)["visits"].clone();
        let visits = visits.as_array().cloned().unwrap_or_default();
        visits.iter().map(|visit| visit["ended"].clone()).collect::<Vec<_>>()
    };
    let expected = [json!("left"), json!("cancelled"), json!("cancelled"), Value::Null];
    appointment.until("four visits", |appointment| ends(appointment) == expected).await;
    assert_eq!(seen(&appointment)["status"], "checked-in");
    agrees_with_its_snapshot(world, &mut appointment, &patient, &format!("/v1/appointments/{id}"))
        .await;
}

pub async fn check_in_outside_its_window_answers_its_code(world: &World) {
    let (site, other) = (world.site().await, world.site().await);
    let booked = booking(&site);
    let at = |key: &str, start: i64| {
        let times = json!({"key": key, "start": moment(start), "end": moment(start + 20)});
        with(&booked, times)
    };
    let (now, _) = tell(world, &booked).await;
    let (later, _) = tell(world, &at("later", 35)).await;
    let (past, _) = tell(world, &at("past", -121)).await;
    let (gone, _) = tell(world, &with(&booked, json!({"key": "gone"}))).await;
    let place = json!({"key": "gone", "version": 2, "location": other.location,
        "moved_from": site.location, "queue": other.general});
    let successor = gone.replace(&site.location, &other.location);
    assert_eq!(tell(world, &with(&booked, place)).await, (successor, "moved".to_owned()));
    for (body, code) in [
        (json!({"appointment": later}), "too_early"),
        (json!({"appointment": past}), "appointment_expired"),
        (json!({"appointment": gone}), "wrong_location"),
        (json!({"appointment": now, "queue": other.general}), "wrong_location"),
    ] {
        let call = ApiRequest::post("/v1/check-ins").token(&site.reception).json(body.clone());
        let answer = world.api.settle(world.there(), call).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (409, Some(code)), "{body}");
    }
    check_in(world, &site, json!({"appointment": now})).await;

    let mut future = with(&booked, json!({"key": "future", "updated_at": moment(11)}));
    future.as_object_mut().expect("a fact is an object").remove("version");
    let source = world.token("source", json!({}));
    let call = ApiRequest::post("/v1/appointments").token(&source).json(future);
    let answer = world.api.settle(world.there(), call).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (422, Some("time_ahead")));
}

pub async fn moved_appointment_continues_at_other_location(world: &World) {
    let (from, to) = (world.site().await, world.site().await);
    let booked = booking(&from);
    let (id, _) = tell(world, &booked).await;
    let mut appointment =
        ChannelFollower::start(world.here(), &patient_of(world, &id), &format!("appointment:{id}"))
            .await;
    let place = json!({
        "version": 2, "location": to.location, "moved_from": from.location, "queue": to.lab,
    });
    let moved = with(&booked, place);
    let (told, change) = tell(world, &moved).await;
    appointment
        .until("the successor", |appointment| seen(appointment)["successor"].is_string())
        .await;
    assert_eq!(seen(&appointment)["status"], "cancelled");
    let successor = seen(&appointment)["successor"].as_str().unwrap().to_owned();
    assert!(successor.starts_with(&format!("{}.", to.location)), "{successor}");
    assert_eq!((&told, change.as_str()), (&successor, "moved"));

    let path = format!("/v1/appointments/{successor}");
    let there = eventually("the booking there", || async {
        let answer =
            world.api.call(world.here(), ApiRequest::get(&path).token(&to.reception)).await;
        (answer.status == 200).then_some(answer.body)
    });
    let there = there.await["entries"]["appointment"].take();
    assert_eq!((&there["status"], there.get("successor")), (&json!("booked"), None));
    // A repeated fact is known at both locations.
    assert_eq!(tell(world, &moved).await, (id.clone(), "repeated".to_owned()));
    let at_once = with(&booked, json!({"version": 2, "location": to.location, "queue": to.lab}));
    assert_eq!(tell(world, &at_once).await, (successor.clone(), "repeated".to_owned()));
    assert_eq!(tell(world, &booked).await, (id.clone(), "stale".to_owned()));

    let result = check_in(world, &to, json!({"appointment": successor})).await;
    assert_eq!((&result["ticket"], &result["label"]), (&json!(successor), &json!("B-001")));
    let gone =
        ApiRequest::post("/v1/check-ins").token(&from.reception).json(json!({"appointment": id}));
    let gone = world.api.settle(world.there(), gone).await;
    assert_eq!((gone.status, gone.body["code"].as_str()), (409, Some("wrong_location")));
}

pub async fn invalid_appointment_answers_its_code(world: &World) {
    let site = world.site().await;
    let booked = booking(&site);
    let (id, _) = tell(world, &booked).await;
    let (fulfilled, _) =
        tell(world, &with(&booked, json!({"key": "4712", "status": "fulfilled"}))).await;
    let mut nowhere = with(&booked, json!({"key": "4713"}));
    nowhere.as_object_mut().unwrap().remove("queue");
    let (homeless, _) = tell(world, &nowhere).await;
    let source = world.token("source", json!({}));
    let nobody = format!("{}.{:032x}", site.location, 7);
    let no_queue = format!("{}.nowhere", site.location);
    let facts = [
        (json!({"location": "no-such-place", "queue": "no-such-place.x"}), 422, "location_unknown"),
        (json!({"version": 2, "end": moment(0), "start": moment(20)}), 422, "times_reversed"),
        (json!({"version": 2, "end": null, "start": null}), 422, "times_missing"),
        (json!({"version": 2, "queue": no_queue}), 422, "queue_unknown"),
        (json!({"version": 2, "queue": "elsewhere.general"}), 422, "queue_unknown"),
        (json!({"version": 2, "key": "4712"}), 409, "status_cannot_follow"),
        (json!({"version": 2, "status": "vanished"}), 422, "invalid_value"),
        (json!({"version": 2, "label": "x".repeat(500)}), 422, "invalid_value"),
    ];
    let refused = async |token: &str, path: &str, body: Value, status: u16, code: &str| {
        let call = ApiRequest::post(path).token(token).json(body.clone());
        let answer = world.api.settle(world.there(), call).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{body}");
        assert!(!answer.text.contains(&id), "a problem names no appointment: {}", answer.text);
    };
    for (fields, status, code) in facts {
        refused(&source, "/v1/appointments", with(&booked, fields), status, code).await;
    }
    // None of these facts was accepted, and none of them blocks the next one.
    let read = world.read(&site.reception, format!("/v1/appointments/{id}")).await;
    assert_eq!(read["entries"]["appointment"]["status"], "booked");
    assert_eq!(
        tell(world, &with(&booked, json!({"version": 2, "end": moment(30)}))).await.1,
        "rescheduled"
    );

    check_in(world, &site, json!({"appointment": id})).await;
    let check_ins = [
        (json!({"appointment": nobody}), 422, "no_appointment"),
        (json!({"appointment": id}), 409, "already_checked_in"),
        (json!({"appointment": fulfilled}), 409, "appointment_over"),
        (json!({"appointment": homeless}), 422, "queue_missing"),
        (json!({"appointment": homeless, "queue": no_queue}), 422, "queue_unknown"),
        (json!({"queue": no_queue}), 422, "queue_unknown"),
        (json!({}), 400, "malformed"),
    ];
    for (body, status, code) in check_ins {
        refused(&site.reception, "/v1/check-ins", body, status, code).await;
    }
    let result = check_in(world, &site, json!({"appointment": homeless, "queue": site.lab})).await;
    assert_eq!(result["label"], "B-001");
}

pub async fn walk_in_checks_in_into_queue(world: &World) {
    let site = world.site().await;
    let first = check_in(world, &site, json!({"queue": site.general})).await;
    let urgent = check_in(world, &site, json!({"queue": site.general, "priority": 5})).await;
    assert_eq!((&first["label"], &urgent["label"]), (&json!("A-001"), &json!("A-002")));
    assert_eq!(first.get("appointment"), None);
    // A closed room cannot call.
    world.moves(&site, format!("/v1/stations/{}/close", site.room_1), json!({})).await;
    let path = format!("/v1/queues/{}/call-next", site.general);
    let call =
        || ApiRequest::post(&path).token(&site.reception).json(json!({"station": site.room_1}));
    let answer = world.api.settle(world.there(), call()).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (409, Some("station_closed")));
    world.moves(&site, format!("/v1/stations/{}/open", site.room_1), json!({})).await;
    let called = world.call_next(&site, &site.general, &site.room_1).await;
    assert_eq!(json!(called.ticket), urgent["ticket"]);
}

pub async fn foreign_tenant_sees_no_appointments_or_load(world: &World) {
    let site = world.site().await;
    let (id, _) = tell(world, &booking(&site)).await;
    let here = json!({
        "tenant": "another", "locations": [site.location], "appointments": [id], "doctor": "dr-roy",
    });
    let paths = [
        (
            "doctor",
            format!("schedule:{}/dr-roy", site.location),
            format!("/v1/schedules/{}/dr-roy", site.location),
        ),
        (
            "admin",
            format!("schedule:{}/dr-roy", site.location),
            format!("/v1/schedules/{}/dr-roy", site.location),
        ),
        ("patient", format!("appointment:{id}"), format!("/v1/appointments/{id}")),
        ("reception", format!("appointment:{id}"), format!("/v1/appointments/{id}")),
        ("reception", format!("load:{}", site.location), format!("/v1/loads/{}", site.location)),
    ];
    for (role, channel, path) in paths {
        let stranger = world.token(role, here.clone());
        let mut phone = JsonClient::connect(world.here(), &stranger).await;
        assert_eq!(phone.subscribe(&channel).await.map(drop), Err(Refusal::Error(102)), "{role}");
        let answer = world.api.call(world.here(), ApiRequest::get(&path).token(&stranger)).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (404, Some("not_found")),
            "{role}"
        );
    }
    // A source of the other tenant with the same name changes nothing here.
    let source = world.token("source", json!({"tenant": "another"}));
    let cancelled = with(&booking(&site), json!({"version": 9, "status": "cancelled"}));
    let call = ApiRequest::post("/v1/appointments").token(&source).json(cancelled);
    let answer = world.api.settle(world.there(), call).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (422, Some("location_unknown")));
    let read = world.read(&site.reception, format!("/v1/appointments/{id}")).await;
    assert_eq!(read["entries"]["appointment"]["status"], "booked");
}
