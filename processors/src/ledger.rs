//! The backend to the authority: journal, state, stored views, outcomes, outbox and parked records, moved forward
//! together in one transaction per batch that is fenced by the partition's checkpoint.

use schemas::{
    Millis,
    appointment::SourceKey,
    codes::Code,
    command::CommandOutcome,
    event::Event,
    ids::{Aggregate, AppointmentId, CommandId, SourceId, TenantId, TicketId},
    record::{Actor, WireRecord},
    view::{Position, View},
};

use crate::{
    BoxFuture,
    aggregate::{AggregateHeader, StoredAggregate},
    location::{Appointment, Ticket},
    run::RunRow,
    views::ViewStep,
};

/// Ownership of one partition: what every commit must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionClaim {
    pub partition: u32,
    /// Rises with each claim; an older owner's commits find no row.
    pub owner_epoch: i64,
    pub next_offset: i64,
}

/// Why the ledger did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The checkpoint is not where the batch starts under this owner: read it, and continue or give up.
    #[error("the checkpoint moved or has another owner")]
    Fenced,
    /// An aggregate's row is not at the version the batch starts from. Never happens while keys keep their partition.
    #[error("an aggregate moved without this owner")]
    Diverged,
    /// The outcome is unknown or the ledger is unreachable: read the checkpoint before anything else. The source is
    /// logged, so its text must quote no value.
    #[error("the ledger did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What became of one record.
#[derive(Clone)]
pub struct JournalRow {
    pub offset: i64,
    pub at: Millis,
    /// Absent when the record could not be read.
    pub command: Option<(Aggregate, CommandId, Option<Actor>)>,
    pub entry: JournalEntry,
}

#[derive(Clone)]
pub enum JournalEntry {
    /// Events under a version.
    Applied { position: Position, events: Vec<Event> },
    /// With a version only if timers were due before it: their events.
    Refused { code: Code, timers: Option<(Position, Vec<Event>)> },
    /// The same (tenant, source, id) was decided before.
    Repeated,
    /// Set aside untouched, for people to look at.
    Parked { code: Code, record: WireRecord },
}

impl JournalEntry {
    /// What happened, under which version; `None` when nothing did.
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

#[derive(Clone)]
pub struct AggregateRow {
    pub aggregate: Aggregate,
    pub epoch: u64,
    /// Version before the batch: 0 for a new aggregate.
    pub from: u64,
    pub to: u64,
    pub header: AggregateHeader,
    /// When its next timer is due.
    pub due: Option<Millis>,
}

#[derive(Clone)]
pub struct TicketRow {
    pub aggregate: Aggregate,
    pub ticket: Ticket,
}

#[derive(Clone)]
pub struct AppointmentRow {
    pub aggregate: Aggregate,
    pub appointment: Appointment,
}

#[derive(Clone)]
pub struct OutcomeRow {
    pub tenant: TenantId,
    pub source: String,
    pub outcome: CommandOutcome,
}

/// A record to be published after the commit. Its key in the outbox is (partition, offset, part).
#[derive(Clone)]
pub struct OutboxRow {
    pub offset: i64,
    pub part: i16,
    pub topic: &'static str,
    pub record: WireRecord,
}

/// One transaction: moves the checkpoint of `claim` from `claim.next_offset` to `to` and everything with it.
#[derive(Clone)]
pub struct Batch {
    pub claim: PartitionClaim,
    pub to: i64,
    pub journal: Vec<JournalRow>,
    pub aggregates: Vec<AggregateRow>,
    pub tickets: Vec<TicketRow>,
    pub appointments: Vec<AppointmentRow>,
    pub runs: Vec<RunRow>,
    pub views: Vec<ViewStep>,
    pub outcomes: Vec<OutcomeRow>,
    pub outbox: Vec<OutboxRow>,
}

/// Names a view: the aggregate and the view's name.
pub type ViewName = (Aggregate, String);

/// A view, and the seconds it is kept from now on; `None`: until it changes.
pub type StoredView = (View, Option<u32>);

/// Parts of a location that a batch names and that do not come with it.
#[derive(Default, Clone)]
pub struct PartNames {
    pub tickets: Vec<TicketId>,
    pub appointments: Vec<AppointmentId>,
    /// Appointments by what their source calls them.
    pub keys: Vec<(SourceId, SourceKey)>,
}

/// What the ledger has under such names.
#[derive(Default)]
pub struct LocationParts {
    /// Ended ones only: the live ones come with their location.
    pub tickets: Vec<Ticket>,
    /// Open or not, each once.
    pub appointments: Vec<Appointment>,
}

impl PartNames {
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.appointments.is_empty() && self.keys.is_empty()
    }
}

pub trait Ledger: Send + Sync + 'static {
    /// Takes the partition: bumps its owner epoch (creating the row at offset 0) and answers where to read on.
    fn claim(&self, partition: u32) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>>;

    /// The partition's checkpoint as it stands, whoever owns it.
    fn checkpoint(&self, partition: u32) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>>;

    /// An aggregate with what is live of it, at one moment: of a location its live tickets and the appointments
    /// that are near on its service day. `None` when it does not exist.
    fn restore<'a>(
        &'a self,
        aggregate: &'a Aggregate,
    ) -> BoxFuture<'a, Result<Option<StoredAggregate>, LedgerError>>;

    /// What is there under these names.
    fn location_parts<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        names: &'a PartNames,
    ) -> BoxFuture<'a, Result<LocationParts, LedgerError>>;

    /// All appointments of a location whose service day (`YYYY-MM-DD`) lies behind `after` and not behind `until`.
    fn appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        after: &'a str,
        until: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>>;

    /// Every aggregate of a partition that has a timer, and when its next is due.
    fn due(&self, partition: u32) -> BoxFuture<'_, Result<Vec<(Aggregate, Millis)>, LedgerError>>;

    /// Outcomes decided before, among these (tenant, source, command).
    fn outcomes<'a>(
        &'a self,
        commands: &'a [(TenantId, String, CommandId)],
    ) -> BoxFuture<'a, Result<Vec<OutcomeRow>, LedgerError>>;

    /// A new epoch: the ledger's sequence or the Unix time in seconds, whichever is greater, and greater than any before.
    fn next_epoch(&self) -> BoxFuture<'_, Result<u64, LedgerError>>;

    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// What the outbox of a partition holds, oldest first, at most `limit` rows.
    fn outbox(
        &self,
        partition: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OutboxRow>, LedgerError>>;

    /// Deletes outbox rows by their keys once the log acknowledged them.
    fn delete_published<'a>(
        &'a self,
        partition: u32,
        rows: &'a [(i64, i16)],
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Remembers views the store may lack.
    fn mark_dirty<'a>(&'a self, views: &'a [ViewName]) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Dirty views of a partition's aggregates, at most `limit`.
    fn dirty(
        &self,
        partition: u32,
        partition_count: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ViewName>, LedgerError>>;

    /// A stored view as of the last commit, and how long it is kept; `None` when there is none (any more).
    fn view<'a>(
        &'a self,
        name: &'a ViewName,
    ) -> BoxFuture<'a, Result<Option<StoredView>, LedgerError>>;

    /// Forgets that a view was dirty, unless it moved past `version` meanwhile. Of a view that is no longer kept,
    /// the version is 0.
    fn mark_repaired<'a>(
        &'a self,
        name: &'a ViewName,
        version: u64,
    ) -> BoxFuture<'a, Result<(), LedgerError>>;
}
