//! Builds one transaction from records. Pure, given the aggregates and the outcomes that the
//! records need.

mod builder;
mod fit;
mod view_steps;

use std::{collections::HashMap, sync::Arc, time::Duration};

use schemas::{
    Millis,
    appointment::AppointmentChange,
    codes::Code,
    command::Command,
    identity::CommandIdentity,
    ids::Aggregate,
    record::{CommandRecord, WireRecord, topic_for},
};

use crate::{
    aggregate::AggregateState,
    ledger::{Batch, OutcomeRow, PartitionClaim},
    log::{LogRecord, PartitionId},
    tenants::TenantTable,
};
use builder::BatchBuilder;
pub use view_steps::ViewSteps;

/// How long the keys of commands are kept by default: a client that was offline over a weekend day
/// may still repeat what it sent before.
pub const KEY_LIFETIME: Duration = Duration::from_hours(48);

/// How far the append time of a record may be ahead of the owner's clock: five minutes, as Kerberos
/// tolerates. Synchronised machines differ by less than a second, so more means a wrong clock. Five
/// minutes are also a third of the shortest default timer, so that a tolerated difference cannot
/// end an absence at once. Past it, the record is parked.
pub const MAX_AHEAD: Millis = 5 * 60 * 1000;

/// The number of records of a batch by result.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BatchTally {
    /// Commands applied.
    pub applied: u64,
    /// Commands refused.
    pub refused: u64,
    /// Commands that were decided before.
    pub repeated: u64,
    /// Records set aside.
    pub parked: u64,
    /// Steps of views that were too large to publish with their entries.
    pub omitted: u64,
    /// Facts among the applied commands, by what they changed.
    pub facts: HashMap<AppointmentChange, u64>,
}

/// Whether the outcome of a command is stored, so that it is decided once and its caller gets the
/// outcome. Ticks have no caller, and the outcome of an early tick must not answer the next one.
pub fn is_answered(command: &Command) -> bool {
    !matches!(command, Command::Tick {})
}

/// The state that the records of a batch are judged against. The aggregates change while the batch
/// is built, so they must be dropped unless the batch is committed.
pub struct BatchState {
    /// Every aggregate that a record of the batch names.
    pub aggregates: HashMap<Aggregate, AggregateState>,
    /// Outcomes of the batch's commands that were decided before, and those that its answers about
    /// moves settle ([`Location::settled_by`](crate::location::Location::settled_by)).
    pub outcomes: HashMap<CommandIdentity, OutcomeRow>,
    /// Whether the outcomes of the batch's commands were not looked up ([`Batch::all_new`]).
    pub all_new: bool,
    /// How long the keys of commands are kept, in milliseconds. A later repeat is a new command.
    pub key_lifetime: Millis,
    /// The owner's clock when the batch is decided.
    pub decided_at: Millis,
    /// The tenants when the batch is decided.
    pub tenants: Arc<TenantTable>,
}

/// No aggregates and outcomes; keys are kept for [`KEY_LIFETIME`]; no tenant is suspended.
impl Default for BatchState {
    fn default() -> Self {
        let key_lifetime = KEY_LIFETIME.as_millis() as Millis;
        let (aggregates, outcomes) = (HashMap::new(), HashMap::new());
        let tenants = Arc::default();
        Self { aggregates, outcomes, all_new: false, key_lifetime, decided_at: 0, tenants }
    }
}

/// Checks the append time of a record against the owner's clock, so that one wrong broker clock
/// cannot move the clock of a location, which never goes back.
///
/// # Errors
/// [`Code::RecordFromFuture`] more than [`MAX_AHEAD`] ahead.
pub fn check_time(appended_at: Millis, owner: Millis) -> Result<(), Code> {
    (appended_at - owner <= MAX_AHEAD).then_some(()).ok_or(Code::RecordFromFuture)
}

/// Reads a record of `topic`.
///
/// # Errors
///
/// The code under which the record is parked.
pub fn read(
    record: &WireRecord,
    topic: &str,
    partition: PartitionId,
    partition_count: u32,
) -> Result<CommandRecord, Code> {
    if PartitionId::for_key(&record.key, partition_count) != partition {
        return Err(Code::RecordWrongPartition);
    }
    let command = CommandRecord::from_wire(record)?;
    if topic_for(command.aggregate.kind()) != topic {
        return Err(Code::RecordBadKey);
    }
    Ok(command)
}

/// A transaction, and how many records it holds.
pub struct BuiltBatch {
    /// The transaction. Its `to` is the offset after the last record that it holds.
    pub batch: Batch,
    /// The number of records that the transaction holds, from the first on: at least one. The
    /// others had no effect on the state, and go into the next batch.
    pub records: usize,
    /// The results of those records.
    pub tally: BatchTally,
}

/// Builds the transaction of the first of `records`, as many as the bounds of a batch allow and at
/// least one. `read` holds the content of each record.
///
/// # Panics
/// When a decision panics, or when `state` lacks an aggregate that a record names. Nothing is
/// stored then, but `state` may hold half of a record's effect and must be dropped.
pub fn build(
    claim: PartitionClaim,
    records: &[&LogRecord],
    read: Vec<Result<CommandRecord, Code>>,
    state: &mut BatchState,
) -> BuiltBatch {
    let mut builder = BatchBuilder::new(state, records.len());
    let mut to = claim.next_offset;
    let mut count = 0;
    for (record, read) in records.iter().zip(read) {
        match read {
            Ok(command) => builder.command(record, command),
            Err(code) => builder.park(record, code),
        }
        to = record.offset.next();
        count += 1;
        if builder.is_full() {
            break;
        }
    }
    let (batch, tally) = builder.finish(claim, to);
    BuiltBatch { batch, records: count, tally }
}

/// Builds the transaction that sets one record aside under `code`, when `decided_at` is the owner's
/// clock. No aggregate is needed, so this works for a record whose decision panics, or that the
/// ledger refuses to store.
pub fn park(
    claim: PartitionClaim,
    record: &LogRecord,
    code: Code,
    decided_at: Millis,
) -> BuiltBatch {
    let mut state = BatchState { decided_at, ..BatchState::default() };
    build(claim, &[record], vec![Err(code)], &mut state)
}

#[cfg(test)]
mod tests;
