//! When the outcomes of a partition are due to be deleted.

use std::time::Duration;

use schemas::Millis;
use tokio::time::Instant;

/// How often a partition is searched for outcomes to delete.
pub(in crate::runner) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Outcomes are deleted an hour after the lifetime of their keys, so that the clock of a broker
/// that is set back by less makes no repeat a new command.
const MARGIN: Millis = 3_600_000;

/// How far the log of a partition has come, and when outcomes are deleted next.
pub(in crate::runner) struct OutcomeAge {
    /// The latest append time of a committed record.
    log_time: Option<Millis>,
    pub(in crate::runner) look_at: Instant,
}

impl Default for OutcomeAge {
    fn default() -> Self {
        Self { log_time: None, look_at: Instant::now() }
    }
}

impl OutcomeAge {
    /// Notes the append time of a committed record. A time ahead of the owner's clock `wall` is
    /// not believed, because it would delete what is still needed.
    pub(in crate::runner) fn committed(&mut self, at: Millis, wall: Millis) {
        self.log_time = self.log_time.max(Some(at.min(wall)));
    }

    /// Outcomes first appended before this time are deleted now. `None` when it is not yet time.
    pub(in crate::runner) fn due(&self, now: Instant, key_lifetime: Millis) -> Option<Millis> {
        let log_time = self.log_time.filter(|_| self.look_at <= now)?;
        Some(log_time.saturating_sub(key_lifetime).saturating_sub(MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 24 * MARGIN;

    #[test]
    fn outcomes_are_deleted_by_log_time() {
        let mut age = OutcomeAge::default();
        let now = Instant::now();
        assert_eq!(age.due(now, DAY), None, "nothing was committed since the start");
        age.committed(10 * DAY, 12 * DAY);
        age.committed(9 * DAY, 12 * DAY);
        assert_eq!(age.due(now, DAY), Some(9 * DAY - MARGIN));
        age.look_at = now + LOOK_EVERY;
        assert_eq!(age.due(now, DAY), None);
    }

    #[test]
    fn record_from_the_future_deletes_nothing_early() {
        let mut age = OutcomeAge::default();
        age.committed(400 * DAY, 10 * DAY);
        assert_eq!(age.due(Instant::now(), DAY), Some(9 * DAY - MARGIN));
    }
}
