//! The worker: takes runs from the work that is due, checks their files, and says how it goes. Any number of workers share
//! the work; one that dies loses nothing but the time of its attempt.
//!
//! Beside each check go three things: its findings flow into one open transaction, its lease is prolonged, and reports leave as
//! the log takes them. The transaction ends with the lease check and the record of the end, which is said after the commit by
//! whoever comes first: this worker, or one that finds the row when the lease has run out.

mod attempt;
mod check;
mod counters;
mod fault;
mod files;
mod records;
mod report_sender;
mod reporting;
mod rules;
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

use crate::{log::Log, work::Work};
use rules::TenantRules;

/// What a worker stands on.
#[derive(Clone)]
pub struct WorkerBackends {
    pub work: Arc<dyn Work>,
    pub log: Arc<dyn Log>,
    pub files: Arc<dyn ObjectStore>,
    /// Notified when there may be work; without it a worker finds out within [`POLL`].
    pub work_signal: Arc<Notify>,
}

pub struct WorkerSettings {
    /// A name no other worker has.
    pub worker: String,
    /// Runs at once.
    pub at_once: usize,
    /// How long a run stays with a worker that says nothing.
    pub lease: Duration,
    /// What codes and establishments are.
    pub tables: Arc<Tables>,
    /// The rules of tenants that have stored none.
    pub rules: Vec<Rule>,
    /// How long a file is kept that no run needs.
    pub keep_files: Duration,
    pub counters: Arc<WorkerCounters>,
}

impl WorkerSettings {
    /// Two runs at once, taken over ten seconds after their worker died; the built-in rules; files for an hour
    /// where no run needs them.
    pub fn new(worker: impl Into<String>, tables: Arc<Tables>) -> Self {
        Self {
            worker: worker.into(),
            at_once: 2,
            lease: Duration::from_secs(10),
            tables,
            rules: claims::rules::builtin(),
            keep_files: Duration::from_secs(3600),
            counters: Arc::default(),
        }
    }
}

/// How often work is looked for while there is room for more.
const POLL: Duration = Duration::from_millis(250);
/// How long nothing is taken after the ledger failed.
const CALM: Duration = Duration::from_secs(1);

/// What all attempts of a worker share.
struct WorkerContext {
    backends: WorkerBackends,
    settings: WorkerSettings,
    rules: TenantRules,
}

/// Runs until `stop`; then gives back what it has, for others to go on with at once. Dropping the future loses nothing either:
/// leases run out.
pub async fn run(
    backends: WorkerBackends,
    settings: WorkerSettings,
    stop: impl Future<Output = ()>,
) {
    let rules = TenantRules::new(settings.rules.clone());
    let shared = Arc::new(WorkerContext { backends, settings, rules });
    let (stopping, stopped) = watch::channel(false);
    let stop = async {
        stop.await;
        stopping.send_replace(true);
    };
    let mut attempts = JoinSet::new();
    let taking = async {
        // Without room no run could end: it would be given back each time.
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

/// Takes runs whenever there is room, until the worker is to stop. What is being taken then is taken, and given back.
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
            match backends.work.take(&settings.worker, settings.lease).await {
                Ok(Some(taken)) => {
                    settings.counters.running.fetch_add(1, Relaxed);
                    attempts.spawn(attempt::carry_out(Arc::clone(shared), taken, stopped.clone()));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no run could be taken"
                    );
                    pause = CALM;
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

/// A panic costs one attempt: its lease runs out, and the run is taken again.
fn report_panic(shared: &WorkerContext, ended: Result<(), tokio::task::JoinError>) {
    shared.settings.counters.running.fetch_sub(1, Relaxed);
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "an attempt at a run panicked");
    }
}
