use super::*;
use crate::location::{MAX_LANGUAGES, MAX_QUEUES, MAX_STATIONS};
use schemas::{bounds::MAX_TEXT, command::MAX_REORDER};

#[test]
fn unconfigured_location_accepts_only_its_configuration() {
    let mut clinic = Clinic::empty();
    let commands = [
        configure_queue("general", "A"),
        configure_station("room-1", "Room 1"),
        Command::OpenQueue { queue: queue("general") },
        issue("general", 1, 0),
        call_next("general", "room-1"),
        Command::LeaveTicket { ticket: ticket(1) },
    ];
    for command in commands {
        let effect = clinic.send(command);
        assert_eq!(refusal(&effect), Some(Code::LocationUnknown));
        assert_eq!(effect.position, Position { epoch: EPOCH, version: 0 });
    }
    assert_eq!(clinic.apply(configure("Europe/Paris")).position.version, 1);
}

#[test]
fn unknown_parts_are_refused_with_their_codes() {
    let mut clinic = Clinic::waiting(1);
    let table = [
        (Command::OpenQueue { queue: queue("x") }, Code::QueueUnknown),
        (Command::ReorderQueue { queue: queue("x"), tickets: tickets(&[1]) }, Code::QueueUnknown),
        (issue("x", 2, 0), Code::QueueUnknown),
        (call_next("x", "room-1"), Code::QueueUnknown),
        (transfer(1, "x"), Code::QueueUnknown),
        (call_next("general", "room-9"), Code::StationUnknown),
        (call(1, "room-9"), Code::StationUnknown),
        (call(2, "room-1"), Code::TicketUnknown),
        (Command::RevertTicket { ticket: ticket(2) }, Code::TicketUnknown),
        (call_next("lab", "room-1"), Code::QueueEmpty),
        (issue("general", 1, 0), Code::TicketExists),
    ];
    for (index, (command, code)) in table.into_iter().enumerate() {
        assert_eq!(clinic.refusal(command), Some(code), "row {index}");
    }
}

#[test]
fn queue_state_changes_only_as_in_table() {
    use QueueState::{Closed, Open, Paused};
    let id = || queue("general");
    type Way = (fn(QueueId) -> Command, [Option<QueueState>; 3]);
    let ways: [Way; 4] = [
        // from                                 open          paused        closed
        (|queue| Command::OpenQueue { queue }, [Some(Open), None, Some(Open)]),
        (|queue| Command::PauseQueue { queue, message: None }, [Some(Paused), Some(Paused), None]),
        (|queue| Command::ResumeQueue { queue }, [Some(Open), Some(Open), None]),
        (|queue| Command::CloseQueue { queue }, [Some(Closed), Some(Closed), Some(Closed)]),
    ];
    for (command, row) in ways {
        for (from, to) in [Open, Paused, Closed].into_iter().zip(row) {
            let mut clinic = Clinic::open();
            match from {
                Open => {}
                Paused => drop(clinic.apply(Command::PauseQueue { queue: id(), message: None })),
                Closed => drop(clinic.apply(Command::CloseQueue { queue: id() })),
            }
            let code = clinic.refusal(command(id()));
            assert_eq!(
                code,
                to.is_none().then_some(Code::IllegalMove),
                "{} from {from:?}",
                command(id()).kind()
            );
            assert_eq!(clinic.location.header().queues[&id()].state, to.unwrap_or(from));
        }
    }
}

#[test]
fn paused_queue_stops_calls_closed_one_issues() {
    let mut clinic = Clinic::waiting(2);
    clinic.apply(Command::PauseQueue { queue: queue("general"), message: None });
    clinic.apply(issue("general", 3, 0));
    assert_eq!(clinic.refusal(call_next("general", "room-1")), Some(Code::QueuePaused));
    assert_eq!(clinic.refusal(call(3, "room-1")), Some(Code::QueuePaused));

    clinic.apply(Command::CloseQueue { queue: queue("general") });
    assert_eq!(clinic.refusal(issue("general", 4, 0)), Some(Code::QueueNotOpen));
    clinic.apply(issue("lab", 4, 0));
    assert_eq!(clinic.refusal(transfer(4, "general")), Some(Code::QueueNotOpen));
    assert!(clinic.drain("general") == tickets(&[1, 2, 3]));
}

