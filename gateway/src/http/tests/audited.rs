//! The audit of HTTP.

use super::*;
use crate::client_address::{ClientAddress, ReportedClient};

#[tokio::test]
async fn each_request_with_a_token_is_audited_with_its_result() {
    let node = node();
    let cancel = format!("/v1/tickets/{TICKET}/cancel");
    let ticket = format!("/v1/tickets/{TICKET}");
    let unknown = "/v1/tickets/riverside.0/read";
    for (role, method, path, action, what, code) in [
        (Role::Reception, "GET", &*ticket, "ticket.read", TICKET, None),
        (Role::Reception, "POST", &cancel, "ticket.cancel", TICKET, None),
        (Role::Patient, "POST", &cancel, "ticket.cancel", TICKET, Some(Code::Forbidden)),
        (Role::Viewer, "GET", &ticket, "ticket.read", TICKET, Some(Code::Forbidden)),
        (Role::Admin, "DELETE", "/v1/queues/x", "queue.remove", "x", Some(Code::InvalidId)),
        (Role::Admin, "POST", unknown, "ticket.read", "riverside.0", Some(Code::InvalidId)),
        (Role::Reception, "GET", "/v1/boards/riverside", "board.read", "riverside", None),
    ] {
        let answer = node.ask(role, method, path, "").await;
        let audited = node.audited();
        let [(tenant, entry)] = &audited[..] else { panic!("{path}: {} entries", audited.len()) };
        assert_eq!((tenant.as_str(), &*entry.role), ("demo", role.as_str()), "{path}");
        assert_eq!((&*entry.action, entry.code), (action, code), "{path} {}", answer.text);
        assert_eq!(entry.what, [what], "{path}");
    }
    // Without a valid token there is no subject and no tenant to name.
    node.send("GET", &ticket, &[], "").await;
    node.send("GET", "/v1/nothing", &[("authorization", "Bearer x")], "").await;
    node.send("GET", "/health/live", &[], "").await;
    assert!(node.audited().is_empty());
}

