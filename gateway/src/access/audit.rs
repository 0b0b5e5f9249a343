//! The audit: every channel that a client opens, and every request with a valid token, is written
//! before the client is shown anything of it.
//!
//! Entries that come while an append is under way go into the next record of their tenant, so the
//! log sees a few records however many clients come at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::{collections::HashMap, net::IpAddr, time::Duration};

use gateway_core::access::Claims;
use schemas::{
    audit::{AuditEntry, AuditRecord, MAX_ENTRIES},
    codes::Code,
    ids::TenantId,
    record::AUDIT_TOPIC,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use crate::{backends::log::Log, clock::now, random};

/// How long the log may take to acknowledge. Past it nothing is shown. JavaScript clients wait five
/// seconds for a reply.
const WITHIN: Duration = Duration::from_secs(3);
/// Most entries that wait on a node: some 10 MB, and as many clients as come back at once when a
/// node of 20,000 was lost. Past it an action is refused with `try_again`.
const MAX_WAITING: usize = 20_000;
/// Most entries that are written together: an append of 20 records takes about as long as one.
const BATCH: usize = 20 * MAX_ENTRIES;

/// The least time between two batches. An entry that comes alone is written at once; when clients
/// come by the thousand, a batch for each would cost more than all the rest of their subscribe.
const PACE: Duration = Duration::from_millis(1);

/// What a client wants to do or has done.
#[derive(Clone, Default)]
pub struct AuditedAction {
    /// The action, such as `ticket.call`.
    pub action: String,
    /// The ids or channels that it concerns.
    pub what: Vec<String>,
    /// Why it is refused, if it is.
    pub code: Option<Code>,
    /// The address and the user agent of the client, where they are known.
    pub client: (Option<IpAddr>, Option<String>),
    /// The other tenant of a super admin who crosses, and why.
    pub crossing: Option<(TenantId, String)>,
}

/// Writes audit entries. Clones write to the same log.
#[derive(Clone)]
pub struct Audit {
    entries: mpsc::Sender<WaitingEntry>,
    failing: Arc<AtomicBool>,
}

struct WaitingEntry {
    tenant: TenantId,
    entry: AuditEntry,
    written: oneshot::Sender<Result<(), Code>>,
}

impl Audit {
    /// Writes on the current runtime until the last clone is dropped.
    pub fn new(log: Arc<dyn Log>) -> Self {
        let (entries, receiver) = mpsc::channel(MAX_WAITING);
        let failing = Arc::<AtomicBool>::default();
        tokio::spawn(write_all(log, receiver, failing.clone()));
        Self { entries, failing }
    }

    /// Whether the last record was not acknowledged. Nothing may be changed until one is.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Writes an entry. The client may be shown something only after this returns `Ok`.
    ///
    /// # Errors
    /// `try_again` when too many entries wait, or the log did not acknowledge this one in time.
    pub async fn write(&self, claims: &Claims, done: AuditedAction) -> Result<(), Code> {
        self.write_to(&claims.tenant, claims, done).await
    }

    /// Writes that a super admin crosses from its tenant (`home`) into another one (`there`), to
    /// the audits of both. The token may be given only after this returns `Ok`.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub async fn crossed(&self, home: &Claims, there: &Claims, reason: &str) -> Result<(), Code> {
        for (tenant, other) in [(&there.tenant, &home.tenant), (&home.tenant, &there.tenant)] {
            let crossing = Some((other.clone(), reason.to_owned()));
            let action = "tenant.cross".to_owned();
            let done = AuditedAction { action, crossing, ..AuditedAction::default() };
            self.write_to(tenant, home, done).await?;
        }
        Ok(())
    }

    async fn write_to(
        &self,
        tenant: &TenantId,
        claims: &Claims,
        done: AuditedAction,
    ) -> Result<(), Code> {
        let (written, answer) = oneshot::channel();
        let AuditedAction { action, what, code, client: (address, agent), crossing } = done;
        let (other_tenant, reason) = crossing.unzip();
        let entry = AuditEntry {
            at: now(),
            subject: claims.subject.to_string(),
            role: claims.role.as_str().to_owned(),
            address,
            agent,
            action,
            what,
            code,
            other_tenant,
            reason,
        };
        let entry = entry.bounded();
        let waiting = WaitingEntry { tenant: tenant.clone(), entry, written };
        self.entries.try_send(waiting).map_err(|_| Code::TryAgain)?;
        match timeout(WITHIN, answer).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) | Err(_) => Err(Code::TryAgain),
        }
    }
}

/// Writes entries in the order in which they come, until no [`Audit`] is left.
async fn write_all(
    log: Arc<dyn Log>,
    mut entries: mpsc::Receiver<WaitingEntry>,
    failing: Arc<AtomicBool>,
) {
    let mut waiting = Vec::new();
    let mut next = Instant::now();
    while entries.recv_many(&mut waiting, BATCH).await > 0 {
        sleep_until(next).await;
        while waiting.len() < BATCH
            && let Ok(entry) = entries.try_recv()
        {
            waiting.push(entry);
        }
        next = Instant::now() + PACE;
        let mut tenants: HashMap<TenantId, Vec<WaitingEntry>> = HashMap::new();
        for entry in waiting.drain(..) {
            // A client that has given up is shown nothing.
            if !entry.written.is_closed() {
                tenants.entry(entry.tenant.clone()).or_default().push(entry);
            }
        }
        let mut appends = Vec::new();
        for (tenant, mut entries) in tenants {
            while !entries.is_empty() {
                let rest = entries.split_off(entries.len().min(MAX_ENTRIES));
                appends.push(append(&*log, tenant.clone(), entries, &failing));
                entries = rest;
            }
        }
        futures_util::future::join_all(appends).await;
    }
}

/// Appends one record, and answers those who wait for its entries.
async fn append(log: &dyn Log, tenant: TenantId, waiting: Vec<WaitingEntry>, failing: &AtomicBool) {
    let (entries, callers): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|waiting| (waiting.entry, waiting.written)).unzip();
    let written = try_append(log, &tenant, AuditRecord { entries }).await;
    failing.store(written.is_err(), Ordering::Relaxed);
    for caller in callers {
        let _ = caller.send(written);
    }
}

async fn try_append(log: &dyn Log, tenant: &TenantId, record: AuditRecord) -> Result<(), Code> {
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

#[cfg(test)]
mod tests;