/// The queue `general` with at most `most` live tickets.
fn bounded(most: u32) -> Command {
    Command::ConfigureQueue {
        queue: queue("general"),
        name: "General".into(),
        prefix: "A".into(),
        service_s: None,
        max_tickets: Some(most),
        edition: None,
    }
}

#[test]
fn settings_outside_bounds_are_refused() {
    let location = |name: &str, time_zone: &str, languages: &[&str]| Command::ConfigureLocation {
        name: name.into(),
        time_zone: time_zone.into(),
        languages: languages.iter().map(|tag| (*tag).to_owned()).collect(),
        timers: Default::default(),
        bands: None,
        call_order: Default::default(),
        address: None,
        edition: None,
    };
    let line = |name: &str, prefix: &str, service_s| Command::ConfigureQueue {
        queue: queue("new"),
        name: name.into(),
        prefix: prefix.into(),
        service_s,
        max_tickets: None,
        edition: None,
    };
    let long = "é".repeat(MAX_TEXT + 1);
    let bad = [
        location("", "UTC", &["fr"]),
        location(" ", "UTC", &["fr"]),
        location("a\nb", "UTC", &["fr"]),
        location(&long, "UTC", &["fr"]),
        location("A", "Europe/Atlantis", &["fr"]),
        location("A", "", &["fr"]),
        location("A", "UTC", &[]),
        location("A", "UTC", &["f"]),
        location("A", "UTC", &["fr_FR"]),
        location("A", "UTC", &["fr-"]),
        location("A", "UTC", &["français"]),
        location("A", "UTC", &["fr"; MAX_LANGUAGES + 1]),
        line("", "C", None),
        line("A", "", None),
        line("A", "ABCDE", None),
        line("A", "c", None),
        line("A", "É", None),
        line("A", "C", Some(29)),
        line("A", "C", Some(14_401)),
        bounded(0),
        bounded(settings::MAX_TICKETS + 1),
        configure_station("room-9", "\u{7}"),
        Command::HoldTicket { ticket: ticket(1), reason: Some(long) },
        Command::CancelTicket { ticket: ticket(1), reason: Some(String::new()) },
    ];
    let mut clinic = Clinic::waiting(1);
    for (index, command) in bad.into_iter().enumerate() {
        assert_eq!(clinic.refusal(command), Some(Code::InvalidValue), "row {index}");
    }
    assert_eq!(clinic.refusal(line("A", "B", None)), Some(Code::PrefixTaken));
    clinic.apply(location(&"é".repeat(MAX_TEXT), "Pacific/Kiritimati", &["hi-Deva-IN", "zh"]));
    clinic.apply(line("A", "9Z", Some(30)));
    clinic.apply(line("A", "9Z", Some(14_400)));
}

#[test]
fn location_limits_queues_and_stations() {
    let mut clinic = Clinic::open();
    for index in 2..MAX_QUEUES {
        clinic.apply(configure_queue(&format!("q{index}"), &format!("{index}")));
    }
    assert_eq!(clinic.refusal(configure_queue("one-more", "ZZ")), Some(Code::InvalidValue));
    clinic.apply(configure_queue("lab", "ZZ"));
    for index in 2..MAX_STATIONS {
        clinic.apply(configure_station(&format!("s{index}"), "Room"));
    }
    assert_eq!(clinic.refusal(configure_station("one-more", "Room")), Some(Code::InvalidValue));
    clinic.apply(configure_station("room-1", "Salle 1"));
}

#[test]
fn reorder_requires_distinct_waiting_tickets() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(issue("lab", 4, 0));
    clinic.apply(call(3, "room-1"));
    let reorder = |tickets| Command::ReorderQueue { queue: queue("general"), tickets };
    assert_eq!(clinic.refusal(reorder(vec![])), Some(Code::InvalidValue));
    assert_eq!(clinic.refusal(reorder(tickets(&[1, 2, 1]))), Some(Code::InvalidValue));
    let many: Vec<_> = (0..=MAX_REORDER as u128).collect();
    assert_eq!(clinic.refusal(reorder(tickets(&many))), Some(Code::InvalidValue));
    for stranger in [3, 4, 5] {
        assert_eq!(clinic.refusal(reorder(tickets(&[1, stranger]))), Some(Code::IllegalMove));
    }
    clinic.apply(reorder(tickets(&[2, 1])));
}

