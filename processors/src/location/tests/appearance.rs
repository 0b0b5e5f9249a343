//! What lines and boards show of people, messages, branding, the order of queues, and editions.

use std::collections::BTreeMap;

use schemas::{
    branding::{Branding, Colour},
    line::{BoardCall, BoardQueue, LineAppointment, QueueEntry, QueueHead},
    privacy::{BoardPrivacy, LinePrivacy, Privacy},
    record::ViewDelta,
    settings::{PrivacySettings, QueueSettings},
    view::raw,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn privacy(lines: LinePrivacy, boards: BoardPrivacy) -> Command {
    Command::ChangePrivacy { privacy: Privacy { lines, boards }, edition: None }
}

/// The entry that a step sets in a view.
fn set<T: DeserializeOwned>(deltas: &[ViewDelta], view: &str, key: &str) -> Option<T> {
    let delta = deltas.iter().find(|delta| delta.view == view)?;
    delta.delta.set.get(key).map(|entry| serde_json::from_str(entry.get()).unwrap())
}

/// A clinic with the patient of appointment 1000 checked in, as ticket 1000.
fn checked_in() -> (Clinic, RecordEffect) {
    let mut clinic = Clinic::open();
    let booked = fact(1_000, 1, AppointmentStatus::Booked);
    let booked = AppointmentFact {
        start: Some(MORNING + 10 * MINUTE),
        end: Some(MORNING + 30 * MINUTE),
        doctor: Some(doctor("roy")),
        queue: Some(queue("general")),
        label: Some("A. B.".into()),
        ..booked
    };
    clinic.apply(report(1_000, booked));
    let effect = clinic.apply(check_in(1_000));
    (clinic, effect)
}

fn line_entry(effect: &RecordEffect) -> Option<QueueEntry> {
    set(&effect.deltas, "queue:riverside.general", ticket(1_000).as_str())
}

#[test]
fn line_shows_only_what_the_privacy_allows() {
    let (mut clinic, effect) = checked_in();
    let start = Some(MORNING + 10 * MINUTE);
    let doctor = Some(doctor("roy").name);
    let name = Some("A. B.".to_owned());
    let by_default = LineAppointment { start, doctor: doctor.clone(), ..Default::default() };
    assert_eq!(line_entry(&effect).unwrap().appointment, Some(by_default));
    for (lines, expected) in [
        (
            LinePrivacy { start: true, doctor: true, name: true },
            Some(LineAppointment { start, doctor, name: name.clone(), ..Default::default() }),
        ),
        (
            LinePrivacy { start: false, doctor: false, name: true },
            Some(LineAppointment { name, ..Default::default() }),
        ),
        (LinePrivacy { start: false, doctor: false, name: false }, None),
    ] {
        let effect = clinic.apply(privacy(lines, BoardPrivacy::default()));
        assert_eq!(line_entry(&effect).expect("the line changes").appointment, expected);
    }
}

#[test]
fn board_shows_people_only_where_the_clinic_opted_in() {
    let (mut clinic, _) = checked_in();
    let key = "call:2026-03-02/A-001";
    let effect = clinic.apply(here().call_ticket(1_000, "room-1"));
    let shown: BoardCall = set(&effect.deltas, "board:riverside", key).unwrap();
    assert_eq!((shown.name, shown.doctor), (None, None));
    let all = BoardPrivacy { waiting: false, earlier: false, doctor: true, name: true };
    let effect = clinic.apply(privacy(LinePrivacy::default(), all));
    let shown: BoardCall = set(&effect.deltas, "board:riverside", key).unwrap();
    assert_eq!((shown.name, shown.doctor), (Some("A. B.".into()), Some(doctor("roy").name)));
    let queue: BoardQueue =
        set(&effect.deltas, "board:riverside", "queue:riverside.general").unwrap();
    assert_eq!(queue.waiting, None);
    // The call is over: the board forgets it at once.
    let effect = clinic.apply(Command::StartService { ticket: ticket(1_000) });
    let board = effect.deltas.iter().find(|delta| delta.view == "board:riverside").unwrap();
    assert!(board.delta.remove.contains(key));
}

#[test]
fn changed_fact_reaches_the_line() {
    let (mut clinic, _) = checked_in();
    let later = MORNING + 25 * MINUTE;
    let moved = AppointmentFact {
        start: Some(later),
        end: Some(later + 20 * MINUTE),
        queue: Some(queue("general")),
        doctor: None,
        ..fact(1_000, 2, AppointmentStatus::Booked)
    };
    let effect = clinic.apply(report(1_000, moved));
    let entry = line_entry(&effect).expect("the line changes");
    assert_eq!(
        entry.appointment,
        Some(LineAppointment { start: Some(later), ..Default::default() })
    );
}

#[test]
fn pause_has_a_message_until_it_ends() {
    let mut clinic = Clinic::waiting(1);
    let message = Some("Back at 10:15".to_owned());
    let effect =
        clinic.apply(Command::PauseQueue { queue: queue("general"), message: message.clone() });
    let head: QueueHead = set(&effect.deltas, "queue:riverside.general", "queue").unwrap();
    let wall: BoardQueue =
        set(&effect.deltas, "board:riverside", "queue:riverside.general").unwrap();
    assert_eq!((&head.message, &wall.message), (&message, &message));
    let effect = clinic.apply(Command::ResumeQueue { queue: queue("general") });
    let head: QueueHead = set(&effect.deltas, "queue:riverside.general", "queue").unwrap();
    assert_eq!(head.message, None);
    let long = Some("x".repeat(121));
    let pause = Command::PauseQueue { queue: queue("general"), message: long };
    assert_eq!(clinic.refusal(pause), Some(Code::InvalidValue));
}

#[test]
fn reason_of_a_priority_is_shown_and_undone() {
    let mut clinic = Clinic::waiting(2);
    let reason = Some("Chest pain".to_owned());
    let raise =
        Command::Prioritise { ticket: ticket(2), priority: priority(7), reason: reason.clone() };
    let effect = clinic.apply(raise);
    let key = ticket(2);
    let entry: QueueEntry = set(&effect.deltas, "queue:riverside.general", key.as_str()).unwrap();
    assert_eq!(entry.priority_reason, reason);
    let effect = clinic.apply(Command::RevertTicket { ticket: ticket(2) });
    let entry: QueueEntry = set(&effect.deltas, "queue:riverside.general", key.as_str()).unwrap();
    assert_eq!((entry.priority_reason, entry.priority), (None, priority(0)));
}

#[test]
fn change_from_an_older_edition_is_refused() {
    let mut clinic = Clinic::open();
    let version = clinic.location.position().version;
    let stale = Some(version + 1);
    let address = Some("12 River Street".to_owned());
    let configure = |edition| {
        let mut command = super::configure("Europe/Paris");
        if let Command::ConfigureLocation { edition: named, address: new, .. } = &mut command {
            *named = edition;
            new.clone_from(&address);
        }
        command
    };
    let queue_edition = clinic.location.header().queues[&queue("general")].edition;
    let with_edition = |mut command: Command, named| {
        match &mut command {
            Command::ConfigureQueue { edition, .. } | Command::ConfigureStation { edition, .. } => {
                *edition = named;
            }
            _ => panic!("no edition"),
        }
        command
    };
    for command in [
        configure(stale),
        with_edition(configure_queue("general", "A"), stale),
        with_edition(configure_station("room-1", "Room"), stale),
        // Nobody else has made the queue meanwhile.
        with_edition(configure_queue("new", "N"), stale),
        Command::ChangePrivacy { privacy: Privacy::default(), edition: stale },
        Command::ChangeMessages { messages: vec![], edition: stale },
        Command::ChangeBranding { branding: Branding::default(), edition: stale },
    ] {
        assert_eq!(clinic.refusal(command), Some(Code::SettingsChanged));
    }
    let effect = clinic.apply(with_edition(configure_queue("general", "G"), Some(queue_edition)));
    let settings: QueueSettings =
        set(&effect.deltas, "settings:riverside", "queue:riverside.general").unwrap();
    assert_eq!(settings.edition, version + 1);
    let effect = clinic.apply(Command::ChangePrivacy {
        privacy: Privacy {
            boards: BoardPrivacy { name: true, ..BoardPrivacy::default() },
            ..Privacy::default()
        },
        edition: Some(0),
    });
    let settings: PrivacySettings = set(&effect.deltas, "settings:riverside", "privacy").unwrap();
    assert_eq!(settings.edition, version + 2);
    // The same settings again are no change.
    let effect = clinic.apply(configure_queue("general", "G"));
    assert!(effect.deltas.is_empty());
}

#[test]
fn messages_and_branding_reach_the_board() {
    let mut clinic = Clinic::open();
    let message = BTreeMap::from([
        ("en".to_owned(), "Flu shots in room 4".to_owned()),
        ("fr".to_owned(), "Vaccins à la salle 4".to_owned()),
    ]);
    let change = |messages| Command::ChangeMessages { messages, edition: None };
    let effect = clinic.apply(change(vec![message.clone()]));
    let board: Value = set(&effect.deltas, "board:riverside", "board").unwrap();
    assert_eq!(board["messages"], json!([message]));
    for bad in [
        vec![BTreeMap::new()],
        vec![BTreeMap::from([("en".to_owned(), " ".to_owned())])],
        vec![BTreeMap::from([("!".to_owned(), "text".to_owned())])],
        vec![message; settings::MAX_MESSAGES + 1],
    ] {
        assert_eq!(clinic.refusal(change(bad)), Some(Code::InvalidValue));
    }
    let branding =
        Branding { colour: Some(Colour::new("#0f62fe").unwrap()), ..Branding::default() };
    let effect =
        clinic.apply(Command::ChangeBranding { branding: branding.clone(), edition: None });
    let board: Value = set(&effect.deltas, "board:riverside", "board").unwrap();
    assert_eq!(board["branding"], json!(branding));
    let head: QueueHead = set(&effect.deltas, "queue:riverside.general", "queue").unwrap();
    assert_eq!(head.clinic.branding, branding);
}

#[test]
fn order_of_queues_is_shown_everywhere() {
    let mut clinic = Clinic::open();
    let order = |slugs: &[&str]| Command::OrderQueues {
        queues: slugs.iter().copied().map(queue).collect(),
        edition: None,
    };
    let effect = clinic.apply(order(&["lab", "general"]));
    for view in ["board:riverside", "settings:riverside", "load:riverside"] {
        let entry: Value = set(&effect.deltas, view, "queue:riverside.general").unwrap();
        assert_eq!(entry["place"], json!(1), "{view}");
    }
    let settings: Value = set(&effect.deltas, "settings:riverside", "location").unwrap();
    let held = settings["queue_order_edition"].as_u64().unwrap();
    let from = |edition| Command::OrderQueues { queues: vec![], edition: Some(edition) };
    assert_eq!(clinic.refusal(from(held - 1)), Some(Code::SettingsChanged));
    clinic.apply(from(held));
    assert_eq!(clinic.refusal(order(&["lab", "lab"])), Some(Code::InvalidValue));
    assert_eq!(clinic.refusal(order(&["dental"])), Some(Code::QueueUnknown));
}

/// A header that an older version stored has none of the new fields.
#[test]
fn header_of_an_older_version_is_read() {
    let clinic = Clinic::open();
    let mut stored: Value = serde_json::from_str(raw(clinic.location.header()).get()).unwrap();
    for field in ["privacy", "editions"] {
        stored.as_object_mut().unwrap().remove(field).expect("the field is stored");
    }
    let read: LocationHeader = serde_json::from_value(stored).unwrap();
    assert!(read.privacy == Privacy::default() && read.editions.location == 0);
}
