//! Reads a view where it is cheapest, and from the authority when the store of views lost it or is behind.

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
    metrics::{Metrics, SnapshotLoads},
};

/// How long a caller waits for a view that is as new as what was shown before. JavaScript clients give a
/// reply five seconds. Past it the answer is `try_again`, never something older.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long the store of views may take before the authority is asked in its place.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pauses between two looks grow from the first to the last: a view that is behind is a few milliseconds
/// behind, or its store is in trouble and should not be asked in a loop.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Loads views for whoever needs a whole one.
pub struct Reader {
    snapshots: Arc<dyn Snapshots>,
    queries: Arc<dyn Queries>,
    metrics: Option<Arc<Metrics>>,
}

impl Reader {
    pub fn new(snapshots: Arc<dyn Snapshots>, queries: Arc<dyn Queries>) -> Self {
        Self { snapshots, queries, metrics: None }
    }

    /// Counts from now on where views came from.
    #[must_use]
    pub fn counted(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The view at `floor` or later; `None` when there is no such view.
    ///
    /// # Errors
    /// `try_again` when neither place had it in time.
    pub async fn load(
        &self,
        aggregate: &Aggregate,
        view: &str,
        floor: Option<Position>,
    ) -> Result<Option<View>, Code> {
        let search = async {
            let mut pause = FIRST_PAUSE;
            loop {
                if let Some(found) = self.look(aggregate, view, floor).await {
                    return found;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        };
        timeout(DEADLINE, search).await.map_err(|_| {
            tracing::warn!("a view was not to be had in time");
            Code::TryAgain
        })
    }

    /// One look at both places; `None` when both are behind or silent.
    async fn look(
        &self,
        aggregate: &Aggregate,
        view: &str,
        floor: Option<Position>,
    ) -> Option<Option<View>> {
        let recent = |held: &View| floor.is_none_or(|floor| held.position >= floor);
        match answer("store", STORE_TIMEOUT, self.snapshots.load(aggregate, view)).await {
            Some(Snapshot::Held(held)) if recent(&held) => {
                self.count(|loads| &loads.store);
                return Some(Some(held));
            }
            // Absent here may mean that the store missed a step: the authority knows.
            Some(Snapshot::Held(_) | Snapshot::Absent | Snapshot::Emptied) | None => {}
        }
        match answer("authority", DEADLINE, self.queries.view(aggregate, view)).await? {
            Some(held) if recent(&held) => {
                self.count(|loads| &loads.authority);
                Some(Some(held))
            }
            Some(_) => None,
            // What the authority has not, nobody has: it is written before anything is shown, so a view that
            // was shown and is missing now is over.
            None => {
                self.count(|loads| &loads.absent);
                Some(None)
            }
        }
    }

    fn count(&self, source: impl Fn(&SnapshotLoads) -> &IntCounter) {
        if let Some(metrics) = &self.metrics {
            source(&metrics.snapshot_loads).inc();
        }
    }
}

/// What a place said in time.
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
                "a view took too long to read"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;
