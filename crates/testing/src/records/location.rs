//! Ids and commands of one location.

use schemas::{
    Millis,
    appointment::{AppointmentFact, AppointmentStatus, Doctor},
    command::Command,
    ids::{
        Aggregate, AppointmentId, DoctorId, LocationId, QueueId, ScheduleId, SourceId, SourceKey,
        StationId, TenantId, TicketId,
    },
    record::CommandRecord,
    settings::CallOrder,
    ticket::Priority,
    timers::Timers,
};

use super::{MINUTE, MORNING, command_record};

/// One location of one tenant: builds its ids and the commands that move it.
///
/// The standard layout is the queues `general` (labels `A-…`) and `lab` (`B-…`) and the stations
/// `room-1` and `room-2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleLocation {
    pub tenant: TenantId,
    pub id: LocationId,
}

impl Default for SampleLocation {
    /// The location `riverside` of the tenant `demo`.
    fn default() -> Self {
        Self::new("demo", "riverside")
    }
}

impl SampleLocation {
    /// The location `location` of `tenant`.
    #[must_use]
    pub fn new(tenant: &str, location: &str) -> Self {
        Self { tenant: super::tenant(tenant), id: super::location(location) }
    }

    #[must_use]
    pub fn aggregate(&self) -> Aggregate {
        Aggregate::location(&self.tenant, &self.id)
    }

    #[must_use]
    pub fn queue(&self, slug: &str) -> QueueId {
        QueueId::new(format!("{}.{slug}", self.id)).expect("a slug")
    }

    #[must_use]
    pub fn station(&self, slug: &str) -> StationId {
        StationId::new(format!("{}.{slug}", self.id)).expect("a slug")
    }

    /// The ticket whose 128 bits are this number.
    #[must_use]
    pub fn ticket(&self, number: u128) -> TicketId {
        TicketId::from_random(&self.id, number)
    }

    /// The appointment whose 128 bits are this number; its ticket has the same number.
    #[must_use]
    pub fn appointment(&self, number: u128) -> AppointmentId {
        AppointmentId::from_random(&self.id, number)
    }

    #[must_use]
    pub fn schedule(&self, doctor: &str) -> ScheduleId {
        ScheduleId::new(format!("{}/{doctor}", self.id)).expect("a slug")
    }

    /// The record of a command, as a gateway appends it.
    #[must_use]
    pub fn record(&self, id: &str, command: Command) -> CommandRecord {
        command_record(&self.aggregate(), id, command)
    }

    /// Records of commands in order, with the ids `<prefix>-1`, `<prefix>-2` and so on.
    pub fn records(
        &self,
        prefix: &str,
        commands: impl IntoIterator<Item = Command>,
    ) -> Vec<CommandRecord> {
        let numbered = commands.into_iter().zip(1..);
        numbered.map(|(command, n)| self.record(&format!("{prefix}-{n}"), command)).collect()
    }
}

/// Settings of the location and its layout.
impl SampleLocation {
    /// Creates the location in Paris, in French, with default timers and without bands.
    #[must_use]
    pub fn configure(&self) -> Command {
        Command::ConfigureLocation {
            name: capitalised(self.id.as_str()),
            time_zone: "Europe/Paris".to_owned(),
            languages: vec!["fr".to_owned()],
            timers: Timers::default(),
            bands: None,
            call_order: CallOrder::default(),
            address: None,
            edition: None,
        }
    }

    /// Creates a queue, which is closed at first. Its service time is not known yet.
    #[must_use]
    pub fn configure_queue(&self, slug: &str, prefix: &str) -> Command {
        Command::ConfigureQueue {
            queue: self.queue(slug),
            name: capitalised(slug),
            prefix: prefix.to_owned(),
            service_s: None,
            max_tickets: None,
            edition: None,
        }
    }

    #[must_use]
    pub fn open_queue(&self, slug: &str) -> Command {
        Command::OpenQueue { queue: self.queue(slug) }
    }

    #[must_use]
    pub fn configure_station(&self, slug: &str) -> Command {
        let name = capitalised(&slug.replace('-', " "));
        Command::ConfigureStation { station: self.station(slug), name, queues: None, edition: None }
    }

