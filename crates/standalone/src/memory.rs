//! Backends in memory in place of Kafka, PostgreSQL and Redis, tested by the same conformance
//! suites. Nothing survives the process. Each part is bounded: the standalone runs for weeks on a
//! small machine.

mod alerts;
mod audit;
mod keys;
mod ledger;
mod log;
mod views;
mod webhooks;
mod work;

use std::sync::Arc;

use schemas::{
    Millis,
    record::{AUDIT_TOPIC, RUNS_TOPIC},
};

pub use alerts::MemoryAlerts;
pub use audit::MemoryAudit;
pub use keys::MemoryKeys;
pub use ledger::{JournalCounts, MemoryLedger, MemoryQueries};
pub use log::MemoryLog;
pub use views::{MemoryViews, SavedViews};
pub use webhooks::MemoryWebhooks;
pub use work::MemoryWork;

/// The clock of the backends. The log stamps records with it, never below the record before.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The machine's clock, in milliseconds since the Unix epoch.
pub fn system_clock() -> Clock {
    Arc::new(gateway::clock::now)
}

/// One backend of each kind, like the servers of one installation.
#[derive(Clone)]
pub struct Memory {
    pub log: Arc<MemoryLog>,
    pub ledger: Arc<MemoryLedger>,
    pub alerts: Arc<MemoryAlerts>,
    /// The webhooks of both ledgers.
    pub webhooks: Arc<MemoryWebhooks>,
    /// The log client for runs, and their ledger.
    pub runs_log: Arc<MemoryLog>,
    pub runs_ledger: Arc<MemoryLedger>,
    pub work: Arc<MemoryWork>,
    /// The log client for the audit, and its store.
    pub audit_log: Arc<MemoryLog>,
    pub audit: Arc<MemoryAudit>,
    pub views: Arc<MemoryViews>,
    pub keys: Arc<MemoryKeys>,
}

impl Memory {
    pub fn new(clock: Clock) -> Self {
        let log = Arc::new(MemoryLog::new(clock.clone()));
        // The log keeps a record of `care` until the ledger has committed it.
        let alerts = Arc::new(MemoryAlerts::new(clock.clone()));
        let webhooks = Arc::new(MemoryWebhooks::new(clock.clone()));
        let (committed, due, queues) = (log.clone(), alerts.clone(), webhooks.clone());
        let ledger = MemoryLedger::new(clock.clone()).on_commit(move |batch| {
            committed.forget_below(batch.to);
            due.committed(batch);
            queues.committed(batch);
        });
        let runs_log = Arc::new(log.reading(RUNS_TOPIC));
        let work = Arc::new(MemoryWork::new(clock.clone()));
        let (committed, due, queues) = (runs_log.clone(), work.clone(), webhooks.clone());
        let runs_ledger =
            MemoryLedger::new(clock.clone()).share_outcomes(&ledger).on_commit(move |batch| {
                committed.forget_below(batch.to);
                due.committed(batch);
                queues.committed(batch);
            });
        let audit_log = Arc::new(log.reading(AUDIT_TOPIC));
        let stored = audit_log.clone();
        let audit = MemoryAudit::default().on_commit(move |batch| stored.forget_below(batch.to));
        Self {
            log,
            audit_log,
            audit: Arc::new(audit),
            ledger: Arc::new(ledger),
            alerts,
            webhooks,
            runs_log,
            runs_ledger: Arc::new(runs_ledger),
            work,
            views: Arc::new(MemoryViews::new(clock)),
            keys: Arc::new(MemoryKeys::default()),
        }
    }

    /// The queries of gateways.
    pub fn queries(&self) -> Arc<MemoryQueries> {
        let (care, runs, work) = (self.ledger.clone(), self.runs_ledger.clone(), self.work.clone());
        let (audit, webhooks) = (self.audit.clone(), self.webhooks.clone());
        Arc::new(MemoryQueries { care, runs, work, audit, webhooks })
    }

    /// The backends of the runner of runs.
    pub fn runs(&self) -> processors::runner::RunnerBackends {
        processors::runner::RunnerBackends {
            log: self.runs_log.clone(),
            ledger: self.runs_ledger.clone(),
            views: self.views.clone(),
        }
    }

    /// The backends of the runner of locations.
    pub fn processors(&self) -> processors::runner::RunnerBackends {
        processors::runner::RunnerBackends {
            log: self.log.clone(),
            ledger: self.ledger.clone(),
            views: self.views.clone(),
        }
    }
}

/// Locks a mutex, poisoned or not: each critical section here only assigns values, so a panic
/// leaves nothing half done.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
