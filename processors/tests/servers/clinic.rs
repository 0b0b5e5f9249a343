//! A location, and the batches that a runner makes of its commands.

use processors::{
    aggregate::AggregateState,
    ledger::{Batch, Ledger, PartitionClaim},
    location::Location,
    log::LogRecord,
    runner::batch::{self, BatchState},
};
use schemas::{
    Millis,
    command::Command,
    ids::{
        Aggregate, AggregateKind, CommandId, LocationId, QueueId, StationId, TenantId, TicketId,
    },
    record::{CARE_TOPIC, CommandRecord, WireRecord},
    ticket::Priority,
};

use super::setup::fresh;

pub struct Clinic {
    pub aggregate: Aggregate,
    working: BatchState,
    at: Millis,
    commands: u32,
}

pub fn queue() -> QueueId {
    QueueId::new("riverside.general").unwrap()
}

pub fn station() -> StationId {
    StationId::new("riverside.room-1").unwrap()
}

pub fn ticket(number: u128) -> TicketId {
    TicketId::from_random(&LocationId::new("riverside").unwrap(), number)
}

/// Configures location, queue and station, and opens the queue.
pub fn opening() -> Vec<Command> {
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

pub fn issue(number: u128) -> Command {
    Command::IssueTicket { queue: queue(), ticket: ticket(number), priority: Priority::default() }
}

pub fn command(aggregate: &Aggregate, id: &str, command: Command) -> WireRecord {
    let id = CommandId::new(id).unwrap();
    let (aggregate, source) = (aggregate.clone(), "test".to_owned());
    CommandRecord { aggregate, id, source, valid_until: None, actor: None, command }.to_wire()
}

impl Clinic {
    pub async fn new(ledger: &dyn Ledger) -> Self {
        Self::of(&TenantId::new(fresh()).unwrap(), ledger).await
    }

    pub async fn of(tenant: &TenantId, ledger: &dyn Ledger) -> Self {
        let aggregate = Aggregate::location(tenant, &LocationId::new("riverside").unwrap());
        let epoch = ledger.next_epoch().await.expect("the ledger gives an epoch");
        let state = AggregateState::new(AggregateKind::Location, epoch);
        let mut working = BatchState::default();
        working.aggregates.insert(aggregate.clone(), state);
        Self { aggregate, working, at: 1_700_000_000_000, commands: 0 }
    }

    pub fn location(&self) -> &Location {
        self.working.aggregates[&self.aggregate].location().expect("a clinic is a location")
    }

    /// The batch of these commands, as if partition 0 of 1 held nothing else.
    pub fn batch(&mut self, claim: PartitionClaim, commands: Vec<Command>) -> Batch {
        let wire = |given: Command| {
            self.commands += 1;
            self.at += 1_000;
            let record = command(&self.aggregate, &format!("c-{}", self.commands), given);
            LogRecord { offset: 0, at: self.at, record }
        };
        let mut records: Vec<LogRecord> = commands.into_iter().map(wire).collect();
        for (record, offset) in records.iter_mut().zip(claim.next_offset..) {
            record.offset = offset;
        }
        let to = claim.next_offset + i64::try_from(records.len()).unwrap();
        let read =
            records.iter().map(|record| batch::read(&record.record, CARE_TOPIC, 0, 1)).collect();
        batch::build(claim, to, &records.iter().collect::<Vec<_>>(), read, &mut self.working).0
    }

    /// Opens the clinic with this many waiting tickets; returns the claim to continue with.
    pub async fn open(&mut self, ledger: &dyn Ledger, tickets: u128) -> PartitionClaim {
        let claim = ledger.claim(0).await.expect("the ledger claims");
        let batch =
            self.batch(claim, opening().into_iter().chain((1..=tickets).map(issue)).collect());
        ledger.commit(&batch).await.expect("the ledger commits");
        PartitionClaim { next_offset: batch.to, ..claim }
    }
}
