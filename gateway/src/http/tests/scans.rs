//! Check-in points, and scans of their codes.

use schemas::{
    check_in::{CheckInFactor, CheckInPointKind, CheckInPointSettings, CheckInPointSetup},
    ids::CheckInPointId,
    settings::check_in_point_key,
};

use super::*;

const POINTS: &str = "/v1/check-in-points";

fn point_settings(kind: CheckInPointKind) -> CheckInPointSettings {
    CheckInPointSettings {
        setup: CheckInPointSetup {
            name: "Entrance".into(),
            kind,
            queues: [queue()].into(),
            factor: CheckInFactor::BirthYear,
            place: None,
        },
        rotation: 17,
        rotated_at: 7,
        revoked: false,
        edition: 17,
    }
}

impl Node {
    /// Puts entries into the settings of the location, as the location would.
    fn set(&self, entries: Vec<(String, Value)>) {
        let mut views = self.fakes.views.lock().unwrap();
        let settings = &mut views.get_mut("settings:riverside").unwrap().entries;
        settings.extend(entries.into_iter().map(|(key, entry)| (key, raw(&entry))));
    }

    fn set_point(&self, slug: &str, settings: &CheckInPointSettings) {
        let point = CheckInPointId::new(format!("riverside.{slug}")).unwrap();
        self.set(vec![(check_in_point_key(&point), json!(settings))]);
    }

    /// Prepares a poster at the entrance and a kiosk in the hall.
    fn set_up(&self) {
        self.set(vec![
            (
                "location".into(),
                json!({"name": "Riverside", "time_zone": "America/Toronto", "languages": ["fr"]}),
            ),
            (
                "queue:riverside.general".into(),
                json!({
                    "name": "General", "prefix": "A", "service_s": 300, "max_tickets": 10,
                    "state": "open",
                }),
            ),
        ]);
        self.set_point("entrance", &point_settings(CheckInPointKind::Poster));
        self.set_point("kiosk", &point_settings(CheckInPointKind::Kiosk));
    }

    /// The code of the poster, as its address has it.
    async fn poster(&self) -> String {
        let path = format!("{POINTS}/riverside.entrance");
        let one = self.ask(Role::Reception, "GET", &path, "").await.json();
        one["path"].as_str().unwrap().strip_prefix("/c/").unwrap().to_owned()
    }

    async fn scan(&self, action: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send("POST", &format!("/v1/scans/{action}"), &headers, &body.to_string()).await
    }
}

