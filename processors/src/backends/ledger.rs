//! The backend for the authority. It holds the journal, the state of aggregates, stored views,
//! outcomes of commands, the outbox and parked records.
//!
//! One transaction per batch moves all of them forward. The checkpoint of the partition fences that
//! transaction, so an owner that lost the partition cannot commit.

use std::{fmt, ops::Range, sync::Arc};

use schemas::{
    Millis,
    codes::Code,
    command::{CommandOutcome, Verdict},
    event::Event,
    figures::Figure,
    history::Stay,
    identity::CommandIdentity,
    ids::{Aggregate, AppointmentId, CommandId, Fingerprint, SourceId, SourceKey, TicketId},
    record::{Actor, WireRecord},
    view::{Position, View},
};

use crate::{
    BoxFuture,
    aggregate::{AggregateHeader, StoredAggregate},
    alerts::AlertRow,
    anchor::LogAnchor,
    location::{Appointment, RenewalNeed, Ticket},
    log::{LogOffset, PartitionId},
    run::RunRow,
    views::ViewStep,
    webhooks::{OutwardRow, WebhookRow},
};

/// The epoch of a partition's owner. It rises with each claim, so that the commit of an older owner
/// matches no checkpoint row.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerEpoch(pub i64);

impl fmt::Display for OwnerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Ownership of one partition. Every commit states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionClaim {
    /// The number of the partition within its topic.
    pub partition: PartitionId,
    /// The epoch of the owner.
    pub owner_epoch: OwnerEpoch,
    /// The offset of the first record that is not yet committed.
    pub next_offset: LogOffset,
}

/// Why a call to the ledger failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The checkpoint is not where the batch starts, or another owner holds it. The caller reads
    /// the checkpoint, and then continues or gives up the partition.
    #[error("the checkpoint moved or has another owner")]
    Fenced,
    /// The row of an aggregate is not at the version from which the batch starts. This cannot
    /// happen while each key keeps its partition.
    #[error("an aggregate changed without this owner")]
    Diverged,
    /// A command of the batch was decided before, or a ticket that it issues is known. The caller
    /// looks them up and decides again.
    #[error("a command of the batch was decided before")]
    Repeated,
    /// The ledger refuses what the batch holds, or cannot read what it stores, and will do so
    /// again. The source is logged, so its text must not quote a value.
    #[error("the ledger refuses the batch")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The outcome is unknown, or the ledger is unreachable. The caller reads the checkpoint before
    /// anything else. The source is logged, so its text must not quote a value.
    #[error("the ledger did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The journal row of one record.
#[derive(Clone)]
pub struct JournalRow {
    /// The offset of the record in its partition.
    pub offset: LogOffset,
    /// The time of the decision, by the clock of the aggregate.
    pub at: Millis,
    /// The owner's clock at the decision. A command past its end of validity then is refused.
    pub decided_at: Millis,
    /// The aggregate, the command id and the actor. `None` when the record could not be read.
    pub command: Option<(Aggregate, CommandId, Option<Actor>)>,
    /// The effect of the record.
    pub entry: JournalEntry,
}

/// The effect of one record, as the journal keeps it.
#[derive(Clone)]
pub enum JournalEntry {
    /// The command was applied: its events, under one version.
    Applied {
        /// The position after the command.
        position: Position,
        /// The events, in order.
        events: Vec<Event>,
    },
    /// The command was refused. It has a version and events only if timers were due before it.
    Refused {
        /// Why the command was refused.
        code: Code,
        /// The position and the events of timers that were due before the command.
        timers: Option<(Position, Vec<Event>)>,
    },
    /// A command with the same identity and content was decided before.
    Repeated,
    /// The record was set aside unchanged, for people to look at.
    Parked {
        /// Why the record cannot be applied.
        code: Code,
        /// The record as the log has it.
        record: WireRecord,
    },
}

impl JournalEntry {
    /// The events of the record and their version, or `None` when the record changed nothing.
    pub fn moved(&self) -> Option<(Position, &[Event])> {
        match self {
            JournalEntry::Applied { position, events } => Some((*position, events)),
            JournalEntry::Refused { timers, .. } => {
                timers.as_ref().map(|(position, events)| (*position, &**events))
            }
            JournalEntry::Repeated | JournalEntry::Parked { .. } => None,
        }
    }
}

