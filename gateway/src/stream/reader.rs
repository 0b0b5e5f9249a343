//! Fetches a view from the view store, and from the authority when the store has lost it, is behind
//! or does not answer. Watches both.

mod server_watch;

use std::{sync::Arc, time::Duration};

use prometheus::IntCounter;
use schemas::{
    codes::Code,
    ids::Aggregate,
    view::{Position, View},
};
use tokio::time::{Instant, sleep, timeout};

use self::server_watch::ServerWatch;
use crate::{
    backends::queries::Queries,
    backends::snapshots::{NotRead, Snapshot, Snapshots},
    metrics::{Metrics, ViewFetches},
    readiness::{Condition, Readiness},
};

/// How long a caller waits for a view that is at its floor or later. JavaScript clients give a
/// reply five seconds. After that the answer is `try_again`, never an older view.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long the authority may take to say how far it is: the rest of the second before the client's
/// subscribe is given up.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(800);
/// How long the view store may take before the authority is asked instead. Redis answers in
/// milliseconds, also the longest line; what it takes in vain is missing from the client's second.
const STORE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the authority may take for one answer.
const AUTHORITY_TIMEOUT: Duration = Duration::from_secs(2);
/// How often both servers are probed, and how long a probe may take. So a server that is lost or
/// back is noticed in seconds, also by a node that reads nothing.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pauses between two attempts grow from the first to the last. A view is usually only milliseconds
/// behind; if not, its store is in trouble and must not be asked in a loop.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// What the answer of a fetch has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchGoal {
    /// The answer is never older than this.
    pub floor: Option<Position>,
    /// A position that a client holds, as it says. An older view from the store is compared with
    /// the authority, whose answer then stands: a false claim costs one read and delays nobody.
    pub claim: Option<Position>,
    /// The store is known to lack steps, or may lack them: only the authority is asked.
    pub from_authority: bool,
}

impl FetchGoal {
    pub fn at_least(floor: Option<Position>) -> Self {
        Self { floor, ..Self::default() }
    }
}

/// Fetches whole views for shards and HTTP handlers.
pub struct ViewReader {
    snapshots: Arc<dyn Snapshots>,
    queries: Arc<dyn Queries>,
    metrics: Arc<Metrics>,
    store: ServerWatch,
    authority: ServerWatch,
}

/// The result of asking both backends once.
enum FetchAttempt {
    Found(View),
    /// There is no such view.
    Absent,
    /// Both backends are behind or do not answer.
    Inconclusive,
}

impl ViewReader {
    /// `metrics` counts where the views come from; `readiness` gets the conditions of both servers.
    pub fn new(
        snapshots: Arc<dyn Snapshots>,
        queries: Arc<dyn Queries>,
        metrics: Arc<Metrics>,
        readiness: &Readiness,
    ) -> Self {
        let store = ServerWatch::new(Condition::StoreDown, readiness.clone());
        let authority = ServerWatch::new(Condition::AuthorityDown, readiness.clone());
        Self { snapshots, queries, metrics, store, authority }
    }

    /// Probes both servers for ever.
    pub async fn watch(&self) {
        let mut every = tokio::time::interval(PROBE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let answers =
                |probe| async { matches!(timeout(PROBE_TIMEOUT, probe).await, Ok(Ok(()))) };
            let probes = (answers(self.snapshots.probe()), answers(self.queries.probe()));
            let (store, authority) = tokio::join!(probes.0, probes.1);
            self.store.judge(store);
            self.authority.judge(authority);
        }
    }

    /// Fetches a view. `None` when there is no such view.
    ///
    /// # Errors
    /// `try_again` when neither the store nor the authority has it in time.
    pub async fn fetch(
        &self,
        aggregate: &Aggregate,
        view: &str,
        goal: FetchGoal,
    ) -> Result<Option<View>, Code> {
        let search = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.attempt(aggregate, view, goal).await {
                    FetchAttempt::Found(view) => return Some(view),
                    FetchAttempt::Absent => return None,
                    FetchAttempt::Inconclusive => {}
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        };
        timeout(DEADLINE, search).await.map_err(|_| {
            tracing::warn!("a view could not be fetched in time");
            Code::TryAgain
        })
    }

    /// How far the authority is with a view. `None` when it does not have the view, or does not
    /// answer in `CONFIRM_TIMEOUT`.
    pub async fn authority_position(&self, aggregate: &Aggregate, view: &str) -> Option<Position> {
        let asked = self.queries.view(aggregate, view);
        let held = answer(&self.authority, "authority", CONFIRM_TIMEOUT, asked).await;
        held.flatten().map(|view| view.position)
    }

    /// Asks the store, and then the authority if need be.
    async fn attempt(&self, aggregate: &Aggregate, view: &str, goal: FetchGoal) -> FetchAttempt {
        let is_recent = |held: &View| goal.floor.is_none_or(|floor| held.position >= floor);
        let in_store = self.ask_store(aggregate, view, goal).await.filter(is_recent);
        let fits = |held: &View| goal.claim.is_none_or(|claim| held.position >= claim);
        if let Some(held) = in_store.as_ref().filter(|held| fits(held)) {
            self.count(|fetches| &fetches.store);
            return FetchAttempt::Found(held.clone());
        }
        // The store may have missed a step, so the authority decides whether the view exists.
        let asked = self.queries.view(aggregate, view);
        let in_authority = answer(&self.authority, "authority", AUTHORITY_TIMEOUT, asked).await;
        match (in_authority, in_store) {
            (Some(Some(held)), _) if is_recent(&held) => {
                self.count(|fetches| &fetches.authority);
                FetchAttempt::Found(held)
            }
            // The authority is written before anything is shown. A view that it does not have does
            // not exist, or no longer exists.
            (Some(None), _) => {
                self.count(|fetches| &fetches.absent);
                FetchAttempt::Absent
            }
            // Only a claim speaks against the store, and nobody can confirm it now.
            (None, Some(held)) => {
                self.count(|fetches| &fetches.store);
                FetchAttempt::Found(held)
            }
            (Some(Some(_)) | None, _) => FetchAttempt::Inconclusive,
        }
    }

    /// The view that the store holds. `None` when the store has none or must not be asked.
    async fn ask_store(&self, aggregate: &Aggregate, view: &str, goal: FetchGoal) -> Option<View> {
        if goal.from_authority || self.store.is_down() {
            return None;
        }
        let asked = self.snapshots.load(aggregate, view);
        match answer(&self.store, "store", STORE_TIMEOUT, asked).await? {
            Snapshot::Held(held) => Some(held),
            Snapshot::Absent | Snapshot::Suspect => None,
        }
    }

    fn count(&self, source: impl Fn(&ViewFetches) -> &IntCounter) {
        source(&self.metrics.view_fetches).inc();
    }
}

/// The answer of a server, if it comes in time.
async fn answer<T>(
    watch: &ServerWatch,
    place: &'static str,
    limit: Duration,
    asked: impl Future<Output = Result<T, NotRead>>,
) -> Option<T> {
    let started = Instant::now();
    let answered = timeout(limit, asked).await;
    watch.judge(matches!(answered, Ok(Ok(_))));
    match answered {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::warn!(
                place,
                error = &error as &dyn std::error::Error,
                "a view could not be read"
            );
            None
        }
        Err(_) => {
            tracing::warn!(
                place,
                waited_ms = started.elapsed().as_millis() as u64,
                "reading a view took too long"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;
