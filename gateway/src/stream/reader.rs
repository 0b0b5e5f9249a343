//! Fetches a view from the view store, and from the authority when the store has lost it, is behind
//! or does not answer.

use std::{sync::Arc, time::Duration};

use prometheus::IntCounter;
use schemas::{
    codes::Code,
    ids::Aggregate,
    view::{Position, View},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    backends::queries::Queries,
    backends::snapshots::{NotRead, Snapshot, Snapshots},
    metrics::{Metrics, ViewFetches},
};

/// How long a caller waits for a view that is at its floor or later. JavaScript clients give a
/// reply five seconds. After that the answer is `try_again`, never an older view.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long the authority may take to say how far it is: the rest of the second before the client's
/// subscribe is given up.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(800);
/// How long the view store may take before the authority is asked instead.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pauses between two attempts grow from the first to the last. A view is usually only milliseconds
/// behind; if not, its store is in trouble and must not be asked in a loop.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Fetches whole views for shards and HTTP handlers.
pub struct ViewReader {
    snapshots: Arc<dyn Snapshots>,
    queries: Arc<dyn Queries>,
    metrics: Arc<Metrics>,
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
    /// `metrics` counts where the views come from.
    pub fn new(
        snapshots: Arc<dyn Snapshots>,
        queries: Arc<dyn Queries>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { snapshots, queries, metrics }
    }

    /// Fetches a view at `floor` or later. `None` when there is no such view.
    ///
    /// # Errors
    /// `try_again` when neither the store nor the authority has it in time.
    pub async fn fetch(
        &self,
        aggregate: &Aggregate,
        view: &str,
        floor: Option<Position>,
    ) -> Result<Option<View>, Code> {
        let search = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.attempt(aggregate, view, floor).await {
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
        let held = answer("authority", CONFIRM_TIMEOUT, self.queries.view(aggregate, view)).await;
        held.flatten().map(|view| view.position)
    }

    /// Asks the store, and then the authority if need be.
    async fn attempt(
        &self,
        aggregate: &Aggregate,
        view: &str,
        floor: Option<Position>,
    ) -> FetchAttempt {
        let recent = |held: &View| floor.is_none_or(|floor| held.position >= floor);
        match answer("store", STORE_TIMEOUT, self.snapshots.load(aggregate, view)).await {
            Some(Snapshot::Held(held)) if recent(&held) => {
                self.count(|fetches| &fetches.store);
                return FetchAttempt::Found(held);
            }
            // The store may have missed a step, so the authority decides whether the view exists.
            Some(Snapshot::Held(_) | Snapshot::Absent | Snapshot::Suspect) | None => {}
        }
        match answer("authority", DEADLINE, self.queries.view(aggregate, view)).await {
            Some(Some(held)) if recent(&held) => {
                self.count(|fetches| &fetches.authority);
                FetchAttempt::Found(held)
            }
            Some(Some(_)) | None => FetchAttempt::Inconclusive,
            // The authority is written before anything is shown. A view that it does not have does
            // not exist, or no longer exists.
            Some(None) => {
                self.count(|fetches| &fetches.absent);
                FetchAttempt::Absent
            }
        }
    }

    fn count(&self, source: impl Fn(&ViewFetches) -> &IntCounter) {
        source(&self.metrics.view_fetches).inc();
    }
}

/// The answer of a backend, if it comes in time.
async fn answer<T>(
    place: &'static str,
    limit: Duration,
    asked: impl Future<Output = Result<T, NotRead>>,
) -> Option<T> {
    let started = Instant::now();
    match timeout(limit, asked).await {
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
