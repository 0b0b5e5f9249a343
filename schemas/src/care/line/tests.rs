use std::{cmp::Reverse, collections::BTreeMap};

use proptest::prelude::*;

use super::*;
use crate::{clinic::ClinicInfo, ids::LocationId, view::Fold};

fn ticket(number: u8) -> TicketId {
    TicketId::from_random(&LocationId::new("riverside").unwrap(), number.into())
}

fn head() -> QueueHead {
    QueueHead {
        name: "General".into(),
        state: QueueState::Open,
        prefix: "A".into(),
        service_s: 600,
        servers: 2,
        message: None,
        last_call_at: Some(0),
        clinic: ClinicInfo {
            name: "Riverside Clinic".into(),
            time_zone: "America/Toronto".into(),
            ..ClinicInfo::default()
        },
    }
}

fn entry(state: TicketState, priority: u8, rank: u64) -> QueueEntry {
    QueueEntry {
        label: "A-001".into(),
        state,
        priority: Priority::new(priority).unwrap(),
        rank,
        issued_at: 0,
        called_at: None,
        started_at: None,
        station: None,
        recalls: 0,
        reason: None,
        moving_to: None,
        moved_from: None,
        appointment: None,
        priority_reason: None,
    }
}

fn step() -> impl Strategy<Value = (u8, Option<(bool, u8, u64)>)> {
    (0u8..20, prop::option::of((any::<bool>(), 0u8..=9, 0u64..50)))
}

proptest! {
    #[test]
    fn places_match_a_naive_count(steps in prop::collection::vec(step(), 1..80)) {
        let mut view = View::empty(1);
        view.entries.insert(QUEUE_KEY.into(), crate::view::raw(&head()));
        let mut line = Line::from_view(QueueId::new("riverside.general").unwrap(), &view).unwrap();
        let mut naive: BTreeMap<TicketId, (bool, u8, u64)> = BTreeMap::new();
        for (version, (number, change)) in steps.into_iter().enumerate() {
            let from = version as u64;
            let mut delta = Delta { from, to: from + 1, ..Delta::default() };
            match change {
                Some((waiting, priority, rank)) => {
                    let state = if waiting { TicketState::Waiting } else { TicketState::Called };
                    delta.put(ticket(number).as_str(), &entry(state, priority, rank));
                    naive.insert(ticket(number), (waiting, priority, rank));
                }
                None => {
                    delta.drop_key(ticket(number).as_str());
                    naive.remove(&ticket(number));
                }
            }
            prop_assert_eq!(view.fold(&delta), Fold::Applied);
            line.apply(&delta).unwrap();
            let again = Line::from_view(QueueId::new("riverside.general").unwrap(), &view).unwrap();
            for (id, (waiting, priority, rank)) in &naive {
                let place = (Reverse(priority), rank, id);
                let waiting_places = naive.iter().filter(|(_, (waiting, ..))| *waiting);
                let places = waiting_places.map(|(id, (_, priority, rank))| {
                    (Reverse(priority), rank, id)
                });
                let ahead = places.filter(|other| *other < place).count();
                let expected = waiting.then_some(ahead);
                prop_assert_eq!(line.ahead(id), expected);
                prop_assert_eq!(again.ahead(id), expected);
            }
            let waiting = naive.values().filter(|(waiting, ..)| *waiting).count();
            prop_assert_eq!(line.waiting(), waiting);
            for number in 0..20 {
                let id = ticket(number);
                prop_assert_eq!(line.contains(&id), naive.contains_key(&id));
            }
        }
    }

    #[test]
    fn scores_order_like_places(a in (0u8..=9, 0u64..1 << 48), b in (0u8..=9, 0u64..1 << 48)) {
        let priority = |value| Priority::new(value).unwrap();
        let place = |(value, rank)| LinePlace::new(ticket(1), priority(value), rank);
        let score = |(value, rank)| LinePlace::score(priority(value), rank);
        prop_assert_eq!(place(a).cmp(&place(b)), score(a).total_cmp(&score(b)));
    }

    #[test]
    fn estimate_grows_with_people_ahead(ahead in 0usize..5000, servers in 1u32..9) {
        let head = QueueHead { servers, ..head() };
        let near = estimate(&head, 0, ahead).unwrap();
        let far = estimate(&head, 0, ahead + 1).unwrap();
        prop_assert!(near.from <= far.from && near.to <= far.to && near.from < near.to);
    }
}

