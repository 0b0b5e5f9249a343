//! Timers: what happens when no command arrives.

use schemas::event::Expiry;

use super::{AppointmentStatus as S, *};

impl Clinic {
    fn tick(&mut self, now: Millis) -> RecordEffect {
        self.now = now;
        self.send(Command::Tick {})
    }

    /// The whole state, as a ledger stores it.
    fn kept(&self) -> String {
        let mut tickets: Vec<&Ticket> = self.location.tickets.values().collect();
        tickets.sort_by(|a, b| a.id.cmp(&b.id));
        let mut appointments: Vec<&Appointment> = self.location.appointments.values().collect();
        appointments.sort_by(|a, b| a.id.cmp(&b.id));
        serde_json::to_string(&(self.location.header(), tickets, appointments)).unwrap()
    }
}

#[test]
fn long_absence_becomes_no_show() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(call(1, "room-1"));
    clinic.apply(Command::MarkAbsent { ticket: ticket(1) });
    let due = MORNING + 15 * MINUTE;
    assert_eq!(clinic.location.due(), Some(due));
    assert_eq!(refusal(&clinic.tick(due - 1)), Some(Code::NothingDue));
    let effect = clinic.tick(due + 7);
    let expired = Event::TicketExpired {
        ticket: ticket(1),
        state: TicketState::NoShow,
        why: Expiry::AbsentTooLong,
        at: due,
    };
    assert!(effect.events == [expired]);
    assert_eq!(clinic.standing(1).ended_at, Some(due), "dated by the timer, not by the tick");
    assert_eq!(clinic.standing(1).reason.as_deref(), Some("absent_too_long"));
    // Staff can undo the event of a timer.
    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    assert_eq!(clinic.state(1), TicketState::Absent);
}

#[test]
fn forgotten_ticket_ends_as_left() {
    let mut clinic = Clinic::waiting(2);
    clinic.now += 60 * MINUTE;
    clinic.apply(Command::HoldTicket { ticket: ticket(2), reason: None });
    clinic.tick(MORNING + 8 * 60 * MINUTE);
    assert_eq!((clinic.state(1), clinic.state(2)), (TicketState::Left, TicketState::OnHold));
    clinic.tick(MORNING + 9 * 60 * MINUTE);
    assert_eq!(clinic.state(2), TicketState::Left);
}

/// A location that keeps tickets over night, so that only the ticket's own timer can end it.
fn overnight() -> Clinic {
    let mut clinic = Clinic::waiting(1);
    let timers = Timers { day_ends_tickets: false, ..Timers::default() };
    clinic.apply(configure_with("Europe/Paris", timers));
    clinic
}

#[test]
fn every_live_ticket_has_a_timer() {
    let clinic = overnight();
    let mut ticket = clinic.location.ticket(&ticket(1)).unwrap().clone();
    for &state in TicketState::ALL {
        ticket.standing.state = state;
        let due = clinic.location.ticket_due(&ticket);
        assert_eq!(due.is_some(), !state.is_end(), "{}", state.as_str());
    }
}

#[test]
fn last_timer_of_each_state_ends_ticket() {
    use TicketState as T;
    let step = |command: fn(TicketId) -> Command| command(ticket(1));
    let called = || call(1, "room-1");
    let hold = |ticket| Command::HoldTicket { ticket, reason: None };
    let start = |ticket| Command::StartService { ticket };
    let absent = |ticket| Command::MarkAbsent { ticket };
    for (commands, state, minutes, end, reason) in [
        (vec![], T::Waiting, 480, T::Left, "stale"),
        (vec![called()], T::Called, 480, T::Left, "stale"),
        (vec![step(hold)], T::OnHold, 480, T::Left, "stale"),
        (vec![called(), step(start)], T::InService, 480, T::Completed, "stale"),
        (vec![called(), step(absent)], T::Absent, 15, T::NoShow, "absent_too_long"),
    ] {
        let mut clinic = overnight();
        commands.into_iter().for_each(|command| drop(clinic.apply(command)));
        assert_eq!(clinic.state(1), state);
        let due = MORNING + minutes * MINUTE;
        clinic.tick(due - 1);
        assert_eq!(clinic.state(1), state, "{} is not over yet", state.as_str());
        clinic.tick(due + MINUTE);
        let standing = clinic.standing(1);
        assert_eq!((standing.state, standing.reason.as_deref()), (end, Some(reason)));
        assert_eq!(standing.ended_at, Some(due), "{}", state.as_str());
    }
}