/// The row of an aggregate that a batch changed.
#[derive(Clone)]
pub struct AggregateRow {
    /// The aggregate.
    pub aggregate: Aggregate,
    /// The epoch of its positions.
    pub epoch: u64,
    /// The version before the batch: 0 for a new aggregate.
    pub from: u64,
    /// The version after the batch.
    pub to: u64,
    /// The state that the ledger keeps for the aggregate.
    pub header: AggregateHeader,
    /// When the next timer of the aggregate is due.
    pub due: Option<Millis>,
}

/// The row of a ticket that a batch changed.
#[derive(Clone)]
pub struct TicketRow {
    /// The location of the ticket.
    pub aggregate: Aggregate,
    /// The ticket after the batch.
    pub ticket: Ticket,
}

/// The row of an appointment that a batch changed.
#[derive(Clone)]
pub struct AppointmentRow {
    /// The location of the appointment.
    pub aggregate: Aggregate,
    /// The appointment after the batch.
    pub appointment: Appointment,
}

/// The row of a stay that began or ended with a batch.
#[derive(Clone)]
pub struct StayRow {
    /// The location of the ticket.
    pub aggregate: Aggregate,
    /// The stay after the batch.
    pub stay: Stay,
}

/// The change of a row of figures.
#[derive(Clone)]
pub struct FigureRow {
    /// The location.
    pub aggregate: Aggregate,
    /// The change, which is added to the row.
    pub figure: Figure,
}

/// The outcome of a command, kept for callers that send the command again.
#[derive(Clone)]
pub struct OutcomeRow {
    /// The identity of the command.
    pub identity: CommandIdentity,
    /// The aggregate that decided the command.
    pub aggregate: Aggregate,
    /// The content of the command.
    pub fingerprint: Option<Fingerprint>,
    /// In a batch: the outcome replaces `moving`, which `aggregate` gave this command under this
    /// version, and whose fingerprint and first time stay. Where another outcome or none is kept,
    /// the row is left out. `None` for the outcome of a decision.
    pub settles: Option<u64>,
    /// The append time of the first record with this identity. The lifetime of the key begins here.
    pub first_at: Millis,
    /// The outcome.
    pub outcome: CommandOutcome,
}

impl OutcomeRow {
    /// Whether the key of the command is no longer kept for a record that was appended at `at`.
    /// Append times alone decide, so every ledger and every rebuild agrees.
    pub fn is_forgotten(&self, at: Millis, key_lifetime: Millis) -> bool {
        at.saturating_sub(self.first_at) >= key_lifetime
    }

    /// Whether this outcome waits for the end of the move that `aggregate` began with the version
    /// `began`.
    pub fn is_settled_by(&self, aggregate: &Aggregate, began: u64) -> bool {
        let moving =
            matches!(self.outcome.verdict, Verdict::Moving { version, .. } if version == began);
        self.aggregate == *aggregate && moving
    }

    /// Takes over a later row of the same command.
    pub fn replace(&mut self, later: OutcomeRow) {
        match later.settles {
            None => *self = later,
            Some(_) => self.outcome = later.outcome,
        }
    }
}

/// The key of a row of the outbox within its partition: offset and part.
pub type OutboxKey = (LogOffset, i16);

/// A record to publish after the commit. Its key in the outbox is (partition, offset, part).
#[derive(Clone)]
pub struct OutboxRow {
    /// The offset of the record that caused this one.
    pub offset: LogOffset,
    /// Distinguishes the records of one offset: 0 for the record of `views`, from 1 on for
    /// follow-up commands.
    pub part: i16,
    /// The topic to publish to.
    pub topic: &'static str,
    /// The record.
    pub record: WireRecord,
}

