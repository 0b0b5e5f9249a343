//! Pairing, renewing and removing displays.

use super::*;
use crate::access::displays;

const PAIRINGS: &str = "/v1/displays/pairings";
const RENEW: &str = "/v1/tokens/renew";
const APPROVAL: &str = r#"{"location":"riverside","name":"Entrance"}"#;

impl Node {
    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body).await
    }

    /// A screen that shows a code: its code and its secret.
    async fn screen(&self) -> (String, String) {
        let answer = self.post(PAIRINGS, "{}").await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let text = |field: &str| answer.json()[field].as_str().unwrap().to_owned();
        (text("code"), text("secret"))
    }

    async fn approve(&self, token: &str, code: &str) -> Answer {
        self.ask_as(token, "POST", &format!("{PAIRINGS}/{code}/approve"), APPROVAL).await
    }

    async fn poll(&self, code: &str, secret: &str) -> Answer {
        let body = json!({ "secret": secret }).to_string();
        self.post(&format!("{PAIRINGS}/{code}/credential"), &body).await
    }

    /// Adds the display to the settings of its location, or removes it, as the location would.
    fn list(&self, display: &str, is_listed: bool) {
        let mut views = self.fakes.views.lock().unwrap();
        let entries = &mut views.get_mut("settings:riverside").unwrap().entries;
        let key = format!("display:{display}");
        match is_listed {
            true => drop(entries.insert(key, raw(&json!({ "name": "Entrance", "paired_at": 7 })))),
            false => drop(entries.remove(&key)),
        }
    }

    /// Pairs a screen. Returns the display and its credential.
    async fn paired(&self) -> (String, String) {
        let (code, secret) = self.screen().await;
        let approved = self.approve(&token(Role::Reception), &code).await;
        assert_eq!(approved.status, 201, "{}", approved.text);
        let display = approved.json()["display"].as_str().unwrap().to_owned();
        self.list(&display, true);
        let credential =
            self.poll(&code, &secret).await.json()["token"].as_str().unwrap().to_owned();
        (display, credential)
    }

    /// The revocations so far, which then count on this node.
    fn hear_revocations(&self) -> Vec<Revocation> {
        let heard = std::mem::take(&mut *self.fakes.revoked.lock().unwrap());
        for (tenant, revocation) in &heard {
            self.context.revocations.add(tenant.clone(), revocation, now());
        }
        heard.into_iter().map(|(_, revocation)| revocation).collect()
    }
}

/// A credential of the display as it was given at `at`.
fn credential(node: &Node, display: &str, generation: u32, at: i64) -> String {
    let tenant = TenantId::new("demo").unwrap();
    let display = schemas::ids::DisplayId::new(display).unwrap();
    let claims = displays::claims(&tenant, &display, Role::Display, generation, at);
    node.context.verifier.sign(&claims).unwrap()
}

#[tokio::test]
async fn screen_gets_a_credential_for_its_board_once_staff_approved() {
    let node = node();
    let (code, secret) = node.screen().await;
    let waiting = node.poll(&code, &secret).await;
    assert_eq!((waiting.status, waiting.header("retry-after")), (202, "2"));
    let approved = node.approve(&token(Role::Reception), &code.to_lowercase()).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    let Command::PairDisplay { display, name, .. } = node.last().command else {
        panic!("no pairing")
    };
    assert_eq!(
        (name.as_str(), approved.json()["display"].as_str()),
        ("Entrance", Some(display.as_str()))
    );
    let waiting = node.poll(&code, &secret).await;
    assert_eq!(waiting.status, 202, "the location does not list it yet");
    node.list(display.as_str(), true);
    let got = node.poll(&code, &secret).await;
    assert_eq!(got.json()["location"], "riverside");
    assert_eq!(node.poll(&code, &secret).await.status, 200, "the answer may have been lost");
    let credential = got.json()["token"].as_str().unwrap().to_owned();
    for (path, status) in [
        ("/v1/boards/riverside", 200),
        ("/v1/boards/north", 403),
        ("/v1/queues/riverside.general", 403),
        ("/v1/displays?location=riverside", 403),
    ] {
        assert_eq!(node.ask_as(&credential, "GET", path, "").await.status, status, "{path}");
    }
    let actions: Vec<_> = node.audited().into_iter().map(|(_, entry)| entry.action).collect();
    assert!(actions.contains(&"display.approve".into()), "{actions:?}");
    assert!(actions.contains(&"display.credential".into()), "{actions:?}");
}

