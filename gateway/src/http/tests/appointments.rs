//! Reports of sources about appointments, and check-ins.

use schemas::appointment::{AppointmentChange, AppointmentFact, AppointmentStatus};

use super::*;

/// A report with every field that a source can send.
fn told() -> Value {
    json!({
        "location": "riverside", "key": "4711", "version": 3, "updated_at": "2026-11-27T08:00:00Z",
        "status": "booked", "start": "2026-11-27T09:00:00-05:00", "end": "2026-11-27T09:20:00-05:00",
        "doctor": {"id": "dr-roy", "name": "Dr Roy"}, "queue": "riverside.general", "label": "J. T.",
        "reason": "first visit",
    })
}

/// The report with these fields instead. `null` removes a field.
fn told_with(fields: Value) -> Value {
    let mut told = told();
    for (name, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => told.as_object_mut().unwrap().remove(name),
            value => told.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    told
}

async fn tell(node: &Node, told: &Value) -> Answer {
    node.ask(Role::Source, "POST", "/v1/appointments", &told.to_string()).await
}

fn last_fact(node: &Node) -> (AppointmentId, AppointmentFact) {
    match node.last().command {
        Command::ReportAppointment { appointment, fact } => (appointment, fact),
        _ => panic!("another command"),
    }
}

#[tokio::test]
async fn fact_reaches_location_with_its_source() {
    let node = node();
    let answer = tell(&node, &told()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let record = node.last();
    assert_eq!(record.aggregate.as_str(), "demo/riverside");
    // A fact does not go stale by waiting.
    assert_eq!(record.valid_until, None);
    let (appointment, fact) = last_fact(&node);
    assert_eq!(appointment.location().as_str(), "riverside");
    assert_eq!((fact.source.as_str(), fact.key.as_str(), fact.revision), ("subject-1", "4711", 3));
    assert_eq!(fact.status, AppointmentStatus::Booked);
    assert_eq!((fact.start, fact.end), (Some(1_795_788_000_000), Some(1_795_789_200_000)));
    let doctor = fact.doctor.unwrap();
    assert_eq!((doctor.id.as_str(), doctor.name.as_str()), ("dr-roy", "Dr Roy"));
    assert_eq!(fact.queue, Some(queue()));
    assert_eq!(
        (fact.label.as_deref(), fact.reason.as_deref()),
        (Some("J. T."), Some("first visit"))
    );
    assert!(fact.moved_to.is_none());

    tell(&node, &told()).await;
    assert!(last_fact(&node).0 != appointment, "an id is never guessed from another");
}

#[tokio::test]
async fn fact_keeps_the_key_of_its_source() {
    let node = node();
    let bearer = format!("Bearer {}", token(Role::Source));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "4711:3"),
        ("valid-until", "2031-01-01T00:00:00Z"),
    ];
    let answer = node.send("POST", "/v1/appointments", &headers, &told().to_string()).await;
    assert_eq!((answer.status, &answer.json()["command"]), (200, &json!("4711:3")));
    assert_eq!(node.last().identity().subject, "subject-1");
    assert_eq!(node.last().valid_until, Some(1_924_992_000_000));
}

#[tokio::test]
async fn moved_appointment_is_reported_at_old_location() {
    let node = node();
    let moved = told_with(
        json!({"location": "north", "queue": "north.general", "moved_from": "riverside"}),
    );
    assert_eq!(tell(&node, &moved).await.status, 200);
    assert_eq!(node.last().aggregate.as_str(), "demo/riverside");
    assert_eq!(last_fact(&node).1.moved_to.unwrap().as_str(), "north");
}

