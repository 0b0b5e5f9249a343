//! Rates over all nodes together, by the short-lived keys that nodes share.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use schemas::ids::TenantId;
use tokio::time::{Instant, timeout};

use super::Limit;
use crate::{
    backends::quota::{Quota, Spent},
    backends::short_keys::{KeysUnavailable, ShortKeys},
    throttle::Throttle,
};

/// How long the shared keys may take to answer. Past it the node's own count decides: a limit must
/// not make the node slow. A healthy Redis answers in a millisecond.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);

/// How long the shared keys are not asked after they failed to answer.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) struct SharedQuotas {
    short_keys: Arc<dyn ShortKeys>,
    state: Mutex<SharedState>,
}

#[derive(Default)]
struct SharedState {
    paused_until: Option<Instant>,
    failures: Throttle,
}

impl SharedQuotas {
    pub fn new(short_keys: Arc<dyn ShortKeys>) -> Self {
        Self { short_keys, state: Mutex::default() }
    }

    /// Spends one request of a subject over all nodes. `None` when the shared keys do not answer.
    pub async fn spend(
        &self,
        limit: Limit,
        tenant: &TenantId,
        subject_tag: u64,
        quota: Quota,
    ) -> Option<Spent> {
        if self.is_paused() {
            return None;
        }
        let key = format!("{}:{tenant}:{subject_tag:016x}", limit.name());
        match timeout(ANSWER_WITHIN, self.short_keys.spend(&key, quota)).await {
            Ok(Ok(spent)) => return Some(spent),
            Ok(Err(error)) => self.pause(Some(error)),
            Err(_) => self.pause(None),
        }
        None
    }

    fn is_paused(&self) -> bool {
        let paused_until = self.state().paused_until;
        paused_until.is_some_and(|until| Instant::now() < until)
    }

    fn pause(&self, error: Option<KeysUnavailable>) {
        let mut state = self.state();
        state.paused_until = Some(Instant::now() + PAUSE);
        if let Some(count) = state.failures.add(1) {
            let error = error.as_ref().map(|error| error as &dyn std::error::Error);
            tracing::warn!(error, count, "shared limits do not answer: each node limits alone");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