#[tokio::test]
async fn only_the_desk_pairs_and_only_for_its_location() {
    let node = node();
    let (code, _) = node.screen().await;
    for role in Role::ALL {
        let desk =
            matches!(role, Role::Reception | Role::SupportStaff | Role::Admin | Role::SuperAdmin);
        if !desk {
            let answer = node.approve(&token(role), &code).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{role:?}");
        }
    }
    let elsewhere = r#"{"location":"north","name":"Entrance"}"#;
    let path = format!("{PAIRINGS}/{code}/approve");
    assert_eq!(node.ask(Role::Reception, "POST", &path, elsewhere).await.status, 403);
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn wrong_code_or_secret_finds_nothing() {
    let node = node();
    let (code, secret) = node.screen().await;
    for (code, secret) in [("CDFH-2345", &*secret), ("nothing", &secret), (&code, "another")] {
        let answer = node.poll(code, secret).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "pairing_unknown"), "{code}");
    }
    let answer = node.approve(&token(Role::Admin), "CDFH-2345").await;
    assert_eq!(answer.code(), "pairing_unknown");
    // The screen then begins another pairing.
    node.fakes.keys.lock().unwrap().clear();
    assert_eq!(node.poll(&code, &secret).await.code(), "pairing_unknown", "expired");
}

#[tokio::test]
async fn second_approval_is_refused_and_a_repeat_gets_the_first_answer() {
    let node = node();
    let (code, _) = node.screen().await;
    let [ann, bob] = ["ann", "bob"].map(|subject| token_of("demo", subject, Role::Reception));
    let (first, second) = tokio::join!(node.approve(&ann, &code), node.approve(&bob, &code));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", first.text, second.text);
    let (winner, loser) = if first.status == 201 { (&ann, &bob) } else { (&bob, &ann) };
    let display = if first.status == 201 { first.json() } else { second.json() };
    assert_eq!(node.approve(loser, &code).await.code(), "pairing_taken");
    assert_eq!(node.approve(winner, &code).await.json(), display);
    let pairings = node.fakes.appended.lock().unwrap().len();
    assert_eq!(pairings, 1, "one display");
    let elsewhere = token_of("north", "ann", Role::Admin);
    assert_eq!(node.approve(&elsewhere, &code).await.code(), "pairing_taken");
}

#[tokio::test]
async fn refused_approval_can_be_given_again() {
    let node = node();
    let (code, _) = node.screen().await;
    node.decide(Decision::Refused(Code::LocationUnknown));
    assert_eq!(node.approve(&token(Role::Admin), &code).await.code(), "location_unknown");
    node.decide(Decision::Applied(CommandResult::default()));
    assert_eq!(node.approve(&token(Role::Admin), &code).await.status, 201);
}

/// The clock is paused: the test does not wait for the outcome that never comes.
#[tokio::test(start_paused = true)]
async fn approval_counts_although_its_location_answers_late() {
    let node = node();
    let (code, secret) = node.screen().await;
    node.decide(Decision::Nothing);
    let approved = node.approve(&token(Role::Admin), &code).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    assert_eq!(node.poll(&code, &secret).await.status, 202, "nobody knows yet");
    let display = approved.json()["display"].as_str().unwrap().to_owned();
    node.list(&display, true);
    assert_eq!(node.poll(&code, &secret).await.status, 200);
}

#[tokio::test]
async fn screen_that_was_off_renews_for_a_month_and_pairs_again_after_a_year() {
    let node = node();
    let (display, _) = node.paired().await;
    let day = 24 * 3_600_000;
    for (age, code) in [
        (0, None),
        (2, None),
        (29, None),
        (31, Some("token_expired")),
        (365, Some("token_expired")),
    ] {
        let old = credential(&node, &display, age as u32, now() - age * day);
        let opened = node.ask_as(&old, "GET", "/v1/boards/riverside", "").await;
        assert_eq!(opened.status, if age < 1 { 200 } else { 401 }, "{age} days");
        let renewed = node.ask_as(&old, "POST", RENEW, "").await;
        match code {
            Some(code) => assert_eq!(renewed.code(), code, "{age} days"),
            None => {
                let newer = renewed.json()["token"].as_str().unwrap().to_owned();
                let opened = node.ask_as(&newer, "GET", "/v1/boards/riverside", "").await;
                assert_eq!(opened.status, 200, "{age} days");
            }
        }
    }
}

