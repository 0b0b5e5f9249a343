//! Snapshots and stream tickets.

use super::*;

#[tokio::test]
async fn snapshot_equals_its_channel() {
    let node = node();
    let answer = node.ask(Role::Reception, "GET", "/v1/queues/riverside.general", "").await;
    let view = answer.json();
    assert_eq!((answer.status, &view["epoch"], &view["version"]), (200, &json!("7"), &json!(16)));
    assert_eq!(view["entries"][TICKET]["label"], "A-001");

    let state = node.ask(Role::Patient, "GET", &format!("/v1/tickets/{TICKET}"), "").await.json();
    assert_eq!(
        (&state["state"], &state["position"], &state["ahead"]),
        (&json!("waiting"), &json!(1), &json!(0))
    );
    assert_eq!((&state["epoch"], &state["version"]), (&json!("7"), &json!(16)));

    let state = node.ask(Role::Patient, "GET", &format!("/v1/tickets/{ENDED}"), "").await.json();
    assert_eq!((&state["state"], state.get("position")), (&json!("left"), None));

    let path = format!("/v1/appointments/{APPOINTMENT}");
    for role in [Role::Patient, Role::Reception, Role::Doctor] {
        let view = node.ask(role, "GET", &path, "").await.json();
        assert_eq!(
            (&view["version"], &view["entries"]["appointment"]["status"]),
            (&json!(16), &json!("booked"))
        );
    }
    let schedule = node.ask(Role::Doctor, "GET", "/v1/schedules/riverside/dr-roy", "").await.json();
    assert_eq!(schedule["entries"][APPOINTMENT]["status"], "booked");
    assert_eq!(schedule["entries"]["schedule"]["doctor"], "Dr Roy");
    let load = node.ask(Role::Doctor, "GET", "/v1/loads/riverside", "").await.json();
    assert_eq!(load["entries"]["load"]["waiting"], 1);

    let board = node.ask(Role::Display, "GET", "/v1/boards/riverside", "").await;
    assert_eq!(
        (board.status, &board.json()["entries"]["board"]["name"]),
        (200, &json!("Riverside"))
    );
}

#[tokio::test]
async fn settings_are_read_singly_and_as_lists() {
    let node = node();
    let at = json!({ "epoch": "7", "version": 16 });
    let with = |mut body: Value| {
        body.as_object_mut().unwrap().extend(at.as_object().unwrap().clone());
        body
    };
    let [one, two] = ["riverside.room-1", "riverside.room-2"];
    let table = [
        ("locations/riverside", json!({"location": "riverside", "name": "Riverside"})),
        (
            "locations/riverside/queues",
            json!({"entries": [{"queue": "riverside.general", "prefix": "A"}]}),
        ),
        (
            "locations/riverside/stations",
            json!({"entries": [{"station": one, "open": true}, {"station": two, "open": false}]}),
        ),
        ("queues/riverside.general/settings", json!({"queue": "riverside.general", "prefix": "A"})),
        ("stations/riverside.room-2", json!({"station": two, "open": false})),
    ];
    for (path, body) in table {
        let path = format!("/v1/{path}");
        for role in [Role::Admin, Role::Reception, Role::Doctor, Role::LabTechnician] {
            let answer = node.ask(role, "GET", &path, "").await;
            assert_eq!((answer.status, answer.json()), (200, with(body.clone())), "{path}");
        }
        for role in [Role::Patient, Role::Display, Role::Source] {
            assert_eq!(node.ask(role, "GET", &path, "").await.code(), "forbidden", "{path}");
        }
    }
}