/// One transaction. It moves the checkpoint of `claim` from `claim.next_offset` to `to`, together
/// with all rows.
#[derive(Clone)]
pub struct Batch {
    /// The owner and the offset where the batch starts.
    pub claim: PartitionClaim,
    /// The offset after the last record of the batch.
    pub to: LogOffset,
    /// One row per record.
    pub journal: Vec<JournalRow>,
    /// Aggregates that changed.
    pub aggregates: Vec<AggregateRow>,
    /// Tickets that changed.
    pub tickets: Vec<TicketRow>,
    /// Appointments that changed.
    pub appointments: Vec<AppointmentRow>,
    /// Runs that changed in lists or as work.
    pub runs: Vec<RunRow>,
    /// Changes of devices and due alerts, in order.
    pub alerts: Vec<AlertRow>,
    /// Events for webhooks, in order.
    pub outward: Vec<OutwardRow>,
    /// Changes of webhooks, in order.
    pub webhooks: Vec<WebhookRow>,
    /// Stays of tickets that began or ended, each as it is after the batch: at most two for each
    /// step of a ticket.
    pub stays: Vec<StayRow>,
    /// Changes of figures, one for each row: at most three for each step of a ticket.
    pub figures: Vec<FigureRow>,
    /// Changes of views.
    pub views: Vec<ViewStep>,
    /// Outcomes of commands that this batch decided, at most one for each command. If an earlier
    /// outcome of a command is kept that is not forgotten at `first_at`, the batch is not
    /// committed: of two aggregates that decide one command at once, the first to commit decides.
    pub outcomes: Vec<OutcomeRow>,
    /// The batch was decided as if none of its commands had been decided before, and none of the
    /// tickets that it issues had ended before. If such a ticket is kept, the batch is not
    /// committed.
    pub all_new: bool,
    /// How long the keys of commands are kept, in milliseconds.
    pub key_lifetime: Millis,
    /// Records to publish.
    pub outbox: Vec<OutboxRow>,
    /// Rows of the outbox to delete, by their keys: the log has acknowledged their records.
    pub published: Vec<OutboxKey>,
}

impl Batch {
    /// A batch that moves the checkpoint of `claim` to `to`, and changes nothing else.
    pub fn without_rows(claim: PartitionClaim, to: LogOffset) -> Self {
        Self {
            claim,
            to,
            journal: Vec::new(),
            aggregates: Vec::new(),
            tickets: Vec::new(),
            appointments: Vec::new(),
            runs: Vec::new(),
            alerts: Vec::new(),
            outward: Vec::new(),
            webhooks: Vec::new(),
            stays: Vec::new(),
            figures: Vec::new(),
            views: Vec::new(),
            outcomes: Vec::new(),
            all_new: false,
            key_lifetime: 0,
            outbox: Vec::new(),
            published: Vec::new(),
        }
    }
}

/// The name of a stored view: its aggregate and its channel.
pub type ViewName = (Aggregate, String);

/// A view, and the seconds for which it is kept from now on. `None` keeps it until it changes.
pub type StoredView = (View, Option<u32>);

/// Parts of a location that a batch refers to and that are not restored with the location.
#[derive(Default, Clone)]
pub struct PartNames {
    /// Tickets by id.
    pub tickets: Vec<TicketId>,
    /// Appointments by id.
    pub appointments: Vec<AppointmentId>,
    /// Appointments by source and by the key that the source gave them.
    pub keys: Vec<(SourceId, SourceKey)>,
}

/// The parts that the ledger has for a [`PartNames`].
#[derive(Default)]
pub struct LocationParts {
    /// Tickets that have ended. Unfinished ones are restored with their location.
    pub tickets: Vec<Ticket>,
    /// Appointments, open or ended, each of them once.
    pub appointments: Vec<Appointment>,
}

impl PartNames {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.appointments.is_empty() && self.keys.is_empty()
    }
}

