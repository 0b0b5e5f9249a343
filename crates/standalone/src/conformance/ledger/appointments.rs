//! Appointments: which of them are read with their location, with a day, or by id.

use processors::{
    fixtures::{Clinic, issue},
    ledger::{AppointmentRow, Batch, Ledger, PartNames, PartitionClaim},
    location::{Appointment, AppointmentMove, Question, RenewalNeed, Visit},
};
use schemas::{
    Millis,
    appointment::{AppointmentFact, AppointmentStatus},
    attempt::AttemptNumber,
    handover::AppointmentHandover,
    identity::CommandIdentity,
    ids::{AppointmentId, CommandId, LocationId, SourceId, SourceKey, TenantId},
    ticket::TicketState,
};

use super::opened;

/// The clock of the clinic.
const NOW: Millis = 1_700_000_000_000;

fn id(number: u32) -> AppointmentId {
    AppointmentId::from_random(&LocationId::new("riverside").expect("a slug"), number.into())
}

fn source(name: &str) -> SourceId {
    SourceId::new(name).expect("a slug")
}

/// The source's key is text that databases are known to mishandle.
fn key(number: u32) -> SourceKey {
    SourceKey::new(format!("N° '{number}' \\ %")).expect("a key")
}

/// When a day begins in Paris in winter.
fn midnight(day: &str) -> Millis {
    let time = format!("{day}T00:00:00+01:00");
    time.parse::<jiff::Timestamp>().expect("a time of RFC 3339").as_millisecond()
}

/// An appointment at noon.
fn appointment(number: u32, day: Option<&str>, status: AppointmentStatus) -> Appointment {
    let start = day.map(|day| midnight(day) + 12 * 60 * 60 * 1000);
    let fact = AppointmentFact {
        source: source("his"),
        key: key(number),
        revision: 7,
        revision_is_time: false,
        status,
        start,
        end: start.map(|start| start + 900_000),
        doctor: None,
        queue: None,
        label: Some("R. M. \u{0}".to_owned()),
        reason: None,
        moved_to: None,
    };
    Appointment {
        id: id(number),
        fact,
        reported_at: NOW,
        status,
        late: false,
        expired: false,
        missed_at: None,
        visits: Vec::new(),
        successor: None,
        moving: None,
        passed_on: None,
        booked_at: None,
        counted: None,
        clinic: None,
        view: 3,
    }
}

/// A move of this appointment that nobody has answered.
fn moving(held: &Appointment) -> AppointmentMove {
    let there = LocationId::new("hillside").expect("a slug");
    let command = CommandIdentity {
        tenant: TenantId::new("demo").expect("a slug"),
        source: "his".to_owned(),
        subject: String::new(),
        command: CommandId::new("c-1").expect("an id"),
    };
    AppointmentMove {
        handover: AppointmentHandover {
            successor: held.id.moved_to(&there),
            asked_by: command.command.clone(),
            command,
        },
        fact: AppointmentFact { moved_to: Some(there), ..held.fact.clone() },
        known: true,
        began: 7,
        question: Question { since: NOW, attempt: AttemptNumber(2) },
        deferred: Vec::new(),
    }
}

/// The first visit of an appointment.
fn visit(number: u32, state: TicketState) -> Visit {
    Visit {
        ticket: id(number).visit_ticket(0),
        label: "A-001".to_owned(),
        state,
        ended_at: state.is_end().then_some(1_700_000_300_000),
        start: None,
        over: false,
    }
}

/// Commits these appointments together with a ticket that moves the clinic's version.
async fn keep(
    ledger: &dyn Ledger,
    clinic: &mut Clinic,
    claim: &mut PartitionClaim,
    ticket: u128,
    appointments: &[Appointment],
) {
    let row = |appointment: &Appointment| AppointmentRow {
        aggregate: clinic.aggregate.clone(),
        appointment: appointment.clone(),
    };
    let appointments = appointments.iter().map(row).collect();
    let batch = Batch { appointments, ..clinic.batch(*claim, vec![issue(ticket)]) };
    ledger.commit(&batch).await.expect("the ledger commits");
    claim.next_offset = batch.to;
}

