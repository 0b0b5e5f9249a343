//! A breaker for a server that views are read from. It opens after some failures in a row, and a
//! probe in the background closes it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::readiness::{Condition, Readiness};

/// Failures in a row until a server counts as down. One slow answer, such as of a very long view,
/// does not count. A server that hangs delays at most three fetches in a row.
const FAILURES: u32 = 3;

/// Judges one server by its answers to reads and probes.
pub struct ServerWatch {
    /// The condition that holds while the server is down.
    condition: Condition,
    readiness: Readiness,
    failures: AtomicU32,
}

impl ServerWatch {
    pub fn new(condition: Condition, readiness: Readiness) -> Self {
        Self { condition, readiness, failures: AtomicU32::new(0) }
    }

    /// Whether the server counts as down.
    pub fn is_down(&self) -> bool {
        self.readiness.holds(self.condition)
    }

    /// Records whether a read or a probe was answered in time.
    pub fn judge(&self, answered: bool) {
        if answered {
            self.failures.store(0, Ordering::Relaxed);
            if self.is_down() {
                self.readiness.set(self.condition, false);
            }
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.readiness.set(self.condition, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_is_down_after_failures_in_a_row() {
        let readiness = Readiness::default();
        let watch = ServerWatch::new(Condition::StoreDown, readiness.clone());
        for answered in [false, false, true, false, false] {
            watch.judge(answered);
            assert!(!watch.is_down());
        }
        watch.judge(false);
        assert!(watch.is_down() && readiness.holds(Condition::StoreDown));
        watch.judge(true);
        assert!(!watch.is_down() && !readiness.holds(Condition::StoreDown));
    }
}
