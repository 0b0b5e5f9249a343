//! The ticket that a station calls, and when it may.

use schemas::{
    line::{Line, QUEUE_KEY, QueueHead},
    ticket::NoEstimate,
};

use super::*;

fn serve(room: &str, slugs: Option<&[&str]>) -> Command {
    let queues = slugs.map(|slugs| slugs.iter().copied().map(queue).collect());
    Command::ConfigureStation { station: station(room), name: room.into(), queues, edition: None }
}

fn next(room: &str) -> Command {
    Command::CallNextAtStation { station: station(room), force: false }
}

/// The number of the ticket that the station calls next. Its service starts at once.
fn called(clinic: &mut Clinic, room: &str) -> u128 {
    let called = match clinic.apply(next(room)).verdict {
        Verdict::Applied { result, .. } => result.ticket.expect("a call names its ticket"),
        Verdict::Refused { code } => panic!("{code}"),
        Verdict::Moving { .. } => panic!("a call waits for no other location"),
    };
    clinic.apply(Command::StartService { ticket: called.clone() });
    (0..100).find(|number| called == ticket(*number)).expect("a small number")
}

#[test]
fn busy_station_calls_nobody_else_unless_forced() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(call_next("general", "room-1"));
    let version = clinic.location.position().version;
    for command in [call_next("general", "room-1"), call(3, "room-1"), next("room-1")] {
        assert_eq!(clinic.refusal(command), Some(Code::StationBusy));
    }
    assert_eq!(clinic.location.position().version, version);
    clinic.apply(call_next("general", "room-2"));

    let forced = clinic.apply(here().force_call_next("general", "room-1"));
    assert_eq!(forced.position.version, version + 2, "both steps have one version");
    assert_eq!((clinic.state(1), clinic.state(3)), (TicketState::Absent, TicketState::Called));
    assert_eq!(clinic.state(2), TicketState::Called, "the other room is not concerned");
    // The first may come back to the old place, until the grace is over.
    clinic.apply(Command::ReturnTicket { ticket: ticket(1) });
    clinic.apply(Command::StartService { ticket: ticket(3) });
    clinic.apply(call_next("general", "room-1"));
    assert_eq!(clinic.state(1), TicketState::Called);
}

#[test]
fn forced_call_without_match_leaves_the_first() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(call_next("general", "room-1"));
    assert_eq!(clinic.refusal(here().force_call_next("general", "room-1")), Some(Code::QueueEmpty));
    assert_eq!(clinic.state(1), TicketState::Called);
}

#[test]
fn station_calls_best_of_its_queues() {
    let mut clinic = Clinic::open();
    for (slug, number, urgency) in
        [("lab", 1, 0), ("general", 2, 0), ("lab", 3, 0), ("general", 4, 5), ("lab", 5, 5)]
    {
        clinic.now += MINUTE;
        clinic.apply(issue(slug, number, urgency));
    }
    clinic.apply(serve("room-2", Some(&["lab"])));
    assert_eq!(called(&mut clinic, "room-1"), 4, "the more urgent one, then the earlier one");
    assert_eq!(called(&mut clinic, "room-2"), 5);
    assert_eq!(called(&mut clinic, "room-1"), 1);
    assert_eq!(called(&mut clinic, "room-2"), 3);
    assert_eq!(clinic.refusal(next("room-2")), Some(Code::QueueEmpty));
    assert_eq!(called(&mut clinic, "room-1"), 2);
}

#[test]
fn station_passes_over_paused_queues() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(issue("lab", 2, 0));
    clinic.apply(Command::PauseQueue { queue: queue("general"), message: None });
    assert_eq!(called(&mut clinic, "room-1"), 2);
    assert_eq!(clinic.refusal(next("room-1")), Some(Code::QueueEmpty));
    clinic.apply(Command::PauseQueue { queue: queue("lab"), message: None });
    assert_eq!(clinic.refusal(next("room-1")), Some(Code::QueuePaused));
    clinic.apply(serve("room-1", Some(&[])));
    assert_eq!(clinic.refusal(next("room-1")), Some(Code::QueueEmpty), "it serves no queue");
    clinic.apply(Command::CloseStation { station: station("room-1") });
    assert_eq!(clinic.refusal(next("room-1")), Some(Code::StationClosed));
    assert_eq!(clinic.refusal(serve("room-1", Some(&["x"]))), Some(Code::QueueUnknown));
}