/// The numbers of the appointments that were read back unchanged.
fn numbers(found: &[Appointment], kept: &[Appointment]) -> Vec<usize> {
    let number = |found: &Appointment| {
        let place = kept.iter().position(|kept| kept.id == found.id).expect("it was kept");
        assert!(kept[place] == *found, "it is what was kept");
        place
    };
    let mut numbers: Vec<_> = found.iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

async fn loaded(ledger: &dyn Ledger, clinic: &Clinic) -> Vec<Appointment> {
    let loaded = ledger.restore(&clinic.aggregate).await.expect("the ledger answers");
    loaded.expect("the location is there").appointments
}

pub async fn near_appointments_come_with_location(ledger: &dyn Ledger) {
    use AppointmentStatus::{Arrived, Booked, Cancelled, CheckedIn, Fulfilled, Proposed};
    let (mut clinic, mut claim) = opened(ledger, 1).await;
    let today = clinic.location().header().today();
    assert_eq!(today, midnight("2023-11-14")..midnight("2023-11-15"));
    let (waits, left) = (Some(TicketState::Waiting), Some(TicketState::Left));
    let table = [
        (Some("2023-11-14"), Booked, None, true),
        (Some("2023-11-14"), CheckedIn, waits, true),
        (Some("2023-11-14"), Fulfilled, None, true),
        (Some("2023-11-13"), Arrived, None, true),
        (Some("2023-11-13"), CheckedIn, waits, true),
        (Some("2023-11-13"), Booked, left, true),
        (Some("2023-11-13"), Fulfilled, Some(TicketState::InService), true),
        (Some("2023-11-13"), Cancelled, None, false),
        (Some("2022-12-31"), Booked, None, true),
        (Some("2023-11-15"), Booked, None, false),
        (Some("2023-11-15"), CheckedIn, waits, true),
        (Some("2024-01-01"), Cancelled, None, false),
        (None, Proposed, None, false),
        (None, CheckedIn, waits, true),
        (None, Cancelled, None, false),
    ];
    let mut kept = Vec::new();
    for (number, (day, status, ticket, _)) in (0..).zip(table) {
        let visits = ticket.map(|state| visit(number, state)).into_iter().collect();
        kept.push(Appointment { visits, ..appointment(number, day, status) });
    }
    // An undated appointment wakes 90 days after the last report.
    let (reported_at, number) = (NOW - 90 * 24 * 60 * 60 * 1000, table.len() as u32);
    kept.push(Appointment { reported_at, ..appointment(number, None, Proposed) });
    // The move of a later day's appointment is not settled.
    let later = appointment(number + 1, Some("2024-01-01"), Booked);
    kept.push(Appointment { moving: Some(moving(&later)), ..later });
    assert!(kept[table.len()..].iter().all(|kept| kept.is_near(&today)));
    assert!(kept.iter().zip(table).all(|(kept, (.., near))| kept.is_near(&today) == near));
    keep(ledger, &mut clinic, &mut claim, 2, &kept).await;
    let near = |place: &usize| table.get(*place).is_none_or(|row| row.3);
    let expected: Vec<_> = (0..kept.len()).filter(near).collect();
    assert_eq!(numbers(&loaded(ledger, &clinic).await, &kept), expected);
}

pub async fn appointments_are_read_by_the_time_they_wake(ledger: &dyn Ledger) {
    use AppointmentStatus::{Booked, Cancelled, Proposed};
    let (mut clinic, mut claim) = opened(ledger, 1).await;
    let table = [
        (Some("2023-11-14"), Booked),
        (Some("2023-11-15"), Booked),
        (Some("2023-11-16"), Cancelled),
        (Some("2023-11-17"), Booked),
        (None, Proposed),
    ];
    let kept: Vec<_> =
        (0..).zip(table).map(|(n, (day, status))| appointment(n, day, status)).collect();
    keep(ledger, &mut clinic, &mut claim, 2, &kept).await;
    let noon = |day| midnight(day) + 12 * 60 * 60 * 1000;
    for (from, until, expected) in [
        (midnight("2023-11-15"), midnight("2023-11-17"), &[1, 2][..]),
        (0, midnight("2023-11-16"), &[0, 1]),
        (noon("2023-11-15"), noon("2023-11-16"), &[1]),
        (midnight("2023-11-18"), midnight("2023-12-31"), &[]),
        (midnight("2023-11-17"), Millis::MAX, &[3, 4]),
    ] {
        let found =
            ledger.appointments(&clinic.aggregate, from..until).await.expect("the ledger answers");
        assert_eq!(numbers(&found, &kept), expected, "from {from} until {until}");
    }
}

pub async fn renewal_reads_shown_appointments_in_slices(ledger: &dyn Ledger) {
    use AppointmentStatus::{Booked, Cancelled, Proposed};
    let (mut clinic, mut claim) = opened(ledger, 1).await;
    let table = [
        (Some("2023-11-14"), Booked),
        // Ended before the moment: nobody looks at it any more.
        (Some("2023-11-15"), Cancelled),
        (Some("2023-11-18"), Cancelled),
        (Some("2024-01-09"), Booked),
        (None, Proposed),
    ];
    let kept: Vec<_> =
        (0..).zip(table).map(|(n, (day, status))| appointment(n, day, status)).collect();
    keep(ledger, &mut clinic, &mut claim, 2, &kept).await;
    let since = midnight("2023-11-17");
    for (after, limit, expected) in [
        (None, 10, &[0, 2, 3, 4][..]),
        (None, 2, &[0, 2]),
        (Some(id(2)), 2, &[3, 4]),
        (Some(id(1)), 1, &[2]),
        (Some(id(4)), 2, &[]),
    ] {
        let need = RenewalNeed { after, since, limit };
        let found = ledger.shown_appointments(&clinic.aggregate, &need).await;
        let found = found.expect("the ledger answers");
        assert_eq!(numbers(&found, &kept), expected, "at most {limit}");
        assert!(found.is_sorted_by(|a, b| a.id < b.id));
    }
}

pub async fn appointment_is_read_by_id_or_source_key(ledger: &dyn Ledger) {
    use AppointmentStatus::{Booked, Fulfilled, Proposed};
    let (mut clinic, mut claim) = opened(ledger, 1).await;
    let kept = [
        appointment(0, Some("2030-01-01"), Booked),
        appointment(1, Some("2020-01-01"), Fulfilled),
        appointment(2, None, Proposed),
    ];
    keep(ledger, &mut clinic, &mut claim, 2, &kept).await;
    for (ids, keys, expected) in [
        (vec![0, 1], vec![], &[0, 1][..]),
        (vec![], vec![("his", 1), ("his", 2)], &[1, 2]),
        (vec![2], vec![("his", 2), ("his", 0)], &[0, 2]),
        (vec![77], vec![("other", 0), ("his", 77)], &[]),
        (vec![], vec![], &[]),
    ] {
        let names = PartNames {
            tickets: Vec::new(),
            appointments: ids.into_iter().map(id).collect(),
            keys: keys.into_iter().map(|(of, number)| (source(of), key(number))).collect(),
        };
        let named =
            ledger.location_parts(&clinic.aggregate, &names).await.expect("the ledger answers");
        assert_eq!(numbers(&named.appointments, &kept), expected, "each once");
        assert!(named.tickets.is_empty());
    }
}

pub async fn changed_appointment_replaces_itself(ledger: &dyn Ledger) {
    use AppointmentStatus::{Booked, Cancelled};
    let (mut clinic, mut claim) = opened(ledger, 1).await;
    let table = [
        (Some("2023-11-13"), Booked, 1),
        (Some("2023-11-20"), Booked, 0),
        (Some("2023-11-13"), Cancelled, 0),
        (Some("2023-11-13"), Booked, 1),
    ];
    for (ticket, (day, status, expected)) in (2..).zip(table) {
        let kept = [appointment(0, day, status)];
        keep(ledger, &mut clinic, &mut claim, ticket, &kept).await;
        assert_eq!(loaded(ledger, &clinic).await.len(), expected, "{day:?} {status:?}");
        let names = PartNames { keys: vec![(source("his"), key(0))], ..PartNames::default() };
        let named =
            ledger.location_parts(&clinic.aggregate, &names).await.expect("the ledger answers");
        assert_eq!(numbers(&named.appointments, &kept), [0]);
    }
}

pub async fn tenants_share_no_appointment(ledger: &dyn Ledger) {
    let (mut one, mut claim) = opened(ledger, 1).await;
    let (other, _) = opened(ledger, 1).await;
    let kept = [appointment(0, Some("2023-11-14"), AppointmentStatus::Booked)];
    keep(ledger, &mut one, &mut claim, 2, &kept).await;
    assert_eq!(loaded(ledger, &one).await.len(), 1);
    assert!(loaded(ledger, &other).await.is_empty());
    let names = PartNames {
        appointments: vec![id(0)],
        keys: vec![(source("his"), key(0))],
        ..PartNames::default()
    };
    let named = ledger.location_parts(&other.aggregate, &names).await.expect("the ledger answers");
    assert!(named.appointments.is_empty());
    let found =
        ledger.appointments(&other.aggregate, 0..Millis::MAX).await.expect("the ledger answers");
    assert!(found.is_empty());
}