#[tokio::test]
async fn invalid_fact_answers_code_without_append() {
    let node = node();
    let table = [
        (json!({"location": "River Side"}), 400, "invalid_id"),
        (json!({"location": 7}), 400, "invalid_id"),
        (json!({"location": null}), 400, "malformed"),
        (json!({"moved_from": "a.b"}), 400, "invalid_id"),
        (json!({"queue": "riverside"}), 400, "invalid_id"),
        (json!({"queue": "north.general"}), 422, "queue_unknown"),
        (json!({"doctor": {"id": "Dr Roy", "name": "Dr Roy"}}), 400, "invalid_id"),
        (json!({"doctor": {"id": "dr-roy"}}), 400, "malformed"),
        (json!({"doctor": {"id": "dr-roy", "name": "Dr Roy", "pager": "7"}}), 400, "malformed"),
        (json!({"key": ""}), 422, "invalid_value"),
        (json!({"key": "k".repeat(101)}), 422, "invalid_value"),
        (json!({"key": null}), 400, "malformed"),
        (json!({"status": "no-show"}), 422, "invalid_value"),
        (json!({"status": null}), 400, "malformed"),
        (json!({"start": "2026-11-27T09:00:00"}), 422, "invalid_value"),
        (json!({"end": 1_795_788_000}), 422, "invalid_value"),
        (json!({"updated_at": "yesterday"}), 422, "invalid_value"),
        (json!({"version": null, "updated_at": null}), 422, "invalid_value"),
        (json!({"version": null, "updated_at": "1969-12-31T00:00:00Z"}), 422, "invalid_value"),
        (json!({"version": -1}), 400, "malformed"),
        (json!({"patient": "Jeanne Tremblay"}), 400, "malformed"),
    ];
    for (fields, status, code) in table {
        let answer = tell(&node, &told_with(fields.clone())).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{fields}");
        assert!(!answer.text.contains("Tremblay"), "{}", answer.text);
    }
    for broken in ["", "[]", "7", r#"{"location":"riv"#, &format!("{} x", told())] {
        let answer = node.ask(Role::Source, "POST", "/v1/appointments", broken).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{broken}");
    }
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

/// The booking of a fact is stored with its answer. A source that was told to read the outcome
/// elsewhere would never learn that its patient cannot check in.
#[tokio::test(start_paused = true)]
async fn report_with_check_in_is_answered_once_its_booking_is_stored() {
    let node = node();
    let told = told_with(json!({"check_in": {"phone_end": "4711"}}));
    let appointment = Some(AppointmentId::new(APPOINTMENT).unwrap());
    let applied = CommandResult { appointment, ..CommandResult::default() };
    for undecided in [Decision::Nothing, Decision::Moving(applied.clone())] {
        node.decide(undecided);
        let answer = tell(&node, &told).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"), "{}", answer.text);
        assert!(answer.json()["command"].is_string(), "{}", answer.text);
        assert_eq!(tell(&node, &told_with(json!({}))).await.status, 202, "no booking is lost");
    }
    node.decide(Decision::Applied(applied));
    let answer = tell(&node, &told).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.json()["booking_code"].is_string(), "{}", answer.text);
}

#[tokio::test]
async fn refused_fact_or_check_in_is_a_problem() {
    let node = node();
    let check_in = json!({ "appointment": APPOINTMENT }).to_string();
    for (code, status) in [
        (Code::LocationUnknown, 422),
        (Code::TimesReversed, 422),
        (Code::TimesMissing, 422),
        (Code::StatusCannotFollow, 409),
    ] {
        node.decide(Decision::Refused(code));
        let answer = tell(&node, &told()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code.as_str()));
        assert_eq!(answer.json()["command"], node.last().id.as_str());
    }
    for (code, status) in [
        (Code::NoAppointment, 422),
        (Code::AppointmentOver, 409),
        (Code::AlreadyCheckedIn, 409),
        (Code::TooEarly, 409),
        (Code::AppointmentExpired, 409),
        (Code::WrongLocation, 409),
        (Code::TooManyVisits, 409),
        (Code::QueueMissing, 422),
        (Code::QueueNotOpen, 409),
    ] {
        node.decide(Decision::Refused(code));
        let answer = node.ask(Role::Reception, "POST", "/v1/check-ins", &check_in).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code.as_str()));
        assert_eq!(answer.json()["command"], node.last().id.as_str());
    }
}

