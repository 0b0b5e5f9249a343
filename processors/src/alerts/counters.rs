//! The counters of a sender, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use schemas::Millis;

/// The result of an attempt to send an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertResult {
    /// The push service took it.
    Sent,
    /// The push service failed or asked to wait: it is tried again.
    Retried,
    /// The push service refused it, or failed too often.
    Failed,
    /// The push service has forgotten the device.
    Gone,
    /// It was too old to be of use.
    Expired,
}

impl AlertResult {
    /// All results.
    pub const ALL: [AlertResult; 5] = [
        AlertResult::Sent,
        AlertResult::Retried,
        AlertResult::Failed,
        AlertResult::Gone,
        AlertResult::Expired,
    ];

    /// The name of the result in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertResult::Sent => "sent",
            AlertResult::Retried => "retried",
            AlertResult::Failed => "failed",
            AlertResult::Gone => "gone",
            AlertResult::Expired => "expired",
        }
    }
}

/// Totals since the sender started.
#[derive(Default)]
pub struct AlertCounters {
    results: [AtomicU64; AlertResult::ALL.len()],
    /// Milliseconds from the decisions of the locations to the answers of the push services, over
    /// all alerts that were sent.
    age_ms: AtomicU64,
}

impl AlertCounters {
    /// The number of attempts with this result.
    pub fn results(&self, result: AlertResult) -> u64 {
        self.results[result as usize].load(Relaxed)
    }

    /// The summed age of all sent alerts, in milliseconds.
    pub fn age_ms(&self) -> u64 {
        self.age_ms.load(Relaxed)
    }

    /// Counts a result for an alert of this age.
    pub fn count(&self, result: AlertResult, age: Millis) {
        self.results[result as usize].fetch_add(1, Relaxed);
        if result == AlertResult::Sent {
            self.age_ms.fetch_add(u64::try_from(age).unwrap_or_default(), Relaxed);
        }
    }
}
