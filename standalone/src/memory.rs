//! Memory in place of Kafka, Postgres and Redis, behind the same seams and held to the same conformance suites.
//! Nothing survives the process, and each part is bounded: the standalone runs for weeks on a small machine.

mod keys;
mod ledger;
mod log;
mod views;

use std::sync::Arc;

use schemas::Millis;

pub use keys::MemoryKeys;
pub use ledger::{Journaled, MemoryLedger};
pub use log::MemoryLog;
pub use views::MemoryViews;

/// Where the parts take the time from. The log stamps records with it, never below the record before.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Milliseconds since the Unix epoch by the machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(gateway::clock::now)
}

/// One of each, as the servers of one installation belong together.
#[derive(Clone)]
pub struct Memory {
    pub log: Arc<MemoryLog>,
    pub ledger: Arc<MemoryLedger>,
    pub views: Arc<MemoryViews>,
    pub keys: Arc<MemoryKeys>,
}

impl Memory {
    pub fn new(clock: Clock) -> Self {
        let log = Arc::new(MemoryLog::new(clock.clone()));
        // The log keeps a record of `care` until the ledger has committed it.
        let committed = log.clone();
        let ledger = MemoryLedger::new(clock.clone()).on_commit(move |offset| committed.forget_below(offset));
        Self {
            log,
            ledger: Arc::new(ledger),
            views: Arc::new(MemoryViews::new(clock)),
            keys: Arc::new(MemoryKeys::default()),
        }
    }

    /// What a runner of the processors stands on.
    pub fn processors(&self) -> processors::runner::Seams {
        processors::runner::Seams {
            log: self.log.clone(),
            ledger: self.ledger.clone(),
            views: self.views.clone(),
        }
    }
}

/// A lock whose holder cannot leave anything half done: each critical section here is a plain assignment of parts.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