/// A service that nobody ended says nothing about how long services take.
#[test]
fn forgotten_service_is_not_measured() {
    let mut clinic = overnight();
    clinic.apply(call(1, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(1) });
    let measured =
        |clinic: &Clinic| clinic.location.header().queues[&queue("general")].service.visits;
    clinic.tick(MORNING + 480 * MINUTE);
    assert_eq!((clinic.state(1), measured(&clinic)), (TicketState::Completed, 0));
}

#[test]
fn appointment_becomes_late_then_missed() {
    let mut clinic = Clinic::open();
    clinic.apply(report(1, fact(1, 1, S::Booked)));
    let start = MORNING + 30 * MINUTE;
    let held = |clinic: &Clinic| {
        let held = clinic.location.appointment(&appointment(1)).unwrap();
        (held.status, held.late, clinic.location.load_head().appointments)
    };
    clinic.tick(start);
    let (status, late, counts) = held(&clinic);
    assert_eq!((status, late, counts.due, counts.late), (S::Booked, true, 1, 1));
    clinic.tick(start + 120 * MINUTE);
    let (status, late, counts) = held(&clinic);
    assert_eq!((status, late, counts.due, counts.no_show), (S::Noshow, false, 0, 1));
    // A late duplicate does not book the appointment again; a newer start does.
    clinic.apply(report(1, fact(1, 1, S::Booked)));
    clinic.apply(report(1, fact(1, 2, S::Booked)));
    assert_eq!(held(&clinic).0, S::Noshow, "the source does not know that nobody came");
    let later = start + 5 * 60 * MINUTE;
    clinic.apply(report(
        1,
        AppointmentFact { start: Some(later), end: Some(later), ..fact(1, 3, S::Booked) },
    ));
    assert_eq!(held(&clinic).0, S::Booked);
}

#[test]
fn end_of_day_ends_tickets_and_starts_next() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(call(1, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(1) });
    clinic.apply(call(2, "room-2"));
    let tomorrow = MORNING + 24 * 60 * MINUTE;
    let next = AppointmentFact {
        start: Some(tomorrow),
        end: Some(tomorrow + MINUTE),
        ..fact(1, 1, S::Booked)
    };
    clinic.apply(report(50, fact(50, 1, S::Cancelled)));
    clinic.apply(report(51, AppointmentFact { key: SourceKey::new("visit-51").unwrap(), ..next }));
    assert_eq!(
        clinic.location.due(),
        Some(MORNING + 8 * 60 * MINUTE),
        "who waits is forgotten first"
    );
    // Midnight in Paris.
    clinic.tick(at("2026-03-02T23:00:00Z"));
    assert_eq!(clinic.state(1), TicketState::Completed);
    assert_eq!((clinic.state(2), clinic.state(3)), (TicketState::Left, TicketState::Left));
    assert_eq!(clinic.location.header().day, "2026-03-03");
    let head = clinic.location.load_head();
    assert_eq!(
        (head.appointments.due, head.appointments.cancelled),
        (1, 0),
        "tomorrow's is today's now"
    );
    clinic.apply(issue("general", 9, 0));
    assert_eq!(clinic.label(9), "A-001");
}

#[test]
fn service_day_can_start_late_and_keep_tickets() {
    let timers = Timers { day_start_min: 4 * 60, day_ends_tickets: false, ..Timers::default() };
    let mut clinic = Clinic::open();
    clinic.apply(configure_with("Europe/Paris", timers));
    clinic.now = at("2026-03-03T02:50:00Z");
    clinic.apply(issue("general", 1, 0));
    assert_eq!(clinic.location.header().day, "2026-03-02");
    clinic.tick(at("2026-03-03T03:00:00Z"));
    assert_eq!(
        (clinic.location.header().day.as_str(), clinic.state(1)),
        ("2026-03-03", TicketState::Waiting)
    );
}

