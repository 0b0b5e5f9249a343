//! Bounded waits of tests.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The longest wait of a test. A test reaches it only when something never happens: on a busy
/// machine a group of Kafka forms within seconds, and forty claims checks, whose threads have the
/// lowest priority, took more than two minutes beside builds of the same priority.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Waits at most [`PATIENCE`].
///
/// # Panics
/// When the wait takes longer.
pub async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// Repeats an attempt until it has a result.
///
/// # Panics
/// When there is no result within [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    attempt: impl Fn() -> F,
) -> T {
    patiently(what, async {
        loop {
            if let Some(result) = attempt().await {
                return result;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Waits until something is so.
///
/// # Panics
/// When it is not so within [`PATIENCE`].
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    eventually(what, || async { is_so().await.then_some(()) }).await;
}
