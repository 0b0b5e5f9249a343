//! Fetches a view from the view store, and from the authority when the store has lost it, is behind
//! or does not answer. Watches both.

mod absences;
mod lagging;
mod server_watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus::IntCounter;
use schemas::{
    channel::Channel,
    codes::Code,
    ids::{Aggregate, QueueId, TicketId},
    view::{Position, View},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout},
};

use self::{absences::Absences, lagging::Lagging, server_watch::ServerWatch};
use crate::{
    backends::{
        queries::Queries,
        snapshots::{NotRead, Snapshot, Snapshots, TicketInLine},
    },
    limits::Limit,
    metrics::{Metrics, ViewFetches},
    readiness::{Condition, Readiness},
};

/// How long a caller waits for a view that is at its floor or later. JavaScript clients give a
/// reply five seconds. After that the answer is `try_again`, never an older view.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long the authority may take to return its position: the rest of the second before the
/// client's subscribe is given up.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(800);
/// How long the view store may take before the authority is asked instead. Redis answers in
/// milliseconds, also with the longest line. A read in vain shortens the client's second.
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

/// Views that a node loads at once: enough to keep Redis busy, and few enough that PostgreSQL, with
/// its eight connections, answers each in time. A further load waits for its turn.
const LOADS: usize = 64;
/// Loads that may wait for their turn, about 1 KiB each: the tickets of all clients that a node
/// serves, when they return at once to an empty node. A further one gets `try_again`.
const MAX_WAITING_LOADS: usize = 20_000;

/// The requirement that the answer of a fetch has to meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchGoal {
    /// The answer is never older than this.
    pub floor: Option<Position>,
    /// The position that a client says it holds. If the store returns an older view, the authority
    /// is asked, and its answer is final. A false claim costs one read and delays no other client.
    pub claim: Option<Position>,
    /// The store is known to lack steps, or may lack them: only the authority is asked.
    pub from_authority: bool,
    /// The newest position of the aggregate that intake has seen, before the fetch. An absence is
    /// remembered only as long as it stays the same. What the store has of an earlier epoch does
    /// not count: the aggregate may have lost that view with a restored database.
    pub seen: Option<Position>,
}

impl FetchGoal {
    /// Whether an answer of the store at this position is recent enough.
    fn is_met_by(&self, held: Position) -> bool {
        self.floor.is_none_or(|floor| held >= floor)
            && self.seen.is_none_or(|seen| held.epoch >= seen.epoch)
    }
}

/// Fetches whole views for shards and HTTP handlers.
pub struct ViewReader {
    snapshots: Arc<dyn Snapshots>,
    queries: Arc<dyn Queries>,
    metrics: Arc<Metrics>,
    store: ServerWatch,
    authority: ServerWatch,
    absences: Absences,
    lagging: Lagging,
    loads: Semaphore,
    waiting: AtomicUsize,
}

/// The turn of a load.
struct Turn<'a>(#[expect(dead_code, reason = "held until the load ends")] SemaphorePermit<'a>);

/// A load that waits for its turn. It is counted until it is dropped.
struct WaitingLoad<'a>(&'a AtomicUsize);

