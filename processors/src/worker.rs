//! The worker takes runs that are due, checks their files and reports progress. Any number of
//! workers share the work. When a worker dies, only the time of its attempt is lost.
//!
//! Three activities run beside each check: its findings go into one open transaction, its lease is
//! extended, and its reports are appended as fast as the log accepts them. The transaction ends
//! with the check of the lease and with the record of the end. That record is appended after the
//! commit, by this worker or by one that finds the row after the lease has expired.

mod attempt;
mod check;
mod counters;
mod fault;
mod files;
mod records;
mod report_sender;
mod reporting;
mod rules;
mod tables;
mod thread;
mod upkeep;

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use claims::tables::Tables;
use object_store::ObjectStore;
use schemas::rule::Rule;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::sleep,
};

pub use counters::{AttemptResult, WorkerCounters};
pub use records::SOURCE;

use crate::{log::Log, tenants::Tenants, work::Work};
use rules::TenantRules;
use tables::TenantTables;

/// The backends of a worker.
#[derive(Clone)]
pub struct WorkerBackends {
    /// The runs that are due.
    pub work: Arc<dyn Work>,
    /// The log for reports and ends.
    pub log: Arc<dyn Log>,
    /// The store of uploaded files.
    pub files: Arc<dyn ObjectStore>,
    /// Notified when there may be work. Without it, a worker notices new work within a quarter of a
    /// second.
    pub work_signal: Arc<Notify>,
}

/// The settings of a worker.
pub struct WorkerSettings {
    /// A name that no other worker has.
    pub worker: String,
    /// The number of runs to check at once.
    pub at_once: usize,
    /// How long a run stays with a worker that does not extend its lease.
    pub lease: Duration,
    /// The reference tables of tenants that have stored none.
    pub tables: Arc<Tables>,
    /// The rules for tenants that have stored none.
    pub rules: Vec<Rule>,
    /// How long a file is kept that no run needs.
    pub keep_files: Duration,
    /// The counters of the worker.
    pub counters: Arc<WorkerCounters>,
    /// The tenants. Runs of a suspended one wait.
    pub tenants: Arc<Tenants>,
}

impl WorkerSettings {
    /// Default settings: two runs at once, a lease of ten seconds, the built-in rules, and one hour
    /// for files that no run needs.
    pub fn new(worker: impl Into<String>, tables: Arc<Tables>) -> Self {
        Self {
            worker: worker.into(),
            at_once: 2,
            lease: Duration::from_secs(10),
            tables,
            rules: claims::rules::builtin(),
            keep_files: Duration::from_secs(3600),
            counters: Arc::default(),
            tenants: Tenants::none(),
        }
    }
}

/// How often the worker looks for work while it has room for more.
const POLL: Duration = Duration::from_millis(250);
/// How long the worker takes nothing after the ledger failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The state that all attempts of a worker share.
struct WorkerContext {
    backends: WorkerBackends,
    settings: WorkerSettings,
    rules: TenantRules,
    tables: TenantTables,
}

/// Runs until `stop` resolves. Then gives its runs back, so that other workers continue at once.
/// Dropping the future loses nothing either, because the leases expire.
pub async fn run(
    backends: WorkerBackends,
    settings: WorkerSettings,
    stop: impl Future<Output = ()>,
) {
    let rules = TenantRules::new(settings.rules.clone());
    let tables = TenantTables::new(Arc::clone(&settings.tables));
    let shared = Arc::new(WorkerContext { backends, settings, rules, tables });
    let (stopping, stopped) = watch::channel(false);
    let stop = async {
        stop.await;
        stopping.send_replace(true);
    };
    let mut attempts = JoinSet::new();
    let taking = async {
        shared.settings.tenants.wait_until_read().await;
        // Without storage for findings no run could end, and each run would be given back.
        upkeep::prepare_days(&shared).await;
        take(&shared, &mut attempts, stopped).await;
    };
    tokio::select! {
        _ = async { tokio::join!(stop, taking) } => {}
        _ = async { tokio::join!(upkeep::send_places(&shared), upkeep::sweep(&shared)) } => {}
    }
    while let Some(ended) = attempts.join_next().await {
        report_panic(&shared, ended);
    }
}

/// Takes runs whenever there is room, until the worker is to stop. A run that is being taken at
/// that moment is taken and then given back.
async fn take(
    shared: &Arc<WorkerContext>,
    attempts: &mut JoinSet<()>,
    stopped: watch::Receiver<bool>,
) {
    let WorkerContext { backends, settings, .. } = &**shared;
    let mut stopping = stopped.clone();
    while !*stopping.borrow() {
        let mut pause = POLL;
        while attempts.len() < settings.at_once {
            let tenants = settings.tenants.now();
            let resting = tenants.suspended();
            match backends.work.take(&settings.worker, settings.lease, resting).await {
                Ok(Some(taken)) => {
                    settings.counters.running.fetch_add(1, Relaxed);
                    attempts.spawn(attempt::carry_out(Arc::clone(shared), taken, stopped.clone()));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "taking a run failed");
                    pause = PAUSE_AFTER_FAILURE;
                    break;
                }
            }
        }
        let has_room = attempts.len() < settings.at_once;
        tokio::select! {
            Some(ended) = attempts.join_next() => report_panic(shared, ended),
            () = backends.work_signal.notified(), if has_room && pause == POLL => {}
            () = sleep(pause), if has_room => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }
}

/// A panic costs one attempt: its lease expires, and another attempt starts.
fn report_panic(shared: &WorkerContext, ended: Result<(), tokio::task::JoinError>) {
    shared.settings.counters.running.fetch_sub(1, Relaxed);
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "an attempt at a run panicked");
    }
}
