use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    appointment::AppointmentView,
    channel::Channel,
    clinic::ClinicInfo,
    line::{BoardCall, BoardQueue, Line, QueueHead},
    ticket::{TicketEntry, TicketView},
    view::{Fold, View},
};
use serde::de::DeserializeOwned;

use super::*;
use crate::location::{KEEP_ENDED_S, RecentCall};

/// A clinic whose views are folded as a gateway folds them.
struct FollowedClinic {
    clinic: Clinic,
    views: BTreeMap<String, View>,
}

impl FollowedClinic {
    fn open() -> Self {
        let mut followed = Self { clinic: Clinic::empty(), views: BTreeMap::new() };
        for command in standard_opening() {
            followed.apply(command);
        }
        followed
    }

    /// The names of the views that changed, sorted.
    fn apply(&mut self, command: Command) -> Vec<String> {
        let effect = self.clinic.apply(command);
        for delta in &effect.deltas {
            let view = self.views.entry(delta.view.clone()).or_insert_with(|| View::empty(EPOCH));
            assert_eq!(view.fold(&delta.delta), Fold::Applied);
            let is_stored = match Channel::parse(&delta.view).unwrap() {
                Channel::Ticket(id) => effect.touched.contains(&id),
                Channel::Appointment(id) => effect.appointments.contains(&id),
                _ => true,
            };
            assert!(is_stored, "the row of {} knows its version", delta.view);
        }
        effect
            .deltas
            .into_iter()
            .map(|delta| delta.view)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Ends the renewal that is under way, as a runner does that reads what is not in memory.
    fn renew(&mut self) {
        let location = &mut self.clinic.location;
        let mut stored: Vec<Appointment> = location.appointments.values().cloned().collect();
        stored.sort_by(|a, b| a.id.cmp(&b.id));
        location.forget_ended();
        while let Some(need) = self.clinic.location.renewal() {
            let is_next = |one: &&Appointment| need.after.as_ref().is_none_or(|it| one.id > *it);
            let found = stored.iter().filter(is_next).take(need.limit).cloned();
            self.clinic.location.add_renewal(found.collect());
            self.apply(Command::Tick {});
        }
    }

    fn entry<T: DeserializeOwned>(&self, view: &str, key: &str) -> Option<T> {
        let entry = self.views.get(view)?.entries.get(key)?;
        Some(serde_json::from_str(entry.get()).expect("an entry has the form of its key"))
    }

    fn head(&self, slug: &str) -> QueueHead {
        self.entry(&format!("queue:riverside.{slug}"), "queue").expect("the queue exists")
    }

    /// The calls on the board as `label@station*recalls`, with `!` for a current one.
    fn calls(&self) -> Vec<String> {
        let entries = &self.views["board:riverside"].entries;
        let calls = entries.iter().filter(|(key, _)| key.starts_with("call:"));
        calls
            .map(|(key, entry)| {
                let call: BoardCall = serde_json::from_str(entry.get()).unwrap();
                assert_eq!(*key, format!("call:2026-03-02/{}", call.label));
                let mark = if call.current { "!" } else { "" };
                format!("{}@{}*{}{mark}", call.label, call.station, call.recalls)
            })
            .collect()
    }

    fn waiting(&self, slug: &str) -> u32 {
        let key = format!("queue:riverside.{slug}");
        self.entry::<BoardQueue>("board:riverside", &key)
            .expect("the queue is on the board")
            .waiting
            .expect("the board shows how many wait")
    }
}

#[test]
fn board_shows_current_and_recent_calls() {
    let mut followed = FollowedClinic::open();
    for number in 1..=2 {
        followed.apply(issue("general", number, 0));
    }
    assert_eq!((followed.waiting("general"), followed.waiting("lab")), (2, 0));
    followed.apply(call_next("general", "room-1"));
    followed.apply(Command::RecallTicket { ticket: ticket(1) });
    followed.apply(call_next("general", "room-2"));
    assert_eq!(followed.calls(), ["A-001@Room 1*1!", "A-002@Room 2*0!"]);
    assert_eq!(followed.waiting("general"), 0);

    followed.apply(Command::StartService { ticket: ticket(1) });
    followed.apply(Command::MarkAbsent { ticket: ticket(2) });
    assert_eq!(followed.calls(), ["A-001@Room 1*1", "A-002@Room 2*0"]);
    let moved = followed.apply(Command::CompleteTicket { ticket: ticket(1) });
    assert!(!moved.contains(&"board:riverside".to_owned()), "nothing on the board changed");

    followed.apply(Command::ReturnTicket { ticket: ticket(2) });
    assert_eq!(followed.calls(), ["A-001@Room 1*1"], "who waits again is not on the board");
    followed.apply(Command::RevertTicket { ticket: ticket(2) });
    followed.apply(configure_station("room-2", "Salle 2"));
    assert_eq!(followed.calls(), ["A-001@Room 1*1", "A-002@Salle 2*0"]);
}

#[test]
fn board_drops_the_oldest_recent_call() {
    let mut followed = FollowedClinic::open();
    for number in 1..=10 {
        followed.apply(issue("general", number, 0));
        followed.apply(call_next("general", "room-1"));
        followed.apply(Command::StartService { ticket: ticket(number) });
    }
    let labels: Vec<_> = (3..=10).map(|number| format!("A-{number:03}@Room 1*0")).collect();
    assert_eq!(labels.len(), RecentCall::MAX);
    assert_eq!(followed.calls(), labels);
    // The end of this ticket changes nothing on a board that has dropped its call.
    followed.apply(Command::CompleteTicket { ticket: ticket(1) });
    assert_eq!(followed.calls(), labels);
}

#[test]
fn board_shows_no_ticket_id() {
    let mut followed = FollowedClinic::open();
    followed.apply(issue("general", 0xabc, 0));
    followed.apply(call_next("general", "room-1"));
    let board = serde_json::to_string(&followed.views["board:riverside"]).unwrap();
    assert!(board.contains("A-001") && !board.contains("abc"), "{board}");
}

#[test]
fn queue_counts_stations_that_last_called_from_it() {
    let mut followed = FollowedClinic::open();
    for number in 1..=3 {
        followed.apply(issue("general", number, 0));
    }
    followed.apply(issue("lab", 4, 0));
    assert_eq!(followed.head("general").servers, 0);
    followed.apply(call(1, "room-1"));
    followed.apply(Command::StartService { ticket: ticket(1) });
    followed.apply(call(2, "room-2"));
    followed.apply(Command::StartService { ticket: ticket(2) });
    assert_eq!((followed.head("general").servers, followed.head("lab").servers), (2, 0));
    followed.apply(call(4, "room-2"));
    followed.apply(Command::StartService { ticket: ticket(4) });
    assert_eq!((followed.head("general").servers, followed.head("lab").servers), (1, 1));
    // Room 1 calls for the laboratory while its first patient is still in service.
    followed.apply(issue("lab", 5, 0));
    followed.apply(call(5, "room-1"));
    assert_eq!((followed.head("general").servers, followed.head("lab").servers), (0, 2));
}

#[test]
fn only_changed_views_get_a_delta() {
    let mut followed = FollowedClinic::open();
    let one = || "ticket:riverside.00000000000000000000000000000001".to_owned();
    let board = || "board:riverside".to_owned();
    let general = || "queue:riverside.general".to_owned();
    let lab = || "queue:riverside.lab".to_owned();
    let load = || "load:riverside".to_owned();
    let settings = || "settings:riverside".to_owned();
    assert_eq!(followed.apply(issue("general", 1, 0)), [board(), load(), general(), one()]);
    assert_eq!(
        followed.apply(Command::Prioritise {
            ticket: ticket(1),
            priority: priority(2),
            reason: None
        }),
        [load(), general()]
    );
    let same = Command::Prioritise { ticket: ticket(1), priority: priority(2), reason: None };
    assert!(
        followed.apply(same).is_empty(),
        "an event without a visible change is applied without a delta"
    );
    assert_eq!(followed.apply(transfer(1, "lab")), [board(), load(), general(), lab(), one()]);
    assert_eq!(followed.apply(configure("Europe/Paris")), [""; 0]);
    assert_eq!(
        followed.apply(Command::PauseQueue { queue: queue("general"), message: None }),
        [board(), load(), general(), settings()]
    );
    assert_eq!(followed.apply(configure_station("room-1", "Salle 1")), [load(), settings()]);
}

#[test]
fn ended_ticket_keeps_last_state_until_reverted() {
    let mut followed = FollowedClinic::open();
    followed.apply(issue("general", 1, 0));
    let name = format!("ticket:{}", ticket(1));
    let place = |followed: &FollowedClinic| followed.entry::<TicketEntry>(&name, "ticket").unwrap();
    assert!(place(&followed) == TicketEntry::In(queue("general")));
    followed.clinic.now += MINUTE;
    followed.apply(call(1, "room-1"));
    followed.clinic.now += MINUTE;
    let effect = followed
        .clinic
        .apply(Command::CancelTicket { ticket: ticket(1), reason: Some("ill".into()) });
    let delta =
        effect.deltas.iter().find(|delta| delta.view == name).expect("the end changes the view");
    assert_eq!(delta.keep_s, Some(KEEP_ENDED_S));
    let TicketEntry::Ended(last) = serde_json::from_str(delta.delta.set["ticket"].get()).unwrap()
    else {
        panic!("the ticket is over");
    };
    let expected = TicketView {
        at: MORNING + 2 * MINUTE,
        ticket: ticket(1),
        label: "A-001".into(),
        queue: queue("general"),
        queue_name: "Queue general".into(),
        queue_state: QueueState::Open,
        queue_message: None,
        state: TicketState::Cancelled,
        issued_at: MORNING,
        position: None,
        ahead: None,
        estimate: None,
        no_estimate: None,
        call: Some(schemas::ticket::Call {
            station: "Room 1".into(),
            at: MORNING + MINUTE,
            recalls: 0,
        }),
        reason: Some("ill".into()),
        moving_to: None,
        successor: None,
        clinic: naive::clinic(followed.clinic.location.header()),
    };
    assert!(*last == expected);

    let effect = followed.clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    let back =
        effect.deltas.iter().find(|delta| delta.view == name).expect("the return changes the view");
    assert_eq!(
        (back.keep_s, back.delta.from, back.delta.to),
        (None, delta.delta.to, delta.delta.to + 1)
    );
    assert_eq!(back.delta.set["ticket"].get(), r#"{"in":"riverside.general"}"#);
}

/// Pages show every time in the zone of the clinic, wherever the phone is.
#[test]
fn patients_see_name_and_zone_of_their_clinic() {
    let mut followed = FollowedClinic::open();
    // One appointment in each slice.
    followed.clinic.location.slice = 1;
    followed.apply(issue("general", 1, 0));
    followed.apply(report(2, fact(2, 1, AppointmentStatus::Booked)));
    // Weeks ahead, and so not in the memory of a processor that has just started.
    let ahead = AppointmentFact {
        start: Some(MORNING + 30 * 24 * 60 * MINUTE),
        end: Some(MORNING + 30 * 24 * 60 * MINUTE + 20 * MINUTE),
        ..fact(3, 1, AppointmentStatus::Booked)
    };
    followed.apply(report(3, ahead));
    for (zone, new_name) in [("America/Toronto", "Riverside"), ("America/Toronto", "By the river")]
    {
        let mut command = configure(zone);
        if let Command::ConfigureLocation { name, .. } = &mut command {
            *name = new_name.into();
        }
        followed.apply(command);
        let expected = ClinicInfo {
            name: new_name.into(),
            time_zone: zone.into(),
            languages: vec!["fr".into(), "en-GB".into()],
            yield_places: Some(3),
            ..ClinicInfo::default()
        };
        let line =
            Line::from_view(queue("general"), &followed.views["queue:riverside.general"]).unwrap();
        assert_eq!(line.ticket_view(&ticket(1)).unwrap().clinic, expected);
        followed.renew();
        for number in [2, 3] {
            let view = format!("appointment:{}", appointment(number));
            let shown: AppointmentView = followed.entry(&view, "appointment").unwrap();
            assert_eq!(shown.clinic, expected);
        }
    }
}

/// Otherwise its next view is stepped without a change.
#[test]
fn newer_fact_keeps_the_clinic_that_an_appointment_shows() {
    let mut followed = FollowedClinic::open();
    for revision in [1, 2] {
        followed.apply(report(2, fact(2, revision, AppointmentStatus::Booked)));
    }
    let location = &followed.clinic.location;
    let held = location.appointment(&appointment(2)).unwrap();
    assert_eq!(held.fact.revision, 2);
    assert!(held.clinic == Some(location.clinic()));
}