impl Drop for WaitingLoad<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
        Self {
            snapshots,
            queries,
            metrics,
            store,
            authority,
            absences: Absences::default(),
            lagging: Lagging::default(),
            loads: Semaphore::new(LOADS),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Probes both servers for ever.
    pub async fn watch(&self) {
        self.lagging.begin();
        let mut every = tokio::time::interval(PROBE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let (store, lagging) = tokio::join!(
                timeout(PROBE_TIMEOUT, self.snapshots.probe()),
                timeout(PROBE_TIMEOUT, self.queries.lagging(lagging::MOST)),
            );
            let lagging = lagging.ok().and_then(Result::ok);
            self.store.judge(matches!(store, Ok(Ok(()))));
            self.authority.judge(lagging.is_some());
            self.lagging.learn(lagging);
        }
    }

    /// Fetches a view. `None` when there is no such view.
    ///
    /// # Errors
    /// `try_again` when neither the store nor the authority has it in time, or too many loads wait.
    pub async fn fetch(
        &self,
        aggregate: &Aggregate,
        view: &str,
        goal: FetchGoal,
    ) -> Result<Option<View>, Code> {
        // If a client holds a position, the view exists, even if this node has not seen it.
        let may_remember = goal.claim.is_none() && !goal.from_authority;
        if may_remember && self.absences.holds(aggregate, view, goal.seen) {
            self.count(|fetches| &fetches.remembered);
            return Ok(None);
        }
        let found = self.search(aggregate, view, goal).await?;
        if found.is_none() && may_remember {
            self.absences.add(aggregate, view, goal.seen);
        }
        Ok(found)
    }

    /// Fetches a ticket of a queue. `None` when there is no such queue. Without the store, the
    /// ticket is found in the whole view of the queue.
    ///
    /// # Errors
    /// The errors of [`ViewReader::fetch`], and `internal` when the view is no view of a queue.
    pub async fn ticket(
        &self,
        aggregate: &Aggregate,
        queue: &QueueId,
        ticket: &TicketId,
        goal: FetchGoal,
    ) -> Result<Option<TicketInLine>, Code> {
        let in_store = async {
            let _turn = self.turn().await?;
            let asked = self.snapshots.ticket(aggregate, queue, ticket);
            Ok(self.ask_store(aggregate, goal, asked).await)
        };
        let in_store = timeout(DEADLINE, in_store).await.unwrap_or(Err(Code::TryAgain))?;
        if let Some(found) = in_store.filter(|held| goal.is_met_by(held.position)) {
            self.count(|fetches| &fetches.store);
            return Ok(Some(found));
        }
        let name = Channel::Queue(queue.clone()).to_string();
        let Some(view) = self.fetch(aggregate, &name, goal).await? else { return Ok(None) };
        let found = TicketInLine::of(queue, &view, ticket);
        found.map(Some).map_err(|_| {
            tracing::error!("a stored view cannot be read");
            Code::Internal
        })
    }

    async fn search(
        &self,
        aggregate: &Aggregate,
        view: &str,
        goal: FetchGoal,
    ) -> Result<Option<View>, Code> {
        let search = async {
            let _turn = self.turn().await?;
            let mut pause = FIRST_PAUSE;
            loop {
                match self.attempt(aggregate, view, goal).await {
                    FetchAttempt::Found(view) => return Ok(Some(view)),
                    FetchAttempt::Absent => return Ok(None),
                    FetchAttempt::Inconclusive => {}
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        };
        timeout(DEADLINE, search).await.unwrap_or_else(|_| {
            tracing::warn!("a view could not be fetched in time");
            Err(Code::TryAgain)
        })
    }

    /// Waits for the turn of a load.
    async fn turn(&self) -> Result<Turn<'_>, Code> {
        if let Ok(permit) = self.loads.try_acquire() {
            return Ok(Turn(permit));
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _counted = WaitingLoad(&self.waiting);
        if waiting >= MAX_WAITING_LOADS {
            self.metrics.limited(Limit::Loads.name());
            return Err(Code::TryAgain);
        }
        let permit = self.loads.acquire().await;
        Ok(Turn(permit.expect("the semaphore is never closed")))
    }

    /// How far the authority is with a view. `None` when it does not have the view, or does not
    /// answer in `CONFIRM_TIMEOUT`.
    pub async fn authority_position(&self, aggregate: &Aggregate, view: &str) -> Option<Position> {
        let _turn = timeout(CONFIRM_TIMEOUT, self.turn()).await.ok()?.ok()?;
        let asked = self.queries.view(aggregate, view);
        let held = answer(&self.authority, "authority", CONFIRM_TIMEOUT, asked).await;
        held.flatten().map(|view| view.position)
    }

    /// Asks the store, and then the authority if need be.
    async fn attempt(&self, aggregate: &Aggregate, view: &str, goal: FetchGoal) -> FetchAttempt {
        let is_recent = |held: &View| goal.floor.is_none_or(|floor| held.position >= floor);
        let asked = self.snapshots.load(aggregate, view);
        let in_store = self.ask_store(aggregate, goal, asked).await;
        let in_store = in_store.filter(|held| goal.is_met_by(held.position));
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
            // Only a client's claim contradicts the store, and the authority cannot confirm it now.
            (None, Some(held)) => {
                self.count(|fetches| &fetches.store);
                FetchAttempt::Found(held)
            }
            (Some(Some(_)) | None, _) => FetchAttempt::Inconclusive,
        }
    }

    /// The view or ticket that the store holds. `None` when the store has none or must not be
    /// asked.
    async fn ask_store<T>(
        &self,
        aggregate: &Aggregate,
        goal: FetchGoal,
        asked: impl Future<Output = Result<Snapshot<T>, NotRead>>,
    ) -> Option<T> {
        if goal.from_authority || self.store.is_down() || self.lagging.has(aggregate) {
            return None;
        }
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
