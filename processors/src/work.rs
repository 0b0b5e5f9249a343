//! The backend to the work that is due: runs that wait for a worker, the lease under which one has a run, and what it found.
//! Rows come and go with the runs' own records (see [`crate::ledger::Due`]); a worker only moves their lease, numbers their
//! attempts, and says how one ended.

use std::{collections::HashSet, time::Duration};

use schemas::{
    command::Command,
    finding::Finding,
    ids::{Aggregate, FileId, RunId, TenantId},
    rule::Rule,
    view::Position,
};
use tokio::sync::mpsc;

use crate::BoxFuture;
pub use crate::run::RunRequest;

/// Findings stored of one run at most: 40 MB of rows. Past it they are only counted, and the summary says how many are kept.
pub const MAX_STORED_FINDINGS: u64 = 200_000;

/// Places in line told at once, those never told first and then the nearest. Each is a record that all gateways read: a
/// long line that moves fast must not cost the queues their next position. The others are told a second later, or begin.
pub const MAX_PLACES: usize = 40;

/// One attempt at a run, under a worker's lease.
#[derive(Clone)]
pub struct Job {
    pub tenant: TenantId,
    pub run: RunId,
    /// Whose lease it is.
    pub worker: String,
    /// Rises with each attempt: what an older one says is refused.
    pub attempt: u32,
    /// Attempts begun since the run was last asked for, with this one.
    pub tries: u32,
    pub request: RunRequest,
}

impl Job {
    pub fn aggregate(&self) -> Aggregate {
        Aggregate::run(&self.tenant, &self.run)
    }
}

/// What a worker was given.
pub enum WorkItem {
    /// To be carried out.
    Attempt(Job),
    /// An attempt that ended so, whose worker may not have lived to say it: to be said again.
    UnreportedEnd(Job, Box<Command>),
}

/// What goes into the transaction that ends an attempt, in this order.
pub enum AttemptOutput {
    Findings(Vec<Finding>),
    /// How the attempt ended; nothing follows it.
    End(Box<Command>),
}

/// A run's place in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlace {
    pub tenant: TenantId,
    pub run: RunId,
    /// The attempt that waits.
    pub attempt: u32,
    /// Runs before it.
    pub ahead: u32,
}

/// A tenant's rules as stored, and the position they are of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredRules {
    /// 0.0 when the tenant never stored one.
    pub position: Position,
    pub rules: Vec<Rule>,
}

/// Whether an attempt that is given back counts among a run's tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryCounting {
    /// It met a fault.
    Counted,
    /// Its worker was asked to stop.
    NotCounted,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The attempt is no longer the worker's: another has taken the run, or it is over.
    #[error("another attempt has taken the run, or it is over")]
    Lost,
    /// The outcome is unknown. The source is logged, so its text must quote no value.
    #[error("the ledger of work did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A future of this backend.
pub type WorkFuture<'a, T> = BoxFuture<'a, Result<T, WorkError>>;

pub trait Work: Send + Sync + 'static {
    /// Gives `worker` a run for as long as `lease`: one whose lease has run out first, then the tenant's who has fewest under
    /// way, then whoever was queued first. A lease that ran out makes this a new attempt.
    fn take<'a>(&'a self, worker: &'a str, lease: Duration) -> WorkFuture<'a, Option<WorkItem>>;

    /// Prolongs the lease from now on. Answers whether cancelling was asked for.
    fn extend_lease<'a>(&'a self, job: &'a Job, lease: Duration) -> WorkFuture<'a, bool>;

    /// Ends the attempt, with its findings, in one transaction that holds only if the attempt is still the worker's. If the
    /// parts end without an end, nothing of them is kept, and the attempt goes on.
    fn end<'a>(&'a self, job: &'a Job, parts: mpsc::Receiver<AttemptOutput>) -> WorkFuture<'a, ()>;

    /// Gives the run back, to be the next attempt of whoever takes it once `pause` is over.
    fn release<'a>(
        &'a self,
        job: &'a Job,
        pause: Duration,
        count: TryCounting,
    ) -> WorkFuture<'a, ()>;

    /// Places in line that changed since they were told, which they now are; a place far back counts as changed once it moved
    /// by a tenth. Of many who ask at once one is answered, and with [`MAX_PLACES`] at most.
    fn changed_places(&self) -> WorkFuture<'_, Vec<RunPlace>>;

    /// These places did not get told after all.
    fn mark_unsent<'a>(&'a self, places: &'a [RunPlace]) -> WorkFuture<'a, ()>;

    /// The tenant's rules, unless they are still those of `known`.
    fn rules<'a>(
        &'a self,
        tenant: &'a TenantId,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredRules>>;

    /// Which of these files a run waits for or is at.
    fn in_use<'a>(
        &'a self,
        files: &'a [(TenantId, FileId)],
    ) -> WorkFuture<'a, HashSet<(TenantId, FileId)>>;

    /// Forgets runs past their time, a bounded number of them. Answers whether there may be more.
    fn sweep(&self) -> WorkFuture<'_, bool>;

    /// Makes room for the findings of today and tomorrow, and drops days of which no run is left.
    fn prepare_days(&self) -> WorkFuture<'_, ()>;
}

/// Whether a place in line is worth telling to who was told `told`: the first ten on every change, those behind once they
/// moved by a tenth. So a long line costs each of its runs some twenty records, not one for each run before it.
pub fn is_worth_sending(told: Option<u32>, ahead: u32) -> bool {
    told.is_none_or(|told| told != ahead && (ahead < 10 || told.abs_diff(ahead) * 10 >= ahead))
}

#[cfg(test)]
mod tests {
    use super::is_worth_sending;

    #[test]
    fn near_places_are_told_on_every_change_and_far_ones_when_they_moved() {
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
