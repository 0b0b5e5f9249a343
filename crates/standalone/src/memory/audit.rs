//! The store of the audit in memory.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use gateway::backends::queries::{AuditPlace, AuditQuery, AuditRow};
use processors::{
    BoxFuture,
    audit::{
        Anchor, AuditBatch, AuditStore, ChainEnds, ChainGrowth, ChainHead, ChainRow, Day,
        EntryNumber, ParkedRecord, RowColumns, StoredRow,
    },
    ledger::{LedgerError, OwnerEpoch, PartitionClaim},
    log::{LogOffset, PartitionId},
};
use schemas::{Millis, ids::TenantId};

use super::lock;

/// Kept entries of all tenants: some 10 MB, and an hour of a busy clinic. Past it the oldest entry
/// of the tenant that adds one is dropped.
const ENTRIES: usize = 20_000;
/// Kept parked records. Past it the oldest is dropped.
const PARKED: usize = 1_000;

/// Called for each committed batch.
type BatchListener = dyn Fn(&AuditBatch) + Send + Sync;

/// The audit of one process. It keeps the last entries only.
#[derive(Default)]
pub struct MemoryAudit {
    state: Mutex<State>,
    on_commit: Option<Box<BatchListener>>,
}

#[derive(Default)]
struct State {
    claims: BTreeMap<PartitionId, (OwnerEpoch, LogOffset)>,
    chains: BTreeMap<TenantId, Chain>,
    parked: VecDeque<ParkedRecord>,
    entries: usize,
}

#[derive(Default)]
struct Chain {
    head: Option<ChainHead>,
    rows: VecDeque<ChainRow>,
    anchors: Vec<Anchor>,
}

impl Chain {
    /// Drops the oldest row. The next one then begins its day.
    fn drop_first(&mut self) {
        let Some(dropped) = self.rows.pop_front() else { return };
        let Some(next) = self.rows.front() else { return };
        let day = Day::of(next.logged_at);
        self.anchors.retain(|anchor| anchor.day > day);
        self.anchors.insert(0, Anchor { day, before: dropped.number, hash: dropped.hash });
    }
}

impl State {
    fn claim_of(&self, partition: PartitionId) -> PartitionClaim {
        let (owner_epoch, next_offset) = self.claims.get(&partition).copied().unwrap_or_default();
        PartitionClaim { partition, owner_epoch, next_offset }
    }

    fn commit(&mut self, batch: &AuditBatch) -> Result<(), LedgerError> {
        let claim = self.claim_of(batch.claim.partition);
        if claim != batch.claim {
            return Err(LedgerError::Fenced);
        }
        self.claims.insert(claim.partition, (claim.owner_epoch, batch.to));
        for new in &batch.tenants {
            let chain = self.chains.entry(new.tenant.clone()).or_default();
            let entries = new.entries.iter().cloned();
            let Some(growth) = ChainGrowth::new(&new.tenant, chain.head, entries) else { continue };
            self.entries += growth.rows.len();
            chain.head = Some(growth.head);
            chain.rows.extend(growth.rows);
            chain.anchors.extend(growth.anchors);
            while self.entries > ENTRIES && chain.rows.len() > 1 {
                chain.drop_first();
                self.entries -= 1;
            }
        }
        self.parked.extend(batch.parked.iter().cloned());
        while self.parked.len() > PARKED {
            self.parked.pop_front();
        }
        Ok(())
    }

    fn page(&self, tenant: &TenantId, asked: &AuditQuery) -> Vec<AuditRow> {
        let rows = self.chains.get(tenant).into_iter().flat_map(|chain| chain.rows.iter().rev());
        rows.map(|row| AuditRow {
            place: AuditPlace { logged_at: row.logged_at, number: row.number.0 },
            entry: row.written.entry.clone(),
        })
        .filter(|row| asked.selects(row))
        .take(asked.limit as usize)
        .collect()
    }
}

impl MemoryAudit {
    /// Calls `heard` for each committed batch.
    #[must_use]
    pub fn on_commit(self, heard: impl Fn(&AuditBatch) + Send + Sync + 'static) -> Self {
        Self { on_commit: Some(Box::new(heard)), ..self }
    }

    /// Entries of a tenant, newest first.
    pub fn page(&self, tenant: &TenantId, asked: &AuditQuery) -> Vec<AuditRow> {
        lock(&self.state).page(tenant, asked)
    }

    /// The parked records, oldest first.
    pub fn parked(&self) -> Vec<ParkedRecord> {
        lock(&self.state).parked.iter().cloned().collect()
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&mut State) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, LedgerError>> {
        Box::pin(async move { Ok(ask(&mut lock(&self.state))) })
    }
}

impl AuditStore for MemoryAudit {
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.answer(move |state| {
            state.claims.entry(partition).or_default().0.0 += 1;
            state.claim_of(partition)
        })
    }

    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.answer(move |state| state.claim_of(partition))
    }

    fn commit<'a>(&'a self, batch: &'a AuditBatch) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            lock(&self.state).commit(batch)?;
            if let Some(heard) = &self.on_commit {
                heard(batch);
            }
            Ok(())
        })
    }

    fn has_sound_end<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<bool, LedgerError>> {
        self.answer(move |state| {
            let Some(chain) = state.chains.get(tenant) else { return true };
            chain.rows.back().map(|row| row.hash) == chain.head.map(|head| head.hash)
        })
    }

    fn tenants<'a>(
        &'a self,
        after: Option<&'a TenantId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TenantId>, LedgerError>> {
        self.answer(move |state| {
            let later = state.chains.keys().filter(|tenant| after.is_none_or(|it| *tenant > it));
            later.take(limit as usize).cloned().collect()
        })
    }

    fn ends<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<ChainEnds, LedgerError>> {
        self.answer(move |state| {
            let chain = state.chains.get(tenant);
            let ends =
                |chain: &Chain| ChainEnds { head: chain.head, anchors: chain.anchors.clone() };
            chain.map(ends).unwrap_or_default()
        })
    }

    fn days(&self) -> BoxFuture<'_, Result<Vec<Day>, LedgerError>> {
        self.answer(|state| {
            let rows = state.chains.values().flat_map(|chain| &chain.rows);
            let days: std::collections::BTreeSet<_> =
                rows.map(|row| Day::of(row.logged_at)).collect();
            days.into_iter().collect()
        })
    }

    fn rows<'a>(
        &'a self,
        tenant: &'a TenantId,
        day: Day,
        after: Option<(Millis, EntryNumber)>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredRow>, LedgerError>> {
        self.answer(move |state| {
            let rows = state.chains.get(tenant).into_iter().flat_map(|chain| &chain.rows);
            rows.filter(|row| Day::of(row.logged_at) == day)
                .filter(|row| after.is_none_or(|it| (row.logged_at, row.number) > it))
                .take(limit as usize)
                .map(|row| StoredRow {
                    number: row.number,
                    logged_at: row.logged_at,
                    columns: RowColumns::of(&row.written.entry),
                    body: row.written.text.get().to_owned(),
                    hash: row.hash,
                })
                .collect()
        })
    }
}
