//! Webhooks: settings, secrets and lists.

use schemas::{
    ids::{EventId, WebhookId},
    webhook::{PreviousSecret, Replay, Webhook, WebhookKey, WebhookSettings, WebhookState},
};

use super::*;

fn webhook(number: u128) -> Webhook {
    Webhook {
        webhook: WebhookId::from_random(number),
        settings: WebhookSettings {
            url: "https://hooks.example/x".to_owned(),
            description: None,
            events: ["ticket.called".to_owned()].into(),
            locations: Default::default(),
        },
        state: WebhookState::Active,
        created_at: 5,
        edition: 3,
        secret: Position { epoch: 7, version: 2 },
        previous: Some(PreviousSecret { secret: Position { epoch: 7, version: 1 }, until: 9 }),
    }
}

impl Node {
    /// Stores these webhooks for the tenant `demo`.
    fn hold(&self, webhooks: &[Webhook]) {
        let entries = webhooks.iter().map(|held| (held.webhook.to_string(), raw(held)));
        let position = Position { epoch: 7, version: 3 };
        let view = View { position, at: 1_000, entries: entries.collect() };
        self.fakes.views.lock().unwrap().insert("webhooks".to_owned(), view);
    }
}

const SETTINGS: &str = r#"{"url":"https://hooks.example/x","events":["ticket.called"]}"#;

#[tokio::test]
async fn secret_is_shown_by_the_answer_that_makes_it() {
    let node = node();
    let keyed = |path: &'static str, body: &'static str| {
        let node = &node;
        async move {
            let bearer = format!("Bearer {}", token(Role::Admin));
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/json"),
                ("idempotency-key", "k-1"),
            ];
            node.send("POST", path, &headers, body).await
        }
    };
    let answer = keyed("/v1/webhooks", SETTINGS).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let id = WebhookId::new(body["webhook"].as_str().unwrap()).unwrap();
    // The fakes apply every command as version 17 of epoch 7.
    let made = Position { epoch: 7, version: 17 };
    let tenant = TenantId::new("demo").unwrap();
    let expected = WebhookKey::from_bytes([7; 32]).secret(&tenant, &id, made).text();
    assert_eq!(body["secret"], expected.as_str());
    let record = node.last();
    assert_eq!(record.aggregate.as_str(), "demo/_webhooks");
    assert!(matches!(&record.command, Command::CreateWebhook { webhook, .. } if *webhook == id));
    let again = keyed("/v1/webhooks", SETTINGS).await.json();
    assert_eq!(again["webhook"], body["webhook"], "a repeat names the same webhook");

    let rotated = node.ask(Role::Admin, "POST", &format!("/v1/webhooks/{id}/rotate"), "").await;
    assert_eq!(rotated.json()["secret"], expected.as_str());
    let Command::RotateWebhook { keep_s, .. } = node.last().command else { panic!() };
    assert_eq!(keep_s, 86_400);

    node.hold(&[webhook(1)]);
    let listed = node.ask(Role::Admin, "GET", "/v1/webhooks", "").await;
    assert!(!listed.text.contains("whsec_") && !listed.text.contains("\"secret\""));
    let shown = &listed.json()["webhooks"][0];
    assert_eq!((&shown["edition"], &shown["previous_secret_until"]), (&json!(3), &json!(9)));
    assert_eq!(shown["url"], "https://hooks.example/x");
}

#[tokio::test]
async fn actions_are_commands_to_the_webhooks_of_the_tenant() {
    let node = node();
    let id = webhook(1).webhook;
    let event = EventId::from_random(5);
    let change = r#"{"url":"https://hooks.example/y","edition":3}"#;
    let replay = format!(r#"{{"event":"{event}"}}"#);
    let table = [
        ("PUT", "", change, "webhook.change"),
        ("POST", "/pause", "", "webhook.pause"),
        ("POST", "/resume", "", "webhook.resume"),
        ("POST", "/test", "", "webhook.test"),
        ("POST", "/replay", &replay, "webhook.replay"),
        ("POST", "/replay", r#"{"dead":true}"#, "webhook.replay"),
        ("POST", "/replay", r#"{"from":1,"until":2}"#, "webhook.replay"),
        ("DELETE", "", "", "webhook.delete"),
    ];
    for (method, path, body, kind) in table {
        let path = format!("/v1/webhooks/{id}{path}");
        let answer = node.ask(Role::Admin, method, &path, body).await;
        assert_eq!(answer.status, 200, "{path} {}", answer.text);
        assert_eq!(node.last().command.kind(), kind);
        assert!(!answer.text.contains("secret"), "{}", answer.text);
        if let Command::ReplayWebhook { replay: Replay::Event { event: asked }, .. } =
            node.last().command
        {
            assert_eq!(asked, event);
        }
    }
    for (path, body, status, code) in [
        ("replay", r#"{"dead":false}"#, 400, "malformed"),
        ("replay", r#"{"from":1}"#, 400, "malformed"),
        ("replay", "{}", 400, "malformed"),
        ("explode", "", 404, "not_found"),
    ] {
        let answer =
            node.ask(Role::Admin, "POST", &format!("/v1/webhooks/{id}/{path}"), body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {body}");
    }
    let answer = node.ask(Role::Admin, "GET", "/v1/webhooks/w_1", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_id"));
}

#[tokio::test]
async fn only_admins_of_the_whole_tenant_see_webhooks() {
    let node = node();
    node.hold(&[webhook(1)]);
    let id = webhook(1).webhook;
    let paths = [
        ("GET", "/v1/webhooks".to_owned()),
        ("POST", "/v1/webhooks".to_owned()),
        ("GET", format!("/v1/webhooks/{id}")),
        ("PUT", format!("/v1/webhooks/{id}")),
        ("GET", format!("/v1/webhooks/{id}/deliveries")),
        ("POST", format!("/v1/webhooks/{id}/rotate")),
        ("DELETE", format!("/v1/webhooks/{id}")),
    ];
    let body = |method: &str, path: &str| match (method, path) {
        ("PUT", _) | ("POST", "/v1/webhooks") => SETTINGS,
        _ => "",
    };
    for (method, path) in &paths {
        for role in Role::ALL {
            let answer = node.ask(role, method, path, body(method, path)).await;
            let is_admin = matches!(role, Role::Admin | Role::SuperAdmin);
            let expected = if is_admin { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{role:?} {method} {path}: {}", answer.text);
        }
    }
    let of_one_site = Claims {
        locations: vec![LocationId::new("riverside").unwrap()],
        ..claims_of("demo", "subject-1", Role::Admin)
    };
    let of_one_site = development_token(&key(), &of_one_site, now());
    let answer = node.ask_as(&of_one_site, "GET", "/v1/webhooks", "").await;
    assert_eq!(answer.status, 403, "an admin of one location");
    let other = token_of("north", "subject-1", Role::Admin);
    let answer = node.ask_as(&other, "GET", &format!("/v1/webhooks/{id}"), "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "webhook_unknown"));
}

#[tokio::test]
async fn node_without_key_offers_no_webhooks() {
    let node = node_of(Settings { webhook_key: None, ..test_settings() });
    let answer = node.ask(Role::Admin, "POST", "/v1/webhooks", SETTINGS).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "webhooks_not_offered"));
}
