//! The removal of a queue, and of a station.

use schemas::{
    command::MAX_REORDER,
    view::{Fold, View},
};

use super::*;
use crate::location::KEEP_ENDED_S;

fn remove(slug: &str, move_to: Option<&str>) -> Command {
    Command::RemoveQueue { queue: queue(slug), move_to: move_to.map(queue) }
}

#[test]
fn queue_with_live_tickets_needs_a_move() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(call(1, "room-1"));
    assert_eq!(clinic.refusal(remove("general", None)), Some(Code::QueueNotEmpty));
    assert_eq!(clinic.refusal(remove("general", Some("general"))), Some(Code::IllegalMove));
    assert_eq!(clinic.refusal(remove("general", Some("x"))), Some(Code::QueueUnknown));
    clinic.apply(Command::CloseQueue { queue: queue("lab") });
    assert_eq!(clinic.refusal(remove("general", Some("lab"))), Some(Code::QueueNotOpen));
    clinic.apply(Command::LeaveTicket { ticket: ticket(1) });
    clinic.apply(remove("general", None));
    assert_eq!(clinic.refusal(issue("general", 2, 0)), Some(Code::QueueUnknown));
    assert_eq!(clinic.refusal(remove("general", None)), Some(Code::QueueUnknown));
    let revert = Command::RevertTicket { ticket: ticket(1) };
    assert_eq!(clinic.refusal(revert), Some(Code::NothingToRevert), "its queue is gone");
}

#[test]
fn line_moves_with_its_order_turns_and_states() {
    let mut clinic = Clinic::open();
    let mut steps = vec![];
    for (slug, number, urgency) in
        [("general", 1, 0), ("lab", 2, 0), ("general", 3, 0), ("general", 4, 2), ("lab", 5, 0)]
    {
        steps.push(issue(slug, number, urgency));
    }
    for number in [6, 7, 8] {
        steps.push(issue("general", number, 0));
    }
    steps.push(Command::HoldTicket { ticket: ticket(6), reason: None });
    steps.push(call(7, "room-1"));
    steps.push(call(8, "room-2"));
    steps.push(Command::StartService { ticket: ticket(8) });
    for step in steps {
        clinic.now += 1;
        clinic.apply(step);
    }
    let serves = Command::ConfigureStation {
        station: station("room-1"),
        name: "Room 1".into(),
        queues: Some([queue("general"), queue("lab")].into()),
        edition: None,
    };
    clinic.apply(serves);
    clinic.apply(remove("general", Some("lab")));
    let states = [6, 7, 8].map(|number| clinic.state(number));
    assert_eq!(states, [TicketState::OnHold, TicketState::Called, TicketState::InService]);
    for number in [1, 3, 4, 6, 7, 8] {
        assert!(clinic.standing(number).queue == queue("lab"));
        let revert = Command::RevertTicket { ticket: ticket(number) };
        assert_eq!(clinic.refusal(revert), Some(Code::NothingToRevert));
    }
    let header = clinic.location.header();
    assert!(header.stations[&station("room-1")].queues == Some([queue("lab")].into()));
    assert!(header.stations.values().all(|station| station.served.is_none()));
    clinic.apply(Command::StartService { ticket: ticket(7) });
    assert!(clinic.drain("lab") == tickets(&[4, 1, 2, 3, 5]), "who waited longer goes first");
}

#[test]
fn line_that_is_too_long_is_refused() {
    let mut clinic = Clinic::waiting(MAX_REORDER as u128 + 1);
    assert_eq!(clinic.refusal(remove("general", Some("lab"))), Some(Code::QueueTooLong));
    clinic.apply(Command::LeaveTicket { ticket: ticket(1) });
    let moved = clinic.apply(remove("general", Some("lab")));
    assert_eq!(moved.touched.len(), MAX_REORDER);
}

#[test]
fn removed_queue_leaves_views_and_starts_anew() {
    let mut clinic = Clinic::waiting(2);
    let view = "queue:riverside.general";
    let held = clinic.location.header().queues[&queue("general")].view;
    let removed = clinic.apply(remove("general", Some("lab")));
    let of = |effect: &RecordEffect, view: &str| {
        let delta = effect.deltas.iter().find(|delta| delta.view == view);
        delta.map(|delta| (delta.delta.clone(), delta.keep_s))
    };
    let (delta, keep_s) = of(&removed, view).expect("the view ends");
    assert_eq!((delta.from, delta.set.len(), delta.remove.len()), (held, 0, 3));
    assert_eq!(keep_s, Some(KEEP_ENDED_S));
    for (view, key) in [
        ("board:riverside", "queue:riverside.general"),
        ("load:riverside", "queue:riverside.general"),
        ("settings:riverside", "queue:riverside.general"),
    ] {
        assert!(of(&removed, view).unwrap().0.remove.contains(key), "{view}");
    }

    clinic.apply(issue("lab", 9, 0));
    let created = clinic.apply(configure_queue("general", "A"));
    let (first, keep_s) = of(&created, view).expect("a new view");
    assert_eq!((first.from, keep_s), (0, None));
    // The new view continues every version of the old one that a reader may hold.
    for version in [0, held, delta.to] {
        let mut view = View::empty(EPOCH);
        view.position.version = version;
        assert_eq!(view.fold(&first), Fold::Applied, "from {version}");
    }
    clinic.apply(Command::OpenQueue { queue: queue("general") });
    clinic.apply(issue("general", 10, 0));
    assert_eq!(clinic.label(10), "A-003", "labels of the day are not given twice");
}

#[test]
fn station_with_a_live_ticket_stays() {
    let remove = || Command::RemoveStation { station: station("room-1") };
    let mut clinic = Clinic::waiting(2);
    clinic.apply(call(1, "room-1"));
    assert_eq!(clinic.refusal(remove()), Some(Code::StationBusy), "called");
    clinic.apply(Command::MarkAbsent { ticket: ticket(1) });
    assert_eq!(clinic.refusal(remove()), Some(Code::StationBusy), "absent after its call");
    clinic.apply(Command::MarkNoShow { ticket: ticket(1) });
    clinic.apply(remove());
    assert_eq!(clinic.refusal(remove()), Some(Code::StationUnknown));
    assert_eq!(clinic.refusal(call(2, "room-1")), Some(Code::StationUnknown));
    assert!(clinic.location.header().recents.is_empty(), "a board cannot name the room any more");
    let revert = Command::RevertTicket { ticket: ticket(1) };
    assert_eq!(clinic.refusal(revert), Some(Code::NothingToRevert), "its room is gone");
}
