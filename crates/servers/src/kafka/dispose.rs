//! Ends clients on threads of their own, because dropping a wedged client can block for ever.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

/// Most replaced clients that may be ending at a time. One usually ends within a second. With so
/// many of them stuck, no more clients are replaced, and readiness reports those that fail.
const MOST_ENDING: usize = 16;

static ENDING: AtomicUsize = AtomicUsize::new(0);

/// Whether another client may be replaced.
pub(super) fn may_dispose() -> bool {
    let may = ENDING.load(Relaxed) < MOST_ENDING;
    if !may {
        tracing::error!(
            "{MOST_ENDING} replaced clients of kafka have not ended, so no more are replaced: \
             restart this process"
        );
    }
    may
}

/// Runs `end`, which drops a client, on a thread of its own.
pub fn dispose(end: impl FnOnce() + Send + 'static) {
    ENDING.fetch_add(1, Relaxed);
    let end = move || {
        end();
        ENDING.fetch_sub(1, Relaxed);
    };
    let thread = thread::Builder::new().name("kafka-ending".to_owned());
    if let Err(error) = thread.spawn(end) {
        // The closure was dropped, and with it the client.
        ENDING.fetch_sub(1, Relaxed);
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "no thread can be started");
    }
}
