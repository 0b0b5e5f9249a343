//! The status of each client of Kafka, for readiness, metrics and its watchdog.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Silence after which a client counts as failing: longer than a broker's restart takes to move
/// its partitions, and than a pause of its garbage collector.
const FAILING_AFTER: Duration = Duration::from_secs(10);

/// The state of one client, shared by all its users. A replacement of the client keeps it.
pub struct ClientStatus {
    /// The label of the client in metrics.
    pub name: &'static str,
    /// The work that stops while the client fails, such as "no record could be published".
    lack: &'static str,
    replaced: AtomicU64,
    progress: Mutex<Progress>,
}

struct Progress {
    /// When the client last made progress, or began to owe some.
    at: Instant,
    /// Whether the client owes progress. A producer without records owes none.
    is_due: bool,
}

impl ClientStatus {
    /// A client that owes nothing yet.
    pub fn new(name: &'static str, lack: &'static str) -> Self {
        let progress = Mutex::new(Progress { at: Instant::now(), is_due: false });
        Self { name, lack, replaced: AtomicU64::new(0), progress }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client owes progress from now on, unless it did before.
    pub fn expect_progress(&self) {
        let mut progress = self.progress();
        if !progress.is_due {
            *progress = Progress { at: Instant::now(), is_due: true };
        }
    }

    /// The client made progress, and owes more if it did before.
    pub fn progressed(&self) {
        self.progress().at = Instant::now();
    }

    /// The client owes nothing.
    pub fn rest(&self) {
        self.progress().is_due = false;
    }

    /// Forgives a time in which this process itself did not use the client.
    pub fn forgive(&self, pause: Duration) {
        let mut progress = self.progress();
        progress.at = (progress.at + pause).min(Instant::now());
    }

    /// How long the client has owed progress without making any.
    pub fn silence(&self) -> Duration {
        let progress = self.progress();
        if progress.is_due { progress.at.elapsed() } else { Duration::ZERO }
    }

    /// Whether the client has owed progress for so long that readiness turns false.
    pub fn is_failing(&self) -> bool {
        self.silence() >= FAILING_AFTER
    }

    /// Why the client fails, as a line for people, or nothing while it works.
    pub fn failure(&self) -> Option<String> {
        let silence = self.silence();
        (silence >= FAILING_AFTER)
            .then(|| format!("kafka: {} for {} s", self.lack, silence.as_secs()))
    }

    /// How often the client was replaced.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Relaxed)
    }

    /// Counts and logs a replacement of the client.
    pub fn count_replacement(&self) {
        self.replaced.fetch_add(1, Relaxed);
        tracing::warn!(
            client = self.name,
            silence_s = self.silence().as_secs(),
            "a client of kafka made no progress and is replaced"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_owes_progress_is_silent() {
        let status = ClientStatus::new("producer", "no record could be published");
        let backdate = |seconds| status.progress().at -= Duration::from_secs(seconds);
        backdate(60);
        assert_eq!((status.silence(), status.failure()), (Duration::ZERO, None));
        status.expect_progress();
        assert!(status.silence() < Duration::from_secs(60), "the debt begins now");
        backdate(20);
        status.expect_progress();
        let failure = status.failure().expect("it fails");
        assert_eq!(failure, "kafka: no record could be published for 20 s");
        status.forgive(Duration::from_secs(15));
        assert!(!status.is_failing());
        backdate(20);
        status.progressed();
        assert!(!status.is_failing());
        backdate(20);
        status.rest();
        assert!(!status.is_failing());
    }
}
