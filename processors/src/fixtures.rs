//! A clinic with real batches, for conformance suites, tests against servers, and benches.

use schemas::{
    Millis,
    command::Command,
    identity::CommandIdentity,
    ids::{Aggregate, AggregateKind, QueueId, StationId, TenantId, TicketId},
    record::{CARE_TOPIC, NamedCommand, WireRecord},
};
pub use testing::records::GATEWAY;
use testing::records::{command_record, riverside};

use crate::{
    aggregate::AggregateState,
    ledger::{Batch, Ledger, OwnerEpoch, PartitionClaim},
    location::Location,
    log::{LogOffset, LogRecord, PartitionId},
    runner::batch::{self, BatchState},
    views::ViewStep,
};

/// The partition count of the fixture: so large that two clinics hardly share a partition.
pub const PARTITION_COUNT: u32 = 1_000_003;
/// The milliseconds between two records.
const PACE: Millis = 1_000;

/// Records of one batch, like the runner's.
const RUNNER_BATCH: usize = 500;

/// One location, its clock and its number of records.
pub struct Clinic {
    /// The location.
    pub aggregate: Aggregate,
    working: BatchState,
    at: Millis,
    commands: u32,
}

impl Clinic {
    /// Makes a clinic of a tenant that was never used before, with an epoch from the ledger.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn new(ledger: &dyn Ledger) -> Self {
        let tenant = TenantId::new(format!("t-{:016x}", fastrand::u64(..))).expect("a slug");
        Self::with_tenant(ledger, &tenant).await
    }

    /// Makes a clinic of this tenant, with an epoch from the ledger.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn with_tenant(ledger: &dyn Ledger, tenant: &TenantId) -> Self {
        let epoch = ledger.next_epoch().await.expect("the ledger gives an epoch");
        let aggregate = Aggregate::location(tenant, &riverside::location());
        let state = AggregateState::new(AggregateKind::Location, epoch);
        let mut working = BatchState::default();
        working.aggregates.insert(aggregate.clone(), state);
        Self { aggregate, working, at: 1_700_000_000_000, commands: 0 }
    }

    /// The partition of the clinic, of [`PARTITION_COUNT`].
    pub fn partition(&self) -> PartitionId {
        PartitionId::for_key(self.aggregate.as_str(), PARTITION_COUNT)
    }

    /// The state after all batches.
    ///
    /// # Panics
    /// Never: the location is always there.
    pub fn location(&self) -> &Location {
        self.working.aggregates[&self.aggregate].location().expect("a clinic is a location")
    }

    /// Drops ended tickets from memory, like a runner after a commit.
    ///
    /// # Panics
    /// Never: the location is always there.
    pub fn forget_ended(&mut self) {
        let state =
            self.working.aggregates.get_mut(&self.aggregate).expect("a clinic has its location");
        state.location_mut().expect("a clinic is a location").forget_ended();
    }

    /// Makes the record of a command with a fresh id.
    pub fn record(&mut self, command: Command) -> WireRecord {
        self.commands += 1;
        command_record(&self.aggregate, &format!("c-{}", self.commands), command).to_wire()
    }

    /// Makes the batch of these commands under `claim`, one record each.
    pub fn batch(&mut self, claim: PartitionClaim, commands: Vec<Command>) -> Batch {
        let records = commands.into_iter().map(|command| self.record(command)).collect();
        self.batch_of(claim, records)
    }

    /// Makes the batch of these records under `claim`.
    pub fn batch_of(&mut self, claim: PartitionClaim, records: Vec<WireRecord>) -> Batch {
        let stamp = |record| {
            self.at += PACE;
            (self.at, record)
        };
        let records = records.into_iter().map(stamp).collect();
        self.batch_at(claim, records)
    }

    /// The append time of the last record.
    pub fn now(&self) -> Millis {
        self.at
    }

    /// The identities of the commands in these records.
    pub fn identities<'a>(
        &self,
        records: impl IntoIterator<Item = &'a WireRecord>,
    ) -> impl Iterator<Item = CommandIdentity> {
        let named = |record| NamedCommand::from_wire(record).map(|(_, named)| named.identity);
        records.into_iter().filter_map(named)
    }

    /// Replaces the outcomes in memory by those that the ledger has, like a runner before a batch.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn read_outcomes(&mut self, ledger: &dyn Ledger, commands: &[CommandIdentity]) {
        let rows = ledger.outcomes(commands).await.expect("the ledger answers");
        self.working.outcomes = rows.into_iter().map(|row| (row.identity.clone(), row)).collect();
    }

    /// Makes the batch of these records, each with its append time, under `claim`.
    ///
    /// # Panics
    /// When the records are too many for one batch.
    pub fn batch_at(&mut self, claim: PartitionClaim, records: Vec<(Millis, WireRecord)>) -> Batch {
        let stamped = (claim.next_offset.0..).map(LogOffset).zip(records);
        let records: Vec<LogRecord> =
            stamped.map(|(offset, (at, record))| LogRecord { offset, at, record }).collect();
        self.at = records.iter().map(|record| record.at).fold(self.at, Millis::max);
        let partition = self.partition();
        let read = records
            .iter()
            .map(|record| batch::read(&record.record, CARE_TOPIC, partition, PARTITION_COUNT))
            .collect();
        let refs: Vec<&LogRecord> = records.iter().collect();
        let built = batch::build(claim, &refs, read, &mut self.working);
        assert_eq!(built.records, records.len(), "the records fit into one batch");
        built.batch
    }

    /// The merged steps of these commands, as a view store gets them.
    pub fn steps(&mut self, commands: Vec<Command>) -> Vec<ViewStep> {
        let claim = PartitionClaim {
            partition: self.partition(),
            owner_epoch: OwnerEpoch(1),
            next_offset: LogOffset::START,
        };
        self.batch(claim, commands).views
    }

    /// Opens the clinic with tickets 1 to `tickets` waiting, and commits that. Returns the claim to
    /// continue with.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn open(&mut self, ledger: &dyn Ledger, tickets: u128) -> PartitionClaim {
        let mut claim = ledger.claim(self.partition()).await.expect("the ledger claims");
        let commands: Vec<Command> =
            opening().into_iter().chain((1..=tickets).map(issue)).collect();
        for commands in commands.chunks(RUNNER_BATCH) {
            let batch = self.batch(claim, commands.to_vec());
            ledger.commit(&batch).await.expect("the ledger commits");
            self.forget_ended();
            claim.next_offset = batch.to;
        }
        claim
    }
}

/// The only queue.
pub fn queue() -> QueueId {
    riverside::queue("general")
}

/// The only station.
pub fn station() -> StationId {
    riverside::station("room-1")
}

/// The ticket whose 128 bits are this number.
pub fn ticket(number: u128) -> TicketId {
    riverside::ticket(number)
}

/// Configures location, queue and station, and opens the queue: four commands.
pub fn opening() -> Vec<Command> {
    riverside::opening()
}

/// Issues a ticket of normal priority.
pub fn issue(number: u128) -> Command {
    riverside::issue("general", number)
}

/// Takes a ticket out of the line.
pub fn leave(number: u128) -> Command {
    riverside::leave(number)
}

/// Calls the next ticket.
pub fn call_next() -> Command {
    riverside::call_next("general", "room-1")
}
