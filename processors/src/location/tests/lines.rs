use super::*;
use crate::location::ServiceTime;

fn expected_s(clinic: &Clinic) -> u32 {
    clinic.location.header().queues[&queue("general")].service.expected_s()
}

/// One service of ticket `number` that takes `seconds`.
fn serve(clinic: &mut Clinic, number: u128, seconds: i64) {
    clinic.apply(issue("general", number, 0));
    clinic.apply(call(number, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(number) });
    clinic.now += seconds * 1000;
    clinic.apply(Command::CompleteTicket { ticket: ticket(number) });
}

#[test]
fn call_next_takes_first_of_highest_priority() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(issue("general", 4, 5));
    clinic.apply(issue("general", 5, 5));
    clinic.apply(Command::Prioritise { ticket: ticket(3), priority: priority(5), reason: None });
    assert!(
        clinic.drain("general") == tickets(&[3, 4, 5, 1, 2]),
        "an earlier issue goes first within a priority"
    );
}

#[test]
fn reorder_puts_named_tickets_first_in_priority() {
    let mut clinic = Clinic::waiting(4);
    clinic.apply(issue("general", 5, 5));
    clinic.apply(Command::ReorderQueue { queue: queue("general"), tickets: tickets(&[4, 2]) });
    clinic.apply(Command::ReorderQueue { queue: queue("general"), tickets: tickets(&[3]) });
    clinic.apply(issue("general", 6, 0));
    assert!(clinic.drain("general") == tickets(&[5, 3, 4, 2, 1, 6]));
}

#[test]
fn undo_of_reorder_moves_one_ticket_back() {
    let mut clinic = Clinic::waiting(3);
    clinic.apply(Command::ReorderQueue { queue: queue("general"), tickets: tickets(&[3, 2]) });
    clinic.apply(Command::RevertTicket { ticket: ticket(3) });
    assert!(clinic.drain("general") == tickets(&[2, 1, 3]));
}

#[test]
fn returned_ticket_keeps_place_transferred_goes_last() {
    let mut clinic = Clinic::waiting(4);
    clinic.apply(issue("lab", 5, 0));
    clinic.apply(Command::HoldTicket { ticket: ticket(1), reason: None });
    clinic.apply(call(2, "room-1"));
    clinic.apply(Command::MarkAbsent { ticket: ticket(2) });
    clinic.apply(transfer(3, "lab"));
    clinic.apply(Command::ReturnTicket { ticket: ticket(2) });
    clinic.apply(Command::ResumeTicket { ticket: ticket(1) });
    assert!(clinic.drain("lab") == tickets(&[5, 3]));
    assert!(clinic.drain("general") == tickets(&[1, 2, 4]));
}

#[test]
fn reorder_without_free_ranks_is_refused() {
    let clinic = Clinic::waiting(2);
    let header = clinic.location.header().clone();
    let waiting = [1, 2].map(|number| {
        let mut ticket = clinic.location.ticket(&ticket(number)).unwrap().clone();
        ticket.standing.rank = number as u64;
        ticket
    });
    let location =
        Location::restore(clinic.location.position(), header, waiting.to_vec(), Vec::new());
    let mut clinic = Clinic { location, now: MORNING };
    let reorder =
        |numbers| Command::ReorderQueue { queue: queue("general"), tickets: tickets(numbers) };
    assert_eq!(clinic.refusal(reorder(&[2, 1])), Some(Code::InvalidValue));
    clinic.apply(reorder(&[2]));
    assert_eq!(clinic.standing(2).rank, 0);
    assert_eq!(clinic.standing(1).rank, 1);
}

#[test]
fn expected_service_time_follows_measurements() {
    let mut clinic = Clinic::open();
    assert_eq!(expected_s(&clinic), 600);
    serve(&mut clinic, 1, 1200);
    assert_eq!(expected_s(&clinic), 720, "one visit of 1200 s against four of 600 s");
    for number in 2..=4 {
        serve(&mut clinic, number, 1200);
    }
    assert_eq!(expected_s(&clinic), 900, "four against four");
    // The end of the day would end a service at a time that nobody measured.
    let timers = Timers { day_ends_tickets: false, ..Timers::default() };
    clinic.apply(configure_with("Europe/Paris", timers));
    for number in 5..=200 {
        serve(&mut clinic, number, 1200);
    }
    assert_eq!(expected_s(&clinic), 1110, "twenty against four: 1100, to the nearest half minute");
    let mut configured = configure_queue("general", "A");
    if let Command::ConfigureQueue { service_s, .. } = &mut configured {
        *service_s = None;
    }
    clinic.apply(configured);
    assert_eq!(expected_s(&clinic), 1110, "a setting that is not named stays");
}

#[test]
fn implausible_service_times_are_limited() {
    let mut service = ServiceTime::new(600);
    service.measure(72 * 3600 * 1000, 1);
    assert_eq!(service.mean_ms, 14_400_000);
    let mut service = ServiceTime::new(600);
    service.measure(200, 1);
    assert_eq!(service.mean_ms, 30_000);
}

#[test]
fn queue_without_service_time_uses_default() {
    let mut clinic = Clinic::empty();
    clinic.apply(configure("UTC"));
    let general = queue("general");
    let command = Command::ConfigureQueue {
        queue: general.clone(),
        name: "General".into(),
        prefix: "A".into(),
        service_s: None,
        max_tickets: None,
        edition: None,
    };
    clinic.apply(command);
    let queue = &clinic.location.header().queues[&general];
    assert_eq!(
        (queue.state, queue.service.expected_s()),
        (QueueState::Closed, ServiceTime::DEFAULT_S)
    );
}