#[test]
fn command_expires_by_the_clock_of_its_owner() {
    let mut clinic = Clinic::waiting(1);
    let mut late = record(call(1, "room-1"));
    late.valid_until = Some(MORNING + MINUTE);
    let version = clinic.location.position().version;

    // The command was appended in time, and its owner was down for a minute.
    let time = RecordTime { appended_at: MORNING, decided_at: MORNING + MINUTE + 1 };
    let effect = clinic.location.handle(&late, time);
    assert_eq!(refusal(&effect), Some(Code::CommandExpired));
    assert_eq!((effect.at, effect.position.version), (MORNING, version));

    // A record before it was stamped by a clock that is ahead.
    let time = RecordTime { appended_at: MORNING + 2 * MINUTE, decided_at: MORNING + MINUTE };
    assert_eq!(refusal(&clinic.location.handle(&late, time)), None);
    assert_eq!(clinic.standing(1).called_at, Some(MORNING + 2 * MINUTE));
}

#[test]
fn clock_of_location_never_goes_back() {
    let mut clinic = Clinic::waiting(2);
    let mut at = |number, appended_at| {
        let time = RecordTime { appended_at, decided_at: MORNING };
        clinic.location.handle(&record(call(number, "room-1")), time).at
    };
    assert_eq!(at(1, MORNING + MINUTE), MORNING + MINUTE);
    assert_eq!(at(2, -1), MORNING + MINUTE);
}

#[test]
fn full_queue_refuses_new_tickets() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(report(50, fact(50, 1, AppointmentStatus::Booked)));
    clinic.apply(issue("lab", 7, 0));
    clinic.apply(bounded(3));
    let receive = Command::ReceiveTicket {
        ticket: ticket(60),
        queue: queue("general"),
        priority: Priority::default(),
        from: TicketId::from_random(&LocationId::new("hillside").unwrap(), 1),
        until: Millis::MAX,
    };
    for command in [issue("general", 9, 0), check_in(50), receive, transfer(7, "general")] {
        let kind = command.kind();
        assert_eq!(clinic.refusal(command), Some(Code::QueueFull), "{kind}");
    }
    assert_eq!(clinic.refusal(issue("lab", 8, 0)), None, "other queues are not bounded");
    // A person who leaves makes room for one other, and may still come back.
    clinic.apply(Command::LeaveTicket { ticket: ticket(1) });
    clinic.apply(transfer(7, "general"));
    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    assert_eq!(clinic.refusal(issue("general", 9, 0)), Some(Code::QueueFull));
    clinic.apply(bounded(5));
    clinic.apply(issue("general", 9, 0));
}

#[test]
fn full_location_refuses_new_tickets() {
    let mut clinic = Clinic::waiting(2);
    clinic.apply(report(50, fact(50, 1, AppointmentStatus::Booked)));
    clinic.apply(Command::LeaveTicket { ticket: ticket(2) });
    clinic.location.indexes.live = settings::MAX_TICKETS;
    let receive = || Command::ReceiveTicket {
        ticket: ticket(60),
        queue: queue("general"),
        priority: Priority::default(),
        from: TicketId::from_random(&LocationId::new("hillside").unwrap(), 1),
        until: Millis::MAX,
    };
    let arrivals = [
        issue("general", 9, 0),
        check_in(50),
        receive(),
        Command::RevertTicket { ticket: ticket(2) },
    ];
    for command in arrivals {
        let kind = command.kind();
        assert_eq!(clinic.refusal(command), Some(Code::LocationFull), "{kind}");
    }
    // A patient who leaves makes room for one other.
    clinic.apply(Command::LeaveTicket { ticket: ticket(1) });
    clinic.apply(receive());
    assert_eq!(clinic.refusal(issue("general", 9, 0)), Some(Code::LocationFull));
}