/// A clinic that calls by appointment. Appointment `number` starts `minutes` after the morning.
fn by_appointment(appointments: &[(u128, Millis)]) -> Clinic {
    let mut clinic = Clinic::open();
    let mut command = configure("Europe/Paris");
    if let Command::ConfigureLocation { call_order, .. } = &mut command {
        *call_order = CallOrder::Appointment;
    }
    clinic.apply(command);
    for (number, minutes) in appointments {
        let start = MORNING + minutes * MINUTE;
        let booked = AppointmentFact {
            start: Some(start),
            end: Some(start + MINUTE),
            ..fact(*number, 1, AppointmentStatus::Booked)
        };
        clinic.apply(report(*number, booked));
    }
    clinic
}

#[test]
fn appointment_within_grace_has_turn_of_its_start() {
    let mut clinic = by_appointment(&[(1, 30), (2, 30), (3, 20), (4, 5)]);
    let mut come = |minutes: Millis, command| {
        clinic.now = MORNING + minutes * MINUTE;
        clinic.apply(command);
    };
    come(10, check_in(2));
    come(11, check_in(1));
    come(15, issue("general", 10, 0));
    come(19, check_in(4)); // 14 minutes late, within the grace
    come(21, issue("general", 11, 0));
    come(36, check_in(3)); // 16 minutes late
    come(37, issue("general", 12, 0));
    let order = clinic.drain("general");
    assert!(order == tickets(&[4, 10, 11, 2, 1, 3, 12]), "{}", order.len());
}

#[test]
fn calls_follow_arrival_unless_the_location_says_otherwise() {
    let mut clinic = Clinic::open();
    clinic.apply(report(1, fact(1, 1, AppointmentStatus::Booked)));
    clinic.apply(issue("general", 10, 0));
    clinic.apply(check_in(1));
    clinic.apply(issue("general", 11, 0));
    assert!(clinic.drain("general") == tickets(&[10, 1, 11]));
}

#[test]
fn shown_order_is_the_order_of_calls() {
    let mut clinic = by_appointment(&[(1, 30), (2, 10)]);
    for command in [issue("general", 10, 0), check_in(1), check_in(2), issue("general", 11, 0)] {
        clinic.apply(command);
    }
    clinic.apply(Command::ReorderQueue { queue: queue("general"), tickets: tickets(&[1]) });
    let tickets_in_line = clinic.location.tickets.values().cloned().collect::<Vec<_>>();
    let mut view = schemas::view::View::empty(EPOCH);
    let head = clinic
        .location
        .queue_head(&queue("general"), &clinic.location.header().queues[&queue("general")]);
    view.entries.insert(QUEUE_KEY.into(), schemas::view::raw(&head));
    for ticket in &tickets_in_line {
        view.entries.insert(
            ticket.id.to_string(),
            schemas::view::raw(&clinic.location.queue_entry(ticket)),
        );
    }
    let line = Line::from_view(queue("general"), &view).unwrap();
    let mut seen: Vec<_> =
        tickets_in_line.iter().map(|ticket| (line.ahead(&ticket.id), ticket.id.clone())).collect();
    seen.sort();
    let seen: Vec<_> = seen.into_iter().map(|(_, id)| id).collect();
    assert!(clinic.drain("general") == seen);
    assert!(seen == tickets(&[1, 10, 11, 2]));
}