/// Days of 23 and of 25 hours, which start at midnight, at a time that the clock skips, and at a
/// time that the clock shows twice.
#[test]
fn service_day_follows_clock_changes() {
    for (zone, start_min, begins, ends) in [
        ("Europe/Paris", 0, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("Europe/Paris", 150, "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
        ("Europe/Paris", 0, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("Europe/Paris", 150, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ("America/Toronto", 0, "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        ("America/Toronto", 0, "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ("America/Montreal", 150, "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"),
        ("America/Montreal", 90, "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"),
        // The clock skips midnight.
        ("America/Havana", 0, "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        ("Africa/Cairo", 30, "2026-04-23T22:00:00Z", "2026-04-24T21:30:00Z"),
        // Half an hour is skipped at 2:00 and repeated at 1:30.
        ("Australia/Lord_Howe", 135, "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"),
        ("Australia/Lord_Howe", 105, "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"),
        // The calendar skipped 30 December 2011: that service day has no minute.
        ("Pacific/Apia", 0, "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
    ] {
        let timers = Timers { day_start_min: start_min, ..Timers::default() };
        let (begins, ends) = (at(begins), at(ends));
        let mut clinic = Clinic::empty();
        clinic.now = begins;
        clinic.apply(configure_with(zone, timers));
        let day = clinic.location.header().day.clone();
        assert_eq!(clinic.location.due(), Some(ends), "{zone} from minute {start_min}");
        assert_eq!(refusal(&clinic.tick(ends - 1)), Some(Code::NothingDue), "{zone}");
        assert_eq!(clinic.location.header().day, day);
        assert_eq!(refusal(&clinic.tick(ends)), None, "{zone}");
        assert!(clinic.location.header().day > day);
        assert_eq!(
            clinic.location.header().day_starts,
            ends,
            "one day begins where the other ends"
        );
    }
}

#[test]
fn repeated_and_late_ticks_give_same_state() {
    let prepare = || {
        let mut clinic = Clinic::waiting(3);
        clinic.apply(call(1, "room-1"));
        clinic.apply(Command::MarkAbsent { ticket: ticket(1) });
        clinic.apply(report(50, fact(50, 1, S::Booked)));
        clinic
    };
    let end = MORNING + 30 * 60 * MINUTE;
    let (mut on_time, mut late) = (prepare(), prepare());
    while let Some(due) = on_time.location.due().filter(|due| *due <= end) {
        assert_eq!(refusal(&on_time.tick(due)), None);
        assert_eq!(refusal(&on_time.tick(due)), Some(Code::NothingDue), "the second of two");
    }
    on_time.tick(end);
    late.tick(end);
    // Versions count records, and one clinic got fewer of them; everything else is equal.
    for clinic in [&mut on_time, &mut late] {
        let header = &mut clinic.location.header;
        (header.board_view, header.load_view) = (0, 0);
        header.queues.values_mut().for_each(|queue| queue.view = 0);
        header.doctors.values_mut().for_each(|doctor| doctor.view = 0);
        for ticket in clinic.location.tickets.values_mut() {
            (ticket.view, ticket.undo) = (0, None);
        }
        clinic.location.appointments.values_mut().for_each(|one| one.view = 0);
    }
    assert_eq!(on_time.kept(), late.kept());
}

#[test]
fn refused_record_keeps_timer_events() {
    let mut clinic = Clinic::waiting(1);
    clinic.now = MORNING + 8 * 60 * MINUTE;
    let before = clinic.location.position();
    let effect = clinic.send(Command::StartService { ticket: ticket(1) });
    assert_eq!(refusal(&effect), Some(Code::IllegalMove));
    assert_eq!((effect.events.len(), effect.position.version), (1, before.version + 1));
    assert!(!effect.deltas.is_empty());
}