/// A later reader of the audit learns what was shown of people from when on.
#[tokio::test]
async fn change_of_privacy_is_audited_with_what_it_shows() {
    let node = node();
    let body = r#"{"lines":{"doctor":false},"boards":{"name":true}}"#;
    let answer = node.ask(Role::Admin, "PUT", "/v1/locations/riverside/privacy", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let (_, entry) = node.audited().remove(0);
    assert_eq!(&*entry.action, "location.privacy");
    assert_eq!(entry.what, ["riverside", "lines=start", "boards=waiting+earlier+name"]);
}

#[tokio::test]
async fn entry_names_the_client() {
    let node = node();
    let address = ClientAddress::new("192.0.2.7".parse().unwrap());
    let request = Request::builder()
        .uri("/v1/boards/riverside")
        .header("host", "clinic.example")
        .header("authorization", format!("Bearer {}", token(Role::Display)))
        .header("user-agent", "Screen/1.0")
        .extension(ReportedClient { address, is_secure: None });
    node.answer(request.body(Body::empty()).unwrap()).await;
    let audited = node.audited();
    assert_eq!(audited[0].1.address, Some(address.ip()));
    assert_eq!(audited[0].1.agent.as_deref(), Some("Screen/1.0"));
}

/// Nothing is shown without its entry, and after a failure nothing is changed either.
#[tokio::test]
async fn nothing_is_shown_or_changed_without_the_audit() {
    let node = node();
    let cancel = format!("/v1/tickets/{TICKET}/cancel");
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    for (method, path) in [("GET", "/v1/boards/riverside"), ("POST", &*cancel)] {
        let answer = node.ask(Role::Reception, method, path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"), "{path}");
    }
    assert!(node.fakes.appended.lock().unwrap().is_empty());
    // The entry of a refused request shows that the log is back.
    node.fakes.audit_fails.store(false, Ordering::Relaxed);
    assert_eq!(node.ask(Role::Reception, "POST", &cancel, "").await.status, 503);
    assert_eq!(node.audited()[0].1.code, Some(Code::TryAgain));
    assert_eq!(node.ask(Role::Reception, "POST", &cancel, "").await.status, 200);
}

#[tokio::test]
async fn refused_command_has_a_second_entry_with_its_code() {
    let node = node();
    node.decide(Decision::Refused(Code::IllegalMove));
    let cancel = format!("/v1/tickets/{TICKET}/cancel");
    node.ask(Role::Reception, "POST", &cancel, "").await;
    let told = node.audited().into_iter().map(|(_, entry)| (entry.action.into_owned(), entry.code));
    let action = || "ticket.cancel".to_owned();
    assert_eq!(told.collect::<Vec<_>>(), [(action(), None), (action(), Some(Code::IllegalMove))],);
}

/// A search by ticket or appointment finds who made, checked in, called or revoked it, even if the
/// path does not name it.
#[tokio::test]
async fn entries_name_what_body_and_outcome_name() {
    let link = format!(r#"{{"kind":"ticket_link","id":"{TICKET}"}}"#);
    let check_in = format!(r#"{{"appointment":"{APPOINTMENT}"}}"#);
    let call = r#"{"station":"riverside.room-1"}"#;
    for (role, path, body, decided, names) in [
        (Role::Reception, "/v1/check-ins", &*check_in, true, vec![vec![APPOINTMENT], vec![TICKET]]),
        (
            Role::Reception,
            "/v1/queues/riverside.general/call-next",
            call,
            true,
            vec![vec!["riverside.general"], vec![TICKET]],
        ),
        (Role::Reception, "/v1/check-ins", &*check_in, false, vec![vec![APPOINTMENT]; 2]),
        (Role::Admin, "/v1/revocations", &*link, true, vec![vec!["ticket_link:", TICKET]]),
        (Role::Doctor, "/v1/revocations", &*link, true, vec![vec!["ticket_link:", TICKET]]),
    ] {
        let node = node();
        node.decide(match decided {
            true => Decision::Applied(CommandResult {
                ticket: Some(id(TICKET)),
                ..CommandResult::default()
            }),
            false => Decision::Refused(Code::TooEarly),
        });
        node.ask(role, "POST", path, body).await;
        let audited = node.audited();
        assert_eq!(audited.len(), names.len(), "{path}");
        for ((_, entry), names) in audited.iter().zip(names) {
            let what = entry.what.join(" ");
            assert!(names.iter().all(|name| what.contains(name)), "{path}: {what}");
        }
    }
    let node = node();
    node.decide(Decision::Applied(CommandResult::default()));
    node.ask(Role::Reception, "POST", "/v1/queues/riverside.general/tickets", "{}").await;
    let audited = node.audited();
    let appended = node.fakes.appended.lock().unwrap();
    let issued = appended[0].command.ticket().unwrap();
    assert_eq!(audited[0].1.what, ["riverside.general", issued.as_str()]);
}

/// The client is gone before its change is decided.
#[tokio::test(start_paused = true)]
async fn changes_are_audited_although_their_client_hangs_up() {
    let node = node();
    node.decide(Decision::Nothing);
    let cancel = format!("/v1/tickets/{TICKET}/cancel");
    let revocation = r#"{"kind":"subject","id":"somebody"}"#;
    for (role, path, body, action) in [
        (Role::Reception, &*cancel, "", "ticket.cancel"),
        (Role::Admin, "/v1/revocations", revocation, "revocation.create"),
    ] {
        let mut answer = Box::pin(node.ask(role, "POST", path, body));
        assert!(futures_util::poll!(&mut answer).is_pending(), "{path} is not answered at once");
        drop(answer);
        tokio::time::sleep(Duration::from_secs(5)).await; // simulated time
        let audited = node.audited();
        assert_eq!(audited.len(), 1, "{path}");
        assert_eq!(audited[0].1.action, action);
    }
}
