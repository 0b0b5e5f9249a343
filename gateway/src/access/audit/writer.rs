//! The writer: one task of a node that appends the waiting entries, as one record for each tenant.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use schemas::{
    audit::{AuditRecord, MAX_ENTRIES},
    codes::Code,
    ids::TenantId,
    record::AUDIT_TOPIC,
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    BATCH, PACE, WITHIN,
    queue::{AuditCounts, EntryReceivers, Waiter, WaitingEntry, answer},
};
use crate::{backends::log::Log, random};

/// The pause before notes that were not acknowledged are written again.
const RETRY: Duration = Duration::from_secs(1);

/// Writes entries until no sender is left: entries with a waiting client first, then notes, each in
/// the order in which they come.
pub(super) async fn write_all(
    log: Arc<dyn Log>,
    mut queued: EntryReceivers,
    counts: Arc<AuditCounts>,
) {
    let mut batch = Vec::new();
    // Notes that were not acknowledged, in the order of their first attempts.
    let mut unwritten: VecDeque<WaitingEntry> = VecDeque::new();
    let mut next = Instant::now();
    loop {
        let (first, is_retry) = tokio::select! {
            biased;
            first = queued.entries.recv() => (first, false),
            first = queued.notes.recv(), if unwritten.is_empty() => (first, false),
            () = sleep(RETRY), if !unwritten.is_empty() => (unwritten.pop_front(), true),
        };
        let Some(first) = first else { return }; // both queues have the same senders
        batch.push(first);
        sleep_until(next).await;
        next = Instant::now() + PACE;
        while batch.len() < BATCH
            && let Ok(entry) = queued.entries.try_recv()
        {
            batch.push(entry);
        }
        // Notes go along, unless the log does not answer: then they wait for their turn.
        if is_retry || !counts.is_failing() {
            let room = BATCH.saturating_sub(batch.len()).min(unwritten.len());
            batch.extend(unwritten.drain(..room));
            while batch.len() < BATCH
                && let Ok(note) = queued.notes.try_recv()
            {
                batch.push(note);
            }
        }
        unwritten.extend(write(&*log, &mut batch, &counts).await);
    }
}

/// Appends a batch. Returns the notes that were not acknowledged.
async fn write(
    log: &dyn Log,
    batch: &mut Vec<WaitingEntry>,
    counts: &AuditCounts,
) -> Vec<WaitingEntry> {
    let mut tenants: BTreeMap<TenantId, Vec<WaitingEntry>> = BTreeMap::new();
    for entry in batch.drain(..).filter(|entry| !entry.waiter.is_gone()) {
        match tenants.get_mut(&entry.tenant) {
            Some(entries) => entries.push(entry),
            None => {
                tenants.insert(entry.tenant.clone(), vec![entry]);
            }
        }
    }
    let mut appends = Vec::new();
    for (tenant, mut entries) in tenants {
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(MAX_ENTRIES));
            appends.push(append(log, tenant.clone(), entries, counts));
            entries = rest;
        }
    }
    futures_util::future::join_all(appends).await.into_iter().flatten().collect()
}

/// Appends one record, and answers the waiters of its entries. Returns the notes among them if it
/// was not acknowledged.
async fn append(
    log: &dyn Log,
    tenant: TenantId,
    waiting: Vec<WaitingEntry>,
    counts: &AuditCounts,
) -> Vec<WaitingEntry> {
    let (entries, waiters): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|waiting| (waiting.entry, waiting.waiter)).unzip();
    let record = AuditRecord { entries };
    let written = try_append(log, &tenant, &record).await;
    counts.appended(record.entries.len(), written);
    let is_note = |waiter: &Waiter| matches!(waiter, Waiter::Nobody);
    let unwritten = match written {
        Ok(()) => {
            waiters.iter().filter(|waiter| is_note(waiter)).for_each(|_| counts.note_written());
            Vec::new()
        }
        Err(_) => {
            let entries = record.entries.into_iter().zip(&waiters);
            let notes = entries.filter(|(_, waiter)| is_note(waiter));
            let again =
                |(entry, _)| WaitingEntry { tenant: tenant.clone(), entry, waiter: Waiter::Nobody };
            notes.map(again).collect()
        }
    };
    answer(waiters, written, &Handle::current());
    unwritten
}

async fn try_append(log: &dyn Log, tenant: &TenantId, record: &AuditRecord) -> Result<(), Code> {
    let record = record.to_wire(tenant, random::bits()?);
    match timeout(WITHIN, log.append(AUDIT_TOPIC, record)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "audit entries were not acknowledged"
            );
            Err(Code::TryAgain)
        }
        Err(_) => {
            tracing::warn!("the log took too long to acknowledge audit entries");
            Err(Code::TryAgain)
        }
    }
}