    /// The smallest clinic that serves a patient, in four commands: the location, the open queue
    /// `general` and the station `room-1`.
    #[must_use]
    pub fn opening(&self) -> Vec<Command> {
        vec![
            self.configure(),
            self.configure_queue("general", "A"),
            self.configure_station("room-1"),
            self.open_queue("general"),
        ]
    }

    /// The standard layout: two open queues and two stations.
    #[must_use]
    pub fn full_opening(&self) -> Vec<Command> {
        let mut commands = vec![self.configure()];
        for (slug, prefix) in [("general", "A"), ("lab", "B")] {
            commands.push(self.configure_queue(slug, prefix));
            commands.push(self.open_queue(slug));
        }
        commands.extend(["room-1", "room-2"].map(|slug| self.configure_station(slug)));
        commands
    }
}

/// Tickets and appointments.
impl SampleLocation {
    /// Issues a ticket of normal priority.
    #[must_use]
    pub fn issue(&self, queue: &str, number: u128) -> Command {
        self.issue_with_priority(queue, number, 0)
    }

    #[must_use]
    pub fn issue_with_priority(&self, queue: &str, number: u128, priority: u8) -> Command {
        let priority = Priority::new(priority).expect("a priority");
        Command::IssueTicket { queue: self.queue(queue), ticket: self.ticket(number), priority }
    }

    #[must_use]
    pub fn call_next(&self, queue: &str, station: &str) -> Command {
        let (queue, station) = (self.queue(queue), self.station(station));
        Command::CallNext { queue, station, force: false }
    }

    /// Calls the next ticket of the queue, and marks as absent the ticket that is still called to
    /// the station.
    #[must_use]
    pub fn force_call_next(&self, queue: &str, station: &str) -> Command {
        let (queue, station) = (self.queue(queue), self.station(station));
        Command::CallNext { queue, station, force: true }
    }

    #[must_use]
    pub fn call_ticket(&self, number: u128, station: &str) -> Command {
        let (ticket, station) = (self.ticket(number), self.station(station));
        Command::CallTicket { ticket, station, force: false }
    }

    #[must_use]
    pub fn leave(&self, number: u128) -> Command {
        Command::LeaveTicket { ticket: self.ticket(number) }
    }

    /// Transfers a ticket within the location.
    #[must_use]
    pub fn transfer(&self, number: u128, queue: &str) -> Command {
        let (ticket, queue) = (self.ticket(number), self.queue(queue));
        Command::TransferTicket { ticket, queue }
    }

    /// A fact about an appointment from the source `his`, where its key is `visit-<number>`. The
    /// appointment takes 20 minutes from 08:30 at Dr Roy, and its ticket belongs to `general`.
    #[must_use]
    pub fn fact(&self, number: u128, revision: u64, status: AppointmentStatus) -> AppointmentFact {
        const START: Millis = MORNING + 30 * MINUTE;
        AppointmentFact {
            start: Some(START),
            end: Some(START + 20 * MINUTE),
            doctor: Some(doctor("roy")),
            queue: Some(self.queue("general")),
            label: Some("R.M.".to_owned()),
            ..bare_fact(&format!("visit-{number}"), revision, status)
        }
    }

    #[must_use]
    pub fn report(&self, number: u128, fact: AppointmentFact) -> Command {
        Command::ReportAppointment { appointment: self.appointment(number), fact }
    }

    /// Checks an appointment in, at its own queue.
    #[must_use]
    pub fn check_in(&self, number: u128) -> Command {
        Command::CheckIn { appointment: self.appointment(number), queue: None }
    }
}

/// A fact from the source `his` with only the required fields.
#[must_use]
pub fn bare_fact(key: &str, revision: u64, status: AppointmentStatus) -> AppointmentFact {
    AppointmentFact {
        source: SourceId::new("his").expect("a slug"),
        key: SourceKey::new(key).expect("a key"),
        revision,
        revision_is_time: false,
        status,
        start: None,
        end: None,
        doctor: None,
        queue: None,
        label: None,
        reason: None,
        moved_to: None,
    }
}

/// The doctor with this slug, named `Dr <slug>`.
#[must_use]
pub fn doctor(slug: &str) -> Doctor {
    Doctor { id: DoctorId::new(slug).expect("a slug"), name: format!("Dr {slug}") }
}

/// The slug with a capital letter, as a name on a door.
fn capitalised(slug: &str) -> String {
    let mut letters = slug.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
