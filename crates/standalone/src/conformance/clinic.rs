//! A location for one suite, and the batches that a runner would make of its commands.

use processors::{
    aggregate::AggregateState,
    ledger::{Batch, Ledger, PartitionClaim},
    location::Location,
    log::LogRecord,
    runner::batch::{self, BatchState},
    views::ViewStep,
};
use schemas::{
    Millis,
    command::Command,
    ids::{
        Aggregate, AggregateKind, CommandId, LocationId, QueueId, StationId, TenantId, TicketId,
    },
    record::{CARE_TOPIC, CommandRecord, WireRecord, partition_for_key},
    ticket::Priority,
};

/// The source name of gateways.
pub(super) const SOURCE: &str = "clinicwire-gateway";
/// The partition count in the suites: so large that two clinics hardly share a partition.
pub(super) const OF: u32 = 1_000_003;

/// One location, its clock and its number of records.
pub struct Clinic {
    pub aggregate: Aggregate,
    working: BatchState,
    at: Millis,
    commands: u32,
}

impl Clinic {
    /// Makes a clinic with an unused name and an epoch from the ledger.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn new(ledger: &dyn Ledger) -> Self {
        let epoch = ledger.next_epoch().await.expect("the ledger gives an epoch");
        let tenant = TenantId::new(super::fresh()).expect("a slug");
        let location = LocationId::new("riverside").expect("a slug");
        let aggregate = Aggregate::location(&tenant, &location);
        let mut working = BatchState::default();
        working
            .aggregates
            .insert(aggregate.clone(), AggregateState::new(AggregateKind::Location, epoch));
        Self { aggregate, working, at: 1_700_000_000_000, commands: 0 }
    }

    pub fn partition(&self) -> u32 {
        partition_for_key(self.aggregate.as_str(), OF)
    }

    pub fn location(&self) -> &Location {
        self.working.aggregates[&self.aggregate].location().expect("a clinic is a location")
    }

    /// Drops ended tickets from memory, like a runner after a commit.
    ///
    /// # Panics
    /// Never: the location is always there.
    pub fn committed(&mut self) {
        let held =
            self.working.aggregates.get_mut(&self.aggregate).expect("a clinic has its location");
        held.location_mut().expect("a clinic is a location").forget_ended();
    }

    /// Makes the record of a command with a fresh id.
    ///
    /// # Panics
    /// Never: the id is well-formed.
    pub fn record(&mut self, command: Command) -> WireRecord {
        self.commands += 1;
        let record = CommandRecord {
            aggregate: self.aggregate.clone(),
            id: CommandId::new(format!("c-{}", self.commands)).expect("a command id"),
            source: SOURCE.into(),
            valid_until: None,
            actor: None,
            command,
        };
        record.to_wire()
    }

    /// Makes the batch of these commands under `claim`, one record each.
    pub fn batch(&mut self, claim: PartitionClaim, commands: Vec<Command>) -> Batch {
        let records = commands.into_iter().map(|command| self.record(command)).collect();
        self.batch_of(claim, records)
    }

    /// Makes the batch of these records under `claim`.
    ///
    /// # Panics
    /// Never with fewer records than an offset can count.
    pub fn batch_of(&mut self, claim: PartitionClaim, records: Vec<WireRecord>) -> Batch {
        let records: Vec<LogRecord> = (claim.next_offset..)
            .zip(records)
            .map(|(offset, record)| {
                self.at += 1000;
                LogRecord { offset, at: self.at, record }
            })
            .collect();
        let read = records
            .iter()
            .map(|record| batch::read(&record.record, CARE_TOPIC, self.partition(), OF))
            .collect();
        let to = claim.next_offset + i64::try_from(records.len()).expect("few records");
        batch::build(claim, to, &records.iter().collect::<Vec<_>>(), read, &mut self.working).0
    }

    /// The merged steps of these commands, as a view store gets them.
    pub fn steps(&mut self, commands: Vec<Command>) -> Vec<ViewStep> {
        let claim = PartitionClaim { partition: self.partition(), owner_epoch: 1, next_offset: 0 };
        self.batch(claim, commands).views
    }
}

/// The commands of a small clinic, with the fields that a suite needs.
pub(super) fn queue() -> QueueId {
    QueueId::new("riverside.general").expect("a queue id")
}

pub(super) fn ticket(number: u128) -> TicketId {
    TicketId::from_random(&LocationId::new("riverside").expect("a slug"), number)
}

fn station() -> StationId {
    StationId::new("riverside.room-1").expect("a station id")
}

/// Configures location, queue and station, and opens the queue.
pub(super) fn opening() -> Vec<Command> {
    vec![
        Command::ConfigureLocation {
            name: "Riverside".into(),
            time_zone: "Europe/Paris".into(),
            languages: vec!["fr".into()],
            timers: Default::default(),
            bands: None,
        },
        Command::ConfigureQueue {
            queue: queue(),
            name: "General".into(),
            prefix: "A".into(),
            service_s: None,
        },
        Command::ConfigureStation { station: station(), name: "Room 1".into() },
        Command::OpenQueue { queue: queue() },
    ]
}

pub(super) fn issue(number: u128) -> Command {
    Command::IssueTicket { queue: queue(), ticket: ticket(number), priority: Priority::default() }
}

pub(super) fn leave(number: u128) -> Command {
    Command::LeaveTicket { ticket: ticket(number) }
}

pub(super) fn call_next() -> Command {
    Command::CallNext { queue: queue(), station: station() }
}
