//! What every implementation of a backend must do, as suites that memory and servers both pass. Each suite works under
//! names nobody else uses, so that suites can share one server and run side by side.

pub mod keys;
pub mod ledger;
pub mod log;
pub mod queries;
pub mod views;
pub mod work;

mod clinic;

use std::time::Duration;

pub use clinic::Clinic;

/// How long anything may take that is waited for: a group that forms on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must happen.
///
/// # Panics
/// When it does not happen in time.
async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happening).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: did not happen in time"),
    }
}

/// A slug nobody has used before.
pub fn fresh() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    format!("t-{:016x}", RandomState::new().build_hasher().finish())
}
