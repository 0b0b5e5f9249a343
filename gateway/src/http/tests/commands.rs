//! Command routes.

mod outcomes;

use schemas::{ids::Fingerprint, load::LoadBands, record::Actor, timers::Timers};

use super::*;

/// Every command route: method, path below `/v1`, a body, and the kind of command it stands for.
const ROUTES: &[(&str, &str, &str, &str)] = &[
    (
        "PUT",
        "locations/riverside",
        r#"{"name":"R","time_zone":"UTC","languages":["fr"]}"#,
        "location.configure",
    ),
    (
        "PUT",
        "locations/riverside/privacy",
        r#"{"lines":{"name":true},"boards":{"waiting":false},"edition":3}"#,
        "location.change_privacy",
    ),
    (
        "PUT",
        "locations/riverside/messages",
        r#"{"messages":[{"en":"Hello","fr":"Bonjour"}]}"#,
        "location.change_messages",
    ),
    (
        "PUT",
        "locations/riverside/branding",
        r##"{"colour":"#0f62fe"}"##,
        "location.change_branding",
    ),
    (
        "PUT",
        "locations/riverside/queue-order",
        r#"{"queues":["riverside.general"]}"#,
        "location.order_queues",
    ),
    (
        "PUT",
        "queues/riverside.general",
        r#"{"name":"G","prefix":"A","service_s":300}"#,
        "queue.configure",
    ),
    ("DELETE", "queues/riverside.general", "", "queue.remove"),
    ("PUT", "stations/riverside.room-1", r#"{"name":"Room 1"}"#, "station.configure"),
    ("DELETE", "stations/riverside.room-1", "", "station.remove"),
    ("POST", "stations/riverside.room-1/call-next", r#"{"force":true}"#, "station.call_next"),
    ("POST", "stations/riverside.room-1/open", "", "station.open"),
    ("POST", "stations/riverside.room-1/close", "{}", "station.close"),
    ("POST", "queues/riverside.general/open", "", "queue.open"),
    ("POST", "queues/riverside.general/pause", r#"{"message":"Back soon"}"#, "queue.pause"),
    ("POST", "queues/riverside.general/resume", "{}", "queue.resume"),
    ("POST", "queues/riverside.general/close", "{}", "queue.close"),
    ("POST", "queues/riverside.general/reorder", r#"{"tickets":[]}"#, "queue.reorder"),
    ("POST", "queues/riverside.general/tickets", r#"{"priority":9}"#, "ticket.issue"),
    (
        "POST",
        "queues/riverside.general/call-next",
        r#"{"station":"riverside.room-1"}"#,
        "queue.call_next",
    ),
    ("POST", "tickets/T/call", r#"{"station":"riverside.room-1"}"#, "ticket.call"),
    ("POST", "tickets/T/recall", "", "ticket.recall"),
    ("POST", "tickets/T/start", "", "ticket.start"),
    ("POST", "tickets/T/complete", "", "ticket.complete"),
    ("POST", "tickets/T/hold", r#"{"reason":"lab"}"#, "ticket.hold"),
    ("POST", "tickets/T/resume", "", "ticket.resume"),
    ("POST", "tickets/T/absent", "", "ticket.absent"),
    ("POST", "tickets/T/return", "", "ticket.return"),
    ("POST", "tickets/T/no-show", "", "ticket.no_show"),
    ("POST", "tickets/T/cancel", "{}", "ticket.cancel"),
    ("POST", "tickets/T/leave", "", "ticket.leave"),
    ("POST", "tickets/T/yield", "", "ticket.yield"),
    ("POST", "tickets/T/subscribe-alerts", DEVICE, "ticket.subscribe_alerts"),
    (
        "POST",
        "tickets/T/unsubscribe-alerts",
        r#"{"endpoint":"https://push.example/1"}"#,
        "ticket.unsubscribe_alerts",
    ),
    ("POST", "tickets/T/transfer", r#"{"queue":"riverside.blood"}"#, "ticket.transfer"),
    ("POST", "tickets/T/prioritise", r#"{"priority":3,"reason":"pain"}"#, "ticket.prioritise"),
    ("POST", "tickets/T/revert", "", "ticket.revert"),
    (
        "POST",
        "appointments",
        r#"{"location":"riverside","key":"4711","version":1,"status":"proposed"}"#,
        "appointment.report",
    ),
    (
        "POST",
        "check-ins",
        r#"{"appointment":"riverside.000000000000000000000000000000a1"}"#,
        "appointment.check_in",
    ),
    (
        "POST",
        "check-ins",
        r#"{"appointment":"riverside.000000000000000000000000000000a1","override_reason":"Storm"}"#,
        "appointment.override_check_in",
    ),
    (
        "POST",
        "appointments/riverside.000000000000000000000000000000a1/undo-check-in",
        "",
        "appointment.undo_check_in",
    ),
    (
        "PUT",
        "check-in-points/riverside.entrance",
        r#"{"name":"Entrance","kind":"poster"}"#,
        "check_in_point.configure",
    ),
    ("POST", "check-in-points/riverside.entrance/rotate", "", "check_in_point.rotate"),
    ("POST", "check-in-points/riverside.entrance/revoke", "", "check_in_point.revoke"),
    ("DELETE", "check-in-points/riverside.entrance", "", "check_in_point.remove"),
    ("PATCH", "displays/riverside.00000000000000d1", r#"{"name":"Hall"}"#, "display.rename"),
    ("DELETE", "displays/riverside.00000000000000d1", "", "display.unpair"),
    ("POST", "check-ins", r#"{"queue":"riverside.general","priority":2}"#, "ticket.issue"),
];

/// A browser's subscription: the keys have the right lengths, and nothing is sent to them.
const DEVICE: &str = r#"{"endpoint":"https://fcm.googleapis.com/fcm/send/1","keys":{
    "p256dh":"BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    "auth":"AAAAAAAAAAAAAAAAAAAAAA"}}"#;

fn path_of(route: &str) -> String {
    format!("/v1/{}", route.replace("/T/", &format!("/{TICKET}/")))
}

#[tokio::test]
async fn every_kind_of_command_has_its_route() {
    let node = node();
    for (method, route, body, kind) in ROUTES {
        let giver = match *kind {
            "appointment.report" => Role::Source,
            // Staff have no phone to alert.
            "ticket.subscribe_alerts" | "ticket.unsubscribe_alerts" => Role::Patient,
            _ => Role::Admin,
        };
        let answer = node.ask(giver, method, &path_of(route), body).await;
        assert_eq!(answer.status, 200, "{route}: {}", answer.text);
        let record = node.last();
        assert_eq!(record.command.kind(), *kind, "{route}");
        assert_eq!(record.aggregate.as_str(), "demo/riverside");
    }
    let mut kinds: Vec<_> = ROUTES.iter().map(|(.., kind)| *kind).collect();
    let mut all: Vec<_> = Command::KINDS.to_vec();
    all.retain(|kind| {
        // Processors write the steps of moves and timers, and claims.
        let steps = ["receive", "withdraw", "settle", "tick", "claim"];
        let written = kind.split('.').next_back().is_some_and(|step| steps.contains(&step));
        // A pairing needs a code, which `displays` tests.
        let other = ["run.", "rule.", "reference.", "webhook.", "tenant.", "display.pair"]
            .iter()
            .any(|of| kind.starts_with(of));
        !other && !written
    });
    kinds.sort_unstable();
    kinds.dedup();
    all.sort_unstable();
    assert_eq!(kinds, all);
}

#[tokio::test]
async fn queue_is_removed_with_or_without_a_move() {
    let node = node();
    let path = "/v1/queues/riverside.general";
    for (query, expected) in [("", None), ("?move_to=riverside.blood", Some("riverside.blood"))] {
        let answer = node.ask(Role::Admin, "DELETE", &format!("{path}{query}"), "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let Command::RemoveQueue { queue, move_to } = node.last().command else {
            panic!("another command");
        };
        assert_eq!(queue.as_str(), "riverside.general");
        assert_eq!(move_to.as_ref().map(QueueId::as_str), expected);
    }
    for (query, code) in [
        ("?move_to=blood", "invalid_id"),
        ("?move_to=north.blood", "queue_unknown"),
        ("?moveto=riverside.blood", "malformed"),
    ] {
        let answer = node.ask(Role::Admin, "DELETE", &format!("{path}{query}"), "").await;
        assert_eq!(answer.code(), code, "{query}");
    }
}

#[tokio::test]
async fn every_route_refuses_missing_and_weak_tokens() {
    let node = node();
    for (method, route, body, _) in ROUTES {
        let answer =
            node.send(method, &path_of(route), &[("content-type", "application/json")], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "{route}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let answer = node.ask(Role::Display, method, &path_of(route), body).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{route}");
    }
    for path in ["queues/riverside.general", "commands/known", "boards/riverside"] {
        let answer = node
            .send("GET", &format!("/v1/{path}"), &[("authorization", "Bearer x.y.z")], "")
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"), "{path}");
    }
    let answer =
        node.send("GET", "/v1/boards/riverside", &[("authorization", "Basic abc")], "").await;
    assert_eq!(answer.code(), "token_invalid");
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn applied_command_answers_position_and_result() {
    let node = node();
    let station = StationId::new("riverside.room-1").unwrap();
    let result = CommandResult {
        ticket: Some(id(TICKET)),
        label: Some("A-001".into()),
        station: Some(station),
        ..CommandResult::default()
    };
    node.decide(Decision::Applied(result));
    let bearer = format!("Bearer {}", token(Role::Reception));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json; charset=utf-8"),
        ("idempotency-key", "desk-1.42"),
        ("valid-until", "2031-01-01T00:00:00Z"),
    ];
    let body = r#"{"station":"riverside.room-1"}"#;
    let answer = node.send("POST", "/v1/queues/riverside.general/call-next", &headers, body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({"command": "desk-1.42", "at": 1, "outcome": "applied", "epoch": "7", "version": 17,
            "result": {"ticket": TICKET, "label": "A-001", "station": "riverside.room-1"}})
    );
    let record = node.last();
    assert_eq!(record.id.as_str(), "desk-1.42");
    assert_eq!(record.source, COMMAND_SOURCE);
    assert_eq!(record.valid_until, Some(1_924_992_000_000));
    let actor = record.actor.unwrap();
    assert_eq!((actor.subject.as_str(), actor.role.as_str()), ("subject-1", "reception"));
}

#[tokio::test]
async fn command_without_key_gets_id_and_expiry() {
    let node = node();
    let before = now();
    for _ in 0..2 {
        node.ask(Role::Reception, "POST", "/v1/queues/riverside.general/tickets", "").await;
    }
    let appended = node.fakes.appended.lock().unwrap();
    assert_ne!(appended[0].id.as_str(), appended[1].id.as_str());
    assert_ne!(appended[0].command.ticket(), appended[1].command.ticket());
    let until = appended[0].valid_until.unwrap();
    assert!((before + 30_000..=now() + 30_000).contains(&until));
}

#[tokio::test]
async fn refused_command_problem_names_command() {
    let node = node();
    let path = format!("/v1/tickets/{TICKET}/start");
    for (code, status) in
        [(Code::IllegalMove, 409), (Code::TicketUnknown, 422), (Code::CommandExpired, 409)]
    {
        node.decide(Decision::Refused(code));
        let answer = node.ask(Role::Reception, "POST", &path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code.as_str()));
        assert_eq!(answer.json()["command"], node.last().id.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn slow_command_is_accepted_then_found() {
    let node = node();
    node.decide(Decision::Nothing);
    let path = format!("/v1/tickets/{TICKET}/start");
    let answer = node.ask(Role::Reception, "POST", &path, "").await;
    assert_eq!(answer.status, 202);
    let record = node.last();
    let (id, fingerprint) = (record.id.clone(), record.fingerprint.unwrap());
    let path = format!("/v1/commands/{id}?fingerprint={fingerprint}");
    assert_eq!(answer.header("location"), path);
    assert_eq!(answer.json(), json!({"command": id, "outcome": "pending"}));

    let answer = node.ask(Role::Reception, "GET", &path, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    node.record(&record, applied_with(TICKET));
    for path in [path, format!("/v1/commands/{id}")] {
        let answer = node.ask(Role::Reception, "GET", &path, "").await;
        assert_eq!((answer.status, &answer.json()["result"]["label"]), (200, &json!("A-001")));
    }
    let other = format!("/v1/commands/{id}?fingerprint={:032x}", 7);
    let answer = node.ask(Role::Reception, "GET", &other, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "idempotency_key_reused"));
}

fn applied_with(ticket: &str) -> Verdict {
    let (ticket, label) = (Some(id(ticket)), Some("A-001".into()));
    let result = CommandResult { ticket, label, ..CommandResult::default() };
    Verdict::Applied { epoch: 7, version: 17, result }
}

/// Sends one request under the key `1`, and returns what a repeat of the key must be equal in.
async fn content_of(node: &Node, method: &str, path: &str, body: &str) -> Fingerprint {
    let bearer = format!("Bearer {}", token(Role::Admin));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "1"),
    ];
    let answer = node.send(method, path, &headers, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    node.last().fingerprint.expect("a gateway sends the fingerprint")
}

#[tokio::test]
async fn content_is_method_address_and_body() {
    let node = node();
    let tickets = "/v1/queues/riverside.general/tickets";
    let first = content_of(&node, "POST", tickets, "").await;
    assert_eq!(content_of(&node, "POST", tickets, "{}").await, first);
    assert_eq!(content_of(&node, "POST", tickets, " {\n} ").await, first);
    assert_ne!(content_of(&node, "POST", tickets, r#"{"priority":3}"#).await, first);
    assert_ne!(content_of(&node, "POST", "/v1/queues/riverside.lab/tickets", "").await, first);
    let queue = "/v1/queues/riverside.general";
    let configured = content_of(&node, "PUT", queue, r#"{"name":"G","prefix":"A"}"#).await;
    assert_eq!(content_of(&node, "PUT", queue, r#"{"prefix":"A", "name":"G"}"#).await, configured);
    let removed = content_of(&node, "DELETE", queue, "").await;
    let moved = format!("{queue}?move_to=riverside.lab");
    assert_ne!(content_of(&node, "DELETE", &moved, "").await, removed);
}

#[tokio::test]
async fn invalid_command_answers_code_without_append() {
    let node = node();
    let call_next = "/v1/queues/riverside.general/call-next";
    let tickets = "/v1/queues/riverside.general/tickets";
    let table = [
        ("POST", call_next, "{", 400, "malformed"),
        ("POST", call_next, "", 400, "malformed"),
        ("POST", call_next, "[]", 400, "malformed"),
        ("POST", call_next, r#"{"station":7}"#, 400, "malformed"),
        ("POST", call_next, r#"{"station":"riverside.room-1","why":"x"}"#, 400, "malformed"),
        ("POST", call_next, r#"{"station":"Room 1"}"#, 400, "invalid_id"),
        ("POST", call_next, r#"{"station":"north.room-1"}"#, 422, "station_unknown"),
        ("POST", tickets, r#"{"priority":10}"#, 422, "invalid_value"),
        ("POST", tickets, r#"{"priority":-1}"#, 422, "invalid_value"),
        ("POST", tickets, r#"{"priority":"high"}"#, 400, "malformed"),
        ("POST", "/v1/queues/riverside.general/reorder", r#"{"tickets":["x"]}"#, 400, "invalid_id"),
        ("POST", "/v1/queues/riverside.general/configure", "{}", 404, "not_found"),
        ("POST", "/v1/queues/riverside.general/explode", "{}", 404, "not_found"),
        ("POST", "/v1/queues/Riverside/open", "{}", 400, "invalid_id"),
        ("POST", "/v1/queues/%ff/open", "{}", 400, "invalid_id"),
        (
            "PUT",
            "/v1/locations/a.b",
            r#"{"name":"R","time_zone":"UTC","languages":[]}"#,
            400,
            "invalid_id",
        ),
        ("POST", "/v1/tickets/riverside.1/start", "", 400, "invalid_id"),
        ("POST", "/v1/stations/riverside.room-1/configure", "{}", 404, "not_found"),
        ("POST", "/v1/stations/riverside.room-1/explode", "{}", 404, "not_found"),
        ("POST", "/v1/stations/riverside/open", "{}", 400, "invalid_id"),
        ("POST", "/v1/stations/riverside.room-1/open", r#"{"by":"x"}"#, 400, "malformed"),
        ("GET", "/v1/commands/a%20b", "", 400, "invalid_id"),
        ("POST", "/v1/locations/riverside", "", 405, "unknown_method"),
        ("PATCH", "/v1/stations/riverside.room-1", "", 405, "unknown_method"),
        ("GET", "/v1/stream-tickets", "", 405, "unknown_method"),
        ("GET", "/v1/nothing", "", 404, "not_found"),
        ("GET", "/nothing.html", "", 404, "not_found"),
        ("GET", "/v1/demo", "", 404, "not_found"),
    ];
    for (method, path, body, status, code) in table {
        let answer = node.ask(Role::Admin, method, path, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {path} {body}"
        );
    }
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn location_sets_only_given_timers() {
    let node = node();
    let place =
        |more: &str| format!(r#"{{"name":"R","time_zone":"UTC","languages":["fr"]{more}}}"#);
    let path = "/v1/locations/riverside";
    let bands = r#","timers":{"no_show_s":900},"bands":{"waiting":[5,10],"wait_s":[600,1200]}"#;
    let answer = node.ask(Role::Admin, "PUT", path, &place(bands)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let Command::ConfigureLocation { timers, bands, .. } = node.last().command else {
        panic!("another command")
    };
    assert_eq!(timers, Timers { no_show_s: 900, ..Timers::default() });
    assert_eq!(bands, Some(LoadBands { waiting: [5, 10], wait_s: [600, 1200] }));

    let answer = node.ask(Role::Admin, "PUT", path, &place("")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let Command::ConfigureLocation { timers, bands, .. } = node.last().command else {
        panic!("another command")
    };
    assert_eq!((timers, bands), (Timers::default(), None));

    let told = node.fakes.appended.lock().unwrap().len();
    for bad in [
        r#","timers":{"no_shows_s":900}"#,
        r#","timers":{"no_show_s":-1}"#,
        r#","timers":7"#,
        r#","bands":{"waiting":[5,10]}"#,
        r#","bands":{"waiting":[5,10],"wait_s":[600,1200],"colour":"red"}"#,
        r#","colour":"red""#,
    ] {
        let answer = node.ask(Role::Admin, "PUT", path, &place(bad)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{bad}");
    }
    assert_eq!(node.fakes.appended.lock().unwrap().len(), told);
}

#[tokio::test]
async fn bad_headers_and_bodies_answer_codes() {
    let node = node();
    let path = "/v1/queues/riverside.general/tickets";
    let bearer = format!("Bearer {}", token(Role::Admin));
    let json = ("content-type", "application/json");
    let table = [
        (vec![("content-type", "text/plain")], "{}".to_owned(), 415, "malformed"),
        (vec![], "{}".to_owned(), 415, "malformed"),
        (vec![json], format!("{{{}}}", " ".repeat(64 * 1024)), 413, "too_large"),
        (vec![json, ("idempotency-key", "a b")], "{}".to_owned(), 400, "invalid_id"),
        (vec![json, ("idempotency-key", "")], "{}".to_owned(), 400, "invalid_id"),
        (vec![json, ("valid-until", "tomorrow")], "{}".to_owned(), 422, "invalid_value"),
        (vec![json, ("valid-until", "2031-01-01T00:00:00")], "{}".to_owned(), 422, "invalid_value"),
    ];
    for (mut headers, body, status, code) in table {
        headers.push(("authorization", &bearer));
        let answer = node.send("POST", path, &headers, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{headers:?}");
    }
}

#[tokio::test]
async fn no_problem_quotes_what_was_sent() {
    let node = node();
    let secret = "Jeanne Tremblay";
    for body in [json!({ "priority": secret }), json!({ secret: 1 }), json!(secret)] {
        let answer = node
            .ask(Role::Admin, "POST", "/v1/queues/riverside.general/tickets", &body.to_string())
            .await;
        assert_eq!(answer.code(), "malformed");
        assert!(!answer.text.contains("Tremblay"), "{}", answer.text);
    }
}
