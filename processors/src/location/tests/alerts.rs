//! Alerts of devices: which alert each device gets, and when subscriptions end.

use schemas::push::{PushDevice, PushKeys};

use super::*;
use crate::alerts::{Alert, AlertChange};

fn device(path: &str) -> PushDevice {
    let keys = PushKeys { p256dh: "A".repeat(87), auth: "B".repeat(22) };
    PushDevice { endpoint: format!("https://push.example/{path}"), keys }
}

fn subscribe(number: u128, path: &str) -> Command {
    Command::SubscribeAlerts { ticket: ticket(number), device: device(path) }
}

/// The changes of a command, in short: the number of the ticket and what happens.
fn changes(clinic: &mut Clinic, command: Command) -> Vec<(u128, String)> {
    let numbered = |id: &TicketId| (1..20).find(|number| ticket(*number) == *id).unwrap_or(0);
    let effect = clinic.apply(command);
    let short = |change: &AlertChange| match change {
        AlertChange::Subscribe { ticket, .. } => (numbered(ticket), "subscribe".to_owned()),
        AlertChange::Unsubscribe { ticket, .. } => (numbered(ticket), "unsubscribe".to_owned()),
        AlertChange::Send(Alert { ticket, kind, label, room, .. }) => {
            let room = room.clone().unwrap_or_default();
            (numbered(ticket), format!("{} {label} {room}", kind.as_str()).trim().to_owned())
        }
        AlertChange::Withdraw { ticket } => (numbered(ticket), "withdraw".to_owned()),
        AlertChange::Forget { ticket } => (numbered(ticket), "forget".to_owned()),
    };
    effect.alerts.iter().map(short).collect()
}

fn is(expected: &[(u128, &str)]) -> Vec<(u128, String)> {
    expected.iter().map(|(number, what)| (*number, (*what).to_owned())).collect()
}

#[test]
fn only_subscribed_tickets_are_alerted() {
    let mut clinic = Clinic::waiting(6);
    assert_eq!(changes(&mut clinic, call_next("general", "room-1")), []);
    assert_eq!(changes(&mut clinic, subscribe(5, "a")), is(&[(5, "subscribe")]));
    // 2 is called, so that 3 and 4 are ahead of 5.
    clinic.apply(Command::StartService { ticket: ticket(1) });
    let near = changes(&mut clinic, call_next("general", "room-1"));
    assert_eq!(near, is(&[(5, "near A-005")]), "two people are ahead");
    clinic.apply(Command::StartService { ticket: ticket(2) });
    assert_eq!(changes(&mut clinic, call_next("general", "room-1")), [], "it was told already");
}

#[test]
fn each_call_is_alerted_with_its_room() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(subscribe(1, "a"));
    let called = is(&[(1, "called A-001 Room 1")]);
    assert_eq!(changes(&mut clinic, call_next("general", "room-1")), called);
    assert_eq!(changes(&mut clinic, Command::RecallTicket { ticket: ticket(1) }), called);
}

#[test]
fn return_to_the_line_sends_no_alert() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(subscribe(1, "a"));
    clinic.apply(call_next("general", "room-1"));
    let withdraw = is(&[(1, "withdraw")]);
    assert_eq!(changes(&mut clinic, Command::MarkAbsent { ticket: ticket(1) }), withdraw);
    assert_eq!(changes(&mut clinic, Command::ReturnTicket { ticket: ticket(1) }), withdraw);
    clinic.apply(call_next("general", "room-1"));
    assert_eq!(changes(&mut clinic, Command::RevertTicket { ticket: ticket(1) }), withdraw);
}

#[test]
fn subscription_near_the_front_sends_no_alert() {
    let mut clinic = Clinic::waiting(1);
    assert_eq!(changes(&mut clinic, subscribe(1, "a")), is(&[(1, "subscribe")]));
    let hold = Command::HoldTicket { ticket: ticket(1), reason: None };
    assert_eq!(changes(&mut clinic, hold), is(&[(1, "withdraw")]));
}

#[test]
fn priority_brings_a_ticket_near() {
    let mut clinic = Clinic::waiting(9);
    clinic.apply(subscribe(9, "a"));
    let priority = Priority::new(5).unwrap();
    let first = Command::Prioritise { ticket: ticket(9), priority, reason: None };
    assert_eq!(changes(&mut clinic, first), is(&[(9, "near A-009")]));
}

#[test]
fn devices_end_with_their_ticket() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(subscribe(1, "a"));
    clinic.apply(call_next("general", "room-1"));
    let over = is(&[(1, "withdraw"), (1, "forget")]);
    assert_eq!(changes(&mut clinic, Command::MarkNoShow { ticket: ticket(1) }), over);
    assert_eq!(clinic.refusal(subscribe(1, "b")), Some(Code::IllegalMove));
    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    let recalled = changes(&mut clinic, Command::RecallTicket { ticket: ticket(1) });
    assert_eq!(recalled, [], "a revived ticket has no device");
}

#[test]
fn ticket_has_at_most_three_devices() {
    let mut clinic = Clinic::waiting(1);
    for path in ["a", "b", "c", "a"] {
        clinic.apply(subscribe(1, path));
    }
    assert_eq!(clinic.refusal(subscribe(1, "d")), Some(Code::TooManyDevices));
    let endpoint = device("b").endpoint;
    clinic.apply(Command::UnsubscribeAlerts { ticket: ticket(1), endpoint });
    clinic.apply(subscribe(1, "d"));
    let devices = &clinic.location.ticket(&ticket(1)).unwrap().devices;
    let expected = ["a", "c", "d"].map(|path| device(path).id());
    assert_eq!(*devices, expected.into_iter().collect());
}

#[test]
fn unusable_keys_are_refused() {
    let mut clinic = Clinic::waiting(1);
    let mut device = device("a");
    device.keys.auth.pop();
    let command = Command::SubscribeAlerts { ticket: ticket(1), device };
    assert_eq!(clinic.refusal(command), Some(Code::InvalidValue));
}

/// No journal has the address of a device.
#[test]
fn events_name_devices_by_digest() {
    let mut clinic = Clinic::waiting(1);
    let effect = clinic.apply(subscribe(1, "secret-path"));
    let text = serde_json::to_string(&effect.events).unwrap();
    assert!(text.contains(&device("secret-path").id().to_string()));
    assert!(!text.contains("push.example"), "{text}");
}

#[test]
fn moved_ticket_is_alerted_and_unsubscribed() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(subscribe(1, "a"));
    let queue = QueueId::new("hillside.lab").unwrap();
    let away = Command::TransferTicket { ticket: ticket(1), queue };
    assert_eq!(changes(&mut clinic, away), is(&[(1, "withdraw")]), "it is not accepted yet");
    let successor = ticket(1).successor(&LocationId::new("hillside").unwrap(), 1);
    let settle =
        Command::SettleTicket { ticket: ticket(1), successor, answer: HandoverAnswer::Accepted };
    assert_eq!(changes(&mut clinic, settle), is(&[(1, "moved A-001"), (1, "forget")]));
}
