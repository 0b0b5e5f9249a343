use schemas::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus, Doctor},
    codes::Code,
    command::{Command, Verdict},
    event::{Event, TicketStatus},
    handover::{HandoverAnswer, HandoverStage, MoveQuestion},
    ids::{AppointmentId, DoctorId, LocationId, QueueId, SourceKey, TicketId},
    load::LoadBands,
    record::CommandRecord,
    settings::CallOrder,
    ticket::{Priority, QueueState, TicketState},
    timers::Timers,
    view::Position,
};
use testing::records::{
    MINUTE, MORNING, actor, doctor,
    riverside::{
        self, appointment, call_next, fact, here, location as location_id, queue, station, ticket,
    },
};

use super::{
    Appointment, AppointmentMove, DoctorDay, Location, LocationHeader, RecordEffect, RecordTime,
    Settlement, Ticket, Visit, settings,
};

mod alerts;
mod appearance;
mod appointments;
mod boards;
mod calls;
mod check_in_points;
mod clock;
mod displays;
mod doctors;
mod guards;
mod handover;
mod history;
mod labels;
mod lines;
mod load;
mod moves;
mod naive;
mod people;
mod picks;
mod rebooking;
mod refusals;
mod removal;
mod slices;
mod undo;
mod visits;
mod whole;
mod yields;

const EPOCH: u64 = 1_772_000_000;

fn priority(value: u8) -> Priority {
    Priority::new(value).unwrap()
}

/// The time of an RFC 3339 text.
fn at(time: &str) -> Millis {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// The record of a command that a nurse sends.
fn record(command: Command) -> CommandRecord {
    let nurse = Some(actor("nurse-7", "reception"));
    CommandRecord { actor: nurse, ..riverside::record("c-1", command) }
}

/// The commands that open a clinic in Paris with these queues, their prefixes and these stations.
fn opening(queues: &[(&str, &str)], stations: &[(&str, &str)]) -> Vec<Command> {
    let mut opening = vec![configure("Europe/Paris")];
    for (slug, prefix) in queues {
        opening.push(configure_queue(slug, prefix));
        opening.push(here().open_queue(slug));
    }
    opening.extend(stations.iter().map(|(slug, name)| configure_station(slug, name)));
    opening
}

/// Two open queues and two stations.
fn standard_opening() -> Vec<Command> {
    opening(&[("general", "A"), ("lab", "B")], &[("room-1", "Room 1"), ("room-2", "Room 2")])
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
        call_order: CallOrder::default(),
        address: None,
        edition: None,
    }
}

fn configure_queue(slug: &str, prefix: &str) -> Command {
    Command::ConfigureQueue {
        queue: queue(slug),
        name: format!("Queue {slug}"),
        prefix: prefix.into(),
        service_s: Some(600),
        max_tickets: None,
        edition: None,
    }
}

fn configure_station(slug: &str, name: &str) -> Command {
    Command::ConfigureStation {
        station: station(slug),
        name: name.into(),
        queues: None,
        edition: None,
    }
}

fn issue(slug: &str, number: u128, urgency: u8) -> Command {
    here().issue_with_priority(slug, number, urgency)
}

fn call(number: u128, room: &str) -> Command {
    here().call_ticket(number, room)
}

fn report(number: u128, fact: AppointmentFact) -> Command {
    here().report(number, fact)
}

fn check_in(number: u128) -> Command {
    here().check_in(number)
}

fn transfer(number: u128, slug: &str) -> Command {
    here().transfer(number, slug)
}

/// A clinic that receives commands at a time of its own.
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
        for command in standard_opening() {
            clinic.apply(command);
        }
        clinic
    }

    /// An open clinic with tickets 1 to `count` waiting in `general`.
    fn waiting(count: u128) -> Self {
        let mut clinic = Self::open();
        for number in 1..=count {
            clinic.apply(issue("general", number, 0));
        }
        clinic
    }

    fn send(&mut self, command: Command) -> RecordEffect {
        self.location.handle(&record(command), RecordTime::at_once(self.now))
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

    /// Calls every waiting ticket and returns the order of the calls.
    fn drain(&mut self, slug: &str) -> Vec<TicketId> {
        let mut order = Vec::new();
        loop {
            match self.send(here().force_call_next(slug, "room-1")).verdict {
                Verdict::Applied { result, .. } => {
                    order.push(result.ticket.expect("a call names its ticket"))
                }
                Verdict::Refused { code } => {
                    assert_eq!(code, Code::QueueEmpty);
                    return order;
                }
                Verdict::Moving { .. } => panic!("a call waits for no other location"),
            }
        }
    }
}

fn refusal(effect: &RecordEffect) -> Option<Code> {
    match effect.verdict {
        Verdict::Refused { code } => Some(code),
        Verdict::Applied { .. } | Verdict::Moving { .. } => None,
    }
}

fn tickets(numbers: &[u128]) -> Vec<TicketId> {
    numbers.iter().copied().map(ticket).collect()
}

/// Gives a location that holds all its appointments those that a renewal needs next.
fn supply_renewal(location: &mut Location) {
    let Some(need) = location.renewal() else { return };
    let is_next = |one: &&Appointment| need.after.as_ref().is_none_or(|after| one.id > *after);
    let held = location.appointments.values().filter(|one| one.is_shown(need.since));
    let mut found: Vec<Appointment> = held.filter(is_next).cloned().collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.truncate(need.limit);
    location.add_renewal(found);
}
