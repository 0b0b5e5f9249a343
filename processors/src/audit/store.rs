//! The backend of the audit. PostgreSQL and memory implement it.

use std::time::Duration;

use schemas::{Millis, audit::WrittenEntry, codes::Code, ids::TenantId, record::WireRecord};
use tokio::time::timeout;

use super::chain::{Anchor, ChainHash, ChainHead, Day, EntryNumber, RowColumns};
use crate::{
    BoxFuture,
    ledger::{LedgerError, PartitionClaim},
    log::{LogOffset, PartitionId},
};

/// How long the store may take for one answer, above its own limits.
const PATIENCE: Duration = Duration::from_secs(10);
/// New entries of one tenant.
#[derive(Clone)]
pub struct TenantEntries {
    /// The tenant.
    pub tenant: TenantId,
    /// The entries in the order of the log, each with its append time.
    pub entries: Vec<(Millis, WrittenEntry)>,
}

/// A record that cannot be read, set aside unchanged.
#[derive(Clone)]
pub struct ParkedRecord {
    /// The offset of the record.
    pub offset: LogOffset,
    /// Why the record cannot be stored as entries.
    pub code: Code,
    /// The record.
    pub record: WireRecord,
}

/// One transaction. It moves the checkpoint of `claim` from `claim.next_offset` to `to`, together
/// with all rows.
#[derive(Clone)]
pub struct AuditBatch {
    /// The owner and the offset where the batch starts.
    pub claim: PartitionClaim,
    /// The offset after the last record of the batch.
    pub to: LogOffset,
    /// The entries, each tenant once.
    pub tenants: Vec<TenantEntries>,
    /// Records that are parked.
    pub parked: Vec<ParkedRecord>,
}

impl AuditBatch {
    /// The number of new entries.
    pub fn entries(&self) -> usize {
        self.tenants.iter().map(|tenant| tenant.entries.len()).sum()
    }
}

/// The ends of a tenant's chain.
#[derive(Debug, Clone, Default)]
pub struct ChainEnds {
    /// The last entry. `None` for a tenant without entries.
    pub head: Option<ChainHead>,
    /// The anchor of each day with entries, dropped days included, in the order of days.
    pub anchors: Vec<Anchor>,
}

/// A row as it is stored, for verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The number of the entry.
    pub number: EntryNumber,
    /// When the log appended the entry.
    pub logged_at: Millis,
    /// The columns by which the entry is found.
    pub columns: RowColumns,
    /// The bytes of the entry.
    pub body: String,
    /// The hash of the entry.
    pub hash: ChainHash,
}

/// The store of the audit. Stored rows are never changed; whole days are dropped at the end of
/// their retention.
pub trait AuditStore: Send + Sync + 'static {
    /// Claims a partition: raises its owner epoch and returns where to continue.
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>>;

    /// Reads the checkpoint of a partition, which any process may own.
    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>>;

    /// Stores a batch in one transaction.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] when the checkpoint is elsewhere, [`LedgerError::Diverged`] when
    /// another writer has changed the head of a chain, [`LedgerError::Refused`] when the batch
    /// cannot be stored, and [`LedgerError::Unavailable`] when the outcome is unknown.
    fn commit<'a>(&'a self, batch: &'a AuditBatch) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Whether the last row of a chain is the one that its head names. `true` without a chain.
    fn has_sound_end<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<bool, LedgerError>>;

    /// The tenants that have a chain, in the order of their names after `after`, at most `limit`.
    fn tenants<'a>(
        &'a self,
        after: Option<&'a TenantId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TenantId>, LedgerError>>;

    /// The ends of a tenant's chain.
    fn ends<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<ChainEnds, LedgerError>>;

    /// The days that are kept, in order, whether or not they have rows.
    fn days(&self) -> BoxFuture<'_, Result<Vec<Day>, LedgerError>>;

    /// The rows of a tenant and a day after the place `after`, in order, at most `limit`.
    fn rows<'a>(
        &'a self,
        tenant: &'a TenantId,
        day: Day,
        after: Option<(Millis, EntryNumber)>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredRow>, LedgerError>>;
}

/// Waits for the store, with a limit: an answer that does not come has an unknown outcome.
pub(super) async fn answered<T>(
    answer: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|elapsed| Err(LedgerError::Unavailable(elapsed.into())))
}