/// The authority that a runner writes to. PostgreSQL and memory implement it.
pub trait Ledger: Send + Sync + 'static {
    /// Claims a partition: raises its owner epoch (and creates the row at offset 0) and returns
    /// where to continue.
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>>;

    /// Reads how the log of a partition continues the journal.
    fn anchor(&self, partition: PartitionId) -> BoxFuture<'_, Result<LogAnchor, LedgerError>>;

    /// Begins a new epoch for every aggregate of this consumer if the ledger is older than what was
    /// published: it was restored from a copy, or lost its last commits. Returns the epoch, or
    /// `None` when the ledger is not older or the epoch has begun already. Claims made before are
    /// fenced.
    fn begin_epoch_if_older<'a>(
        &'a self,
        published: &'a [(Aggregate, Position)],
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>>;

    /// Moves the next `limit` aggregates of a claimed partition whose epoch is older than `epoch`
    /// to it, in the order of their keys after `after`. Their versions stay. Their views are marked
    /// suspect, and a record that announces the epoch is in the outbox. Returns the last of them,
    /// or `None` when none was left: then [`LogAnchor::epoch_floor`] is over.
    fn renew_epochs<'a>(
        &'a self,
        claim: PartitionClaim,
        epoch: u64,
        at: Millis,
        after: Option<&'a Aggregate>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<Aggregate>, LedgerError>>;

    /// Reads the checkpoint of a partition, which any process may own.
    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>>;

    /// Reads an aggregate and its live parts at one moment. The live parts of a location are its
    /// unfinished tickets ([`Ticket::is_unfinished`]) and the appointments near its service day.
    /// `None` when the aggregate does not exist.
    fn restore<'a>(
        &'a self,
        aggregate: &'a Aggregate,
    ) -> BoxFuture<'a, Result<Option<StoredAggregate>, LedgerError>>;

    /// Reads the parts of a location that have these names.
    fn location_parts<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        names: &'a PartNames,
    ) -> BoxFuture<'a, Result<LocationParts, LedgerError>>;

    /// Reads all appointments of a location that wake in this time ([`Appointment::wakes_at`]).
    fn appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        wake: Range<Millis>,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>>;

    /// Reads the appointments of a location that a renewal needs, in the order of their ids.
    fn shown_appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        need: &'a RenewalNeed,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>>;

    /// Lists every aggregate of a partition that has a timer, and when its next timer is due.
    fn due(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Vec<(Aggregate, Millis)>, LedgerError>>;

    /// Reads the outcomes of those commands that were decided before, however long ago.
    fn outcomes<'a>(
        &'a self,
        commands: &'a [CommandIdentity],
    ) -> BoxFuture<'a, Result<Vec<OutcomeRow>, LedgerError>>;

    /// Deletes outcomes of commands that aggregates of this partition decided and that were first
    /// appended before `before`, at most `limit`. Returns how many.
    fn delete_outcomes(
        &self,
        partition: PartitionId,
        before: Millis,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>>;

    /// Draws a new epoch: the ledger's sequence or the Unix time in seconds, whichever is greater.
    /// The epoch is always greater than any before.
    fn next_epoch(&self) -> BoxFuture<'_, Result<u64, LedgerError>>;

    /// Commits a batch in one transaction.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Fenced`] when the checkpoint is elsewhere, [`LedgerError::Diverged`] when an
    /// aggregate is at another version, [`LedgerError::Repeated`] when a command that the batch
    /// decides was decided before, or a batch of new commands issues a ticket that is known, and
    /// [`LedgerError::Unavailable`] when the outcome is unknown.
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Commits a batch, perhaps in one transaction with batches of other partitions. The result is
    /// that of a commit of its own, and no other batch delays it for long.
    ///
    /// # Errors
    ///
    /// As [`Ledger::commit`].
    fn commit_with_others(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move { self.commit(&batch).await })
    }

    /// Reads the outbox of a partition, oldest row first, at most `limit` rows.
    fn outbox(
        &self,
        partition: PartitionId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OutboxRow>, LedgerError>>;

    /// Deletes rows of the outbox, by their keys, after the log has acknowledged their records.
    fn delete_published<'a>(
        &'a self,
        partition: PartitionId,
        rows: &'a [OutboxKey],
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Marks views that the view store may lack.
    fn mark_dirty<'a>(&'a self, views: &'a [ViewName]) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Marks the next `limit` views of the aggregates of a partition as suspect, in the order of
    /// their names after `after`: the view store may have lost them or may hold them as they were.
    /// Returns the last view of the slice, or `None` when no view was left.
    fn mark_suspect<'a>(
        &'a self,
        partition: PartitionId,
        partition_count: u32,
        after: Option<&'a ViewName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<ViewName>, LedgerError>>;

    /// Lists dirty and suspect views of the aggregates of a partition, at most `limit`. Dirty views
    /// come first: they changed a moment ago, so clients are likely to follow them.
    fn dirty(
        &self,
        partition: PartitionId,
        partition_count: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ViewName>, LedgerError>>;

    /// Reads a stored view as of the last commit, and how long it is kept. `None` when it does not
    /// exist or is no longer kept.
    fn view<'a>(
        &'a self,
        name: &'a ViewName,
    ) -> BoxFuture<'a, Result<Option<StoredView>, LedgerError>>;

    /// Clears both marks of a view, unless the view has moved past `position` since. For a
    /// view that is no longer kept, the position is the default.
    fn mark_repaired<'a>(
        &'a self,
        name: &'a ViewName,
        position: Position,
    ) -> BoxFuture<'a, Result<(), LedgerError>>;
}