#[test]
fn live_label_is_not_given_again() {
    let mut clinic = Clinic::open();
    let timers = Timers { day_ends_tickets: false, stale_s: 7 * 24 * 60 * 60, ..Timers::default() };
    clinic.apply(configure_with("Europe/Paris", timers));
    for number in [1, 2, 3] {
        clinic.apply(issue("general", number, 0));
    }
    clinic.apply(Command::LeaveTicket { ticket: ticket(2) });
    clinic.now += 24 * 60 * MINUTE;
    for (number, label) in [(4, "A-002"), (5, "A-004")] {
        clinic.apply(issue("general", number, 0));
        assert_eq!(clinic.label(number), label);
    }
    // The first A-002 has ended, and cannot come back beside the second.
    let revert = || Command::RevertTicket { ticket: ticket(2) };
    assert_eq!(clinic.refusal(revert()), Some(Code::NothingToRevert));
    clinic.apply(Command::LeaveTicket { ticket: ticket(4) });
    clinic.apply(revert());
}

fn head(clinic: &Clinic, slug: &str) -> QueueHead {
    let id = queue(slug);
    clinic.location.queue_head(&id, &clinic.location.header().queues[&id])
}

#[test]
fn estimates_count_open_stations_that_serve_the_queue() {
    let reason = |clinic: &Clinic| schemas::line::estimate(&head(clinic, "general"), MORNING, 1);
    let mut clinic = Clinic::waiting(4);
    assert_eq!(reason(&clinic), Err(NoEstimate::NoOpenStation), "no station has called yet");
    clinic.apply(serve("room-2", Some(&["general", "lab"])));
    assert_eq!(reason(&clinic), Err(NoEstimate::NotStarted));
    clinic.apply(call_next("general", "room-1"));
    assert_eq!((head(&clinic, "general").servers, head(&clinic, "lab").servers), (2, 1));
    for (command, servers) in [
        (Command::CloseStation { station: station("room-2") }, (1, 0)),
        (Command::CloseStation { station: station("room-1") }, (0, 0)),
        (Command::OpenStation { station: station("room-2") }, (1, 1)),
        (serve("room-2", Some(&["lab"])), (0, 1)),
        (serve("room-2", None), (0, 0)),
        (Command::OpenStation { station: station("room-1") }, (1, 0)),
    ] {
        clinic.apply(command);
        let counted = (head(&clinic, "general").servers, head(&clinic, "lab").servers);
        assert_eq!(counted, servers);
    }
    assert!(reason(&clinic).is_ok());
    clinic.apply(Command::PauseQueue { queue: queue("general"), message: None });
    assert_eq!(reason(&clinic), Err(NoEstimate::Paused));
}

#[test]
fn nothing_of_yesterday_is_shown_as_todays() {
    let night = at("2026-03-02T23:00:00Z");
    for ends in [true, false] {
        let mut clinic = Clinic::waiting(3);
        let timers =
            Timers { day_ends_tickets: ends, stale_s: 7 * 24 * 60 * 60, ..Timers::default() };
        clinic.apply(configure_with("Europe/Paris", timers));
        clinic.apply(call(1, "room-1"));
        clinic.apply(Command::StartService { ticket: ticket(1) });
        clinic.apply(call(2, "room-2"));
        assert_eq!(clinic.location.header().recents.len(), 1);
        clinic.now = night;
        let ended = clinic.apply(Command::Tick {});
        let header = clinic.location.header();
        assert!(header.recents.is_empty() && header.quarters.is_empty());
        let board = ended.deltas.iter().find(|delta| delta.view == "board:riverside").unwrap();
        assert!(board.delta.remove.contains("call:2026-03-02/A-001"), "the board drops the call");
        // Where tickets stay overnight, so does what their waits are estimated from.
        assert_eq!(head(&clinic, "general").last_call_at.is_none(), ends);
        assert_eq!(head(&clinic, "general").servers, if ends { 0 } else { 2 });
        if !ends {
            assert_eq!(clinic.state(2), TicketState::Called);
            clinic.apply(Command::StartService { ticket: ticket(2) });
            assert!(clinic.location.header().recents.is_empty(), "the call was yesterday's");
        }
        clinic.apply(Command::RevertTicket { ticket: ticket(1) });
        assert!(clinic.location.header().recents.is_empty());
    }
}
