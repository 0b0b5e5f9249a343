//! A store with faults, and with changes that no real store makes.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use processors::{
    BoxFuture,
    audit::{AuditBatch, AuditStore, ChainEnds, Day, EntryNumber, StoredRow},
    ledger::{LedgerError, PartitionClaim},
    log::PartitionId,
};
use schemas::{Millis, ids::TenantId};
use standalone::memory::MemoryAudit;

/// A change that the owner of a store makes to the rows that it returns.
pub type RowChange = Box<dyn Fn(&mut Vec<StoredRow>) + Send + Sync>;

/// A change that the owner of a store makes to the ends of a chain.
pub type EndsChange = Box<dyn Fn(&mut ChainEnds) + Send + Sync>;

#[derive(Default)]
pub struct FaultyStore {
    pub memory: Arc<MemoryAudit>,
    /// A batch with an entry of this subject is refused.
    pub culprit: Mutex<Option<String>>,
    /// The answers to so many commits are lost, after the batch was stored.
    pub lost_answers: AtomicUsize,
    /// The store does not answer.
    pub is_down: AtomicBool,
    /// Commits that were tried.
    pub commits: AtomicUsize,
    pub change_rows: Mutex<Option<RowChange>>,
    pub change_ends: Mutex<Option<EndsChange>>,
    pub broken_end: AtomicBool,
    /// Earlier days are dropped.
    pub kept_from: Mutex<Option<Day>>,
}

fn unavailable() -> LedgerError {
    LedgerError::Unavailable("no answer".into())
}

impl FaultyStore {
    fn has_culprit(&self, batch: &AuditBatch) -> bool {
        let culprit = self.culprit.lock().unwrap();
        let mut entries = batch.tenants.iter().flat_map(|new| &new.entries);
        entries.any(|(_, written)| Some(&*written.entry.subject) == culprit.as_deref())
    }
}

impl AuditStore for FaultyStore {
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.memory.claim(partition)
    }

    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.memory.checkpoint(partition)
    }

    fn commit<'a>(&'a self, batch: &'a AuditBatch) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            self.commits.fetch_add(1, SeqCst);
            if self.is_down.load(SeqCst) {
                return Err(unavailable());
            }
            if self.has_culprit(batch) {
                return Err(LedgerError::Refused("bad data".into()));
            }
            self.memory.commit(batch).await?;
            let lost = |count: usize| count.checked_sub(1);
            match self.lost_answers.fetch_update(SeqCst, SeqCst, lost) {
                Ok(_) => Err(unavailable()),
                Err(_) => Ok(()),
            }
        })
    }

    fn has_sound_end<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<bool, LedgerError>> {
        match self.broken_end.load(SeqCst) {
            true => Box::pin(async { Ok(false) }),
            false => self.memory.has_sound_end(tenant),
        }
    }

    fn tenants<'a>(
        &'a self,
        after: Option<&'a TenantId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TenantId>, LedgerError>> {
        self.memory.tenants(after, limit)
    }

    fn ends<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<ChainEnds, LedgerError>> {
        Box::pin(async move {
            let mut ends = self.memory.ends(tenant).await?;
            if let Some(change) = &*self.change_ends.lock().unwrap() {
                change(&mut ends);
            }
            Ok(ends)
        })
    }

    fn days(&self) -> BoxFuture<'_, Result<Vec<Day>, LedgerError>> {
        Box::pin(async move {
            let mut days = self.memory.days().await?;
            let kept_from = *self.kept_from.lock().unwrap();
            days.retain(|day| kept_from.is_none_or(|kept| *day >= kept));
            Ok(days)
        })
    }

    fn rows<'a>(
        &'a self,
        tenant: &'a TenantId,
        day: Day,
        after: Option<(Millis, EntryNumber)>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredRow>, LedgerError>> {
        Box::pin(async move {
            let mut rows = self.memory.rows(tenant, day, after, limit).await?;
            if let Some(change) = &*self.change_rows.lock().unwrap() {
                change(&mut rows);
            }
            Ok(rows)
        })
    }
}