#[tokio::test]
async fn only_a_source_with_a_name_tells() {
    let node = node();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Source) {
        let answer = node.ask(role, "POST", "/v1/appointments", &told().to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{role:?}");
        assert_eq!(answer.json().get("detail"), None, "{role:?}");
    }
    let nameless = token_of("demo", "The HIS of Riverside", Role::Source);
    let answer = node.ask_as(&nameless, "POST", "/v1/appointments", &told().to_string()).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("subject") && !answer.text.contains("Riverside"), "{}", answer.text);
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn appointment_id_is_visible_to_source_and_openers() {
    let node = node();
    let appointment = AppointmentId::new(APPOINTMENT).unwrap();
    node.decide(Decision::Applied(CommandResult {
        appointment: Some(appointment.clone()),
        change: Some(AppointmentChange::Booked),
        ..CommandResult::default()
    }));
    let answer = tell(&node, &told()).await;
    assert_eq!(answer.json()["result"], json!({"appointment": APPOINTMENT, "change": "booked"}));
    // The same command's outcome, to others who give one of the same id.
    let station = "/v1/stations/riverside.room-1/open";
    for (role, sees) in [(Role::Doctor, true), (Role::Reception, true), (Role::Pharmacist, false)] {
        let answer = node.ask(role, "POST", station, "").await;
        assert_eq!((answer.status, answer.json().get("result").is_some()), (200, sees), "{role:?}");
    }

    // A check-in has both; a source learns of no ticket, a service of no appointment.
    node.decide(Decision::Applied(CommandResult {
        ticket: Some(appointment.visit_ticket(0)),
        label: Some("A-001".into()),
        appointment: Some(appointment),
        ..CommandResult::default()
    }));
    let whole = json!({"ticket": APPOINTMENT, "label": "A-001", "appointment": APPOINTMENT});
    let body = json!({ "appointment": APPOINTMENT }).to_string();
    let answer = node.ask(Role::Reception, "POST", "/v1/check-ins", &body).await;
    assert_eq!(answer.json()["result"], whole);
    assert_eq!(tell(&node, &told()).await.json()["result"], json!({"appointment": APPOINTMENT}));
    let answer = node.ask(Role::Pharmacist, "POST", station, "").await;
    assert_eq!(answer.json()["result"], json!({"ticket": APPOINTMENT, "label": "A-001"}));
}

#[tokio::test]
async fn check_in_works_by_appointment_or_queue() {
    let node = node();
    let check_in = async |body: Value| {
        node.ask(Role::Reception, "POST", "/v1/check-ins", &body.to_string()).await
    };
    for (body, own) in [
        (json!({ "appointment": APPOINTMENT }), None),
        (json!({ "appointment": APPOINTMENT, "queue": "riverside.general" }), Some(queue())),
    ] {
        assert_eq!(check_in(body).await.status, 200);
        let Command::CheckIn { appointment, queue } = node.last().command else {
            panic!("another command")
        };
        assert!(appointment.as_str() == APPOINTMENT && queue == own);
        assert_eq!(node.last().aggregate.as_str(), "demo/riverside");
    }
    for (body, urgency) in [
        (json!({"queue": "riverside.general"}), 0),
        (json!({"queue": "riverside.general", "priority": 7}), 7),
    ] {
        assert_eq!(check_in(body).await.status, 200);
        let Command::IssueTicket { queue: into, ticket, priority } = node.last().command else {
            panic!("another command")
        };
        assert_eq!((into, priority.get()), (queue(), urgency));
        assert_eq!(ticket.location().as_str(), "riverside");
    }
    let told = node.fakes.appended.lock().unwrap().len();
    for (body, status, code) in [
        (json!({}), 400, "malformed"),
        (json!({"priority": 1}), 400, "malformed"),
        (json!({ "appointment": APPOINTMENT, "priority": 1 }), 400, "malformed"),
        (json!({ "appointment": APPOINTMENT, "by": "kiosk" }), 400, "malformed"),
        (json!({"appointment": "riverside.7"}), 400, "invalid_id"),
        (json!({"queue": "riverside"}), 400, "invalid_id"),
        (json!({"queue": "riverside.general", "priority": 10}), 422, "invalid_value"),
        (json!({ "appointment": APPOINTMENT, "queue": "north.general" }), 409, "wrong_location"),
        (json!({"queue": "north.general"}), 403, "forbidden"),
        (json!({"appointment": "north.000000000000000000000000000000a1"}), 403, "forbidden"),
    ] {
        let answer = check_in(body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    assert_eq!(node.fakes.appended.lock().unwrap().len(), told);
}
