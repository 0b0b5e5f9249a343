//! Undo: a command followed by the undo of its steps leaves the location as it was.

use proptest::prelude::*;
use schemas::load::HOUR_MS;
use serde_json::Value;

use super::{
    picks::{QUEUES, ROOMS, command, pick},
    *,
};

/// The header without what an undo may change: versions of views, the clock, and minutes that are
/// over.
fn comparable(location: &Location) -> Value {
    let mut header = location.header().clone();
    header.queues.values_mut().for_each(|queue| queue.view = 0);
    header.doctors.values_mut().for_each(|doctor| doctor.view = 0);
    (header.load_view, header.board_view) = (0, 0);
    let now = std::mem::take(&mut header.now);
    header.hour.retain(|minute| minute.at > now - HOUR_MS);
    serde_json::to_value(header).unwrap()
}

/// The standings without their ranks, of all tickets.
fn standings(location: &Location, numbers: std::ops::Range<u128>) -> Vec<Value> {
    let standing = |number| location.ticket(&ticket(number)).map(|ticket| &ticket.standing);
    numbers.filter_map(standing).map(|standing| serde_json::to_value(standing).unwrap()).collect()
}

fn can_be_undone(command: &Command) -> bool {
    use Command as C;
    match command {
        C::CallNext { .. } | C::CallNextAtStation { .. } | C::ReorderQueue { .. } => true,
        C::IssueTicket { .. } | C::RevertTicket { .. } | C::YieldTicket { .. } => false,
        C::TransferTicket { queue, .. } => queue.belongs_to(&location_id()),
        C::ReceiveTicket { .. } | C::WithdrawTicket { .. } | C::SettleTicket { .. } => false,
        other => other.ticket().is_some(),
    }
}

proptest! {
    #[test]
    fn undo_of_any_command_leaves_header_as_before(
        picks in prop::collection::vec((pick(), any::<bool>()), 1..80)
    ) {
        let mut clinic = Clinic::empty();
        let queues: Vec<_> = QUEUES.into_iter().zip(["A", "B", "C"]).collect();
        for command in opening(&queues, &ROOMS.map(|room| (room, room))) {
            clinic.apply(command);
        }
        for (pick, undo) in picks {
            clinic.now = (clinic.now + pick.pause).max(clinic.location.header().now);
            // Timers fire before the command, and are not part of its undo.
            clinic.send(Command::Tick {});
            let command = command(&pick);
            let undo = undo && can_be_undone(&command);
            let header = comparable(&clinic.location);
            let tickets = standings(&clinic.location, 0..20);
            let done = clinic.send(command);
            if !undo || refusal(&done).is_some() {
                continue;
            }
            let undone: Vec<_> = done
                .touched
                .iter()
                .rev()
                .map(|ticket| {
                    let revert = Command::RevertTicket { ticket: ticket.clone() };
                    clinic.refusal(revert)
                })
                .collect();
            // A call does not stand again where no call may be made.
            let guarded = |code: &Option<Code>| {
                matches!(code, Some(Code::StationClosed | Code::StationBusy | Code::QueuePaused))
            };
            if undone.iter().any(guarded) {
                continue;
            }
            prop_assert!(undone.iter().all(Option::is_none), "{undone:?}");
            prop_assert_eq!(comparable(&clinic.location), header);
            prop_assert_eq!(standings(&clinic.location, 0..20), tickets);
        }
    }
}

/// The counts of the load: called and served in the last hour, and the quarter hour's three counts.
fn counts(clinic: &Clinic) -> (usize, Vec<(u32, u32, u32)>) {
    let header = clinic.location.header();
    let quarters = header.quarters.values();
    (
        header.hour.iter().map(|minute| (minute.called + minute.served) as usize).sum(),
        quarters.map(|quarter| (quarter.called, quarter.served, quarter.no_show)).collect(),
    )
}

#[test]
fn undo_of_a_mistaken_service_forgets_its_time() {
    let mut clinic = Clinic::waiting(3);
    let mean = |clinic: &Clinic| {
        let service = &clinic.location.header().queues[&queue("general")].service;
        (service.mean_ms, service.visits)
    };
    let serve = |clinic: &mut Clinic, number, minutes: Millis| {
        clinic.apply(call(number, "room-1"));
        clinic.apply(Command::StartService { ticket: ticket(number) });
        clinic.now += minutes * MINUTE;
        clinic.apply(Command::CompleteTicket { ticket: ticket(number) });
    };
    serve(&mut clinic, 1, 10);
    let before = mean(&clinic);
    assert_eq!(counts(&clinic), (2, vec![(1, 1, 0)]));
    serve(&mut clinic, 2, 40);
    assert_ne!(mean(&clinic), before);
    clinic.apply(Command::RevertTicket { ticket: ticket(2) });
    assert_eq!(mean(&clinic), before);
    assert_eq!(counts(&clinic), (3, vec![(2, 1, 0)]), "the second call stays");

    // Another service was measured since: the mean of the others remains.
    clinic.apply(Command::CompleteTicket { ticket: ticket(2) });
    serve(&mut clinic, 3, 20);
    clinic.apply(Command::RevertTicket { ticket: ticket(2) });
    assert_eq!(mean(&clinic), (15 * MINUTE, 2));
}

#[test]
fn undo_keeps_what_somebody_else_changed_since() {
    let mut clinic = Clinic::waiting(2);
    clinic.apply(call(1, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(1) });
    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    clinic.now += MINUTE;
    clinic.apply(call(2, "room-2"));
    clinic.apply(Command::CancelTicket { ticket: ticket(1), reason: None });
    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    let last = clinic.location.header().queues[&queue("general")].last_call_at;
    assert_eq!(last, Some(MORNING + MINUTE));
    let served = |clinic: &Clinic, room: &str| {
        clinic.location.header().stations[&station(room)].served.is_some()
    };
    clinic.apply(Command::RevertTicket { ticket: ticket(2) });
    let last = clinic.location.header().queues[&queue("general")].last_call_at;
    assert_eq!(last, Some(MORNING), "the call of room 1 is the last again");
    assert!(served(&clinic, "room-1") && !served(&clinic, "room-2"));
}

#[test]
fn undo_of_start_restores_the_doctors_delay() {
    let mut clinic = Clinic::open();
    clinic.apply(report(1, fact(1, 1, AppointmentStatus::Booked)));
    let delay = |clinic: &Clinic| {
        clinic.location.header().doctors.values().map(|doctor| doctor.delay_min).max()
    };
    clinic.apply(check_in(1));
    clinic.apply(call(1, "room-1"));
    clinic.now += 55 * MINUTE;
    let started = clinic.apply(Command::StartService { ticket: ticket(1) });
    assert_eq!(delay(&clinic), Some(25));
    let undone = clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    assert_eq!(delay(&clinic), Some(0));
    let names = |effect: &RecordEffect| {
        let mut names: Vec<_> = effect.deltas.iter().map(|delta| delta.view.clone()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&undone), names(&started), "the schedule shows the delay as it was");
}

#[test]
fn undo_lists_a_call_again_after_the_zone_moved_west() {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(call(1, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(1) });
    // There the service day begins after this call.
    clinic.apply(configure("Pacific/Honolulu"));
    let recent = |clinic: &Clinic| clinic.location.header().recents.len();
    assert_eq!(recent(&clinic), 1);
    clinic.apply(Command::HoldTicket { ticket: ticket(1), reason: None });
    assert_eq!(recent(&clinic), 0);
    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    assert_eq!(recent(&clinic), 1);
}