#[tokio::test]
async fn points_are_listed_with_their_paths_for_the_desk_alone() {
    let node = node();
    node.set_up();
    let list = format!("{POINTS}?location=riverside");
    let desk = node.ask(Role::Reception, "GET", &list, "").await.json();
    let [entrance, kiosk] = &desk["check_in_points"].as_array().unwrap()[..] else {
        panic!("{desk}")
    };
    assert_eq!(entrance["check_in_point"], "riverside.entrance");
    assert!(entrance["path"].as_str().unwrap().starts_with("/c/demo.riverside.entrance.17."));
    assert_eq!(kiosk["path"], Value::Null, "a kiosk has no code");
    let doctor = node.ask(Role::Doctor, "GET", &list, "").await.json();
    assert_eq!(doctor["check_in_points"][0]["path"], Value::Null);
    for (role, path, status) in [
        (Role::Reception, "riverside.entrance/code.svg", 200),
        (Role::Reception, "riverside.entrance/code.png?mm=60", 200),
        (Role::Reception, "riverside.entrance/code.png?mm=6", 400),
        (Role::Reception, "riverside.kiosk/code.svg", 409),
        (Role::Reception, "riverside.nowhere/code.svg", 404),
        (Role::Reception, "north.entrance/code.svg", 403),
        (Role::Doctor, "riverside.entrance/code.svg", 403),
        (Role::Display, "riverside.entrance", 403),
    ] {
        let answer = node.ask(role, "GET", &format!("{POINTS}/{path}"), "").await;
        assert_eq!(answer.status, status, "{role:?} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn code_of_a_poster_opens_until_it_is_replaced() {
    let node = node();
    node.set_up();
    let code = node.poster().await;
    let opened = node.scan("open", &json!({ "point": code })).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    let expected = json!({
        "location": {"name": "Riverside", "time_zone": "America/Toronto", "languages": ["fr"]},
        "check_in_point": {"name": "Entrance", "kind": "poster"},
        "factor": "birth_year", "digits": 4, "asks_position": false,
        "walk_in": [{"queue": "riverside.general", "name": "General"}],
    });
    assert_eq!(opened.json(), expected);
    let (_, entry) = node.audited().pop().unwrap();
    assert_eq!((entry.action.as_ref(), &*entry.subject), ("scan.open", "riverside.entrance"));

    let poster = point_settings(CheckInPointKind::Poster);
    let changed = [
        CheckInPointSettings { rotation: 18, ..poster.clone() },
        CheckInPointSettings { revoked: true, ..poster },
        point_settings(CheckInPointKind::Kiosk),
    ];
    for settings in changed {
        node.set_point("entrance", &settings);
        let refused = node.scan("open", &json!({ "point": code })).await;
        assert_eq!((refused.status, refused.code().as_str()), (410, "qr_expired"));
    }
    for wrong in [json!({}), json!({"point": "demo.riverside.entrance.17.AAAA"})] {
        assert_eq!(node.scan("open", &wrong).await.code(), "qr_expired", "{wrong}");
    }
}

#[tokio::test]
async fn wrong_codes_at_an_address_hold_up_no_right_one() {
    let changes = ["link-failures=2/300".parse().unwrap()];
    let node = node_with(LimitSettings::default().changed(&changes));
    node.set_up();
    let code = node.poster().await;
    let wrong = json!({"point": "demo.riverside.entrance.17.AAAA"});
    for expected in ["qr_expired", "qr_expired", "too_many_failures"] {
        assert_eq!(node.scan("open", &wrong).await.code(), expected);
    }
    let opened = node.scan("open", &json!({ "point": code })).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
}

#[tokio::test]
async fn kiosk_scans_at_the_point_to_which_it_is_bound() {
    let node = node();
    node.set_up();
    let display = schemas::ids::DisplayId::new("riverside.00000000000000d1").unwrap();
    let tenant = TenantId::new("demo").unwrap();
    let credential = |role| {
        let claims = crate::access::displays::claims(&tenant, &display, role, 0, now());
        node.context.verifier.sign(&claims).unwrap()
    };
    let key = format!("display:{display}");
    let bound = json!({"name": "Kiosk", "paired_at": 7, "check_in_point": "riverside.kiosk"});
    node.set(vec![(key.clone(), bound)]);
    let open = |token: String| {
        let node = &node;
        async move { node.ask_as(&token, "POST", "/v1/scans/open", "{}").await }
    };
    let opened = open(credential(Role::CheckInPoint)).await;
    assert_eq!(opened.json()["check_in_point"]["kind"], "kiosk", "{}", opened.text);
    assert_eq!(open(credential(Role::Display)).await.code(), "forbidden", "a board");
    assert_eq!(open(token(Role::CheckInPoint)).await.code(), "forbidden", "no credential");
    let mut revoked = point_settings(CheckInPointKind::Kiosk);
    revoked.revoked = true;
    node.set_point("kiosk", &revoked);
    let refused = open(credential(Role::CheckInPoint)).await;
    assert_eq!(refused.code(), "check_in_point_unknown");
    node.set(vec![(key, json!({"name": "Kiosk", "paired_at": 7}))]);
    assert_eq!(open(credential(Role::CheckInPoint)).await.code(), "check_in_point_unknown");
}

/// The start of the fake appointment.
fn start() -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(now()).unwrap()
}

impl Node {
    /// Reports the fake appointment with these keys, and returns the code of its booking.
    async fn report(&self, check_in: Value) -> String {
        let appointment = Some(AppointmentId::new(APPOINTMENT).unwrap());
        self.decide(Decision::Applied(CommandResult { appointment, ..CommandResult::default() }));
        let body = json!({
            "location": "riverside", "key": "4711", "version": 1, "status": "booked",
            "start": start().to_string(), "end": start().to_string(), "check_in": check_in,
        });
        let answer = self.ask(Role::Source, "POST", "/v1/appointments", &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["booking_code"].as_str().unwrap().to_owned()
    }

    fn set_appointment(&self, entry: Value) {
        let mut views = self.fakes.views.lock().unwrap();
        let view = views.get_mut(&format!("appointment:{APPOINTMENT}")).unwrap();
        view.entries.insert("appointment".into(), raw(&entry));
    }

    /// Adds the view of another appointment, beside that of the first.
    fn copy_appointment(&self, id: &str, entry: &Value) {
        let mut views = self.fakes.views.lock().unwrap();
        let mut view = views[&format!("appointment:{APPOINTMENT}")].clone();
        view.entries.insert("appointment".into(), raw(entry));
        views.insert(format!("appointment:{id}"), view);
    }

    /// Checks in at the poster, from the address, and returns the only result.
    async fn check_in(&self, point: &str, address: &str, code: &str, told: &str) -> Value {
        let body = json!({ "point": point, "bookings": [{ "code": code, "told": told }] });
        let request = Request::builder()
            .method("POST")
            .uri("/v1/scans/check-in")
            .header("host", "clinic.example")
            .header("content-type", "application/json")
            .extension(client(address, None));
        let answer = self.answer(request.body(Body::from(body.to_string())).unwrap()).await;
        match answer.status {
            200 => answer.json()["results"][0].clone(),
            _ => answer.json(),
        }
    }

    fn issues_a_ticket(&self) {
        let (ticket, label) = (Some(id(TICKET)), Some("A-001".into()));
        self.decide(Decision::Applied(CommandResult { ticket, label, ..CommandResult::default() }));
    }
}

#[tokio::test]
async fn proved_booking_is_checked_in_and_answers_with_the_ticket_link() {
    let node = node();
    node.set_up();
    let point = node.poster().await;
    let code = node.report(json!({"birth_year": "1980", "phone_end": "4711"})).await;
    node.issues_a_ticket();
    let result = node.check_in(&point, "192.0.2.1", &code.to_lowercase(), "1980").await;
    assert_eq!(result["outcome"], "checked_in", "{result}");
    assert!(result["link"]["path"].as_str().unwrap().starts_with("/patient#link="));
    let record = node.last();
    assert!(matches!(record.command, Command::CheckIn { .. }));
    assert_eq!(record.actor.unwrap().subject, "riverside.entrance");
    let (_, entry) = node.audited().pop().unwrap();
    assert_eq!(entry.action, "scan.check-in");
    assert!(entry.what.contains(&APPOINTMENT.to_owned()) && entry.code.is_none());
    let stored = node.fakes.keys.lock().unwrap().values().cloned().collect::<String>();
    assert!(!stored.contains("1980") && !stored.contains("4711"), "only digests are kept");
}

#[tokio::test]
async fn unknown_code_and_wrong_factor_get_one_answer() {
    let node = node();
    node.set_up();
    let point = node.poster().await;
    let code = node.report(json!({"birth_year": "1980"})).await;
    let before = node.fakes.appended.lock().unwrap().len();
    for (code, told) in [(&*code, "1981"), (&code, ""), ("CDFH-2345", "1980"), ("?", "1980")] {
        let mut result = node.check_in(&point, "192.0.2.1", code, told).await;
        result.as_object_mut().unwrap().remove("booking");
        assert_eq!(result, json!({"outcome": "refused", "code": "no_appointment_found"}), "{code}");
    }
    assert_eq!(node.fakes.appended.lock().unwrap().len(), before, "nothing was sent");
    let (_, entry) = node.audited().pop().unwrap();
    assert_eq!(entry.code, Some(Code::NoAppointmentFound));
}

#[tokio::test]
async fn code_is_refused_after_ten_attempts_in_an_hour() {
    let node = node();
    node.set_up();
    let point = node.poster().await;
    let code = node.report(json!({"birth_year": "1980"})).await;
    for year in 1900..1910 {
        let guess = node.check_in(&point, "192.0.2.1", &code, &year.to_string()).await;
        assert_eq!(guess["code"], "no_appointment_found", "{year}");
    }
    let right = node.check_in(&point, "192.0.2.9", &code, "1980").await;
    assert_eq!(right["code"], "too_many_failures");
    for year in 1900..1910 {
        node.check_in(&point, "192.0.2.1", "CDFH-2345", &year.to_string()).await;
    }
    let unknown = node.check_in(&point, "192.0.2.9", "CDFH-2345", "1980").await;
    assert_eq!(unknown["code"], "too_many_failures", "a refusal tells nobody which codes exist");
}

#[tokio::test]
async fn refusals_of_the_location_keep_their_codes() {
    let node = node();
    node.set_up();
    let point = node.poster().await;
    let code = node.report(json!({"birth_year": "1980"})).await;
    for refused in [Code::TooEarly, Code::AppointmentExpired, Code::AppointmentOver] {
        node.decide(Decision::Refused(refused));
        let result = node.check_in(&point, "192.0.2.1", &code, "1980").await;
        assert_eq!(result["code"], refused.as_str());
        assert_eq!(result["status"], "booked", "its patient sees the appointment");
    }
    let here = json!({
        "appointment": APPOINTMENT, "status": "checked-in", "ticket": TICKET,
        "ticket_label": "A-001",
    });
    node.set_appointment(here);
    let again = node.check_in(&point, "192.0.2.1", &code, "1980").await;
    assert_eq!((&again["code"], &again["label"]), (&json!("already_checked_in"), &json!("A-001")));
    assert!(again["link"]["path"].is_string(), "the link again");
    let north = APPOINTMENT.replace("riverside", "north");
    let moved = json!({"appointment": APPOINTMENT, "status": "cancelled", "successor": north});
    node.set_appointment(moved);
    node.copy_appointment(&north, &json!({"appointment": north, "status": "booked"}));
    let moved = node.check_in(&point, "192.0.2.1", &code, "1980").await;
    assert_eq!(moved["code"], "wrong_location");
}

#[tokio::test]
async fn own_code_of_a_source_and_all_bookings_of_a_person_are_found() {
    let node = node();
    node.set_up();
    node.set_appointment(json!({"appointment": APPOINTMENT, "status": "booked", "start": now()}));
    let point = node.poster().await;
    let keys = json!({"code": "RDV-10O1", "birth_year": "1980", "person": "chart-7"});
    assert_eq!(node.report(keys).await, "RDV-1001");
    let other = "riverside.00000000000000000000000000b000b1";
    node.copy_appointment(
        other,
        &json!({"appointment": other, "status": "booked", "start": now()}),
    );
    let second = CommandResult {
        appointment: Some(AppointmentId::new(other).unwrap()),
        ..CommandResult::default()
    };
    node.decide(Decision::Applied(second));
    let body = json!({
        "location": "riverside", "key": "4712", "version": 1, "status": "booked",
        "start": start().to_string(), "end": start().to_string(),
        "check_in": {"birth_year": "1980", "person": "chart-7"},
    });
    let reported = node.ask(Role::Source, "POST", "/v1/appointments", &body.to_string()).await;
    let second = reported.json()["booking_code"].clone();
    let asked = json!({"point": point, "bookings": [{"code": "rdv 1OO1", "told": "1980"}]});
    let found = node.scan("find", &asked).await.json();
    let codes: Vec<_> =
        found["appointments"].as_array().unwrap().iter().map(|one| &one["booking"]).collect();
    assert_eq!(codes, [&json!("RDV-1001"), &second], "{found}");
}

#[tokio::test]
async fn point_with_a_place_asks_phones_where_they_are() {
    let node = node();
    node.set_up();
    let mut poster = point_settings(CheckInPointKind::Poster);
    let place = json!({"latitude": 45.5017, "longitude": -73.5673, "radius_m": 200});
    poster.setup.place = serde_json::from_value(place).unwrap();
    node.set_point("entrance", &poster);
    let point = node.poster().await;
    let code = node.report(json!({"birth_year": "1980"})).await;
    node.issues_a_ticket();
    let bookings = json!([{"code": code, "told": "1980"}]);
    let here = json!({"latitude": 45.5018, "longitude": -73.5673, "accuracy_m": 20});
    let far = json!({"latitude": 45.6, "longitude": -73.5673});
    for (position, status) in [(Value::Null, 409), (far, 409), (here, 200)] {
        let body = json!({"point": point, "bookings": bookings, "position": position});
        assert_eq!(node.scan("check-in", &body).await.status, status, "{position}");
    }
}

#[tokio::test]
async fn walk_in_gets_a_ticket_in_an_offered_queue_alone() {
    let node = node();
    node.set_up();
    let point = node.poster().await;
    node.issues_a_ticket();
    let ask = |queue: &str| json!({ "point": point, "queue": queue });
    let issued = node.scan("walk-in", &ask("riverside.general")).await;
    assert_eq!((issued.status, &issued.json()["label"]), (200, &json!("A-001")), "{}", issued.text);
    assert!(matches!(node.last().command, Command::IssueTicket { .. }));
    let refused = node.scan("walk-in", &ask("riverside.blood")).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
}

#[tokio::test]
async fn code_from_two_places_and_many_wrong_codes_are_flagged() {
    let node = node();
    node.set_up();
    let point = node.poster().await;
    let code = node.report(json!({"birth_year": "1980"})).await;
    node.issues_a_ticket();
    let list = "/v1/scans/flags?location=riverside";
    assert_eq!(node.ask(Role::Doctor, "GET", list, "").await.status, 403);
    node.check_in(&point, "192.0.2.1", &code, "1980").await;
    node.check_in(&point, "192.0.2.2", &code, "1980").await;
    let none = node.ask(Role::Reception, "GET", list, "").await.json();
    assert_eq!(none, json!({"flags": []}), "a phone and then another network is usual");
    node.check_in(&point, "192.0.2.3", &code, "1981").await;
    for number in 2..9 {
        node.check_in(&point, "192.0.2.4", &format!("CDFH-234{number}"), "1980").await;
    }
    let flags = node.ask(Role::Reception, "GET", list, "").await.json();
    let kinds: Vec<_> =
        flags["flags"].as_array().unwrap().iter().map(|flag| &flag["kind"]).collect();
    assert_eq!(kinds, ["two_places", "many_codes"], "{flags}");
    assert!(!flags.to_string().contains("CDFH"), "no code is shown");
}
