//! Conformance suites for the backends: memory and servers pass the same ones. Each suite uses
//! fresh names, so that suites can share one server and run in parallel.

pub mod alerts;
pub mod audit;
pub mod history;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod queries;
pub mod views;
pub mod webhooks;
pub mod work;

use std::time::Duration;

/// The limit of every wait: forming a consumer group on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a future that must complete.
///
/// # Panics
/// When it does not complete within the limit.
async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happening).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: did not happen in time"),
    }
}

/// Returns a slug that was never used before.
pub fn fresh() -> String {
    format!("t-{:016x}", fastrand::u64(..))
}