#[tokio::test]
async fn copied_credential_ends_the_display_when_both_renew() {
    let node = node();
    let (display, first) = node.paired().await;
    let renewed = node.ask_as(&first, "POST", RENEW, "").await.json();
    let again = node.ask_as(&first, "POST", RENEW, "").await;
    assert_eq!(again.status, 200, "the first answer may have been lost");
    // A quarter of an hour later, the same credential is used on another screen.
    let key = format!("display:demo:{display}:0");
    node.fakes.keys.lock().unwrap().insert(key, (now() - 900_000).to_string());
    let copied = node.ask_as(&first, "POST", RENEW, "").await;
    assert_eq!((copied.status, copied.code().as_str()), (401, "credential_reused"));
    let revoked = node.hear_revocations();
    assert!(revoked.len() == 1 && revoked[0].target.id == display);
    assert_eq!(node.last().command.kind(), "display.unpair");
    for credential in [&*first, renewed["token"].as_str().unwrap()] {
        let answer = node.ask_as(credential, "GET", "/v1/boards/riverside", "").await;
        assert_eq!(answer.code(), "token_revoked");
    }
    let noticed = node
        .audited()
        .into_iter()
        .any(|(_, entry)| entry.code == Some(Code::CredentialReused) && *entry.subject == *display);
    assert!(noticed, "the audit says which display");
}

#[tokio::test]
async fn removed_display_is_revoked_and_renews_no_more() {
    let node = node();
    let (display, credential) = node.paired().await;
    let path = format!("/v1/displays/{display}");
    assert_eq!(node.ask(Role::Doctor, "DELETE", &path, "").await.status, 403);
    assert!(node.fakes.revoked.lock().unwrap().is_empty());
    let answer = node.ask(Role::Reception, "DELETE", &path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(node.last().command.kind(), "display.unpair");
    node.list(&display, false);
    let unheard = node.ask_as(&credential, "POST", RENEW, "").await;
    assert_eq!(unheard.code(), "token_revoked", "the location does not list it any more");
    assert_eq!(node.hear_revocations().len(), 1);
    for (method, path) in [("GET", "/v1/boards/riverside"), ("POST", RENEW)] {
        assert_eq!(node.ask_as(&credential, method, path, "").await.code(), "token_revoked");
    }
}

#[tokio::test]
async fn displays_of_a_location_are_listed_for_its_staff() {
    let node = node();
    let (display, _) = node.paired().await;
    let path = "/v1/displays?location=riverside";
    let listed = node.ask(Role::Reception, "GET", path, "").await.json();
    let expected = json!([{ "display": display, "name": "Entrance", "paired_at": 7 }]);
    assert_eq!(listed["displays"], expected);
    assert_eq!(node.ask(Role::Patient, "GET", path, "").await.status, 403);
    assert_eq!(node.ask(Role::Reception, "GET", "/v1/displays", "").await.code(), "malformed");
}

#[tokio::test]
async fn pairings_are_limited_by_address_and_node() {
    let limits = ["pairings=3/3600", "pairings-node=5/3600"].map(|limit| limit.parse().unwrap());
    let node = node_with(LimitSettings::default().changed(&limits));
    let begin = |address: &str| {
        let request = Request::builder()
            .method("POST")
            .uri(PAIRINGS)
            .header("host", "clinic.example")
            .extension(client(address, None));
        node.answer(request.body(Body::empty()).unwrap())
    };
    let mut begun = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let mut count = 0;
        for _ in 0..4 {
            let answer = begin(address).await;
            count += usize::from(answer.status == 201);
            assert!(answer.status == 201 || answer.code() == "rate_limited");
        }
        begun.push(count);
    }
    assert_eq!(begun, [3, 2, 0]);
}

#[tokio::test]
async fn failing_audit_costs_no_credential() {
    let node = node();
    let (display, credential) = node.paired().await;
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let answer = node.ask_as(&credential, "POST", RENEW, "").await;
        assert_eq!(answer.code(), "try_again");
    }
    let used = node.fakes.keys.lock().unwrap().contains_key(&format!("display:demo:{display}:0"));
    assert!(!used, "the generation is not used up");
    node.fakes.audit_fails.store(false, Ordering::Relaxed);
    assert_eq!(node.ask_as(&credential, "POST", RENEW, "").await.status, 200);
}