#[tokio::test]
async fn foreign_snapshot_is_refused_or_unknown() {
    let node = node();
    let table = [
        (Role::Patient, format!("/v1/tickets/{GONE}"), 403, "forbidden"),
        (Role::Reception, format!("/v1/tickets/{GONE}"), 404, "not_found"),
        (Role::Patient, "/v1/queues/riverside.general".to_owned(), 403, "forbidden"),
        (Role::Doctor, "/v1/queues/riverside.blood".to_owned(), 403, "forbidden"),
        (Role::Display, "/v1/boards/north".to_owned(), 403, "forbidden"),
        (Role::Admin, "/v1/boards/north".to_owned(), 404, "not_found"),
        (Role::Patient, format!("/v1/appointments/{TICKET}"), 403, "forbidden"),
        (Role::Display, format!("/v1/appointments/{APPOINTMENT}"), 403, "forbidden"),
        (Role::Source, format!("/v1/appointments/{APPOINTMENT}"), 403, "forbidden"),
        (Role::Reception, format!("/v1/appointments/{GONE}"), 404, "not_found"),
        (Role::Reception, "/v1/appointments/riverside.7".to_owned(), 400, "invalid_id"),
        (Role::Doctor, "/v1/schedules/riverside/dr-singh".to_owned(), 403, "forbidden"),
        (Role::Doctor, "/v1/schedules/north/dr-roy".to_owned(), 403, "forbidden"),
        (Role::Reception, "/v1/schedules/riverside/dr-singh".to_owned(), 404, "not_found"),
        (Role::Reception, "/v1/schedules/riverside/Dr%20Roy".to_owned(), 400, "invalid_id"),
        (Role::Reception, "/v1/schedules/riverside".to_owned(), 404, "not_found"),
        (Role::Reception, "/v1/queues/riverside.removed".to_owned(), 404, "not_found"),
        (Role::Reception, "/v1/queues/riverside.blood/settings".to_owned(), 404, "not_found"),
        (Role::Reception, "/v1/stations/riverside.room-9".to_owned(), 404, "not_found"),
        (Role::Reception, "/v1/locations/north".to_owned(), 403, "forbidden"),
        (Role::Admin, "/v1/locations/north".to_owned(), 404, "not_found"),
        (Role::Display, "/v1/loads/riverside".to_owned(), 403, "forbidden"),
        (Role::Admin, "/v1/loads/west".to_owned(), 404, "not_found"),
        (Role::Admin, "/v1/loads/north.general".to_owned(), 400, "invalid_id"),
    ];
    for (role, path, status, code) in table {
        let answer = node.ask(role, "GET", &path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{role:?} {path}");
    }
}

#[tokio::test]
async fn foreign_doctor_is_unknown() {
    let node = node();
    // Staff of another tenant have access to the same names there, and find nothing of this tenant.
    let path = "/v1/schedules/riverside/dr-roy";
    for role in [Role::Admin, Role::Reception, Role::Doctor] {
        let answer = node.ask_as(&token_of("other", "subject-1", role), "GET", path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{role:?}");
        assert_eq!(node.ask(role, "GET", path, "").await.status, 200, "{role:?}");
    }
    for path in [format!("/v1/appointments/{APPOINTMENT}"), "/v1/loads/riverside".to_owned()] {
        let answer =
            node.ask_as(&token_of("other", "subject-1", Role::Admin), "GET", &path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn stream_ticket_contains_caller_grant() {
    let node = node();
    let channels = json!({"channels": [
        "board:riverside", "queue:riverside.general", "load:riverside", "schedule:riverside/dr-roy",
        format!("appointment:{APPOINTMENT}"),
    ]});
    let answer = node.ask(Role::Doctor, "POST", "/v1/stream-tickets", &channels.to_string()).await;
    assert_eq!((answer.status, &answer.json()["expires_in"]), (200, &json!(30)));
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    let wanted = vec![schemas::channel::Channel::parse("board:riverside").unwrap()];
    let grant = crate::access::grant::spend_ticket(&*node.fakes, &ticket, wanted.clone(), now())
        .await
        .unwrap();
    assert_eq!((grant.tenant.as_str(), &*grant.subject), ("demo", "subject-1"));
    assert!(grant.channels == wanted && grant.expires > now());
}

#[tokio::test]
async fn stream_ticket_for_forbidden_channel_is_refused() {
    let node = node();
    let many: Vec<_> = (0..65).map(|n| format!("board:location-{n}")).collect();
    let table = [
        (json!({"channels": ["board:riverside", "queue:riverside.general"]}), 403, "forbidden"),
        (json!({"channels": ["run:1"]}), 404, "unknown_channel"),
        (json!({"channels": ["load:riverside"]}), 403, "forbidden"),
        (json!({"channels": ["schedule:riverside/dr-roy"]}), 403, "forbidden"),
        (json!({"channels": [format!("appointment:{APPOINTMENT}")]}), 403, "forbidden"),
        (json!({"channels": ["schedule:riverside"]}), 404, "unknown_channel"),
        (json!({"channels": ["board:riverside"], "for": "ever"}), 400, "malformed"),
        (json!({"channels": ["board:riverside", "board:riverside"]}), 409, "already_subscribed"),
        (json!({"channels": []}), 422, "invalid_value"),
        (json!({ "channels": many }), 422, "channel_limit"),
        (json!({"channels": "board:riverside"}), 400, "malformed"),
    ];
    for (body, status, code) in table {
        let answer = node.ask(Role::Display, "POST", "/v1/stream-tickets", &body.to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    assert!(node.fakes.keys.lock().unwrap().is_empty());
}
