use std::collections::BTreeSet;

use schemas::{
    ids::{Aggregate, EventId, TenantId},
    view::View,
    webhook::WebhookSettings,
};
use testing::records::{command_record, tenant};

use super::*;

const AT: Millis = 1_772_449_200_000;

struct Desk {
    book: WebhookBook,
    view: View,
}

impl Desk {
    fn new() -> Self {
        Self { book: WebhookBook::new(7), view: View::empty(7) }
    }

    fn record(command: Command) -> CommandRecord {
        command_record(&Aggregate::webhooks(&demo()), "c-1", command)
    }

    fn give(&mut self, record: &CommandRecord) -> Result<RecordEffect, Code> {
        let effect = self.book.handle(record, RecordTime::at_once(AT));
        for delta in &effect.deltas {
            self.view.fold(&delta.delta);
        }
        match effect.verdict {
            Verdict::Refused { code } => Err(code),
            _ => Ok(effect),
        }
    }

    fn send(&mut self, command: Command) -> Result<RecordEffect, Code> {
        self.give(&Self::record(command))
    }

    fn shown(&self) -> Vec<Webhook> {
        self.view.entries.values().map(|entry| serde_json::from_str(entry.get()).unwrap()).collect()
    }
}

fn demo() -> TenantId {
    tenant("demo")
}

fn id(number: u128) -> WebhookId {
    WebhookId::from_random(number)
}

fn settings(url: &str) -> WebhookSettings {
    WebhookSettings {
        url: url.to_owned(),
        description: None,
        events: BTreeSet::new(),
        locations: BTreeSet::new(),
    }
}

fn create(number: u128) -> Command {
    Command::CreateWebhook { webhook: id(number), settings: settings("https://one.example/x") }
}

#[test]
fn store_and_view_follow_each_change() {
    let mut desk = Desk::new();
    let effect = desk.send(create(1)).ok().unwrap();
    let made = desk.shown().remove(0);
    assert!(effect.webhooks == [WebhookChange::Store(made.clone())]);
    assert_eq!((made.secret, made.edition), (Position { epoch: 7, version: 1 }, 1));
    desk.send(Command::PauseWebhook { webhook: id(1) }).ok().unwrap();
    assert_eq!(desk.shown()[0].state, WebhookState::Paused);
    desk.send(Command::ResumeWebhook { webhook: id(1) }).ok().unwrap();
    assert_eq!(desk.shown()[0].state, WebhookState::Active);
    let effect = desk.send(Command::DeleteWebhook { webhook: id(1) }).ok().unwrap();
    assert!(effect.webhooks == [WebhookChange::Delete(id(1))] && desk.shown().is_empty());
}

#[test]
fn change_from_an_old_edition_is_refused() {
    let mut desk = Desk::new();
    desk.send(create(1)).ok().unwrap();
    let change = |edition| Command::ChangeWebhook {
        webhook: id(1),
        settings: settings("https://two.example/x"),
        edition,
    };
    desk.send(change(Some(1))).ok().unwrap();
    assert_eq!(desk.shown()[0].settings.url, "https://two.example/x");
    assert_eq!(desk.send(change(Some(1))).err(), Some(Code::SettingsChanged));
    desk.send(change(None)).ok().unwrap();
}

#[test]
fn rotation_keeps_the_old_secret_for_its_time() {
    let mut desk = Desk::new();
    desk.send(create(1)).ok().unwrap();
    let first = desk.shown()[0].secret;
    desk.send(Command::RotateWebhook { webhook: id(1), keep_s: 60 }).ok().unwrap();
    let rotated = desk.shown().remove(0);
    assert_ne!(rotated.secret, first);
    assert_eq!(rotated.previous, Some(PreviousSecret { secret: first, until: AT + 60_000 }));
    let too_long = Command::RotateWebhook { webhook: id(1), keep_s: MAX_OVERLAP_S + 1 };
    assert_eq!(desk.send(too_long).err(), Some(Code::InvalidValue));
}

#[test]
fn only_a_sender_disables() {
    let mut desk = Desk::new();
    desk.send(create(1)).ok().unwrap();
    let disable = Command::DisableWebhook { webhook: id(1) };
    assert_eq!(desk.send(disable.clone()).err(), Some(Code::IllegalMove));
    let by_sender =
        CommandRecord::by_installation(&["gone"], Aggregate::webhooks(&demo()), disable);
    desk.give(&by_sender).ok().unwrap();
    assert_eq!(desk.shown()[0].state, WebhookState::Disabled);
}

#[test]
fn tests_and_replays_reach_the_store() {
    let mut desk = Desk::new();
    desk.send(create(1)).ok().unwrap();
    let test = desk.send(Command::TestWebhook { webhook: id(1) }).ok().unwrap();
    assert!(test.outward == [OutwardData::WebhookTest { webhook: id(1) }]);
    let replay = Replay::Event { event: EventId::from_random(3) };
    let command = Command::ReplayWebhook { webhook: id(1), replay: replay.clone() };
    let asked = desk.send(command).ok().unwrap();
    assert!(asked.webhooks == [WebhookChange::Replay(id(1), replay)]);
    let backwards = Replay::Time { from: 5, until: 5 };
    let backwards = Command::ReplayWebhook { webhook: id(1), replay: backwards };
    assert_eq!(desk.send(backwards).err(), Some(Code::InvalidValue));
}

#[test]
fn unknown_invalid_and_surplus_webhooks_are_refused() {
    let mut desk = Desk::new();
    assert_eq!(
        desk.send(Command::DeleteWebhook { webhook: id(1) }).err(),
        Some(Code::WebhookUnknown)
    );
    let plain = Command::CreateWebhook { webhook: id(1), settings: settings("http://x.example") };
    assert_eq!(desk.send(plain).err(), Some(Code::InvalidValue));
    for number in 0..MAX_WEBHOOKS as u128 {
        desk.send(create(number)).ok().unwrap();
    }
    assert_eq!(desk.send(create(1)).err(), Some(Code::TooManyWebhooks));
}
