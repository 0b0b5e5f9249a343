//! The counters of a sender of webhooks, for metrics.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use schemas::Millis;

use super::WebhookTotals;

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver answered 2xx.
    Sent,
    /// The receiver answered something else.
    Refused,
    /// The receiver answered 410: the webhook is disabled.
    Gone,
    /// The receiver did not answer in time.
    TimedOut,
    /// The receiver was not reached.
    Unreachable,
    /// The address is not one that webhooks may be sent to.
    Forbidden,
}

impl AttemptResult {
    /// All results.
    pub const ALL: [Self; 6] =
        [Self::Sent, Self::Refused, Self::Gone, Self::TimedOut, Self::Unreachable, Self::Forbidden];

    /// The name of the result in metrics and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
        }
    }
}

/// Totals since the sender started, and the last totals of the store.
#[derive(Default)]
pub struct WebhookCounters {
    results: [AtomicU64; AttemptResult::ALL.len()],
    dead: AtomicU64,
    age_ms: AtomicU64,
    totals: Mutex<WebhookTotals>,
}

impl WebhookCounters {
    /// The number of attempts with this result.
    pub fn results(&self, result: AttemptResult) -> u64 {
        self.results[result as usize].load(Relaxed)
    }

    /// The number of deliveries that became dead letters after an attempt or by their age.
    pub fn dead(&self) -> u64 {
        self.dead.load(Relaxed)
    }

    /// Milliseconds from the decision to the answer of the receiver, over all that were sent.
    pub fn age_ms(&self) -> u64 {
        self.age_ms.load(Relaxed)
    }

    /// The totals of the store when they were last read.
    pub fn totals(&self) -> WebhookTotals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a result for an event of this age.
    pub fn count(&self, result: AttemptResult, age: Millis) {
        self.results[result as usize].fetch_add(1, Relaxed);
        if result == AttemptResult::Sent {
            self.age_ms.fetch_add(u64::try_from(age).unwrap_or_default(), Relaxed);
        }
    }

    /// Counts dead letters.
    pub fn count_dead(&self, count: u64) {
        self.dead.fetch_add(count, Relaxed);
    }

    /// Stores the totals of the store.
    pub fn set_totals(&self, totals: WebhookTotals) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = totals;
    }
}
