//! Links and codes of tickets.

use super::*;
use crate::access::ticket_links::{LINK_LIFE_MS, LinkKey, TicketLink};

const EXCHANGE: &str = "/v1/ticket-links/exchange";
const UNKNOWN_CODE: &str = "CDFHJ-23456";

impl Node {
    async fn exchange(&self, body: &Value) -> Answer {
        self.send("POST", EXCHANGE, &[("content-type", "application/json")], &body.to_string())
            .await
    }

    async fn exchange_from(&self, address: &str, body: &Value) -> Answer {
        let request = Request::builder()
            .method("POST")
            .uri(EXCHANGE)
            .header("host", "clinic.example")
            .header("content-type", "application/json")
            .extension(client(address, None));
        self.answer(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// The link of a ticket, as reception gets it.
    async fn link(&self, ticket: &str) -> Value {
        let answer = self.ask(Role::Reception, "GET", &link_of(ticket), "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Lets the ticket end, or continue as another one.
    fn end(&self, ticket: &str, at: i64, successor: Option<&str>) {
        let mut views = self.fakes.views.lock().unwrap();
        let ended = views[&format!("ticket:{ENDED}")].clone();
        let mut entry: Value = serde_json::from_str(ended.entries[TICKET_KEY].get()).unwrap();
        entry["ended"]["ticket"] = json!(ticket);
        entry["ended"]["at"] = json!(at);
        if let Some(successor) = successor {
            entry["ended"]["successor"] = json!(successor);
        }
        let mut view = ended;
        view.entries.insert(TICKET_KEY.to_owned(), raw(&entry));
        views.insert(format!("ticket:{ticket}"), view);
    }
}

fn link_of(ticket: &str) -> String {
    format!("/v1/tickets/{ticket}/link")
}

#[tokio::test]
async fn issue_answers_with_link_and_code_of_the_ticket() {
    let node = node();
    let label = Some("A-001".into());
    let result = CommandResult { ticket: Some(id(TICKET)), label, ..CommandResult::default() };
    node.decide(Decision::Applied(result));
    let path = "/v1/queues/riverside.general/tickets";
    let issued = node.ask(Role::Reception, "POST", path, "").await.json();
    assert_eq!(issued["outcome"], "applied");
    let link = &issued["link"];
    let key = link["key"].as_str().unwrap();
    assert_eq!(link["path"], format!("/patient#link={key}"));
    assert_eq!(*link, node.link(TICKET).await, "the same link is found again");
    for body in [json!({ "link": key }), json!({ "code": link["code"] })] {
        let answer = node.exchange(&body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["ticket"], TICKET);
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        for (path, status) in [
            (format!("/v1/tickets/{TICKET}"), 200),
            (link_of(TICKET), 200),
            (format!("/v1/tickets/{GONE}"), 403),
            ("/v1/queues/riverside.general".to_owned(), 403),
            (format!("/v1/appointments/{APPOINTMENT}"), 403),
        ] {
            assert_eq!(node.ask_as(&token, "GET", &path, "").await.status, status, "{path}");
        }
    }
}

/// A moved ticket is named without a label.
#[tokio::test]
async fn only_an_issue_answers_with_a_link() {
    let node = node();
    let result = CommandResult { ticket: Some(id(TICKET)), ..CommandResult::default() };
    node.decide(Decision::Applied(result));
    let path = format!("/v1/tickets/{TICKET}/leave");
    let answer = node.ask(Role::Reception, "POST", &path, "").await;
    assert_eq!((answer.status, &answer.json()["link"]), (200, &Value::Null), "{}", answer.text);
}

#[tokio::test]
async fn only_the_desk_and_the_patient_get_the_link() {
    let node = node();
    for role in Role::ALL {
        let answer = node.ask(role, "GET", &link_of(TICKET), "").await;
        let allowed = matches!(
            role,
            Role::Reception | Role::SupportStaff | Role::Admin | Role::SuperAdmin | Role::Patient
        );
        assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role:?}");
    }
    let unknown = TICKET.replace("0001", "0f0f");
    let answer = node.ask(Role::Admin, "GET", &link_of(&unknown), "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn wrong_and_ended_codes_are_alike_and_an_ended_link_says_so() {
    let node = node();
    let link = node.link(TICKET).await;
    node.end(TICKET, now() - LINK_LIFE_MS, None);
    let table = [
        (json!({ "code": link["code"] }), 404, "ticket_link_unknown"),
        (json!({ "code": UNKNOWN_CODE }), 404, "ticket_link_unknown"),
        (json!({ "code": "no code at all" }), 404, "ticket_link_unknown"),
        (json!({ "link": link["key"] }), 410, "ticket_link_ended"),
        (
            json!({ "link": format!("demo.{TICKET}.AAAAAAAAAAAAAAAAAAAAAA") }),
            404,
            "ticket_link_unknown",
        ),
        (json!({}), 400, "malformed"),
        (json!({ "link": link["key"], "code": link["code"] }), 400, "malformed"),
    ];
    for (body, status, code) in table {
        let answer = node.exchange(&body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    node.fakes.views.lock().unwrap().remove(&format!("ticket:{TICKET}"));
    let answer = node.exchange(&json!({ "link": link["key"] })).await;
    assert_eq!(answer.code(), "ticket_link_ended", "its last state is not kept any more");
}

#[tokio::test]
async fn token_ends_half_an_hour_after_its_ticket() {
    let node = node();
    let link = json!({ "link": node.link(TICKET).await["key"] });
    let first = node.exchange(&link).await.json();
    let minutes = |expires: &Value| (expires.as_i64().unwrap() - now() + 30_000) / 60_000;
    assert_eq!(minutes(&first["expires"]), 30);
    let token = first["token"].as_str().unwrap();
    node.end(TICKET, now() - 20 * 60_000, None);
    let renewed = node.ask_as(token, "POST", "/v1/tokens/renew", "").await;
    assert_eq!(minutes(&renewed.json()["expires"]), 10, "{}", renewed.text);
    node.end(TICKET, now() - LINK_LIFE_MS, None);
    let renewed = node.ask_as(token, "POST", "/v1/tokens/renew", "").await;
    assert_eq!((renewed.status, renewed.code().as_str()), (410, "ticket_link_ended"));
}

#[tokio::test]
async fn link_follows_its_ticket_to_another_location() {
    let node = node();
    let link = json!({ "link": node.link(TICKET).await["key"] });
    let token = node.exchange(&link).await.json()["token"].as_str().unwrap().to_owned();
    let moved = id(TICKET).successor(&LocationId::new("north").unwrap(), 1).to_string();
    node.end(TICKET, now() - 2 * LINK_LIFE_MS, Some(&moved));
    node.end(&moved, now(), None);
    let answer = node.exchange(&link).await;
    assert_eq!(answer.json()["ticket"], moved, "{}", answer.text);
    let renewed = node.ask_as(&token, "POST", "/v1/tokens/renew", "").await;
    let renewed = renewed.json()["token"].as_str().unwrap().to_owned();
    let there = format!("/v1/tickets/{moved}");
    assert_eq!(node.ask_as(&renewed, "GET", &there, "").await.status, 200);
    // A revocation may name the ticket under which staff of the new location know the patient.
    revoke(&node, &moved).await;
    let answer = node.ask_as(&renewed, "GET", &there, "").await;
    assert_eq!(answer.code(), "token_revoked");
    assert_eq!(node.exchange(&link).await.code(), "token_revoked");
}

async fn revoke(node: &Node, ticket: &str) {
    let body = json!({ "kind": "ticket_link", "id": ticket }).to_string();
    assert_eq!(node.ask(Role::Admin, "POST", "/v1/revocations", &body).await.status, 202);
    let (tenant, revocation) = node.fakes.revoked.lock().unwrap().pop().unwrap();
    node.context.revocations.add(tenant, &revocation, now());
}

#[tokio::test]
async fn revoked_link_gives_no_token_again() {
    let node = node();
    let link = node.link(TICKET).await;
    let token = node.exchange(&json!({ "link": link["key"] })).await.json()["token"].clone();
    let token = token.as_str().unwrap();
    revoke(&node, TICKET).await;
    for (method, path) in
        [("GET", format!("/v1/tickets/{TICKET}")), ("POST", "/v1/tokens/renew".to_owned())]
    {
        assert_eq!(node.ask_as(token, method, &path, "").await.code(), "token_revoked", "{path}");
    }
    assert_eq!(node.exchange(&json!({ "link": link["key"] })).await.code(), "token_revoked");
    let by_code = node.exchange(&json!({ "code": link["code"] })).await;
    assert_eq!(by_code.code(), "ticket_link_unknown", "a guesser learns nothing");
}

#[tokio::test]
async fn lost_code_is_stored_again_when_the_link_is_asked_for_or_renewed() {
    let node = node();
    let link = node.link(TICKET).await;
    let by_code = json!({ "code": link["code"] });
    let token = node.exchange(&by_code).await.json()["token"].as_str().unwrap().to_owned();
    for renews in [false, true] {
        node.fakes.keys.lock().unwrap().clear();
        assert_eq!(node.exchange(&by_code).await.code(), "ticket_link_unknown");
        match renews {
            true => drop(node.ask_as(&token, "POST", "/v1/tokens/renew", "").await),
            false => drop(node.link(TICKET).await),
        }
        assert_eq!(node.exchange(&by_code).await.status, 200, "{renews}");
    }
}

#[tokio::test]
async fn two_tickets_with_one_code_get_two_codes() {
    let node = node();
    let code = node.link(TICKET).await["code"].as_str().unwrap().to_owned();
    let key = format!("link:{}", code.replace('-', ""));
    let other = format!("north/{TICKET}");
    node.fakes.keys.lock().unwrap().insert(key, other);
    let second = node.link(TICKET).await["code"].as_str().unwrap().to_owned();
    assert_ne!(second, code);
    let answer = node.exchange(&json!({ "code": second })).await;
    assert_eq!(answer.json()["tenant"], "demo");
}

#[tokio::test]
async fn wrong_codes_are_limited_by_address_and_a_right_link_is_not() {
    let limits = ["link-failures=5/3600".parse().unwrap()];
    let node = node_with(LimitSettings::default().changed(&limits));
    let link = node.link(TICKET).await;
    let wrong = json!({ "code": UNKNOWN_CODE });
    let mut refusals = 0;
    for _ in 0..8 {
        let answer = node.exchange_from("192.0.2.1", &wrong).await;
        refusals += usize::from(answer.code() == "too_many_failures");
    }
    assert_eq!(refusals, 3);
    let right = json!({ "code": link["code"] });
    assert_eq!(node.exchange_from("192.0.2.1", &right).await.status, 429, "not told apart");
    assert_eq!(node.exchange_from("192.0.2.2", &right).await.status, 200);
    let by_link = node.exchange_from("192.0.2.1", &json!({ "link": link["key"] })).await;
    assert_eq!(by_link.status, 200);
}

#[tokio::test]
async fn wrong_codes_at_once_are_counted_one_by_one() {
    let limits = ["link-failures=5/3600".parse().unwrap()];
    let node = node_with(LimitSettings::default().changed(&limits));
    let wrong = json!({ "code": UNKNOWN_CODE });
    let guesses = (0..40).map(|_| node.exchange_from("192.0.2.1", &wrong));
    let answers = futures_util::future::join_all(guesses).await;
    let looked_up = answers.iter().filter(|answer| answer.code() == "ticket_link_unknown");
    assert_eq!(looked_up.count(), 5);
}

#[tokio::test]
async fn right_link_and_code_share_the_rate_of_their_ticket() {
    let node = node_with(LimitSettings::default().changed(&["rest=3/3600".parse().unwrap()]));
    let key = LinkKey::new(&test_settings().grant_secret);
    let tenant = TenantId::new("demo").unwrap();
    let link = TicketLink { tenant, ticket: id(TICKET) };
    let code = key.store_code(&*node.context.short_keys, &link).await.unwrap();
    let (by_link, by_code) = (json!({ "link": key.seal(&link) }), json!({ "code": code }));
    for body in [&by_link, &by_code, &by_link] {
        assert_eq!(node.exchange(body).await.status, 200, "{body}");
    }
    for (address, body) in [("192.0.2.1", &by_link), ("192.0.2.2", &by_code)] {
        let answer = node.exchange_from(address, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"), "{body}");
    }
    let other = TicketLink { ticket: id(ENDED), ..link };
    assert_ne!(node.exchange(&json!({ "link": key.seal(&other) })).await.status, 429);
}

#[tokio::test]
async fn exchange_is_audited_without_a_key_to_the_ticket() {
    let node = node();
    let link = LinkKey::new(&test_settings().grant_secret)
        .seal(&TicketLink { tenant: TenantId::new("demo").unwrap(), ticket: id(TICKET) });
    assert_eq!(node.exchange(&json!({ "link": link })).await.status, 200);
    let audited = node.audited();
    let [(tenant, entry)] = &audited[..] else { panic!("one entry") };
    assert_eq!((tenant.as_str(), &*entry.action), ("demo", "ticket-link.exchange"));
    assert_eq!(entry.what, [TICKET]);
    assert!(entry.subject.starts_with("ticket-link:") && !entry.subject.contains(TICKET));
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert_eq!(node.exchange(&json!({ "link": link })).await.code(), "try_again");
    }
}

#[tokio::test]
async fn desk_and_patient_get_the_qr_code_of_the_link() {
    let node = node();
    let images = [("svg", "image/svg+xml"), ("png", "image/png")];
    for (kind, media_type) in images {
        let path = format!("{}.{kind}", link_of(TICKET));
        for (role, status) in [
            (Role::Reception, 200),
            (Role::Patient, 200),
            (Role::Doctor, 403),
            (Role::Display, 403),
        ] {
            let answer = node.ask(role, "GET", &path, "").await;
            assert_eq!(answer.status, status, "{role:?} {path}");
            if status == 200 {
                assert_eq!(answer.headers["content-type"], media_type);
                assert_eq!(answer.headers["cache-control"], "no-store");
            }
        }
        let wide = node.ask(Role::Reception, "GET", &format!("{path}?mm=72"), "").await;
        assert_eq!(wide.status, 200);
        for wrong in ["mm=23", "mm=73", "mm=x", "px=1"] {
            let answer = node.ask(Role::Reception, "GET", &format!("{path}?{wrong}"), "").await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{wrong}");
        }
    }
}

#[tokio::test]
async fn short_address_leads_to_the_page_with_the_code() {
    let node = node();
    let answer = node.send("GET", "/t/HK7QT-93MXR", &[], "").await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.headers["location"], "../patient#code=HK7QT-93MXR");
    for wrong in ["/t/a%23b", "/t/a%2F%2Fevil.example", "/t/aaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(node.send("GET", wrong, &[], "").await.status, 404, "{wrong}");
    }
}
