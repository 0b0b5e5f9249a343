use schemas::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus, Doctor, SourceKey},
    codes::Code,
    command::{Command, Verdict},
    event::{Event, TicketStatus},
    ids::{
        Aggregate, AppointmentId, CommandId, DoctorId, LocationId, QueueId, SourceId, StationId,
        TenantId, TicketId,
    },
    load::LoadBands,
    record::{Actor, CommandRecord},
    ticket::{Priority, QueueState, TicketState},
    timers::Timers,
    view::Position,
};

use super::{Appointment, Location, LocationHeader, RecordEffect, Ticket};

mod appointments;
mod boards;
mod clock;
mod labels;
mod lines;
mod load;
mod moves;
mod naive;
mod picks;
mod refusals;
mod whole;

/// 2026-03-02 08:00 in Paris.
const MORNING: Millis = 1_772_434_800_000;
const MINUTE: Millis = 60_000;
const EPOCH: u64 = 1_772_000_000;

fn location_id() -> LocationId {
    LocationId::new("riverside").unwrap()
}

fn aggregate() -> Aggregate {
    Aggregate::location(&TenantId::new("demo").unwrap(), &location_id())
}

fn queue(slug: &str) -> QueueId {
    QueueId::new(format!("riverside.{slug}")).unwrap()
}

fn station(slug: &str) -> StationId {
    StationId::new(format!("riverside.{slug}")).unwrap()
}

fn ticket(number: u128) -> TicketId {
    TicketId::from_random(&location_id(), number)
}

fn priority(value: u8) -> Priority {
    Priority::new(value).unwrap()
}

fn record(command: Command) -> CommandRecord {
    CommandRecord {
        aggregate: aggregate(),
        id: CommandId::new("c-1").unwrap(),
        source: "clinicwire-gateway".into(),
        valid_until: None,
        actor: Some(Actor { subject: "nurse-7".into(), role: "reception".into() }),
        command,
    }
}

fn configure(time_zone: &str) -> Command {
    configure_with(time_zone, Timers::default())
}

fn configure_with(time_zone: &str, timers: Timers) -> Command {
    Command::ConfigureLocation {
        name: "Riverside".into(),
        time_zone: time_zone.into(),
        languages: vec!["fr".into(), "en-GB".into()],
        timers,
        bands: Some(LoadBands { waiting: [2, 4], wait_s: [600, 1200] }),
    }
}

fn configure_queue(slug: &str, prefix: &str) -> Command {
    Command::ConfigureQueue {
        queue: queue(slug),
        name: format!("Queue {slug}"),
        prefix: prefix.into(),
        service_s: Some(600),
    }
}

fn configure_station(slug: &str, name: &str) -> Command {
    Command::ConfigureStation { station: station(slug), name: name.into() }
}

fn issue(slug: &str, number: u128, urgency: u8) -> Command {
    Command::IssueTicket { queue: queue(slug), ticket: ticket(number), priority: priority(urgency) }
}

fn call_next(slug: &str, room: &str) -> Command {
    Command::CallNext { queue: queue(slug), station: station(room) }
}

fn call(number: u128, room: &str) -> Command {
    Command::CallTicket { ticket: ticket(number), station: station(room) }
}

fn appointment(number: u128) -> AppointmentId {
    AppointmentId::from_random(&location_id(), number)
}

fn doctor(slug: &str) -> Doctor {
    Doctor { id: DoctorId::new(slug).unwrap(), name: format!("Dr {slug}") }
}

/// What the source tells of an appointment of twenty minutes, half an hour after the morning begins.
fn fact(number: u128, revision: u64, status: AppointmentStatus) -> AppointmentFact {
    AppointmentFact {
        source: SourceId::new("his").unwrap(),
        key: SourceKey::new(format!("visit-{number}")).unwrap(),
        revision,
        status,
        start: Some(MORNING + 30 * MINUTE),
        end: Some(MORNING + 50 * MINUTE),
        doctor: Some(doctor("roy")),
        queue: Some(queue("general")),
        label: Some("R.M.".into()),
        reason: None,
        moved_to: None,
    }
}

fn report(number: u128, fact: AppointmentFact) -> Command {
    Command::ReportAppointment { appointment: appointment(number), fact }
}

fn check_in(number: u128) -> Command {
    Command::CheckIn { appointment: appointment(number), queue: None }
}

fn transfer(number: u128, slug: &str) -> Command {
    Command::TransferTicket { ticket: ticket(number), queue: queue(slug), successor: None }
}

/// A clinic that can be told what happens, at its own time.
struct Clinic {
    location: Location,
    now: Millis,
}

impl Clinic {
    fn empty() -> Self {
        Self { location: Location::new(EPOCH), now: MORNING }
    }

    /// Two open queues, `general` (A) and `lab` (B), and the stations `room-1` and `room-2`.
    fn open() -> Self {
        let mut clinic = Self::empty();
        clinic.apply(configure("Europe/Paris"));
        for (slug, prefix) in [("general", "A"), ("lab", "B")] {
            clinic.apply(configure_queue(slug, prefix));
            clinic.apply(Command::OpenQueue { queue: queue(slug) });
        }
        clinic.apply(configure_station("room-1", "Room 1"));
        clinic.apply(configure_station("room-2", "Room 2"));
        clinic
    }

    /// With tickets 1 to `count` waiting in `general`.
    fn waiting(count: u128) -> Self {
        let mut clinic = Self::open();
        for number in 1..=count {
            clinic.apply(issue("general", number, 0));
        }
        clinic
    }

    fn send(&mut self, command: Command) -> RecordEffect {
        self.location.handle(&record(command), self.now)
    }

    fn apply(&mut self, command: Command) -> RecordEffect {
        let kind = command.kind();
        let effect = self.send(command);
        if let Verdict::Refused { code } = effect.verdict {
            panic!("{kind} was refused: {code}");
        }
        effect
    }

    fn refusal(&mut self, command: Command) -> Option<Code> {
        refusal(&self.send(command))
    }

    fn standing(&self, number: u128) -> &TicketStatus {
        &self.location.ticket(&ticket(number)).expect("the ticket is in memory").standing
    }

    fn state(&self, number: u128) -> TicketState {
        self.standing(number).state
    }

    fn label(&self, number: u128) -> String {
        self.location.ticket(&ticket(number)).expect("the ticket is in memory").label.clone()
    }

    /// Calls everybody who waits and says in which order they came.
    fn drain(&mut self, slug: &str) -> Vec<TicketId> {
        let mut order = Vec::new();
        loop {
            match self.send(call_next(slug, "room-1")).verdict {
                Verdict::Applied { result, .. } => {
                    order.push(result.ticket.expect("a call names its ticket"))
                }
                Verdict::Refused { code } => {
                    assert_eq!(code, Code::QueueEmpty);
                    return order;
                }
            }
        }
    }
}

fn refusal(effect: &RecordEffect) -> Option<Code> {
    match effect.verdict {
        Verdict::Refused { code } => Some(code),
        Verdict::Applied { .. } => None,
    }
}

fn tickets(numbers: &[u128]) -> Vec<TicketId> {
    numbers.iter().copied().map(ticket).collect()
}
