//! The thread of one check.

use tokio::sync::oneshot::{self, error::RecvError};

/// How far a check stands back, in Unix' levels of niceness. A minute's file is worth less than the next position of
/// somebody who waits: at 10 a busy core gives what is waited for about nine tenths, and an idle one all to the check.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Runs `work` on a thread of its own, which stands back behind whatever else has something to do.
///
/// # Errors
/// When it panicked, or no thread could be had.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RecvError> {
    let (done, result) = oneshot::channel();
    let run = move || {
        stand_back();
        // Whoever waited may have given the run up.
        let _ = done.send(work());
    };
    if let Err(error) = std::thread::Builder::new().name("check".to_owned()).spawn(run) {
        tracing::warn!(error = &error as &dyn std::error::Error, "no thread can be started for a check");
    }
    result.await
}

/// On Linux a level is the thread's; elsewhere it is the whole process's, so it stays as it is.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(error = &error as &dyn std::error::Error, "a check keeps its thread's priority");
    }
}
