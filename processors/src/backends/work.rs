//! The backend for claims checks that are due: runs that wait for a worker, the lease under which a
//! worker has a run, and the findings.
//!
//! The records of a run create and remove its row (see [`crate::run::WorkChange`]). A worker only
//! extends the lease, numbers the attempts, and states how an attempt ended.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use schemas::{
    attempt::AttemptNumber,
    command::Command,
    finding::Finding,
    ids::{Aggregate, FileId, RunId, TenantId},
    reference::ReferenceTable,
    rule::Rule,
    view::{Entries, Position},
};
use tokio::sync::mpsc;

use crate::BoxFuture;
pub use crate::run::RunRequest;

/// Most findings that are stored for one run: 40 MB of rows. Findings beyond it are counted but not
/// stored, and the summary states how many are stored.
pub const MAX_STORED_FINDINGS: u64 = 200_000;

/// Most places in line that are sent at once: first those never sent, then the nearest ones. Each
/// is a record that every gateway reads, and a long line that moves fast must not delay the updates
/// of queues. The other places are sent a second later, or their runs start.
pub const MAX_PLACES: usize = 40;

/// One attempt at a run, under a worker's lease.
#[derive(Clone)]
pub struct Job {
    /// The tenant of the run.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// The worker that holds the lease.
    pub worker: String,
    /// The number of the attempt. Each attempt has a higher one, and records of an older attempt
    /// are refused.
    pub attempt: AttemptNumber,
    /// Attempts started since the run was last requested, including this one.
    pub tries: u32,
    /// The file and the options of the run.
    pub request: RunRequest,
}

impl Job {
    /// The aggregate of the run.
    pub fn aggregate(&self) -> Aggregate {
        Aggregate::run(&self.tenant, &self.run)
    }
}

/// Work that a worker has taken.
pub enum WorkItem {
    /// An attempt to carry out.
    Attempt(Job),
    /// An attempt that ended, with its end. Its worker may have died before it appended the end, so
    /// the end is appended again.
    UnreportedEnd(Job, Box<Command>),
}

/// A part of the transaction that ends an attempt. Parts follow in this order.
pub enum AttemptOutput {
    /// Findings to store.
    Findings(Vec<Finding>),
    /// How the attempt ended. No part follows.
    End(Box<Command>),
}

/// The place of a run in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlace {
    /// The tenant of the run.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// The attempt that waits.
    pub attempt: AttemptNumber,
    /// The number of runs before it.
    pub ahead: u32,
}

/// The stored rules of a tenant, and their position.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredRules {
    /// 0.0 when the tenant has never stored a rule.
    pub position: Position,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A stored reference table of a tenant, and its position.
#[derive(Debug, Clone, Default)]
pub struct StoredTable {
    /// 0.0 when the tenant has never stored the table.
    pub position: Position,
    /// The entries by key, as the view has them.
    pub entries: Entries,
}

/// Whether a released attempt counts towards the tries of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryCounting {
    /// The attempt counts, because it met a fault.
    Counted,
    /// The attempt does not count, because its worker was asked to stop.
    NotCounted,
}

/// Why a call to the work backend failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The worker no longer has the attempt: another worker has taken the run, or the run is over.
    #[error("another attempt has taken the run, or it is over")]
    Lost,
    /// The outcome is unknown. The source is logged, so its text must not quote a value.
    #[error("the work backend did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The future that a call of this backend returns.
pub type WorkFuture<'a, T> = BoxFuture<'a, Result<T, WorkError>>;

/// The store of runs that wait for a worker. PostgreSQL and memory implement it.
pub trait Work: Send + Sync + 'static {
    /// Gives `worker` a run for the time of `lease`. The order is: a run whose lease has expired;
    /// then a run of the tenant with the fewest runs in progress; then the run that was queued
    /// first. Taking a run with an expired lease starts a new attempt. Runs of tenants in `resting`
    /// wait.
    fn take<'a>(
        &'a self,
        worker: &'a str,
        lease: Duration,
        resting: &'a BTreeSet<TenantId>,
    ) -> WorkFuture<'a, Option<WorkItem>>;

    /// Extends the lease from now on. Returns whether somebody asked to cancel the run.
    fn extend_lease<'a>(&'a self, job: &'a Job, lease: Duration) -> WorkFuture<'a, bool>;

    /// Ends the attempt with its findings, in one transaction that commits only if the worker still
    /// has the attempt. If the parts stop without an end, nothing is stored and the attempt
    /// continues.
    fn end<'a>(&'a self, job: &'a Job, parts: mpsc::Receiver<AttemptOutput>) -> WorkFuture<'a, ()>;

    /// Gives the run back. The worker that takes it after `pause` starts its next attempt.
    fn release<'a>(
        &'a self,
        job: &'a Job,
        pause: Duration,
        count: TryCounting,
    ) -> WorkFuture<'a, ()>;

    /// Returns the places in line that changed since they were last sent, and marks them as sent. A
    /// place far back counts as changed after it moved by a tenth. When many workers ask at once,
    /// one of them gets the places, at most [`MAX_PLACES`].
    fn changed_places(&self) -> WorkFuture<'_, Vec<RunPlace>>;

    /// Marks these places as not sent after all.
    fn mark_unsent<'a>(&'a self, places: &'a [RunPlace]) -> WorkFuture<'a, ()>;

    /// Reads the rules of the tenant, unless they still have the position `known`.
    fn rules<'a>(
        &'a self,
        tenant: &'a TenantId,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredRules>>;

    /// Reads a reference table of the tenant, unless it still has the position `known`.
    fn table<'a>(
        &'a self,
        tenant: &'a TenantId,
        table: ReferenceTable,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredTable>>;

    /// Returns those of the files that a run waits for or reads.
    fn in_use<'a>(
        &'a self,
        files: &'a [(TenantId, FileId)],
    ) -> WorkFuture<'a, HashSet<(TenantId, FileId)>>;

    /// Deletes runs past their retention, a bounded number at a time. Returns whether there may be
    /// more.
    fn sweep(&self) -> WorkFuture<'_, bool>;

    /// Creates the storage for findings of today and tomorrow, and drops days without a remaining
    /// run.
    fn prepare_days(&self) -> WorkFuture<'_, ()>;
}

/// Whether a place in line is worth sending to a client that last received `told`. The first ten
/// places are sent on every change, and places further back after they moved by a tenth. So a long
/// line costs about twenty records per run, not one for each run before it.
pub fn is_worth_sending(told: Option<u32>, ahead: u32) -> bool {
    told.is_none_or(|told| told != ahead && (ahead < 10 || told.abs_diff(ahead) * 10 >= ahead))
}

#[cfg(test)]
mod tests {
    use super::is_worth_sending;

    #[test]
    fn near_places_are_sent_on_every_change() {
        for (told, ahead, news) in [
            (None, 4_000, true),
            (Some(0), 0, false),
            (Some(1), 0, true),
            (Some(10), 9, true),
            (Some(9), 10, true),
            (Some(100), 99, false),
            (Some(100), 91, false),
            (Some(100), 90, true),
            (Some(100), 110, false),
            (Some(100), 112, true),
        ] {
            assert_eq!(is_worth_sending(told, ahead), news, "{told:?} → {ahead}");
        }
    }
}