#[test]
fn queue_without_calls_gives_no_estimate() {
    let reason = |head: QueueHead| estimate(&head, 0, 1).unwrap_err();
    let paused = QueueHead { state: QueueState::Paused, ..head() };
    assert_eq!(reason(paused), NoEstimate::Paused);
    assert_eq!(reason(QueueHead { servers: 0, ..head() }), NoEstimate::NoOpenStation);
    assert_eq!(reason(QueueHead { last_call_at: None, ..head() }), NoEstimate::NotStarted);
}

#[test]
fn estimate_counts_turns_of_all_stations() {
    // Four turns of ten minutes at two stations: 20 minutes, and 14 to 28 in steps of five.
    let minutes = |head: &QueueHead, issued_at: Millis| {
        let Estimate { from, to } = estimate(head, issued_at, 3).unwrap();
        (from / 60_000, to / 60_000)
    };
    assert_eq!(minutes(&head(), 0), (10, 30));
    assert_eq!(minutes(&QueueHead { servers: 1, ..head() }, 0), (25, 60));
    // The estimate counts from the last call, or from the issue of a later ticket.
    assert_eq!(minutes(&QueueHead { last_call_at: Some(3_600_000), ..head() }, 0), (70, 90));
    assert_eq!(minutes(&head(), 3_600_000), (70, 90));
}

#[test]
fn called_patient_sees_room_in_place_of_position() {
    let mut view = View::empty(1);
    view.entries.insert(QUEUE_KEY.into(), crate::view::raw(&head()));
    view.entries
        .insert(ticket(1).to_string(), crate::view::raw(&entry(TicketState::Waiting, 0, 1)));
    view.entries
        .insert(ticket(2).to_string(), crate::view::raw(&entry(TicketState::Waiting, 9, 2)));
    let mut line = Line::from_view(QueueId::new("riverside.general").unwrap(), &view).unwrap();
    let waiting = line.ticket_view(&ticket(1)).unwrap();
    assert_eq!((waiting.position, waiting.ahead), (Some(2), Some(1)));
    let called = QueueEntry {
        station: Some("Room 3".into()),
        called_at: Some(5),
        ..entry(TicketState::Called, 0, 1)
    };
    let mut delta = Delta { from: 0, to: 1, at: 5, ..Delta::default() };
    delta.put(ticket(1).as_str(), &called);
    line.apply(&delta).unwrap();
    let view = line.ticket_view(&ticket(1)).unwrap();
    assert_eq!((view.position, view.estimate), (None, None));
    assert_eq!(view.call.as_ref().unwrap().station, "Room 3");
    assert_ne!(waiting.as_view_ref().fingerprint(), view.as_view_ref().fingerprint());
    let later = TicketView { at: 99, ..view.clone() };
    assert_eq!(later.as_view_ref().fingerprint(), view.as_view_ref().fingerprint());
    assert_eq!(
        serde_json::to_string(&view).unwrap(),
        serde_json::to_string(&view.as_view_ref()).unwrap()
    );
    assert!(line.ticket_view(&ticket(3)).is_none());
}

#[test]
fn nobody_who_waits_is_shown_a_room() {
    // Somebody who was called and goes back to the line keeps the station in the entry.
    let again = QueueEntry {
        station: Some("Room 3".into()),
        called_at: Some(5),
        ..entry(TicketState::Waiting, 0, 1)
    };
    let mut view = View::empty(1);
    view.entries.insert(QUEUE_KEY.into(), crate::view::raw(&head()));
    view.entries.insert(ticket(1).to_string(), crate::view::raw(&again));
    let line = Line::from_view(QueueId::new("riverside.general").unwrap(), &view).unwrap();
    assert_eq!(line.ticket_view(&ticket(1)).unwrap().call, None);
}

#[test]
fn ticket_without_its_line_is_shown_as_in_it() {
    let queue = QueueId::new("riverside.general").unwrap();
    let mut view = View::empty(1);
    view.entries.insert(QUEUE_KEY.into(), crate::view::raw(&head()));
    for (number, state) in [(1, TicketState::Waiting), (2, TicketState::Called)] {
        let entry = crate::view::raw(&entry(state, 0, number.into()));
        view.entries.insert(ticket(number).to_string(), entry);
    }
    let line = Line::from_view(queue.clone(), &view).unwrap();
    let shown = |number, ahead| ticket_of_view(&queue, &view, &ticket(number), ahead);
    assert!(shown(1, Some(0)).unwrap() == line.ticket_view(&ticket(1)));
    assert!(shown(2, None).unwrap() == line.ticket_view(&ticket(2)));
    assert!(shown(3, None).unwrap().is_none());
    // A place belongs to who waits, and to nobody else.
    assert!(shown(1, None).is_err());
    assert!(shown(2, Some(0)).is_err());
}
